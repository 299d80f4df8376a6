// The live view of a grid. A plain ES module: no build step, no framework, no network.
// Users' words only ever become text nodes or plain attributes; pictures are Blob URLs.

/// <reference path="./types.d.ts" />

/** What isn't code, from the store: the icons' paths, the keys' table, sentences. */
let told = /** @type {Told} */ ({ icons: {}, keys: {}, says: {} });
const AXES = ["prompt", "model", "size", "seed"];
const MODES = ["side by side", "slider", "hover", "blink", "difference"];
/** Seconds beyond which the kernel's clock and this one are taken to disagree. */
const BELIEVABLE = 3600;
const SPOKEN_EVERY = 4000;
/** Two changes a second: WCAG 2.3.1 draws the line at three flashes. */
const BLINK_EVERY = 500;
const ORIGINALS_KEPT = 12;
const LETTERS = "ABCDEF";

/** @template {keyof HTMLElementTagNameMap} T @param {T} tag @param {string | {[name: string]: unknown}} [given] the class, or attributes: those that are null or false are left out
 * @param {...(Node | string | null | undefined)} children */
function make(tag, given = {}, ...children) {
	const el = document.createElement(tag);
	const attributes = typeof given === "string" ? { class: given } : given;
	for (const [name, value] of Object.entries(attributes)) {
		if (value == null || value === false) continue;
		// All classes here are ours, and say so.
		el.setAttribute(name, name === "class" ? String(value).replace(/\S+/g, "qw-$&") : value === true ? "" : String(value));
	}
	for (const child of children) if (child) el.append(child);
	return el;
}

/** @param {string} name */
function icon(name) {
	const ns = "http://www.w3.org/2000/svg";
	const [svg, path] = [document.createElementNS(ns, "svg"), document.createElementNS(ns, "path")];
	svg.setAttribute("viewBox", "0 0 16 16");
	svg.setAttribute("class", `qw-icon qw-icon-${name}`);
	aria(svg, { hidden: "true" });
	path.setAttribute("d", told.icons[name]);
	svg.append(path);
	return svg;
}

/** @param {string} label @param {Node | string} content @param {string} [kind] @param {() => void} [press] */
function button(label, content, kind, press) {
	const el = make("button", { type: "button", class: kind, "aria-label": label, title: label }, content);
	on(el, "click", (event) => { event.stopPropagation(); press?.(); });
	return el;
}

/** @type {On} */
const on = (el, name, act, how) => el.addEventListener(name, act, how);
/** @param {Element} el @param {{[name: string]: unknown}} values */
const aria = (el, values) => { for (const [name, value] of Object.entries(values)) el.setAttribute(`aria-${name}`, String(value)); };
/** Those that are there. @param {string} by @param {...unknown} words */
const join = (by, ...words) => words.filter(Boolean).join(by);

/** @type {Tool} */
const tool = (label, name, press, kind = "") => button(label, icon(name), `round ${kind}`, press);
/** @param {number} value @param {number} last */
const within = (value, last) => Math.max(0, Math.min(value, last));
/** @param {number} count @param {string} word */
const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
/** @template T @param {T[]} list @returns {T[]} */
const shuffle = (list) => list.map((one) => ({ one, at: Math.random() })).sort((left, right) => left.at - right.at).map(({ one }) => one);

/** @param {any} model @returns {Store} */
function widgetStore(model) {
	/** @type {Map<string, ((answer: Answer) => void)[]>} */
	const asked = new Map();
	/** @param {any} message */
	const name = ({ type, row, column }) => [type, row, column].join();
	/** @param {any} content @param {Bytes[]} buffers */
	function answer(content, buffers) {
		const key = name(content ?? {});
		for (const resolve of asked.get(key) ?? []) resolve({ content, buffers: buffers ?? [] });
		asked.delete(key);
	}
	return {
		head: () => model.get("head"),
		cell: (place) => model.get(`c${place}`),
		picture: (place) => model.get(`p${place}`),
		choices: () => model.get("choices"),
		words: () => model.get("words"),
		// One listener for all: a grid that grows brings names that nobody could have listened to before.
		watch(changed) {
			model.on("change", changed);
			model.on("msg:custom", answer);
			return () => { model.off("change", changed); model.off("msg:custom", answer); };
		},
		send: (message) => model.send(message),
		ask: (type, at) => new Promise((resolve) => {
			const message = at ? { type, row: at[0], column: at[1] } : { type };
			const waiting = asked.get(name(message)) ?? [];
			asked.set(name(message), [...waiting, resolve]);
			if (!waiting.length) model.send(message);
		}),
	};
}

/** The store's choices, and on top of them what was chosen here and has not come back yet. @param {Store} store */
function makeChoices(store) {
	/** @type {{[place: string]: {[what: string]: string | number}}} */
	const ahead = {};
	/** @type {Vote[]} */
	let votesAhead = [];
	const base = () => store.choices() ?? { cells: {}, votes: [] };
	/** @param {Place} at @returns {Choice} */
	const of = (at) => /** @type {any} */ (Object.assign({ stars: 0, mark: "" }, base().cells[at.join()], ahead[at.join()]));
	return {
		of,
		/** @param {Place} at @param {Chosen} chosen */
		choose(at, [what, value]) {
			if (of(at)[what] === value) return;
			(ahead[at.join()] ??= {})[what] = value;
			store.send?.({ type: what, row: at[0], column: at[1], value });
		},
		votes: () => [...base().votes, ...votesAhead],
		/** @param {Vote} vote */
		vote(vote) {
			votesAhead.push(vote);
			store.send?.({ type: "vote", ...vote });
		},
		/** The store has news: what has come back is no longer ahead. */
		settle() {
			const { cells, votes } = base();
			for (const [place, values] of Object.entries(ahead)) {
				const known = /** @type {any} */ (cells[place] ?? { stars: 0, mark: "" });
				for (const what of Object.keys(values)) if (known[what] === values[what]) delete values[what];
			}
			votesAhead = votesAhead.filter(({ id }) => !votes.some((vote) => vote.id === id));
		},
	};
}

/** Originals, asked for when they are looked at; the latest few are kept. @param {Store} store */
function makeOriginals(store) {
	/** @type {Map<Tile, string>} An empty one: there is none to be had. */
	const kept = new Map();
	/** @type {Set<Tile>} */
	const waiting = new Set();
	/** @param {Tile} tile */
	function drop(tile) {
		const url = kept.get(tile);
		if (url) URL.revokeObjectURL(url);
		kept.delete(tile);
	}
	return {
		drop,
		clear: () => { for (const tile of [...kept.keys()]) drop(tile); },
		/** The original's address once it is here; `ready` is called when it comes. @param {Tile} tile @param {() => void} ready */
		get(tile, ready) {
			const url = kept.get(tile);
			if (url !== undefined) {
				kept.delete(tile);
				kept.set(tile, url);
			} else if (!waiting.has(tile) && tile.url) {
				waiting.add(tile);
				const { bytes } = tile;
				store.ask("original", tile.at).then(({ buffers: [buffer] }) => {
					waiting.delete(tile);
					if (tile.bytes !== bytes) return;
					kept.set(tile, buffer ? URL.createObjectURL(new Blob([buffer])) : "");
					for (const old of [...kept.keys()].slice(0, -ORIGINALS_KEPT)) drop(old);
					ready();
				});
			}
			return url ?? "";
		},
	};
}

/** The blanks around a run stay outside of its mark. @param {[string, string][]} parts */
function marked(parts) {
	const fragment = document.createDocumentFragment();
	for (const [kind, text] of parts) {
		const words = text.trim();
		const start = text.length - text.trimStart().length;
		const tag = kind === "added" ? "ins" : kind === "dropped" && "del";
		fragment.append(text.slice(0, start), tag ? make(tag, {}, words) : words, text.slice(start + words.length));
	}
	return fragment;
}

