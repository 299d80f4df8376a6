// The panel's side in the page: keys stay inside, controls get names, a press brings the fields as they are seen.
// Hand-written, no build step; it draws nothing of its own.

/** @typedef {{get(name: string): any, send(message: unknown): void, on(name: string, work: (...all: any[]) => void): void, off(name: string, work: (...all: any[]) => void): void, widget_manager?: any}} Model */

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
const whole = text => (/^-?\d{1,15}$/.test(text.trim()) ? Number(text) : null);

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

/** The prompt box, or the panel where that is locked. @param {Element} root @returns {HTMLElement} */
const textOf = root => root.querySelector(".qw-p-prompt textarea:enabled") ?? /** @type {HTMLElement} */ (root);

/** @param {any} one @param {any} other */
const same = (one, other) => Object.keys(one).every(name => one[name] === other[name]);

/** Have a text read out with a control. @param {Element} control @param {Element} text */
function describe(control, text) {
	text.id ||= `qw-${Math.random().toString(36).slice(2)}`;
	if (control.getAttribute("aria-describedby") !== text.id) control.setAttribute("aria-describedby", text.id);
}

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
		describe(box, wrong);
		box.setAttribute("aria-invalid", String(!!wrong.textContent?.trim()));
	}
	const run = root.querySelector(".qw-p-run");
	const line = root.querySelector(".qw-p-line");
	// What a press costs, or why it can't be done, is read out with the button.
	if (run && line) describe(run, line);
	root.setAttribute("role", "group");
	// A click beside the controls stays here, too: the keys behind it would be the notebook's.
	/** @type {HTMLElement} */ (root).tabIndex = -1;
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

/** The notebook that a widget is part of, in JupyterLab and Notebook; Voilà has none. @param {any} model @returns {any} */
const notebook = model => model.widget_manager?.context?.model?.sharedModel;

/** A cell below the one that shows the panel. @param {Model} model @param {Element} root @param {string} source */
function insert(model, root, source) {
	const book = notebook(model);
	const cell = /** @type {HTMLElement | null} */ (root.closest(".jp-Cell"));
	// Lab has only those cells in the page that are seen, and numbers them; without a cell (a view of its own) it comes last.
	const number = cell?.dataset.windowedListIndex ?? [...(cell?.parentElement?.children ?? [])].indexOf(/** @type {any} */ (cell));
	book.insertCell(cell ? Number(number) + 1 : book.cells.length, {cell_type: "code", source, metadata: {trusted: true}});
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
	/** @param {string} what @param {Element | null} [button] marked until the kernel, which may be busy, has heard of it */
	const press = (what, button = root.querySelector(`.qw-p-${what}`)) => {
		button?.classList.add("qw-p-sent");
		model.send({type: what, fields: changed()});
	};
	/** @param {any} message */
	const hear = message => {
		if (message?.type === "heard") for (const button of root.querySelectorAll(".qw-p-sent")) button.classList.remove("qw-p-sent");
		// Only the view in which somebody has asked for it.
		if (message?.type === "focus" && root.contains(document.activeElement)) textOf(root).focus();
	};
	model.on("msg:custom", hear);
	signal.addEventListener("abort", () => model.off("msg:custom", hear));

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
			// The second click of a double click is no second order.
			if (what) return /** @type {MouseEvent} */ (event).detail > 1 && what === "run" ? undefined : press(what, button);
			await settled();
			if (text === "insert") insert(model, root, model.get("magic"));
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
				// A key that is held down is pressed once.
				if (target.closest(".qw-p-prompt") && !event.repeat) press("run");
				return;
			}
			const edits = target.matches("input, textarea") && EDITING.includes(event.key.toLowerCase());
			// The host's own sign, which leaves the key to the control: saving and its like it may have.
			if (!control || edits) target.setAttribute(SUPPRESS, "true");
			else target.removeAttribute(SUPPRESS);
		},
		{capture: true, signal}
	);
	root.classList.toggle("qw-p-can-insert", !!notebook(model));
	/** @type {EventTarget | null} */
	let last = null;
	root.addEventListener("focusin", ({target}) => (last = target), {signal});
	const watch = new MutationObserver(() => {
		name(root, model);
		// A button that has done its work and can't be pressed again loses the focus; the keys stay in the panel.
		if (
			last instanceof HTMLButtonElement &&
			last.disabled &&
			root.contains(last) &&
			[last, document.body].includes(/** @type {any} */ (document.activeElement))
		)
			textOf(root).focus();
	});
	watch.observe(root, {subtree: true, childList: true, attributes: true, attributeFilter: ["class", "disabled"]});
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
