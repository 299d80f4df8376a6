// The panel's side in the page: keys stay inside, controls get names, a press brings the fields as they are seen.
// Hand-written, no build step; it draws nothing of its own.

/** @typedef {{get(name: string): any, send(message: unknown): void, on(name: string, work: () => void): void, off(name: string, work: () => void): void}} Model */

/** Where the person's values stand. @type {Record<string, [string, (el: any) => unknown]>} */
const FIELDS = {
	prompt: [".qw-p-prompt textarea", el => el.value],
	title: [".qw-p-title input", el => el.value],
	suggestion: [".qw-p-suggestion textarea", el => el.value],
	style: [".qw-p-style select", el => el.selectedIndex],
	ratio: [".qw-p-ratio select", el => el.selectedIndex],
	model: [".qw-p-model select", el => el.selectedIndex],
	width: [".qw-p-width input", el => whole(el.value)],
	height: [".qw-p-height input", el => whole(el.value)],
	seed: [".qw-p-seed input", el => whole(el.value)],
	count: [".qw-p-count input", el => whole(el.value)]
};
/** Buttons whose press goes through here, with the fields. */
const PRESSES = ["run", "stop", "enhance", "accept", "dismiss", "clear", "die", "last", "undo", "redo", "reset"];
/** What a text field does with Control by itself. */
const EDITING = "zyaxcv";
/** What the shortcuts of JupyterLab and Notebook look for. */
const SUPPRESS = "data-lm-suppress-shortcuts";
const LATEST = 2000; // milliseconds that a copy waits for what was typed
const SAID = 1500; // milliseconds for which a button says what it has done

/** @param {string} text */
const whole = text => (/^\d{1,10}$/.test(text.trim()) ? Number(text) : null);

/** @param {Element} root */
function read(root) {
	/** @type {Record<string, unknown>} */
	const found = {};
	for (const [name, [where, value]] of Object.entries(FIELDS)) {
		const el = root.querySelector(where);
		if (el) found[name] = value(el);
	}
	return found;
}

/** @param {any} one @param {any} other */
const same = (one, other) => Object.keys(one).every(name => one[name] === other[name]);

/** Give controls the names and states that ipywidgets leaves out. @param {Element} root @param {Model} model */
function name(root, model) {
	const {roles, ...names} = model.get("names");
	for (const [where, label] of Object.entries(names)) {
		const control = root.querySelector(`.${where}`);
		const inner = control?.querySelector("input, select, [role=slider]") ?? control;
		if (inner && inner.getAttribute("aria-label") !== label) inner.setAttribute("aria-label", String(label));
	}
	for (const [where, role] of Object.entries(roles)) {
		const place = root.querySelector(`.${where}`);
		if (place && place.getAttribute("role") !== role) place.setAttribute("role", String(role));
	}
	for (const toggle of root.querySelectorAll(".widget-toggle-button")) {
		const pressed = String(toggle.classList.contains("mod-active"));
		if (toggle.getAttribute("aria-pressed") !== pressed) toggle.setAttribute("aria-pressed", pressed);
	}
	const box = root.querySelector(".qw-p-prompt textarea");
	const wrong = root.querySelector(".qw-p-prompt-error");
	if (box && wrong) {
		wrong.id ||= `qw-${Math.random().toString(36).slice(2)}`;
		box.setAttribute("aria-describedby", wrong.id);
		box.setAttribute("aria-invalid", String(!!wrong.textContent?.trim()));
	}
	root.setAttribute("role", "group");
	root.setAttribute("aria-label", "Picture panel");
}

/** @param {string} text */
async function copy(text) {
	try {
		await navigator.clipboard.writeText(text);
	} catch {
		// No clipboard for a page that isn't served safely: the old way, by a selection.
		const box = document.body.appendChild(document.createElement("textarea"));
		box.value = text;
		box.select();
		document.execCommand("copy");
		box.remove();
	}
}

/** JupyterLab and Notebook, where their server shows the application to the page. @returns {any} */
const application = () => /** @type {any} */ (globalThis).jupyterapp;

/** @param {string} text */
async function insert(text) {
	const {commands} = application();
	await commands.execute("notebook:insert-cell-below");
	await commands.execute("notebook:replace-selection", {text});
}