/** With its marks where none of it was cut. @param {Row} row */
function wholePrompt({ prompt, parts }) {
	const words = parts.map(([kind, text]) => (kind === "dropped" ? "" : text)).join("");
	return make("div", { class: "prompt", dir: "auto" }, words === prompt ? marked(parts) : prompt);
}

/** What a cell without a picture says, and what it offers. @param {Cell} cell @param {Tile["act"]} act */
function without({ title, reason, paid, next_step, state, offers }, act) {
	if (!title && !reason && !offers.length) return make("div", "rest", state === "running" ? icon("clock") : null, make("span", "state", told.says[state] ?? state));
	const presses = offers.map(({ label, price, key }) => button(join(", ", label, price), join(" · ", label, price !== "no cost" && price), "", () => act(key)));
	return make("div", "told", make("b", {}, title || state), make("span", {}, reason), make("small", {}, join(" ", paid, next_step)), make("p", "buttons", ...presses));
}

/** @param {Choice} choice */
const choiceWords = ({ stars, mark }) => join(", ", mark === "keep" && "kept", mark === "reject" && "rejected", stars && plural(stars, "star"));

/** What a key chooses. @param {string} key @param {Choice} choice @returns {Chosen | undefined} */
function chosenBy(key, { mark }) {
	const wanted = key === "k" ? "keep" : key === "x" && "reject";
	if (wanted) return ["mark", mark === wanted ? "" : wanted];
	return /^[0-5]$/.test(key) ? ["stars", Number(key)] : undefined;
}

/** Keep, reject and stars to press; what is given already is taken back. @param {(chosen: Chosen) => void} choose */
function makeMarks(choose) {
	let now = /** @type {Choice} */ ({ stars: 0, mark: "" });
	const press = (/** @type {string} */ key) => () => choose(/** @type {Chosen} */ (chosenBy(key, now)));
	const [keep, reject] = [tool("keep", "keep", press("k")), tool("reject", "close", press("x"))];
	const stars = [1, 2, 3, 4, 5].map((at) => button(plural(at, "star"), icon("star"), "star", () => press(String(at === now.stars ? 0 : at))()));
	return {
		els: [keep, reject, make("span", { class: "star-bar", role: "group", "aria-label": "stars" }, ...stars)],
		/** @param {Choice} choice */
		draw(choice) {
			now = choice;
			aria(keep, { pressed: now.mark === "keep" });
			aria(reject, { pressed: now.mark === "reject" });
			stars.forEach((star, at) => { aria(star, { pressed: at + 1 === now.stars }); star.classList.toggle("qw-on", at < now.stars); });
		},
	};
}

/** @param {Tile} tile @param {Row} row */
function drawTile(tile, row) {
	const { el, cell } = tile;
	if (!cell) return;
	const box = make("div", "box");
	// A row's boxes have one shape, whatever came.
	const [width, height] = row.width ? [row.width, row.height] : [cell.width, cell.height];
	box.style.setProperty("--qw-ratio", String(width / height || 1));
	if (tile.url) {
		box.append(picture(tile));
		if (cell.flagged && !tile.revealed) box.append(make("span", "veil", told.says.veil));
		if (cell.warning) box.append(make("span", "note", icon("note")));
	} else {
		box.append(without(cell, tile.act));
	}
	el.replaceChildren(box);
}

/** The one that is there, or a new one that fades in. @param {Tile} tile */
function picture({ el, url }) {
	const old = el.querySelector("img");
	if (old?.src === url) return old;
	const img = make("img", { src: url, alt: "", draggable: "false", class: "new" });
	on(img, "animationend", () => img.classList.remove("qw-new"), { once: true });
	return img;
}

/** Give a tile its picture, and the old one's memory back. @param {Tile} tile @param {Bytes | undefined} bytes */
function setPicture(tile, bytes) {
	if (tile.url) URL.revokeObjectURL(tile.url);
	tile.bytes = bytes;
	tile.revealed = false;
	// Without a type an <img> takes it for a picture by its first bytes; an SVG it wouldn't take.
	tile.url = bytes?.byteLength ? URL.createObjectURL(new Blob([bytes])) : "";
}

/** The seconds of running tiles; one clock, and only while something runs. @param {() => Iterable<Tile>} tiles */
function stopwatch(tiles) {
	let timer = 0;
	function tick() {
		const now = Date.now() / 1000;
		let busy = false;
		for (const tile of tiles()) {
			const { cell, el } = tile;
			tile.seen = cell?.state === "running" ? tile.seen || now : 0;
			if (!cell || !tile.seen) continue;
			busy = true;
			const elapsed = now - cell.since, line = el.querySelector(".qw-state");
			if (line) line.textContent = `${Math.floor(elapsed < 0 || elapsed > BELIEVABLE ? now - tile.seen : elapsed)} s`;
		}
		if (!busy) stop();
		else timer ||= setInterval(tick, 1000);
	}
	const stop = () => { clearInterval(timer); timer = 0; };
	return { tick, stop };
}

/** Says the progress, not more often than one can listen. @param {HTMLElement} status */
function speaker(status) {
	let last = 0;
	return (/** @type {Head} */ { running, done, total, failed }) => {
		if (running && Date.now() - last < SPOKEN_EVERY) return;
		last = Date.now();
		status.textContent = `${running ? "" : "finished: "}${done} of ${total}${failed ? `, ${failed} failed` : ""}`;
	};
}

/** @param {string} label @param {string} kind */
function makeDialog(label, kind) {
	const body = make("div", "body");
	const el = make("dialog", { class: `dialog ${kind}`, "aria-label": label, tabindex: -1 },
		make("div", "dialog-top", make("b", {}, label), tool("close", "close", () => el.close())), body);
	// A click beside it.
	on(el, "pointerdown", (event) => { if (event.target === el) el.close(); });
	return { el, body, open: () => { if (!el.open) el.showModal(); el.focus(); } };
}

/** The old way, too: where a page isn't secure there is no other. @param {string} text @param {HTMLElement} from */
async function copy(text, from) {
	const said = from.textContent ?? "";
	let words = "copied";
	try {
		await navigator.clipboard.writeText(text);
	} catch {
		const area = make("textarea", { class: "hidden", "aria-hidden": "true" });
		area.value = text;
		from.after(area);
		area.select();
		if (!document.execCommand("copy")) words = "not allowed here";
		area.remove();
		from.focus();
	}
	if (said === words) return;
	from.textContent = words;
	setTimeout(() => { from.textContent = said; }, 1500);
}

/** The ways to go on from a cell: each a cell to copy, its price beside it. @param {Store} store */
function makeActions(store) {
	const { el, body, open } = makeDialog("go on from here", "actions");
	/** @param {Tile} tile @param {Head} head */
	async function show(tile, head) {
		const { prompt } = head.rows[tile.at[0]], { seed, label } = head.columns[tile.at[1]];
		const copier = (/** @type {string} */ words, /** @type {string} */ text, name = words) => {
			const press = button(name, words, "", () => copy(text, press));
			return press;
		};
		const list = make("div", { class: "list", "aria-live": "polite" });
		body.replaceChildren(make("p", { class: "prompt", dir: "auto" }, prompt), make("small", {}, label),
			make("p", "buttons", seed && copier("copy the seed", seed), copier("copy the prompt", prompt)), list);
		open();
		const { actions = [] } = (await store.ask("actions", tile.at)).content ?? {};
		list.replaceChildren(...actions.map((/** @type {Action} */ { label: name, text, price, key }) => {
			const act = () => { el.close(); tile.act(key); };
			const here = key && store.send ? button(join(", ", name, text && "run here", price), join(" · ", text ? "run here" : name, price), "", act) : null;
			return make("section", {}, make("h2", {}, text && name), here ?? make("span", "price", price),
				text ? copier("copy", text, `copy: ${name}`) : null, text ? make("pre", { dir: "auto", tabindex: 0, "aria-label": name }, text) : null);
		}));
	}
	return { el, show };
}

/** @param {Store} store @param {...() => void} press */
function makeHeader(store, ...press) {
	const title = make("b", { class: "title", dir: "auto" });
	const facts = make("span", "facts");
	const badge = make("span", "badge");
	const compare = button("compare", "Compare", "compare", press[0]);
	const vote = button("blind vote", "Blind vote", "", press[1]);
	const view = button(told.says.view, "View", "", press[2]);
	const ask = (/** @type {boolean} */ asked) => { stop.disabled = asked; stop.textContent = asked ? "Stopping" : "Stop"; };
	const stop = button(told.says.stop, "Stop", "", () => { ask(true); store.send?.({ type: "stop" }); });
	const bar = make("div", { class: "bar", role: "progressbar", "aria-label": "progress", "aria-valuemin": 0 });
	const message = make("p", { class: "message", role: "alert" });
	const el = make("div", "header", make("div", "names", title, facts), badge, compare, vote, view, stop, message, bar);
	return {
		el,
		/** @param {number} count */
		picked(count) {
			compare.textContent = count > 1 ? `Compare ${count}` : "Compare";
			compare.title = count > 1 ? told.says.compare : told.says.pick;
			aria(compare, { disabled: count < 2, label: `${compare.textContent}: ${compare.title}` });
			compare.classList.toggle("qw-strong", count > 1);
		},
		/** @param {Head} head */
		draw(head) {
			title.textContent = head.title || "grid";
			facts.textContent = head.facts.join(" · ");
			badge.textContent = head.provider;
			badge.classList.toggle("qw-offline", head.offline);
			if (!head.running) ask(false);
			message.hidden = !head.message;
			if (message.textContent !== head.message) message.textContent = head.message;
			stop.hidden = !head.running || !head.stoppable || !store.send;
			vote.hidden = head.rows.length < 2;
			bar.hidden = !head.running;
			aria(bar, { valuemax: head.total, valuenow: head.done + head.failed });
			bar.style.width = `${(100 * (head.done + head.failed)) / Math.max(1, head.total)}%`;
		},
	};
}

/** Which lines the page has on each side, and which tile lies where. @param {Head} head @param {Settings} set @returns {Layout} */
function layOut(head, set) {
	const taken = new Set();
	const idOf = (/** @type {Row} */ row, /** @type {string} */ axis) => head.rows.findIndex((one) => one[axis] === row[axis]);
	const found = { rows: new Map(), columns: new Map(), tabs: new Map() };
	const tileAt = new Map();
	head.rows.forEach((data, row) => {
		const ids = /** @type {Ids} */ ({ prompt: idOf(data, "prompt"), model: idOf(data, "model"), size: idOf(data, "size") });
		// Rows that nothing tells apart stay rows of their own.
		if (taken.has(Object.values(ids).join())) ids.prompt = -row;
		taken.add(Object.values(ids).join());
		head.columns.forEach((_, column) => {
			ids.seed = column;
			const keys = Object.entries(found).map(([side, lines]) => {
				const axes = AXES.filter((axis) => set.where[axis] === side);
				const key = axes.map((axis) => axis + ids[axis]).join(" ");
				if (!lines.has(key)) lines.set(key, { key, row, column, ids: Object.fromEntries(axes.map((axis) => [axis, ids[axis]])) });
				return key;
			});
			tileAt.set(keys.join("|"), `${row},${column}`);
		});
	});
	let hidden = 0;
	const [rows, columns, tabs] = Object.entries(found).map(([side, lines]) => {
		const order = set.order[side] ?? [];
		// What came later stands behind what was put in order.
		const place = (/** @type {Line} */ { key }) => order.indexOf(key) >>> 0;
		const seen = /** @type {Line[]} */ ([...lines.values()]).filter(({ key }) => !set.hidden.has(key));
		hidden += lines.size - seen.length;
		return seen.sort((one, other) => place(one) - place(other));
	});
	const mark = JSON.stringify([rows, columns, tabs].map((lines) => lines.map(({ key }) => key)));
	return { rows, columns, tabs, tileAt, hidden, mark };
}

/** @param {Head} head @param {string} axis */
const isSeveral = ({ rows, columns }, axis) => (axis === "seed" ? columns.length > 1 : rows.some((row) => row[axis] !== rows[0][axis]));
/** What tells a line from its neighbours. @param {Head} head @param {Line} line @param {string} [but] without this axis */
function lineLabel(head, { ids, row, column }, but) {
	const { prompt, model, size } = head.rows[row];
	/** @type {Words} */
	const words = { prompt, model, size, seed: head.columns[column].label };
	return join(" · ", ...AXES.map((axis) => axis in ids && axis !== but && (axis === "seed" || isSeveral(head, axis)) && words[axis]));
}