/** @param {Element} root @param {Element} el @param {Model} model @param {AbortSignal} signal */
function attach(root, el, model, signal) {
	/** What was sent of the fields since Python last told them. @type {Record<string, unknown>} */
	let sent = {};
	const told = () => {
		sent = {};
	};
	model.on("change:fields", told);
	signal.addEventListener("abort", () => model.off("change:fields", told));
	/** The fields that the person has changed: the others may have been changed by a press that is still on its way. */
	const changed = () => {
		const said = model.get("fields");
		const news = Object.entries(read(root)).filter(([name, value]) => value !== said[name] && value !== sent[name]);
		sent = {...sent, ...Object.fromEntries(news)};
		return Object.fromEntries(news);
	};
	/** Wait until the texts in Python are those of the fields in the page; not for ever, where one of these can't be. */
	const settled = () =>
		new Promise((/** @type {(value: void) => void} */ done) => {
			const end = () => {
				model.off("change:fields", look);
				clearTimeout(late);
				done();
			};
			const look = () => {
				if (same(read(root), model.get("fields"))) end();
			};
			const late = setTimeout(end, LATEST);
			model.on("change:fields", look);
			signal.addEventListener("abort", end);
			const fields = changed();
			if (Object.keys(fields).length) model.send({type: "fields", fields});
			look();
		});
	/** @param {HTMLElement} button @param {string} text */
	const say = (button, text) => {
		el.textContent = text;
		button.classList.add("qw-p-done");
		setTimeout(() => button.classList.remove("qw-p-done"), SAID);
	};
	/** @param {string} what */
	const press = what => model.send({type: what, fields: changed()});

	root.addEventListener(
		"click",
		async event => {
			const button = /** @type {HTMLElement} */ (event.target).closest?.("button");
			if (!(button instanceof HTMLButtonElement) || button.disabled) return;
			const what = PRESSES.find(one => button.classList.contains(`qw-p-${one}`));
			const text = ["magic", "python", "insert"].find(one => button.classList.contains(`qw-p-${one}`));
			if (!what && !text) return;
			// ipywidgets would send the press ahead of what was typed last.
			event.stopPropagation();
			event.preventDefault();
			if (what) return press(what);
			await settled();
			if (text === "insert") await insert(model.get("magic"));
			else await copy(model.get(/** @type {string} */ (text)));
			say(button, text === "insert" ? "inserted" : "copied");
		},
		{capture: true, signal}
	);
	// On the way down: ipywidgets' text boxes keep their keys to themselves, and Notebook 7 listens there, too.
	addEventListener(
		"keydown",
		event => {
			const target = event.composedPath()[0];
			if (!(target instanceof HTMLElement) || !root.contains(target) || target.closest(".qw-viewer")) return;
			const control = event.ctrlKey || event.metaKey;
			if (control && event.key === "Enter") {
				event.preventDefault();
				event.stopPropagation();
				if (target.closest(".qw-p-prompt")) press("run");
				return;
			}
			const edits = target.matches("input, textarea") && EDITING.includes(event.key.toLowerCase());
			// The host's own sign, which leaves the key to the control: saving and its like it may have.
			if (!control || edits) target.setAttribute(SUPPRESS, "true");
			else target.removeAttribute(SUPPRESS);
		},
		{capture: true, signal}
	);
	const can = application()?.commands?.hasCommand?.("notebook:replace-selection");
	root.classList.toggle("qw-p-can-insert", !!can);
	const watch = new MutationObserver(() => name(root, model));
	watch.observe(root, {subtree: true, childList: true, attributes: true, attributeFilter: ["class"]});
	signal.addEventListener("abort", () => watch.disconnect());
	name(root, model);
}

export default {
	/** @param {{model: Model, el: HTMLElement}} view */
	render({model, el}) {
		el.classList.add("qw-p-bridge");
		el.setAttribute("role", "status");
		const end = new AbortController();
		const wait = () => {
			const root = el.closest(".qw-panel");
			if (root) attach(root, el, model, end.signal);
			else if (!end.signal.aborted) requestAnimationFrame(wait);
		};
		wait();
		return () => end.abort();
	}
};