/** One picture large, or several compared, under one shared lens. @param {Around} env */
function makeCloser(env) {
	let shown = /** @type {Tile[]} */ ([]);
	let mode = 0, active = 0, front = 0, split = 0.5, timer = 0;
	/** Its offset in parts of a pane, so that it is the same place in all of them. */
	const lens = { scale: 1, x: 0, y: 0 };
	let panes = /** @type {HTMLElement[]} */ ([]);
	let fitted = 0;
	/** @type {Map<Tile, HTMLImageElement>} */
	const images = new Map();

	const stage = make("div", "stage");
	const divider = make("input", { type: "range", min: 0, max: 100, step: 1, "aria-label": "divider", class: "divider" });
	const words = make("div", { class: "words", "aria-live": "polite" });
	const level = button("fit, or one pixel to one", "", "level", () => fitOrActual());
	const modes = MODES.map((name, at) => button(name, name, "mode", () => setMode(at)));
	const modeBar = make("span", { class: "modes", role: "group", "aria-label": "mode" }, ...modes, button("swap", "swap", "", swap));
	const marks = makeMarks((chosen) => env.choose(shown[active], chosen));
	const pick = tool("pick for compare", "pick", () => env.pick(shown[0]));
	const [back, forth] = ["previous", "next"].map((name, at) => tool(name, name, () => flip([0, 2 * at - 1])));
	const el = make("dialog", { class: "dialog closer", "aria-label": "look closer", tabindex: -1 },
		stage, divider, make("div", "under", words, make("div", "tools", modeBar,
			make("span", {}, ...marks.els, pick, tool("go on from here", "more", () => env.more(shown[active]))),
			make("span", {}, tool("zoom out", "minus", () => zoomBy(0.8)), level, tool("zoom in", "plus", () => zoomBy(1.25))),
			make("span", {}, back, forth, tool("close", "close", () => el.close())))));
	on(el, "close", () => { stop(); images.clear(); stage.replaceChildren(); env.closed(shown[active]); });
	on(divider, "input", () => { split = divider.valueAsNumber / 100; apply(); });
	const resized = new ResizeObserver(() => apply());
	resized.observe(stage);

	const stop = () => { clearInterval(timer); timer = 0; };
	const comparing = () => shown.length > 1;
	const layered = () => comparing() && mode > 0;
	const way = () => layered() && MODES[mode];
	const cellOf = (/** @type {Tile} */ tile) => /** @type {Cell} */ (tile.cell);
	/** The scale at which a pixel of the picture is one of the screen. */
	const actual = () => (fitted ? cellOf(shown[0]).width / devicePixelRatio / fitted : 1);
	const bounded = (/** @type {number} */ scale) => Math.max(Math.min(1, actual()), Math.min(Math.max(8, 4 * actual()), scale));

	/** @param {Tile[]} tiles */
	function open(tiles) {
		shown = tiles;
		active = front = 0;
		Object.assign(lens, { scale: 1, x: 0, y: 0 });
		if (!el.open) el.showModal();
		el.focus();
		draw();
	}
	/** @param {number} at */
	function setMode(at) {
		mode = (at + MODES.length) % MODES.length;
		front = 0;
		draw();
	}
	function swap() {
		shown.push(...shown.splice(0, 1));
		draw();
	}
	/** @param {Place} by */
	function flip(by) {
		const next = shown.map((tile) => env.step(tile, by));
		if (next.some((tile, at) => !tile || (comparing() && tile === shown[at]))) return;
		shown = /** @type {Tile[]} */ (next);
		if (!comparing()) env.moved(shown[0]);
		draw();
	}
	function showNext() {
		front = active = (front + 1) % shown.length;
		drawTools();
		apply();
	}

	/** One image an open tile, so that flipping back shows it at once. @param {Tile} tile */
	function imageOf(tile) {
		const img = images.get(tile) ?? make("img", { class: "lens", draggable: "false" });
		images.set(tile, img);
		const src = env.originals.get(tile, draw) || tile.url;
		if (img.src !== src) img.src = src;
		img.alt = cellOf(tile).alt;
		return img;
	}
	/** @param {Tile} tile */
	function layer(tile) {
		const cell = cellOf(tile);
		const veiled = cell.flagged && !tile.revealed;
		const reveal = () => { tile.revealed = true; draw(); el.focus(); };
		return make("div", `layer${veiled ? " veiled" : ""}`, tile.url ? imageOf(tile) : without(cell, tile.act), comparing() ? make("span", "letter", LETTERS[shown.indexOf(tile)]) : null,
			tile.url && veiled ? button("show it", "flagged by moderation: show", "reveal", reveal) : null);
	}
	function draw() {
		if (!el.open || !shown.every((tile) => tile?.cell)) return;
		const groups = layered() ? [way() === "hover" || way() === "blink" ? shown : shown.slice(0, 2)] : shown.map((tile) => [tile]);
		stage.className = `qw-stage qw-${comparing() ? `by-${MODES[mode].split(" ")[0]}` : cellOf(shown[0]).state}`;
		const focused = panes.indexOf(/** @type {HTMLElement} */ (document.activeElement));
		panes = groups.map((tiles, at) => {
			const apart = comparing() && !layered();
			const own = apart ? { tabindex: 0, role: "group", "aria-label": `${LETTERS[at]}: ${cellOf(tiles[0]).alt}` } : {};
			const pane = make("div", { class: "pane", ...own }, ...tiles.map(layer));
			const take = () => { if (apart && active !== at) { active = at; drawTools(); } };
			on(pane, "focus", take);
			on(pane, "pointerenter", take);
			return pane;
		});
		stage.replaceChildren(...panes);
		if (focused >= 0) panes[Math.min(focused, panes.length - 1)].focus();
		if (way() !== "blink") stop();
		else if (!timer && !matchMedia("(prefers-reduced-motion: reduce)").matches) timer = setInterval(showNext, BLINK_EVERY);
		drawTools();
		apply();
	}
	function drawTools() {
		if (!el.open) return;
		const { rows, columns } = env.head();
		aria(el, { label: comparing() ? `compare, ${MODES[mode]}` : "look closer" });
		modeBar.hidden = !comparing();
		divider.hidden = way() !== "slider";
		modes.forEach((press, at) => aria(press, { pressed: at === mode }));
		const seen = shown.map((tile, at) => {
			const cell = cellOf(tile);
			const facts = join(" · ", columns[tile.at[1]].label, cell.cost, cell.warning || (tile.url && `${cell.width}×${cell.height}`), choiceWords(env.choices.of(tile.at)));
			return make("div", "line", comparing() ? make("span", "letter", LETTERS[at]) : null,
				make("div", {}, wholePrompt(rows[tile.at[0]]), make("small", {}, facts)));
		});
		// Put there only when it is other words: a live region speaks of every change.
		if (words.textContent !== seen.map((one) => one.textContent).join("")) words.replaceChildren(...seen);
		[...words.children].forEach((one, at) => one.classList.toggle("qw-active", at === active));
		marks.draw(env.choices.of(shown[active].at));
		pick.hidden = comparing();
		aria(pick, { pressed: shown[0].el.matches(".qw-picked") });
		// Not `disabled`: that would throw the focus, and with it the arrow keys, out of the dialog.
		[back, forth].forEach((press, at) => aria(press, { disabled: shown.some((tile) => env.step(tile, [0, 2 * at - 1]) === tile) }));
	}

	/** Lay the lens over every pane. */
	function apply() {
		if (!el.open || !panes.length) return;
		const { clientWidth, clientHeight } = stage;
		const ratio = cellOf(shown[0]).width / cellOf(shown[0]).height || 1;
		const sizeWith = (/** @type {number} */ across) => Math.min(clientWidth / across, (clientHeight / Math.ceil(panes.length / across)) * ratio);
		const across = panes.reduce((best, _, at) => (sizeWith(at + 1) > sizeWith(best) ? at + 1 : best), 1);
		stage.style.gridTemplateColumns = `repeat(${across}, minmax(0, 1fr))`;
		const { children, clientWidth: wide, clientHeight: high } = panes[0];
		fitted = Math.min(wide, high * ratio);
		lens.scale = bounded(lens.scale);
		lens.x = hold(lens.x, fitted, wide);
		lens.y = hold(lens.y, fitted / ratio, high);
		if (way() === "hover" || way() === "blink") [...children].forEach((part, at) => { /** @type {HTMLElement} */ (part).style.visibility = at === front ? "" : "hidden"; });
		for (const [name, value] of Object.entries({ x: lens.x, y: lens.y, scale: lens.scale, split: `${split * 100}%` })) stage.style.setProperty(`--qw-${name}`, String(value));
		divider.value = String(Math.round(split * 100));
		stage.classList.toggle("qw-zoomed", lens.scale > 1.01);
		stage.classList.toggle("qw-pixels", lens.scale >= 3 * actual());
		level.textContent = `${Math.round((100 * lens.scale) / actual())}%`;
	}
	/** @param {number} offset @param {number} size @param {number} room */
	const hold = (offset, size, room) => {
		const limit = Math.max(0, (size * lens.scale - room) / 2) / room;
		return Math.max(-limit, Math.min(limit, offset));
	};
	/** Zoom so that what is under a point stays there. @param {number} factor @param {HTMLElement} [pane] @param {number} [x] @param {number} [y] */
	function zoomBy(factor, pane = panes[0], x, y) {
		const box = pane.getBoundingClientRect();
		const px = x === undefined ? 0 : x - box.left - box.width / 2;
		const py = y === undefined ? 0 : y - box.top - box.height / 2;
		const scale = bounded(lens.scale * factor);
		const by = scale / lens.scale;
		lens.x = (px - (px - lens.x * box.width) * by) / box.width;
		lens.y = (py - (py - lens.y * box.height) * by) / box.height;
		lens.scale = scale;
		apply();
	}
	/** @param {HTMLElement} [pane] @param {number} [x] @param {number} [y] */
	function fitOrActual(pane, x, y) {
		zoomBy((Math.abs(lens.scale - 1) > 0.01 ? 1 : actual()) / lens.scale, pane, x, y);
	}
	/** @param {number} x @param {number} y  CSS pixels */
	function pan(x, y, { clientWidth, clientHeight } = panes[0]) {
		lens.x += x / clientWidth;
		lens.y += y / clientHeight;
		apply();
	}
	/** @param {{x: number, y: number}} point */
	const paneAt = ({ x, y }) => panes.find((pane) => {
		const box = pane.getBoundingClientRect();
		return x >= box.left && x <= box.right && y >= box.top && y <= box.bottom;
	});

	/** @type {Map<number, PointerEvent>} */
	const fingers = new Map();
	let from = { x: 0, y: 0, sliding: false, many: false };
	const middle = () => {
		const [one, other = one] = fingers.values();
		return { x: (one.x + other.x) / 2, y: (one.y + other.y) / 2, far: Math.hypot(one.x - other.x, one.y - other.y) };
	};
	on(stage, "wheel", (event) => {
		event.preventDefault();
		zoomBy(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0015)), paneAt(event), event.x, event.y);
	}, { passive: false });
	on(stage, "dblclick", (event) => fitOrActual(paneAt(event), event.x, event.y));
	on(stage, "pointerdown", (event) => {
		if (event.button || (event.target instanceof Element && event.target.closest("button"))) return;
		stage.setPointerCapture(event.pointerId);
		fingers.set(event.pointerId, event);
		const box = stage.getBoundingClientRect();
		const near = Math.abs(event.x - box.left - split * box.width) < 24;
		from = { x: event.x, y: event.y, sliding: !divider.hidden && (near || lens.scale <= 1.01), many: fingers.size > 1 };
	});
	on(stage, "pointermove", (event) => {
		const box = stage.getBoundingClientRect();
		if (way() === "hover" && !fingers.size) {
			const zone = within(Math.floor(((event.x - box.left) / box.width) * shown.length), shown.length - 1);
			if (zone !== front) { front = active = zone; drawTools(); apply(); }
		}
		if (!fingers.has(event.pointerId)) return;
		const before = middle();
		fingers.set(event.pointerId, event);
		const now = middle();
		if (from.sliding && fingers.size === 1) {
			split = Math.max(0, Math.min(1, (event.x - box.left) / box.width));
			apply();
		} else {
			pan(now.x - before.x, now.y - before.y);
			if (before.far && now.far) zoomBy(now.far / before.far, paneAt(event), now.x, now.y);
		}
	});
	on(stage, "pointerup", (event) => {
		const across = event.x - from.x, level = Math.abs(across) > Math.max(60, Math.abs(event.y - from.y));
		if (level && event.pointerType === "touch" && !from.many && !from.sliding && lens.scale <= 1.01) flip([0, across < 0 ? 1 : -1]);
		fingers.delete(event.pointerId);
	});
	on(stage, "pointercancel", (event) => fingers.delete(event.pointerId));

	/** @param {string} name @param {boolean} shiftKey */
	function key(name, shiftKey) {
		const by = STEPS[name], chosen = chosenBy(name, env.choices.of(shown[active].at));
		if (chosen) env.choose(shown[active], chosen);
		else if (by && shiftKey) pan(-Math.sign(by[1]) * 60, -Math.sign(by[0]) * 60);
		else if (by) flip(by);
		else if (name === "+" || name === "=") zoomBy(1.25);
		else if (name === "-") zoomBy(0.8);
		else if (name === "f") fitOrActual();
		else if (name === ".") env.more(shown[active]);
		else if (name === "z" || name === "Escape") el.close();
		else if (name === "m" && comparing()) setMode(mode + 1);
		else if (name === "c" && comparing()) swap();
		else if (name === " " && layered()) showNext();
		else if (name === " " && !comparing()) env.pick(shown[0]);
		else return false;
		return true;
	}
	return { el, open, draw, drawTools, key, shows: (/** @type {Tile} */ tile) => shown.includes(tile), stop: () => { stop(); resized.disconnect(); } };
}

/** Wins, ties and losses of every row that was voted on, the best first. @param {Vote[]} votes */
function winTable(votes) {
	const rows = [...new Set(votes.flatMap(({ one, other }) => [one, other]))].map((row) => {
		const mine = votes.filter(({ one, other }) => one === row || other === row);
		const [wins, ties] = [row, -1].map((who) => mine.filter(({ winner }) => winner === who).length);
		return { row, wins, ties, losses: mine.length - wins - ties, share: (wins + ties / 2) / mine.length };
	});
	return rows.sort((one, other) => other.share - one.share || one.row - other.row);
}

/** Two pictures of one seed, nothing said of which is which.
 * @param {() => Head} head @param {(row: number, column: number) => Tile | undefined} tileOf
 * @param {ChoiceBook} choices @param {Originals} originals */
function makeVote(head, tileOf, choices, originals) {
	const { el, body, open } = makeDialog("blind vote", "vote");
	let pairs = /** @type {Pair[]} */ ([]);
	let asking = false, count = 0;
	/** @param {number} row */
	const name = (row) => join(" · ", head().rows[row]?.prompt, head().rows[row]?.note);
	function table() {
		const lines = winTable(choices.votes());
		if (!lines.length) return "";
		return make("table", {}, make("caption", {}, `who wins, of ${plural(choices.votes().length, "vote")}`),
			make("thead", {}, make("tr", {}, make("td"), ...["wins", "ties", "losses", "share"].map((word) => make("th", { scope: "col" }, word)))),
			make("tbody", {}, ...lines.map(({ row, wins, ties, losses, share }) => make("tr", {}, make("th", { scope: "row", dir: "auto" }, name(row)),
				...[wins, ties, losses, `${Math.round(share * 100)}%`].map((value) => make("td", {}, String(value)))))));
	}
	function show() {
		asking = false;
		const boxes = head().rows.map((_, row) => make("input", { type: "checkbox", checked: true, "aria-label": name(row) }));
		const start = button("start", "Start", "strong", () => {
			const rows = boxes.flatMap((box, row) => (box.checked ? [row] : []));
			pairs = shuffle(head().columns.flatMap((_, column) => {
				const ready = rows.filter((row) => tileOf(row, column)?.url);
				return ready.flatMap((one, at) => ready.slice(at + 1).map((other) => shuffle([one, other])).map(([left, right]) => ({ column, left, right })));
			}));
			count = pairs.length;
			next();
		});
		body.replaceChildren(make("p", {}, told.says.which),
			make("fieldset", {}, make("legend", "hidden", "rows"), ...boxes.map((box, row) => make("label", {}, box, make("span", { dir: "auto" }, name(row))))), start, table());
		open();
	}
	function next() {
		asking = pairs.length > 0;
		if (asking) ask();
		else body.replaceChildren(make("p", { role: "status" }, count > 0 ? "That's all of them." : count ? "Enough." : told.says.no_pair), table(), button("again", "Again", "", show));
		el.focus();
	}
	function ask() {
		const { column, left, right } = pairs[0];
		const sides = [left, right].map((row, at) => {
			const tile = /** @type {Tile} */ (tileOf(row, column));
			const side = at ? "right" : "left";
			const img = make("img", { alt: `the ${side} picture`, class: tile.cell?.flagged && !tile.revealed && "blur" });
			const show = () => { img.src = originals.get(tile, show) || tile.url; };
			show();
			return button(`the ${side} one is better`, img, "side", () => vote(row));
		});
		body.replaceChildren(make("div", "pair", ...sides), make("p", "buttons",
			make("small", { role: "status" }, `pair ${count - pairs.length + 1} of ${count}`), button("a tie", "a tie", "", () => vote(-1)),
			button("skip", "skip", "", skip), button("enough: show who wins", "enough", "", () => { pairs = []; count = -1; next(); })));
	}
	function skip() {
		pairs.shift();
		next();
	}
	/** @param {number} winner */
	function vote(winner) {
		const { column, left, right } = pairs[0];
		choices.vote({ id: Math.floor(Math.random() * 2 ** 52), column, one: Math.min(left, right), other: Math.max(left, right), winner });
		skip();
	}
	/** @param {string} name */
	function key(name) {
		if (!asking) return false;
		if (name === "ArrowLeft") vote(pairs[0].left);
		else if (name === "ArrowRight") vote(pairs[0].right);
		else if (name === "ArrowDown") vote(-1);
		else if (name === "s") skip();
		else return false;
		return true;
	}
	return { el, show, key };
}

/** @param {string} text */
function keyLine(text) {
	const at = text.indexOf(":");
	return make("span", {}, ...text.slice(0, at).split(" ").map((key) => make("kbd", {}, key)), text.slice(at + 1));
}

/** @type {{[key: string]: Place}} Steps in rows and columns. */
const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0], Home: [0, -Infinity], End: [0, Infinity] };

/** Build the view of a store inside `host`. @param {Store} store @param {HTMLElement} host @returns {() => void} takes it all down */
export function mount(store, host) {
	told = store.words();
	/** @type {Map<string, Tile>} */
	const tiles = new Map();
	/** @type {Map<Tile, Place>} Where the page shows it now. */
	const places = new Map();
	/** @type {Map<string, HTMLElement>} */
	const headers = new Map();
	let picks = /** @type {Tile[]} */ ([]);
	let drawn = /** @type {Head} */ (/** @type {unknown} */ (undefined));
	let layout = /** @type {Layout} */ ({ rows: [], columns: [], tabs: [], tileAt: new Map(), hidden: 0, mark: "" });
	let current = /** @type {Place} what Tab comes to; -1 is a header */ ([0, 0]);
	let tab = "", zoom = 0, frame = 0, sharper = 0;
	const natural = () => ({ prompt: "rows", model: "rows", size: "rows", seed: "columns" });
	const set = { where: /** @type {Words} */ (natural()), order: /** @type {{[side: string]: string[]}} */ ({}), hidden: new Set() };

	const choices = makeChoices(store);
	const originals = makeOriginals(store);
	const header = makeHeader(store, compare, () => vote.show(), showView);
	const tabList = make("div", { class: "tabs", role: "tablist", "aria-label": "tabs" });
	const grid = make("div", { class: "grid", role: "grid", "aria-multiselectable": "true" });
	const scroller = make("div", "scroll", grid);
	const status = make("div", { class: "hidden", role: "status" });
	const said = make("div", { class: "hidden said", "aria-live": "polite" });
	const tell = (/** @type {string} */ words) => { said.textContent = words; };
	const size = make("input", { type: "range", min: 0, max: 100, step: 1, value: 0, "aria-label": "size of the pictures" });
	const actions = makeActions(store);
	const vote = makeVote(() => drawn, (row, column) => tiles.get(`${row},${column}`), choices, originals);
	const view = makeDialog("view", "view");
	const keys = makeDialog("keys", "keys");
	keys.body.append(...Object.entries(told.keys).map(([name, lines]) => make("section", {}, make("h2", {}, name), ...lines.map(keyLine))));
	const closer = makeCloser({
		head: () => drawn, choices, originals, choose, pick, more: (tile) => actions.show(tile, drawn),
		moved: (tile) => select(places.get(tile) ?? current),
		closed: (tile) => { elAt(places.get(tile) ?? current)?.focus(); },
		step(tile, [down, right]) {
			const at = places.get(tile);
			if (!at) return undefined;
			const next = tileAt([within(at[0] + down, layout.rows.length - 1), within(at[1] + right, layout.columns.length - 1)]);
			return next?.cell && next.cell.state !== "blank" ? next : tile;
		},
	});
	const footer = make("div", "footer", ...told.keys["in the grid"].slice(0, 6).map(keyLine), button("all keys", keyLine("?:all keys"), "plain", keys.open),
		make("label", "size", icon("minus"), size, icon("plus")));
	const root = make("div", "viewer", header.el, tabList, scroller, footer, status, said, closer.el, actions.el, vote.el, view.el, keys.el);
	const dialogs = [actions, vote, view, keys];
	// What had the focus may be on another tab by now.
	const keepFocus = () => { if (!root.contains(document.activeElement)) refocus(); };
	for (const { el } of dialogs) on(el, "close", keepFocus);
	const clock = stopwatch(() => tiles.values());
	const say = speaker(status);

	// The strips of small actions: one of each, which goes where the pointer or the focus is.
	const marks = makeMarks((chosen) => stripTile && choose(stripTile, chosen));
	let stripTile = /** @type {Tile | undefined} */ (undefined);
	const onStrip = (/** @type {(tile: Tile) => void} */ act) => () => { if (stripTile) act(stripTile); };
	const seedChip = button("copy the seed", "", "chip", onStrip((tile) => copy(drawn.columns[tile.at[1]].seed, seedChip)));
	const strip = make("div", "strip", ...marks.els, seedChip,
		tool("pick for compare", "pick", onStrip(pick), "pick"), tool("go on from here", "more", onStrip((tile) => actions.show(tile, drawn)), "go"));
	let stripHeader = /** @type {HTMLElement | null} */ (null);
	const onHeader = (/** @type {(at: Place) => void} */ act) => () => { if (stripHeader) act(placeOf(stripHeader)); };
	const headStrip = make("div", "head-strip", tool("move back", "previous", onHeader((at) => move(at, -1))),
		tool("move on", "next", onHeader((at) => move(at, 1))), tool("hide", "hide", onHeader(hide)));
	for (const one of [strip, headStrip]) {
		// Pressing a button there leaves the focus where it is: the strip may go, and the focus with it.
		on(one, "mousedown", (event) => event.preventDefault());
		for (const press of one.querySelectorAll("button")) press.tabIndex = -1;
	}

	const elAt = (/** @type {Place} */ [row, column]) => /** @type {HTMLElement | undefined} */ (grid.children[row + 1]?.children[column + 1]);
	/** @param {Element} el @returns {Place} */
	function placeOf(el) {
		const row = /** @type {Element} */ (el.parentElement);
		return [[...grid.children].indexOf(row) - 1, [...row.children].indexOf(el) - 1];
	}
	/** @param {Place} at */
	function tileAt([row, column]) {
		return tiles.get(layout.tileAt.get([layout.rows[row]?.key, layout.columns[column]?.key, tab].join("|")) ?? "");
	}
	/** The header or the tile that an event is about. @param {EventTarget | null} target @returns {HTMLElement | null} */
	const itemOf = (target) => (target instanceof Element ? target.closest(".qw-row > [tabindex]") : null);
	const tileOf = (/** @type {Element | null} */ el) => (el?.classList.contains("qw-tile") ? tileAt(placeOf(el)) : undefined);

	const refocus = () => elAt(current)?.focus();
	/** Make `at` the one tab stop. @param {Place} at */
	function select(at) {
		elAt(current)?.setAttribute("tabindex", "-1");
		current = at;
		elAt(current)?.setAttribute("tabindex", "0");
	}
	/** @param {Place} by */
	function step([down, right]) {
		const row = Math.max(-1, Math.min(current[0] + down, layout.rows.length - 1));
		const column = Math.max(right === -Infinity ? 0 : -1, Math.min(current[1] + right, layout.columns.length - 1));
		if (row < 0 && column < 0) return;
		select([row, column]);
		refocus();
	}
	/** @param {Tile} tile @param {Chosen} chosen */
	function choose(tile, chosen) {
		if (!tile.url) return;
		choices.choose(tile.at, chosen);
		refresh();
		tell(choiceWords(choices.of(tile.at)) || "nothing chosen");
	}
	/** @param {Tile} tile */
	function pick(tile) {
		if (!tile.url) return;
		if (picks.includes(tile)) picks = picks.filter((one) => one !== tile);
		else if (picks.length < LETTERS.length) picks.push(tile);
		else { tell(`${LETTERS.length} at most`); return; }
		tell(`${plural(picks.length, "picture")} picked`);
		refresh();
	}
	function compare() {
		if (picks.length > 1) closer.open([...picks]);
		else tell(told.says.pick);
	}
	/** What moderation flagged is shown in its place first. @param {Tile} tile */
	function look(tile) {
		if (!tile.cell || tile.cell.state === "blank") return;
		if (tile.cell.flagged && tile.url && !tile.revealed) {
			tile.revealed = true;
			drawTile(tile, drawn.rows[tile.at[0]]);
			dress(tile, true);
		} else closer.open([tile]);
	}

	/** @param {Tile} tile @param {boolean} [anew] */
	function dress(tile, anew) {
		const { el, cell, at } = tile;
		if (!cell) return;
		const choice = choices.of(at), words = choiceWords(choice), letter = LETTERS[picks.indexOf(tile)] ?? "";
		const mark = letter + words;
		if (!anew && el.dataset.mark === mark) return;
		el.dataset.mark = mark;
		const veiled = cell.flagged && tile.url && !tile.revealed;
		el.className = join(" ", "qw-tile", `qw-${cell.state}`, letter && "qw-picked", choice.mark && `qw-${choice.mark}`, veiled && "qw-veiled");
		aria(el, { label: join(", ", cell.alt, cell.warning, veiled && "flagged by moderation", words, letter && `picked ${letter}`), selected: Boolean(letter) });
		el.title = cell.title || cell.reason ? join("\n", cell.title, cell.reason, cell.paid, cell.next_step) : join(" · ", drawn.columns[at[1]].label, cell.cost, cell.warning);
		el.querySelector(".qw-marks")?.remove();
		if (mark && tile.url) {
			el.firstElementChild?.append(make("div", "marks", letter ? make("span", "letter", letter) : null,
				choice.stars || choice.mark === "keep" ? make("span", "given", choice.mark === "keep" ? icon("keep") : null, ...Array.from({ length: choice.stars }, () => icon("star"))) : null));
		}
		if (tile === stripTile) putStrip(tile);
	}
	/** @param {Tile} tile */
	function putStrip(tile) {
		stripTile = tile;
		marks.draw(choices.of(tile.at));
		const { label, seed } = drawn.columns[tile.at[1]];
		seedChip.hidden = !seed;
		if (seedChip.textContent !== "copied") seedChip.textContent = label;
		const box = tile.el.firstElementChild;
		if (strip.parentElement !== box) box?.append(strip);
	}
	/** Picks or choices have changed. */
	function refresh() {
		picks = picks.filter((tile) => tile.url && tiles.has(tile.at.join()));
		for (const tile of tiles.values()) dress(tile);
		header.picked(picks.length);
		closer.drawTools();
	}

	function arrangeHere() {
		arrange();
		refocus();
	}
	const sideOf = (/** @type {Place} */ at) => (at[0] < 0 ? "columns" : "rows");
	/** @param {Place} at @param {number} by */
	function move(at, by) {
		const from = Math.max(...at), order = layout[sideOf(at)].map(({ key }) => key);
		if (!(from + by in order)) return;
		order.splice(from + by, 0, ...order.splice(from, 1));
		set.order[sideOf(at)] = order;
		// Its header has the focus, and takes it along.
		elAt(at)?.focus();
		arrangeHere();
	}
	/** @param {Place} at */
	function hide(at) {
		const lines = layout[sideOf(at)];
		// The last one stays.
		if (lines.length < 2) return;
		set.hidden.add(lines[Math.max(...at)].key);
		tell("hidden");
		arrangeHere();
	}
	function showHidden() {
		set.hidden.clear();
		arrangeHere();
	}

	function showView() {
		const selects = AXES.filter((axis) => isSeveral(drawn, axis)).map((axis) => {
			const choose = make("select", { "aria-label": axis }, ...["rows", "columns", "tabs"].map((side) => make("option", { selected: set.where[axis] === side }, side)));
			on(choose, "change", () => { set.where[axis] = choose.value; arrange(); });
			return make("label", {}, make("span", {}, `${axis}s as`), choose);
		});
		const reset = () => { Object.assign(set, { where: natural(), order: {} }); set.hidden.clear(); setZoom(0); arrange(); view.el.close(); };
		const save = button("save as a page", "Save as a page", "", async () => {
			const { buffers } = await store.ask("page");
			if (!buffers.length) return;
			const link = make("a", { href: URL.createObjectURL(new Blob(buffers, { type: "text/html" })), download: `${drawn.title || "grid"}.html` });
			link.click();
			URL.revokeObjectURL(link.href);
		});
		view.body.replaceChildren(...selects, make("p", "buttons", button("as it was", "As it was", "", reset), store.send ? save : null));
		view.open();
	}
	/** From 0, as wide as fits well, and small, to 100, one picture across. @param {number} value */
	function setZoom(value) {
		zoom = within(value, 100);
		size.value = String(zoom);
		grid.classList.toggle("qw-sized", zoom > 0);
		grid.style.setProperty("--qw-zoom", String((zoom / 100) ** 1.6));
		limitTiles();
		elAt(current)?.scrollIntoView({ block: "nearest", inline: "nearest" });
		sharpen();
	}
	/** Where a thumbnail is shown larger than it is, its original takes its place. */
	function sharpen() {
		sharper ||= requestAnimationFrame(() => {
			sharper = 0;
			const seen = scroller.getBoundingClientRect();
			for (const tile of zoom ? places.keys() : []) {
				const img = tile.el.querySelector("img");
				const box = img?.getBoundingClientRect();
				if (!img?.naturalWidth || !box || box.bottom < seen.top || box.top > seen.bottom || box.right < seen.left || box.left > seen.right || img.naturalWidth >= 0.8 * box.width * devicePixelRatio) continue;
				const src = originals.get(tile, sharpen);
				if (src && img.src !== src) img.src = src;
			}
		});
	}

	/** @param {"row" | "column"} side @param {Line} line */
	function headerOf(side, { key }) {
		const name = `${side} ${key}`;
		if (!headers.has(name)) headers.set(name, make("div", { class: `${side}-header`, role: `${side}header`, tabindex: -1 }));
		return /** @type {HTMLElement} */ (headers.get(name));
	}
	const isTaken = (/** @type {Element} */ el) => Boolean(drawn.take && el.matches(".qw-row-header"));
	const take = (/** @type {number} */ row) => store.send?.({ type: "take", row });
	/** @param {HTMLElement} el @param {Line} line */
	function drawHeader(el, line) {
		const row = drawn.rows[line.row];
		const whole = "prompt" in line.ids && "model" in line.ids && "size" in line.ids;
		const note = whole ? join(" · ", row.note, row.tally) : lineLabel(drawn, line, "prompt");
		const mark = JSON.stringify([line.ids, row.parts, note, lineLabel(drawn, line), drawn.take]);
		if (el.dataset.mark === mark) return;
		el.dataset.mark = mark;
		if ("prompt" in line.ids) {
			el.title = row.prompt;
			el.replaceChildren(make("div", { class: "prompt", dir: "auto" }, marked(row.parts)), note ? make("small", {}, note) : "");
			if (isTaken(el)) {
				const press = button(drawn.take, drawn.take, "take", () => take(line.row));
				press.tabIndex = -1;
				el.append(press);
			}
		} else el.replaceChildren(make("span", { class: "label", dir: "auto" }, lineLabel(drawn, line) || "all"));
		if (el === stripHeader) el.append(headStrip);
	}
	/** Lay the tiles out. Where nothing has moved, everything stays in place, with its focus. @param {boolean} [same] only words may have changed */
	function arrange(same) {
		const before = layout.mark + tab;
		if (!same) layout = layOut(drawn, set);
		const { rows, columns, tabs } = layout;
		if (!tabs.some(({ key }) => key === tab)) tab = tabs[0]?.key ?? "";
		if (layout.mark + tab !== before) build();
		limitTiles();
		rows.forEach((line) => drawHeader(headerOf("row", line), line));
		columns.forEach((line) => drawHeader(headerOf("column", line), line));
		const corner = grid.firstElementChild?.firstElementChild, words = `${layout.hidden} hidden: show`;
		if (corner?.textContent !== words) corner?.replaceChildren(layout.hidden ? button("show what is hidden", words, "plain", showHidden) : "");
		const axes = (/** @type {string} */ side) => `${AXES.filter((axis) => set.where[axis] === side).join(", ") || "all"} as ${side}`;
		aria(grid, { label: `${axes("rows")}; ${axes("columns")}` });
	}
	function build() {
		const { rows, columns, tabs } = layout;
		const focused = grid.contains(document.activeElement) ? /** @type {HTMLElement} */ (document.activeElement) : null;
		places.clear();
		const body = rows.map((line, row) => make("div", { class: "row", role: "row" }, headerOf("row", line), ...columns.map((_, column) => {
			const tile = tileAt([row, column]);
			if (tile) places.set(tile, [row, column]);
			return tile?.el ?? make("div", { role: "gridcell", class: "tile blank", tabindex: -1, "aria-label": "not asked for" }, make("div", "box"));
		})));
		grid.replaceChildren(make("div", { class: "row top", role: "row" }, make("div", { class: "column-header", role: "gridcell" }), ...columns.map((line) => headerOf("column", line))), ...body);
		grid.style.setProperty("--qw-columns", String(columns.length));
		tabList.hidden = tabs.length < 2;
		tabList.replaceChildren(...tabs.map((line) => {
			const on = line.key === tab, label = lineLabel(drawn, line);
			const press = button(label, label, "", () => showTab(line.key));
			press.role = "tab";
			press.dir = "auto";
			press.tabIndex = on ? 0 : -1;
			aria(press, { selected: on });
			return press;
		}));
		for (const el of grid.querySelectorAll('[tabindex="0"]')) el.setAttribute("tabindex", "-1");
		if (focused?.isConnected) current = placeOf(focused);
		const at = /** @type {Place} */ ([Math.min(current[0], rows.length - 1), Math.min(current[1], columns.length - 1)]);
		select(Math.max(...at) < 0 ? [0, 0] : at);
		if (focused) refocus();
	}
	/** @param {string} key */
	function showTab(key) {
		tab = key;
		build();
		arrange();
		/** @type {HTMLElement | null} */ (tabList.querySelector('[tabindex="0"]'))?.focus();
		sharpen();
	}

	/** Another grid has come: what was chosen on the page was about the one before. */
	function forget() {
		closer.el.close();
		for (const { el } of dialogs) el.close();
		Object.assign(set, { where: natural(), order: {} });
		set.hidden.clear();
		picks = [];
		headers.clear();
		layout.mark = "";
	}
	/** Bring the page up to the store: at most once a frame, and only what changed. */
	function draw() {
		frame = 0;
		const head = store.head();
		if (!head) return;
		const before = drawn;
		drawn = head;
		if (head !== before) {
			const other = before && head.run_id !== before.run_id;
			if (other) forget();
			for (const [key, tile] of tiles) {
				if (!other && tile.at[0] < head.rows.length && tile.at[1] < head.columns.length) continue;
				setPicture(tile, undefined);
				tiles.delete(key);
			}
			head.rows.forEach((_, row) => head.columns.forEach((__, column) => {
				if (tiles.has(`${row},${column}`)) return;
				const el = make("div", { role: "gridcell", class: "tile", tabindex: -1 });
				tiles.set(`${row},${column}`, { el, at: [row, column], cell: undefined, bytes: undefined, url: "", revealed: false, seen: 0, act: (key) => store.send?.({ type: "act", row, column, key }) });
			}));
			header.draw(head);
			say(head);
			arrange(!other && head.rows.length === before?.rows.length && head.columns.length === before.columns.length);
		}
		let anew = false;
		for (let place = 0; place < head.places; place++) {
			const cell = store.cell(place);
			const tile = cell && tiles.get(`${cell.row},${cell.column}`);
			const bytes = store.picture(place);
			if (!tile || (tile.cell === cell && tile.bytes === bytes)) continue;
			anew ||= closer.shows(tile);
			tile.cell = cell;
			if (tile.bytes !== bytes) {
				originals.drop(tile);
				setPicture(tile, bytes);
			}
			drawTile(tile, head.rows[cell.row]);
			dress(tile, true);
		}
		limitTiles();
		refresh();
		if (anew) closer.draw();
		clock.tick();
	}

	/** Unasked, a thumbnail isn't shown much larger than it is; a tall one is held by its height. */
	function limitTiles() {
		const widest = Math.max(...[...tiles.values()].map(({ cell }) => (cell && cell.state !== "blank" ? (320 * cell.width) / cell.height : 0)));
		const limit = Math.round(Math.max(112, Math.min(280, widest || 280)));
		grid.style.setProperty("--qw-widest", `${limit}px`);
		root.style.maxWidth = zoom ? "" : `${Math.max(640, 220 + layout.columns.length * (limit + 6))}px`;
	}

	/** @param {string} name @param {boolean} shift @param {Element} target */
	function onGridKey(name, shift, target) {
		const tile = tileOf(target);
		const onHeading = !tile && !target.classList.contains("qw-tile");
		const by = STEPS[name], chosen = tile && chosenBy(name, choices.of(tile.at));
		if (by && shift && onHeading && Math.abs(by[0] + by[1]) === 1) move(current, by[0] + by[1]);
		else if (by && !shift) step(by);
		else if (name === "h" && onHeading) hide(current);
		else if (name === "Enter" && target.querySelector(".qw-take")) take(layout.rows[current[0]].row);
		else if (!tile) return false;
		else if (name === "Enter") look(tile);
		else if (name === " ") pick(tile);
		else if (chosen) choose(tile, chosen);
		else if (name === ".") actions.show(tile, drawn);
		else return false;
		return true;
	}
	/** @param {string} name */
	function onAnyKey(name) {
		if (name === "?") keys.open();
		else if (name === "c") compare();
		else if (name === "v") showView();
		else if (name === "b" && drawn.rows.length > 1) vote.show();
		else if (name === "+" || name === "=") setZoom(zoom + 10);
		else if (name === "-") setZoom(zoom - 10);
		else if (name === "Escape") { picks = []; refresh(); }
		else return false;
		return true;
	}
	/** @param {KeyboardEvent} event */
	function onKey(event) {
		// The host's shortcuts would delete the cell below the widget; Ctrl+S and its like it may have.
		if ((event.ctrlKey || event.metaKey) && event.key !== "Enter") return;
		event.stopPropagation();
		const target = /** @type {Element} */ (event.target);
		if (event.altKey || event.ctrlKey || event.metaKey) return;
		const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
		// Fields and buttons have keys of their own.
		if (target.matches("input, select") && !["?", "Escape"].includes(name)) return;
		if (target.matches("button") && (name === "Enter" || name === " ")) return;
		const dialog = dialogs.find(({ el }) => el.open)?.el;
		let taken = false;
		if (dialog) {
			taken = dialog === vote.el && vote.key(name);
			if (name === "Escape") { dialog.close(); keepFocus(); taken = true; }
		} else if (closer.el.open) {
			taken = closer.key(name, event.shiftKey);
			if (name === "?") keys.open();
		} else if (target.getAttribute("role") === "tab" && STEPS[name]) {
			const { tabs } = layout;
			showTab(tabs[within(tabs.findIndex(({ key }) => key === tab) + Math.sign(STEPS[name][0] + STEPS[name][1]), tabs.length - 1)].key);
			taken = true;
		} else {
			taken = (itemOf(target) === target && onGridKey(name, event.shiftKey, target)) || onAnyKey(name);
		}
		if (taken) event.preventDefault();
	}

	on(root, "keydown", onKey);
	on(grid, "focusin", ({ target }) => {
		const item = itemOf(target);
		if (item) select(placeOf(item));
		showStrip(item);
	});
	on(grid, "pointerover", ({ target, pointerType }) => {
		// A finger has no hover: its tap looks closer, and all is there.
		if (pointerType !== "touch") showStrip(itemOf(target));
	});
	on(grid, "pointerleave", () => showStrip(itemOf(document.activeElement)));
	on(grid, "click", ({ target, shiftKey, ctrlKey, metaKey }) => {
		const item = itemOf(target), tile = tileOf(item);
		if (!item) return;
		item.focus();
		if (tile) (shiftKey || ctrlKey || metaKey ? pick : look)(tile);
	});
	/** @param {HTMLElement | null} item */
	function showStrip(item) {
		const tile = tileOf(item);
		if (tile?.cell && tile.cell.state !== "blank") putStrip(tile);
		else if (item?.matches(".qw-row-header, .qw-column-header")) {
			stripHeader = item;
			if (headStrip.parentElement !== item) item.append(headStrip);
		}
	}
	on(size, "input", () => setZoom(size.valueAsNumber));
	on(scroller, "scroll", sharpen, { passive: true });
	const unwatch = store.watch(() => { choices.settle(); frame ||= requestAnimationFrame(draw); });
	host.append(root);
	header.picked(0);
	draw();

	return () => {
		unwatch();
		cancelAnimationFrame(frame);
		cancelAnimationFrame(sharper);
		clock.stop();
		closer.stop();
		originals.clear();
		for (const tile of tiles.values()) setPicture(tile, undefined);
		tiles.clear();
		root.remove();
	};
}

export default {
	/** @param {{model: any, el: HTMLElement}} context */
	render: ({ model, el }) => mount(widgetStore(model), el),
};
