// The live view of a grid. An ES module: no build step, no framework, no network.
// Users' words only become text nodes or plain attributes; pictures are Blob or data: URLs.

/// <reference path="./types.d.ts" />

/** What isn't code, from the store: the icons' paths, the keys' table, sentences. */
let {icons, keys, says} = /** @type {Told} */ ({});
const AXES = ["prompt", "model", "size", "seed"];
const MODES = ["side by side", "slider", "hover", "blink", "difference"];
/** Seconds beyond which the kernel's clock and this one are taken to disagree. */
const BELIEVABLE = 3600;
const SPOKEN_EVERY = 4000;
/** Two changes a second: WCAG 2.3.1 draws the line at three flashes. */
const BLINK_EVERY = 500;
const ORIGINALS_KEPT = 12;
const LETTERS = "ABCDEF";
/** What a place is until the store says more. */
const NO_CELL = /** @type {Cell} */ ({state: "blank"});

/** @type {Make} */
function make(what, ...parts) {
	const [tag, ...kinds] = what.split(".");
	const el = document.createElement(tag);
	// All classes here are ours, and say so.
	for (const kind of kinds) if (kind) el.classList.add(`qw-${kind}`);
	for (const part of parts)
		if (part instanceof Node || typeof part === "string") el.append(part);
		else for (const [name, value] of Object.entries(part || {})) if (value !== false) el.setAttribute(name, String(value));
	return /** @type {any} */ (el);
}

/** @param {string} name */
function icon(name) {
	const ns = "http://www.w3.org/2000/svg";
	const [svg, path] = ["svg", "path"].map(tag => document.createElementNS(ns, tag));
	svg.setAttribute("viewBox", "0 0 16 16");
	svg.setAttribute("class", `qw-icon qw-icon-${name}`);
	aria(svg, {hidden: true});
	path.setAttribute("d", icons[name]);
	svg.append(path);
	return svg;
}

/** @type {Press} */
function button(content, press, kind = "", label = String(content)) {
	const el = make(`button.${kind}`, {type: "button", "aria-label": label, title: label}, content);
	on(el, "click", event => {
		event.stopPropagation();
		press(el);
	});
	return el;
}

/** @type {On} */
const on = (el, name, act, capture) => el.addEventListener(name, act, capture);
/** @type {Aria} */
const aria = (el, values) => {
	for (const [name, value] of Object.entries(values)) el.setAttribute(`aria-${name}`, String(value));
};
/** @type {Vary} */
const vary = (el, name, value) => el.style.setProperty(`--qw-${name}`, String(value));
/** Those that are there. @type {Join} */
const join = (by, ...words) => words.filter(Boolean).join(by);

/** @type {Tool} */
const tool = (name, press, label = name, kind = "") => button(icon(name), press, `round.${kind}`, label);
/** @type {Near} */
const near = (one, other) => one.bottom > other.top && one.top < other.bottom && one.right > other.left && one.left < other.right;
/** @type {Within} */
const within = (value, last, first = 0) => Math.max(first, Math.min(value, last));
/** @type {Plural} */
const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
/** @template T @param {T[]} list @returns {T[]} */
function shuffle(list) {
	const drawn = list.map(one => ({one, lot: Math.random()}));
	return drawn.sort((left, right) => left.lot - right.lot).map(({one}) => one);
}

/** @param {any} model @returns {Store} */
function widgetStore(model) {
	/** @type {Map<string, PromiseWithResolvers<Answer>>} */
	const asked = new Map();
	/** @param {any} message */
	const name = ({type, row, column}) => [type, row, column].join();
	/** @param {any} content @param {Bytes[]} buffers */
	function answer(content, buffers) {
		const key = name(content ?? {});
		asked.get(key)?.resolve({content, buffers: buffers ?? []});
		asked.delete(key);
	}
	return {
		head: () => model.get("head"),
		cell: place => model.get(`c${place}`),
		picture: place => model.get(`p${place}`),
		choices: () => model.get("choices"),
		words: () => model.get("words"),
		// Of a widget's manager, where the host shows it: JupyterLab and Notebook 7 do.
		kernel: () => model.widget_manager?.context?.sessionContext?.session?.kernel,
		// One listener for all: a grid that grows brings names nobody could listen to before.
		watch(changed) {
			model.on("change", changed);
			model.on("msg:custom", answer);
			return () => {
				model.off("change", changed);
				model.off("msg:custom", answer);
			};
		},
		send: message => model.send(message),
		ask(type, at) {
			const message = at ? {type, row: at[0], column: at[1]} : {type};
			const answer = asked.get(name(message)) ?? Promise.withResolvers();
			if (!asked.has(name(message))) model.send(message);
			asked.set(name(message), answer);
			return answer.promise;
		}
	};
}

/** The store's choices, under those made here that haven't come back yet. @param {Store} store @returns {ChoiceBook} */
function makeChoices(store) {
	/** @type {{[place: string]: {[what: string]: string | number}}} */
	const ahead = {};
	/** @type {Vote[]} */
	let votesAhead = [];
	const base = () => store.choices() ?? {cells: {}, votes: []};
	/** @param {Place} at @returns {Choice} */
	const of = at => /** @type {any} */ (Object.assign({stars: 0, mark: ""}, base().cells[at.join()], ahead[at.join()]));
	return {
		of,
		choose(at, [what, value]) {
			if (of(at)[what] === value) return;
			ahead[at.join()] ??= {};
			ahead[at.join()][what] = value;
			store.send({type: what, row: at[0], column: at[1], value});
		},
		votes: () => [...base().votes, ...votesAhead],
		vote(vote) {
			votesAhead.push(vote);
			store.send({type: "vote", ...vote});
		},
		/** The store has news: what has come back is no longer ahead. */
		settle() {
			const {cells, votes} = base();
			for (const [place, values] of Object.entries(ahead)) {
				const known = /** @type {any} */ (cells[place] ?? {stars: 0, mark: ""});
				for (const what of Object.keys(values)) if (known[what] === values[what]) delete values[what];
			}
			votesAhead = votesAhead.filter(({id}) => !votes.some(vote => vote.id === id));
		}
	};
}

/** Originals, asked for when they are looked at; the latest few are kept. @param {Store} store @returns {Originals} */
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
		clear: () => [...kept.keys()].forEach(drop),
		/** The original's address once it is here; `ready` is called when it comes. */
		get(tile, ready) {
			const url = kept.get(tile);
			if (url !== undefined) {
				kept.delete(tile);
				kept.set(tile, url);
			} else if (!waiting.has(tile) && tile.has) {
				waiting.add(tile);
				const {bytes} = tile;
				store.ask("original", tile.at).then(({buffers: [buffer]}) => {
					waiting.delete(tile);
					if (tile.bytes !== bytes) return;
					kept.set(tile, buffer ? URL.createObjectURL(new Blob([buffer])) : "");
					for (const old of [...kept.keys()].slice(0, -ORIGINALS_KEPT)) drop(old);
					ready();
				});
			}
			return url ?? "";
		}
	};
}

/** The blanks around a run stay outside of its mark. @param {[string, string][]} parts */
function marked(parts) {
	const fragment = new DocumentFragment();
	for (const [kind, text] of parts) {
		const words = text.trim();
		const start = text.length - text.trimStart().length;
		const tag = kind === "added" ? "ins" : kind === "dropped" && "del";
		fragment.append(text.slice(0, start), tag ? make(tag, {}, words) : words, text.slice(start + words.length));
	}
	return fragment;
}

/** @param {Row["parts"]} parts */
const promptOf = (parts, kind = "") => make(`div.prompt.${kind}`, {dir: "auto"}, marked(parts));

/** What a cell without a picture says, and what it offers. @type {Without} */
function without({title, reason, paid, next_step, state, offers}, act) {
	if (!title && !reason && !offers.length)
		return make("div.rest", state === "running" && icon("clock"), make("span.state", says[state] ?? state));
	const presses = offers.map(({label, price, key}) =>
		button(join(" · ", label, price !== "no cost" && price), () => act(key), "", join(", ", label, price))
	);
	const why = [make("b", title || state), make("span", reason), make("small", join(" ", paid, next_step))];
	return make("div.told", ...why, make("p.buttons", ...presses));
}

/** @param {Choice} choice */
const choiceWords = ({stars, mark}) =>
	join(", ", mark === "keep" && "kept", mark === "reject" && "rejected", stars && plural(stars, "star"));

/** What a key chooses. @type {ChosenBy} */
function chosenBy(key, {mark}) {
	const wanted = key === "k" ? "keep" : key === "x" && "reject";
	if (wanted) return ["mark", mark === wanted ? "" : wanted];
	return /^[0-5]$/.test(key) ? ["stars", Number(key)] : undefined;
}

/** Keep, reject and stars to press; what is given already is taken back. @param {(chosen: Chosen) => void} choose */
function makeMarks(choose) {
	let now = /** @type {Choice} */ ({stars: 0, mark: ""});
	const press = (/** @type {string} */ key) => () => choose(/** @type {Chosen} */ (chosenBy(key, now)));
	const [keep, reject] = [tool("keep", press("k")), tool("reject", press("x"))];
	const stars = [1, 2, 3, 4, 5].map(at =>
		button(icon("star"), () => press(String(at === now.stars ? 0 : at))(), "star", plural(at, "star"))
	);
	return {
		els: [keep, reject, make("span.star-bar", {role: "group", "aria-label": "stars"}, ...stars)],
		/** @param {Choice} choice @param {boolean} hidden */
		draw(choice, hidden) {
			now = choice;
			for (const el of this.els) el.hidden = hidden;
			aria(keep, {pressed: now.mark === "keep"});
			aria(reject, {pressed: now.mark === "reject"});
			for (const [at, star] of stars.entries()) {
				aria(star, {pressed: at + 1 === now.stars});
				star.classList.toggle("qw-on", at < now.stars);
			}
		}
	};
}

/** @type {DrawTile} */
function drawTile(tile, row, fresh) {
	const {el, cell} = tile;
	const box = make("div.box");
	// A row's boxes have one shape, whatever came.
	const [width, height] = row.width ? [row.width, row.height] : [cell.width, cell.height];
	vary(box, "ratio", width / height || 1);
	if (tile.has) {
		box.append(picture(tile, fresh));
		if (veiled(tile)) box.append(make("span.veil", says.veil));
		if (cell.warning) box.append(make("span.note", icon("note")));
	} else {
		box.append(without(cell, tile.act));
	}
	refill(el, box);
}

/** Put something else into an element, which keeps a focus in it. @type {Refill} */
function refill(el, content) {
	const held = el.contains(document.activeElement);
	el.replaceChildren(content);
	if (held) el.focus();
}

/** Those in view have their pictures first, the others then in turns. @type {Map<Element, () => void>} */
const far = new Map();
let later = 0;
const inView = new IntersectionObserver(all => {
	for (const {isIntersecting, target} of all) if (isIntersecting) bring(target);
});
/** @param {Element} img */
function bring(img) {
	far.get(img)?.();
	far.delete(img);
	inView.unobserve(img);
}
function bringFar() {
	for (const img of [...far.keys()].slice(0, 8)) bring(img);
	later = far.size && setTimeout(bringFar, 10);
}

/** The one that is there, or a new one. @param {Tile} tile @param {boolean} [fresh] it fades in */
function picture(tile, fresh) {
	const old = tile.el.querySelector("img");
	if (old?.src && old.src === urlOf(tile)) return old;
	const img = make(`img${fresh ? ".new" : ""}`, {decoding: "async", alt: "", draggable: "false"});
	far.set(img, () => img.setAttribute("src", urlOf(tile)));
	if (fresh || !tile.at[0]) bring(img);
	else {
		inView.observe(img);
		clearTimeout(later);
		later = setTimeout(bringFar, 300);
	}
	on(img, "animationend", () => img.classList.remove("qw-new"));
	return img;
}

/** Flagged by moderation, and nobody has asked to see it. @param {Tile} tile */
const veiled = ({cell, has, revealed}) => has && cell.flagged && !revealed;

/** Made when it is first needed: that takes its time. @param {Tile} tile */
function urlOf(tile) {
	const {bytes} = tile;
	// Without a type an <img> takes it for a picture by its first bytes; an SVG it wouldn't take.
	if (tile.has && !tile.url) tile.url = typeof bytes === "string" ? bytes : URL.createObjectURL(new Blob([/** @type {Bytes} */ (bytes)]));
	return tile.url;
}

/** @param {Store} store @param {Place} at @returns {Tile} */
function makeTile(store, at) {
	const act = (/** @type {string} */ key) => store.send({type: "act", row: at[0], column: at[1], key});
	const el = make("div.tile", {role: "gridcell", tabindex: -1});
	return {el, at, cell: NO_CELL, bytes: undefined, has: false, url: "", revealed: false, seen: 0, act};
}

/** Give a tile its picture, and the old one's memory back. @param {Tile} tile @param {Picture} [bytes] */
function setPicture(tile, bytes) {
	if (tile.url) URL.revokeObjectURL(tile.url);
	Object.assign(tile, {bytes, has: Boolean(typeof bytes === "string" ? bytes : bytes?.byteLength), url: "", revealed: false});
}

/** Do what a key does, if it does anything. @param {string} name @param {Presses} presses */
function does(name, presses) {
	presses[name]?.();
	return name in presses;
}

/** @param {string} label */
function makeDialog(label, kind = label) {
	const body = make("div.body");
	const leave = tool("close", () => el.close());
	const top = make("div.dialog-top", make("b", label), leave);
	const el = make(`dialog.dialog.${kind}`, {"aria-label": label, tabindex: -1}, top, body);
	// A click beside it.
	on(el, "pointerdown", event => event.target === el && el.close());
	return {
		el,
		body,
		open: () => {
			if (!el.open) el.showModal();
			el.focus();
		}
	};
}

/** The old way, too: where a page isn't secure there is no other. @type {Copy} */
async function copy(text, from, tell) {
	const said = from.textContent ?? "";
	let words = "copied";
	try {
		await navigator.clipboard.writeText(text);
	} catch {
		const area = make("textarea.hidden", {"aria-hidden": true});
		area.value = text;
		from.after(area);
		area.select();
		if (!document.execCommand("copy")) words = says.no_copy;
		area.remove();
		from.focus();
	}
	tell(words);
	if (said === words) return;
	from.textContent = words;
	setTimeout(() => from.replaceChildren(said), 1500);
}

/** The ways to go on from a cell: each a cell to copy, its price beside it. @param {Store} store @param {() => Head} head */
function makeActions(store, head) {
	const {el, body, open} = makeDialog(says.go_on, "actions");
	/** @param {Tile} tile */
	async function show(tile) {
		const {prompt} = head().rows[tile.at[0]];
		const {seed, label} = head().columns[tile.at[1]];
		const copier = (/** @type {string} */ words, /** @type {string} */ text, name = words) =>
			button(words, from => copy(text, from, tell), "", name);
		// What lies behind a dialog isn't heard.
		const said = make("div.hidden", {role: "status"});
		const tell = (/** @type {string} */ words) => said.replaceChildren(words);
		const list = make("div.list", {"aria-live": "polite"});
		const copiers = make("p.buttons", seed && copier(says.copy_seed, seed), copier(says.copy_prompt, prompt));
		body.replaceChildren(make("p.prompt", {dir: "auto"}, prompt), make("small", label), copiers, list, said);
		open();
		const {actions = []} = (await store.ask("actions", tile.at)).content ?? {};
		list.replaceChildren(
			...actions.map((/** @type {Action} */ {label: name, text, price, key}) => {
				const act = () => {
					el.close();
					tile.act(key);
				};
				const does = text ? "run here" : name;
				const here = key && button(join(" · ", does, price), act, "", join(", ", name, text && does, price));
				return make(
					"section",
					make("h2", text && name),
					here || make("span.price", price),
					text && copier("copy", text, `copy: ${name}`),
					text && make("pre", {dir: "auto", tabindex: 0, "aria-label": name}, text)
				);
			})
		);
	}
	return {el, show};
}

/** @param {Store} store @param {...() => void} press */
function makeHeader(store, ...press) {
	const title = make("b.title", {dir: "auto"});
	const facts = make("span.facts");
	const badge = make("span.badge");
	const compare = button("Compare", press[0]);
	const vote = button("Blind vote", press[1]);
	const view = button("View", press[2], "", says.view);
	/** What hears a Stop while a cell keeps the kernel from hearing the page. @type {Kernel | "" | undefined} */
	let kernel;
	let stopping = false;
	/** @param {boolean} asked */
	function ask(asked) {
		stopping = asked;
		stop.textContent = asked ? "Stopping" : "Stop";
		stop.title = asked ? says.stopping : kernel ? says.interrupt : says.stop;
		aria(stop, {disabled: asked, label: stop.title});
	}
	function halt() {
		if (stopping) return;
		ask(true);
		if (kernel) kernel.interrupt().catch(() => ask(false));
		else store.send({type: "stop"});
	}
	const stop = button("Stop", halt);
	const bar = make("div.bar", {role: "progressbar", "aria-label": "progress"});
	const message = make("p.message", {role: "alert"});
	const el = make("div.header", make("div.names", title, facts), make("p.buttons", badge, compare, vote, view, stop), message, bar);
	return {
		el,
		/** @param {number} count */
		picked(count) {
			compare.textContent = count > 1 ? `Compare ${count}` : "Compare";
			compare.title = count > 1 ? says.compare : says.pick;
			aria(compare, {disabled: count < 2, label: `${compare.textContent}: ${compare.title}`});
			compare.classList.toggle("qw-strong", count > 1);
		},
		/** @param {Head} head */
		draw(head) {
			title.textContent = head.title;
			kernel = head.interrupt && store.kernel?.();
			facts.textContent = join(" · ", head.line, !kernel && head.interrupt);
			badge.textContent = head.provider;
			badge.classList.toggle("qw-offline", head.offline);
			ask(head.running && (stopping || head.stopping));
			message.hidden = !head.message;
			if (message.textContent !== head.message) message.textContent = head.message;
			stop.hidden = !head.stoppable && !kernel;
			vote.hidden = head.rows.length < 2;
			bar.hidden = !head.running;
			const ended = head.done + head.failed;
			aria(bar, {valuemax: head.total, valuenow: ended});
			bar.style.width = `${(100 * ended) / Math.max(1, head.total)}%`;
		}
	};
}

/** Which lines the page has on each side, and which tile lies where. @type {LayOut} */
function layOut(head, set) {
	const found = {rows: new Map(), columns: new Map(), tabs: new Map()};
	const tileAt = new Map();
	/** @type {Set<number>[]} */
	const shown = [new Set(), new Set()];
	for (const [row, data] of head.rows.entries())
		for (const column of head.columns.keys()) {
			const ids = /** @type {Ids} */ ({...data.ids, seed: column});
			const keys = Object.entries(found).map(([side, lines]) => {
				const axes = AXES.filter(axis => set.where[axis] === side);
				const key = axes.map(axis => axis + ids[axis]).join(" ");
				if (!lines.has(key)) lines.set(key, {key, row, column, axes});
				return key;
			});
			tileAt.set(keys.join("|"), `${row},${column}`);
			if (keys.some(key => set.hidden.includes(key))) continue;
			shown[0].add(row);
			shown[1].add(column);
		}
	let hidden = 0;
	const [rows, columns, tabs] = Object.entries(found).map(([side, lines]) => {
		const order = set.order[side] ?? [];
		// What came later stands behind what was put in order.
		const place = (/** @type {Line} */ {key}) => order.indexOf(key) >>> 0;
		const seen = /** @type {Line[]} */ ([...lines.values()]).filter(({key}) => !set.hidden.includes(key));
		hidden += lines.size - seen.length;
		return seen.sort((one, other) => place(one) - place(other));
	});
	const mark = JSON.stringify([rows, columns, tabs].map(lines => lines.map(({key}) => key)));
	return {rows, columns, tabs, tileAt, shown, hidden, mark};
}

/** What tells a line from its neighbours. @type {LineLabel} */
function lineLabel(head, {axes, row, column}, but) {
	const told = axes.filter(axis => axis !== but && (axis === "seed" || head.several.includes(axis)));
	return join(" · ", ...told.map(axis => (axis === "seed" ? head.columns[column].label : head.rows[row][axis])));
}

/** One picture large, or several compared, under one shared lens. @param {Around} env */
function makeCloser(env) {
	let shown = /** @type {Tile[]} */ ([]);
	let [mode, active, split, fitted, timer] = [0, 0, 0.5, 0, 0];
	/** Its offset in parts of a pane: the same place in all of them. */
	const lens = {scale: 1, x: 0, y: 0};
	let panes = /** @type {HTMLElement[]} */ ([]);
	/** @type {Map<Tile, HTMLImageElement>} */
	const images = new Map();

	const stage = make("div.stage");
	const divider = make("input.divider", {type: "range", "aria-label": "divider"});
	const words = make("div.words", {"aria-live": "polite"});
	const level = button("", () => fitOrActual(), "level", says.fit);
	const modes = MODES.map((name, at) => button(name, () => setMode(at), "mode"));
	const modeBar = make("span.modes", {role: "group", "aria-label": "mode"}, ...modes, button("swap", swap));
	const marks = makeMarks(chosen => env.choose(shown[active], chosen));
	const pick = tool("pick", () => env.pick(shown[0]), says.pick_one);
	const [back, forth] = ["previous", "next"].map((name, at) => tool(name, () => flip([0, 2 * at - 1])));
	const goOn = tool("more", () => env.more(shown[active]), says.go_on);
	const groups = [
		[...marks.els, pick, goOn],
		[tool("minus", () => zoomBy(0.8), "zoom out"), level, tool("plus", () => zoomBy(1.25), "zoom in")],
		[back, forth, tool("close", () => el.close())]
	].map(group => make("span", ...group));
	const tools = make("div.tools", modeBar, ...groups);
	const el = make("dialog.dialog.closer", {tabindex: -1}, stage, divider, make("div.under", words, tools));
	on(el, "close", () => {
		if (el.open) return;
		clearInterval(timer);
		images.clear();
		stage.replaceChildren();
		env.closed(shown[active]);
	});
	on(divider, "input", () => {
		split = divider.valueAsNumber / 100;
		apply();
	});
	new ResizeObserver(() => apply()).observe(stage);

	const comparing = () => shown.length > 1;
	const layered = () => comparing() && mode > 0;
	const way = () => (layered() ? MODES[mode] : "");
	const oneAtATime = () => ["hover", "blink"].includes(way());
	/** Slider and difference are of two. */
	const taking = () => (layered() && !oneAtATime() ? shown.slice(0, 2) : shown);
	/** The scale at which a pixel of the picture is one of the screen. */
	const actual = () => (fitted ? shown[0].cell.width / devicePixelRatio / fitted : 1);
	const bounded = (/** @type {number} */ scale) => within(scale, Math.max(8, 4 * actual()), Math.min(1, actual()));

	/** @param {Tile[]} tiles */
	function open(tiles) {
		shown = tiles;
		active = 0;
		Object.assign(lens, {scale: 1, x: 0, y: 0});
		if (!el.open) el.showModal();
		el.focus();
		draw();
	}
	/** @param {number} at */
	function setMode(at) {
		mode = (at + MODES.length) % MODES.length;
		// What keys and marks are about is seen.
		if (active >= taking().length) active = 0;
		draw();
	}
	function swap() {
		shown.push(...shown.splice(0, 1));
		draw();
	}
	/** @param {Place} by */
	function flip(by) {
		const next = shown.map(tile => env.step(tile, by));
		if (next.some((tile, at) => !tile || (comparing() && tile === shown[at]))) return;
		shown = /** @type {Tile[]} */ (next);
		if (!comparing()) env.moved(shown[0]);
		draw();
	}
	/** @param {number} at */
	function bringForth(at) {
		active = at;
		drawTools();
		apply();
	}
	const showNext = () => bringForth((active + 1) % taking().length);

	/** One image an open tile, so that flipping back shows it at once. @param {Tile} tile */
	function imageOf(tile) {
		const img = images.get(tile) ?? make("img.lens", {draggable: "false"});
		images.set(tile, img);
		const src = env.originals.get(tile, draw) || urlOf(tile);
		if (img.src !== src) img.src = src;
		img.alt = tile.cell.alt;
		return img;
	}
	/** @param {Tile} tile */
	function layer(tile) {
		const {cell, act, has} = tile;
		const reveal = () => {
			tile.revealed = true;
			draw();
		};
		return make(
			`div.layer${veiled(tile) ? ".veiled" : ""}`,
			has ? imageOf(tile) : without(cell, act),
			comparing() && make("span.letter", LETTERS[shown.indexOf(tile)]),
			veiled(tile) && button(says.reveal, reveal, "reveal")
		);
	}
	function draw() {
		if (!el.open || !shown.every(Boolean)) return;
		const groups = layered() ? [taking()] : shown.map(tile => [tile]);
		stage.className = `qw-stage qw-${comparing() ? `by-${MODES[mode].split(" ")[0]}` : shown[0].cell.state}`;
		const held = stage.contains(document.activeElement);
		const focused = panes.indexOf(/** @type {HTMLElement} */ (document.activeElement));
		const apart = comparing() && !layered();
		panes = groups.map((tiles, at) => {
			const own = apart ? {tabindex: 0, role: "group", "aria-label": `${LETTERS[at]}: ${tiles[0].cell.alt}`} : {};
			const pane = make("div.pane", own, ...tiles.map(layer));
			const take = () => apart && active !== at && bringForth(at);
			on(pane, "focus", take);
			on(pane, "pointerenter", take);
			return pane;
		});
		stage.replaceChildren(...panes);
		if (held) ((apart && panes[focused]) || el).focus();
		clearInterval(timer);
		if (way() === "blink" && !matchMedia("(prefers-reduced-motion: reduce)").matches) timer = setInterval(showNext, BLINK_EVERY);
		drawTools();
		apply();
	}
	function drawTools() {
		if (!el.open) return;
		const held = el.contains(document.activeElement);
		const {rows, columns} = env.head();
		aria(el, {label: comparing() ? `compare, ${MODES[mode]}` : "look closer"});
		modeBar.hidden = !comparing();
		divider.hidden = way() !== "slider";
		for (const [at, press] of modes.entries()) aria(press, {pressed: at === mode});
		const seen = shown.map((tile, at) => {
			const {cell} = tile;
			const size = cell.warning || (tile.has && `${cell.width}×${cell.height}`);
			const aside = at >= taking().length && says.aside;
			const facts = join(" · ", columns[tile.at[1]].label, cell.cost, size, choiceWords(env.choices.of(tile.at)), aside);
			const {parts, whole} = rows[tile.at[0]];
			const text = make("div", promptOf((!comparing() && whole) || parts), make("small", facts));
			return make("div.line", comparing() && make("span.letter", LETTERS[at]), text);
		});
		// Only when it is other words: a live region speaks of every change.
		if (words.textContent !== seen.map(one => one.textContent).join("")) words.replaceChildren(...seen);
		for (const [at, one] of [...words.children].entries()) one.classList.toggle("qw-active", at === active);
		marks.draw(env.choices.of(shown[active].at), columns[shown[active].at[1]].before);
		pick.hidden = comparing();
		aria(pick, {pressed: shown[0].el.matches(".qw-picked")});
		// Not `disabled`: that would throw the focus, and the arrow keys, out of the dialog.
		for (const [at, press] of [back, forth].entries())
			aria(press, {disabled: shown.some(tile => env.step(tile, [0, 2 * at - 1]) === tile)});
		if (held && !el.contains(document.activeElement)) el.focus();
	}

	/** Lay the lens over every pane. */
	function apply() {
		if (!el.open || !panes.length) return;
		const {clientWidth, clientHeight} = stage;
		const ratio = shown[0].cell.width / shown[0].cell.height || 1;
		const sizeWith = (/** @type {number} */ across) =>
			Math.min(clientWidth / across, (clientHeight / Math.ceil(panes.length / across)) * ratio);
		const across = panes.reduce((best, _, at) => (sizeWith(at + 1) > sizeWith(best) ? at + 1 : best), 1);
		stage.style.gridTemplateColumns = `repeat(${across}, minmax(0, 1fr))`;
		const {children, clientWidth: wide, clientHeight: high} = panes[0];
		fitted = Math.min(wide, high * ratio);
		lens.scale = bounded(lens.scale);
		lens.x = hold(lens.x, fitted, wide);
		lens.y = hold(lens.y, fitted / ratio, high);
		if (oneAtATime())
			for (const [at, part] of [...children].entries()) /** @type {HTMLElement} */ (part).style.visibility = at === active ? "" : "hidden";
		for (const [name, value] of Object.entries({...lens, split: `${split * 100}%`})) vary(stage, name, value);
		divider.value = String(Math.round(split * 100));
		stage.classList.toggle("qw-zoomed", lens.scale > 1.01);
		stage.classList.toggle("qw-pixels", lens.scale >= 3 * actual());
		level.textContent = `${Math.round((100 * lens.scale) / actual())}%`;
	}
	/** @param {number} offset @param {number} size @param {number} room */
	const hold = (offset, size, room) => {
		const limit = Math.max(0, (size * lens.scale) / room - 1) / 2;
		return within(offset, limit, -limit);
	};
	/** Zoom so that what is under a point, or in the middle, stays there. @param {number} factor @param {Point} [at] */
	function zoomBy(factor, at = {x: NaN, y: NaN}) {
		const box = (paneAt(at) ?? panes[0]).getBoundingClientRect();
		const x = (at.x - box.left) / box.width - 0.5 || 0;
		const y = (at.y - box.top) / box.height - 0.5 || 0;
		const by = bounded(lens.scale * factor) / lens.scale;
		Object.assign(lens, {scale: lens.scale * by, x: x - (x - lens.x) * by, y: y - (y - lens.y) * by});
		apply();
	}
	/** @param {Point} [at] */
	function fitOrActual(at) {
		zoomBy((Math.abs(lens.scale - 1) > 0.01 ? 1 : actual()) / lens.scale, at);
	}
	/** @param {number} x @param {number} y  CSS pixels */
	function pan(x, y) {
		lens.x += x / panes[0].clientWidth;
		lens.y += y / panes[0].clientHeight;
		apply();
	}
	/** @param {Point} point */
	const paneAt = ({x, y}) => panes.find(pane => near(pane.getBoundingClientRect(), new DOMRect(x, y)));

	/** @type {Map<number, PointerEvent>} */
	const fingers = new Map();
	let from = {x: 0, y: 0, sliding: false, many: false};
	const middle = () => {
		const [one, other = one] = fingers.values();
		return {x: (one.x + other.x) / 2, y: (one.y + other.y) / 2, far: Math.hypot(one.x - other.x, one.y - other.y)};
	};
	on(stage, "wheel", event => {
		event.preventDefault();
		zoomBy(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0015)), event);
	});
	on(stage, "dblclick", fitOrActual);
	on(stage, "pointerdown", event => {
		if (event.button || (event.target instanceof Element && event.target.closest("button"))) return;
		stage.setPointerCapture(event.pointerId);
		fingers.set(event.pointerId, event);
		const box = stage.getBoundingClientRect();
		const near = Math.abs(event.x - box.left - split * box.width) < 24;
		from = {x: event.x, y: event.y, sliding: !divider.hidden && (near || lens.scale <= 1.01), many: fingers.size > 1};
	});
	on(stage, "pointermove", event => {
		const box = stage.getBoundingClientRect();
		if (way() === "hover" && !fingers.size) {
			const zone = within(Math.floor(((event.x - box.left) / box.width) * shown.length), shown.length - 1);
			if (zone !== active) bringForth(zone);
		}
		if (!fingers.has(event.pointerId)) return;
		const before = middle();
		fingers.set(event.pointerId, event);
		const now = middle();
		if (from.sliding && fingers.size === 1) {
			split = within((event.x - box.left) / box.width, 1);
			apply();
		} else {
			pan(now.x - before.x, now.y - before.y);
			if (before.far && now.far) zoomBy(now.far / before.far, now);
		}
	});
	on(stage, "pointerup", event => {
		const [across, down] = [event.x - from.x, event.y - from.y].map(Math.abs);
		const finger = event.pointerType === "touch" && !from.many && !from.sliding;
		if (finger && across > Math.max(60, down) && lens.scale <= 1.01) flip([0, event.x < from.x ? 1 : -1]);
		// A finger can't hover, and where motion is unwanted nothing blinks.
		const tapped = fingers.delete(event.pointerId) && Math.max(across, down) < 8;
		if (tapped && oneAtATime() && (finger || way() === "blink")) showNext();
	});
	on(stage, "pointercancel", event => fingers.delete(event.pointerId));

	/** @param {string} name @param {boolean} shiftKey */
	function key(name, shiftKey) {
		const by = STEPS[name];
		const chosen = chosenBy(name, env.choices.of(shown[active].at));
		if (chosen) env.choose(shown[active], chosen);
		else if (by && shiftKey) pan(-Math.sign(by[1]) * 60, -Math.sign(by[0]) * 60);
		else if (by) flip(by);
		if (chosen || by) return true;
		return does(name, {
			"+": () => zoomBy(1.25),
			"-": () => zoomBy(0.8),
			f: fitOrActual,
			".": () => env.more(shown[active]),
			z: () => el.close(),
			Escape: () => el.close(),
			m: () => comparing() && setMode(mode + 1),
			c: () => comparing() && swap(),
			" ": () => (comparing() ? layered() && showNext() : env.pick(shown[0]))
		});
	}
	return {
		el,
		open,
		draw,
		drawTools,
		key,
		shows: (/** @type {Tile} */ tile) => shown.includes(tile),
		stop: () => clearInterval(timer)
	};
}

/** Wins, ties and losses of every row that was voted on, the best first. @param {Vote[]} votes */
function winTable(votes) {
	const rows = [...new Set(votes.flatMap(({one, other}) => [one, other]))].map(row => {
		const mine = votes.filter(({one, other}) => one === row || other === row);
		const [wins, ties] = [row, -1].map(who => mine.filter(({winner}) => winner === who).length);
		return {row, wins, ties, losses: mine.length - wins - ties, share: (wins + ties / 2) / mine.length};
	});
	return rows.sort((one, other) => other.share - one.share || one.row - other.row);
}

/** Two pictures of one seed, nothing said of which is which. @type {MakeVote} */
function makeVote(head, inView, tileOf, choices, originals) {
	const {el, body, open} = makeDialog("blind vote", "vote");
	let pairs = /** @type {Pair[]} */ ([]);
	let count = 0;
	/** @param {number} row */
	const name = row => join(" · ", head().rows[row]?.prompt, head().rows[row]?.note);
	function table() {
		const lines = winTable(choices.votes());
		if (!lines.length) return "";
		const heads = ["wins", "ties", "losses", "share"].map(word => make("th", {scope: "col"}, word));
		const body = lines.map(({row, wins, ties, losses, share}) => {
			const cells = [wins, ties, losses, `${Math.round(share * 100)}%`].map(value => make("td", String(value)));
			return make("tr", make("th", {scope: "row", dir: "auto"}, name(row)), ...cells);
		});
		const caption = make("caption", `who wins, of ${plural(choices.votes().length, "vote")}`);
		return make("table", caption, make("thead", make("tr", make("td"), ...heads)), make("tbody", ...body));
	}
	function show() {
		pairs = [];
		const {rows} = head();
		const seen = [...inView()[0]];
		// At first of one size: a shape would tell which is which.
		const alike = seen.filter(row => rows[row].size === rows[seen[0]].size);
		const first = alike.length > 1 ? alike : seen;
		const boxes = rows.map((_, row) => make("input", {type: "checkbox", checked: first.includes(row), "aria-label": name(row)}));
		const start = button(
			"Start",
			() => {
				const rows = boxes.flatMap((box, row) => (box.checked ? [row] : []));
				const all = head().columns.flatMap(({before}, column) => {
					const ready = rows.filter(row => !before && inView()[1].has(column) && tileOf(row, column)?.has);
					return ready.flatMap((one, at) => ready.slice(at + 1).map(other => ({column, sides: shuffle([one, other])})));
				});
				pairs = shuffle(all);
				count = pairs.length;
				next();
			},
			"strong"
		);
		const labels = boxes.map((box, row) => make("label", box, make("span", {dir: "auto"}, name(row))));
		body.replaceChildren(make("p", says.which), make("fieldset", make("legend.hidden", "rows"), ...labels), start, table());
		open();
	}
	function next() {
		const why = count > 0 ? says.all : count ? "Enough." : says.no_pair;
		if (pairs.length) ask();
		else body.replaceChildren(make("p", {role: "status"}, why), table(), button("Again", show));
		el.focus();
	}
	function ask() {
		const {column, sides} = pairs[0];
		const buttons = sides.map((row, at) => {
			const tile = /** @type {Tile} */ (tileOf(row, column));
			const side = at ? "right" : "left";
			const img = make(`img${veiled(tile) ? ".blur" : ""}`, {alt: `the ${side} picture`});
			const show = () => {
				img.src = originals.get(tile, show) || urlOf(tile);
			};
			show();
			return button(img, () => vote(row), "side", `the ${side} one is better`);
		});
		const end = () => {
			[pairs, count] = [[], -1];
			next();
		};
		const enough = button("enough", end, "", says.enough);
		const where = make("small", {role: "status"}, `pair ${count - pairs.length + 1} of ${count}`);
		const choose = make(
			"p.buttons",
			where,
			button("a tie", () => vote(-1)),
			button("skip", skip),
			enough
		);
		body.replaceChildren(make("div.pair", ...buttons), choose);
	}
	function skip() {
		pairs.shift();
		next();
	}
	/** @param {number} winner */
	function vote(winner) {
		const {column, sides} = pairs[0];
		choices.vote({id: Math.floor(Math.random() * 2 ** 52), column, one: Math.min(...sides), other: Math.max(...sides), winner});
		skip();
	}
	/** @param {string} name */
	function key(name) {
		const [left, right] = pairs[0]?.sides ?? [];
		return pairs.length > 0 && does(name, {ArrowLeft: () => vote(left), ArrowRight: () => vote(right), ArrowDown: () => vote(-1), s: skip});
	}
	return {el, show, key};
}

/** @param {string[]} line */
const keyLine = ([names, does]) => make("span", ...names.split(" ").map(name => make("kbd", name)), does);

/** Keys that fields and buttons have for themselves. @type {[field: string, keys: RegExp][]} */
const OWN = [
	["select", /^(?!\?|Escape)/],
	["[type=range]", /^(Arrow|Home|End|Page)/],
	["button, [type=checkbox]", /^ $/],
	["button", /^Enter$/]
];
/** @type {{[key: string]: Place}} Steps in rows and columns. */
const STEPS = {ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0], Home: [0, -Infinity], End: [0, Infinity]};

/** @returns {Settings} */
const asItWas = () => ({where: {prompt: "rows", model: "rows", size: "rows", seed: "columns"}, order: {}, hidden: [], tab: "", zoom: 0});

/** How a grid was laid out before, where there is a storage. @param {string} id @returns {Settings} */
function recall(id) {
	try {
		return {...asItWas(), ...JSON.parse(sessionStorage.getItem(`qwen_widgets ${id}`) ?? "{}")};
	} catch {
		return asItWas();
	}
}

/** Build the view of a store inside `host`. @param {Store} store @param {HTMLElement} host @returns {() => void} takes it all down */
export function mount(store, host) {
	({icons, keys, says} = store.words());
	/** @type {Map<string, Tile>} */
	const tiles = new Map();
	/** @type {Map<Tile, Place>} Where the page shows it now. */
	const places = new Map();
	/** @type {Map<string, HTMLElement>} */
	const headers = new Map();
	let picks = /** @type {Tile[]} */ ([]);
	let drawn = /** @type {Head} */ (/** @type {unknown} */ (undefined));
	let layout = /** @type {Layout} */ ({rows: [], columns: [], tabs: [], tileAt: new Map(), shown: [], hidden: 0, mark: ""});
	let current = /** @type {Place} what Tab comes to; -1 is a header */ ([0, 0]);
	let [frame, sharper, ticking, spoken] = [0, 0, 0, 0];
	let set = asItWas();

	const choices = makeChoices(store);
	const originals = makeOriginals(store);
	const header = makeHeader(store, compare, () => vote.show(), showView);
	const tabList = make("div.tabs", {role: "tablist", "aria-label": "tabs"});
	const grid = make("div.grid", {role: "grid", "aria-multiselectable": true});
	const scroller = make("div.scroll", grid);
	const status = make("div.hidden", {role: "status"});
	const said = make("div.hidden.said", {"aria-live": "polite"});
	const tell = (/** @type {string} */ words) => said.replaceChildren(words);
	const size = make("input", {type: "range", value: 0, "aria-label": says.size});
	const head = () => drawn;
	const actions = makeActions(store, head);
	const tileHere = (/** @type {number[]} */ ...at) => tiles.get(at.join());
	const vote = makeVote(head, () => layout.shown, tileHere, choices, originals);
	const view = makeDialog("view");
	const help = makeDialog("keys");
	help.body.append(...Object.entries(keys).map(([name, lines]) => make("section", make("h2", name), ...lines.map(keyLine))));
	const closer = makeCloser({
		head,
		choices,
		originals,
		choose,
		pick,
		more: actions.show,
		moved: tile => select(places.get(tile) ?? current),
		closed: tile => elAt(places.get(tile) ?? current)?.focus(),
		step(tile, [down, right]) {
			const at = places.get(tile);
			if (!at) return;
			const next = tileAt([within(at[0] + down, layout.rows.length - 1), within(at[1] + right, layout.columns.length - 1)]);
			return next && next.cell.state !== "blank" ? next : tile;
		}
	});
	const footer = make(
		"div.footer",
		...keys["in the grid"].slice(0, 6).map(keyLine),
		button(keyLine(["?", "all keys"]), help.open, "plain", "all keys"),
		make("label.size", icon("minus"), size, icon("plus"))
	);
	const dialogs = [actions, vote, view, help];
	const windows = [closer, ...dialogs].map(({el}) => el);
	const root = make("div.viewer", {tabindex: -1}, header.el, tabList, scroller, footer, status, said, ...windows);
	// What had the focus may be on another tab by now.
	const keepFocus = () => root.contains(document.activeElement) || refocus();
	for (const {el} of dialogs) on(el, "close", keepFocus);
	/** The seconds of running tiles: one clock, while something runs. */
	function tick() {
		const now = Date.now() / 1000;
		clearInterval(ticking);
		for (const tile of tiles.values()) {
			const {cell, el} = tile;
			tile.seen = cell.state === "running" ? tile.seen || now : 0;
			const elapsed = now - cell.since;
			const line = tile.seen && el.querySelector(".qw-state");
			if (line) line.textContent = `${Math.floor(elapsed < 0 || elapsed > BELIEVABLE ? now - tile.seen : elapsed)} s`;
		}
		if ([...tiles.values()].some(({seen}) => seen)) ticking = setInterval(tick, 1000);
	}
	/** Says the progress, not more often than one can listen. */
	function say() {
		if (drawn.running && Date.now() - spoken < SPOKEN_EVERY) return;
		spoken = Date.now();
		status.textContent = drawn.said;
	}

	// The strips of small actions: one of each, where the pointer or the focus is.
	let stripTile = /** @type {Tile} */ (/** @type {unknown} */ (undefined));
	let stripHeader = /** @type {HTMLElement} */ (/** @type {unknown} */ (undefined));
	const marks = makeMarks(chosen => choose(stripTile, chosen));
	const seedChip = button("", from => copy(drawn.columns[stripTile.at[1]].seed, from, tell), "chip", says.copy_seed);
	const strip = make(
		"div.strip",
		...marks.els,
		seedChip,
		tool("pick", () => pick(stripTile), says.pick_one, "pick"),
		tool("more", () => actions.show(stripTile), says.go_on, "go")
	);
	const back = tool("previous", () => move(placeOf(stripHeader), -1), "move back");
	const forth = tool("next", () => move(placeOf(stripHeader), 1), "move on");
	const headStrip = make(
		"div.head-strip",
		back,
		forth,
		tool("hide", () => hide(placeOf(stripHeader)))
	);
	for (const one of [strip, headStrip]) {
		// Pressed, it leaves the focus where it is: the strip may go.
		on(one, "mousedown", event => event.preventDefault());
		for (const press of one.querySelectorAll("button")) press.tabIndex = -1;
	}

	const elAt = (/** @type {Place} */ [row, column]) =>
		/** @type {HTMLElement | undefined} */ (grid.children[row + 1]?.children[column + 1]);
	/** @param {Element} el @returns {Place} */
	function placeOf(el) {
		const row = /** @type {Element} */ (el.parentElement);
		return [[...grid.children].indexOf(row) - 1, [...row.children].indexOf(el) - 1];
	}
	/** @param {Place} at */
	function tileAt([row, column]) {
		return tiles.get(layout.tileAt.get([layout.rows[row]?.key, layout.columns[column]?.key, set.tab].join("|")) ?? "");
	}
	/** The header or the tile that an event is about. @param {EventTarget | null} target @returns {HTMLElement | null} */
	const itemOf = target => (target instanceof Element ? target.closest(".qw-row > [tabindex]") : null);
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
		const row = within(current[0] + down, layout.rows.length - 1, -1);
		const column = within(current[1] + right, layout.columns.length - 1, right === -Infinity ? 0 : -1);
		if (row < 0 && column < 0) return;
		select([row, column]);
		refocus();
	}
	/** @param {Tile} tile @param {Chosen} chosen */
	function choose(tile, chosen) {
		// What was there before is nothing to choose among.
		if (!tile.has || drawn.columns[tile.at[1]].before) return;
		choices.choose(tile.at, chosen);
		refresh();
		tell(choiceWords(choices.of(tile.at)) || says.nothing);
	}
	/** @param {Tile} tile */
	function pick(tile) {
		if (!tile.has) return;
		if (picks.includes(tile)) picks = picks.filter(one => one !== tile);
		else if (picks.length < LETTERS.length) picks.push(tile);
		else {
			tell(says.most);
			return;
		}
		tell(`${plural(picks.length, "picture")} picked`);
		refresh();
	}
	function compare() {
		if (picks.length > 1) closer.open([...picks]);
		else tell(says.pick);
	}
	/** What moderation flagged is shown in its place first. @param {Tile} tile */
	function look(tile) {
		if (tile.cell.state === "blank") return;
		if (veiled(tile)) {
			tile.revealed = true;
			dress(tile, true);
		} else closer.open([tile]);
	}

	/** @param {Tile} tile @param {boolean} [anew] @param {boolean} [fresh] */
	function dress(tile, anew, fresh) {
		const {el, cell, at} = tile;
		if (anew) drawTile(tile, drawn.rows[at[0]], fresh);
		const choice = choices.of(at);
		const words = choiceWords(choice);
		const letter = LETTERS[picks.indexOf(tile)] ?? "";
		const mark = letter + words;
		if (!anew && el.dataset.mark === mark) return;
		el.dataset.mark = mark;
		const veil = veiled(tile);
		el.className = join(" ", "qw-tile", `qw-${cell.state}`, letter && "qw-picked", choice.mark && `qw-${choice.mark}`, veil && "qw-veiled");
		aria(el, {
			label: join(", ", cell.alt, cell.warning, veil && says.flagged, words, letter && `picked ${letter}`),
			selected: Boolean(letter)
		});
		el.title = cell.tooltip;
		el.querySelector(".qw-marks")?.remove();
		if (mark && tile.has) {
			const given = [...Array(choice.stars)].map(() => icon("star"));
			if (choice.mark === "keep") given.unshift(icon("keep"));
			el.firstElementChild?.append(
				make("div.marks", letter && make("span.letter", letter), given.length > 0 && make("span.given", ...given))
			);
		}
		if (tile === stripTile) putStrip(tile);
	}
	/** @param {Tile} tile */
	function putStrip(tile) {
		stripTile = tile;
		const {label, seed, before} = drawn.columns[tile.at[1]];
		marks.draw(choices.of(tile.at), before);
		seedChip.hidden = !seed;
		if (seedChip.textContent !== "copied") seedChip.textContent = label;
		const box = tile.el.firstElementChild;
		if (strip.parentElement !== box) box?.append(strip);
	}
	/** Picks or choices have changed. */
	function refresh() {
		picks = picks.filter(tile => tile.has && tiles.has(tile.at.join()));
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
		const from = Math.max(...at);
		const order = layout[sideOf(at)].map(({key}) => key);
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
		set.hidden.push(lines[Math.max(...at)].key);
		tell("hidden");
		arrangeHere();
	}
	function showHidden() {
		set.hidden = [];
		arrangeHere();
	}

	function showView() {
		const selects = drawn.several.map(axis => {
			const sides = ["rows", "columns", "tabs"].map(side => make("option", {selected: set.where[axis] === side}, side));
			const choose = make("select", {"aria-label": axis}, ...sides);
			on(choose, "change", () => {
				set.where[axis] = choose.value;
				arrange();
			});
			return make("label", make("span", `${axis}s as`), choose);
		});
		const reset = () => {
			set = asItWas();
			setZoom(0);
			arrange();
			view.el.close();
		};
		const save = button("Save as a page", async () => {
			const {buffers} = await store.ask("page");
			if (!buffers.length) return;
			const href = URL.createObjectURL(new Blob(buffers, {type: "text/html"}));
			make("a", {href, download: `${drawn.title}.html`}).click();
			URL.revokeObjectURL(href);
		});
		view.body.replaceChildren(...selects, make("p.buttons", button("As it was", reset), save));
		view.open();
	}
	/** From 0, as wide as fits well, and small, to 100, one picture across. @param {number} value */
	function setZoom(value) {
		set.zoom = within(value, 100);
		size.value = String(set.zoom);
		grid.classList.toggle("qw-sized", set.zoom > 0);
		vary(grid, "zoom", (set.zoom / 100) ** 1.6);
		limitTiles();
		keep();
		elAt(current)?.scrollIntoView({block: "nearest", inline: "nearest"});
		sharpen();
	}
	/** Where a thumbnail is shown larger than it is, its original takes its place. */
	function sharpen() {
		sharper ||= requestAnimationFrame(() => {
			sharper = 0;
			const seen = scroller.getBoundingClientRect();
			for (const tile of set.zoom ? places.keys() : []) {
				const img = tile.el.querySelector("img");
				if (!img?.naturalWidth || !near(img.getBoundingClientRect(), seen)) continue;
				if (img.naturalWidth >= 0.8 * img.width * devicePixelRatio) continue;
				const src = originals.get(tile, sharpen);
				if (src && img.src !== src) img.src = src;
			}
		});
	}

	/** @param {"row" | "column"} side @param {Line} line */
	function headerOf(side, {key}) {
		const name = `${side} ${key}`;
		const el = headers.get(name) ?? make(`div.${side}-header`, {role: `${side}header`, tabindex: -1});
		headers.set(name, el);
		return el;
	}
	const take = (/** @type {number} */ row) => store.send({type: "take", row});
	/** @param {HTMLElement} el @param {Line} line */
	function drawHeader(el, line) {
		const row = drawn.rows[line.row];
		const whole = ["prompt", "model", "size"].every(axis => line.axes.includes(axis));
		const note = whole ? join(" · ", row.note, row.tally) : lineLabel(drawn, line, "prompt");
		const mark = JSON.stringify([line.key, row.parts, note, lineLabel(drawn, line), drawn.take]);
		if (el.dataset.mark === mark) return;
		el.dataset.mark = mark;
		const inside = make("div.inside");
		if (line.axes.includes("prompt")) {
			inside.append(promptOf(row.parts, "brief"), row.whole ? promptOf(row.whole, "whole") : "", note && make("small", note));
			if (drawn.take && el.matches(".qw-row-header")) {
				inside.append(
					Object.assign(
						button(drawn.take, () => take(line.row), "take"),
						{tabIndex: -1}
					)
				);
			}
		} else inside.append(make("span.label", {dir: "auto"}, lineLabel(drawn, line) || "all"));
		if (el === stripHeader) inside.append(headStrip);
		refill(el, inside);
	}
	function keep() {
		try {
			sessionStorage.setItem(`qwen_widgets ${drawn.run_id}`, JSON.stringify(set));
		} catch {}
	}
	/** Lay the tiles out; what hasn't moved stays in place, with its focus. @param {boolean} [same] only words may have changed */
	function arrange(same) {
		const before = layout.mark + set.tab;
		if (!same) layout = layOut(drawn, set);
		const {rows, columns, tabs} = layout;
		if (!tabs.some(({key}) => key === set.tab)) set.tab = tabs[0]?.key ?? "";
		if (layout.mark + set.tab !== before) build();
		limitTiles();
		for (const line of rows) drawHeader(headerOf("row", line), line);
		for (const line of columns) drawHeader(headerOf("column", line), line);
		const corner = grid.firstElementChild?.firstElementChild;
		const words = `${layout.hidden} hidden: show`;
		if (corner?.textContent !== words) corner?.replaceChildren(layout.hidden ? button(words, showHidden, "plain", says.unhide) : "");
		const axes = (/** @type {string} */ side) => `${AXES.filter(axis => set.where[axis] === side).join(", ") || "all"} as ${side}`;
		keep();
		aria(grid, {label: `${axes("rows")}; ${axes("columns")}`});
	}
	function build() {
		const {rows, columns, tabs} = layout;
		const focused = grid.contains(document.activeElement) ? /** @type {HTMLElement} */ (document.activeElement) : null;
		places.clear();
		const body = rows.map((line, row) => {
			const cells = columns.map((_, column) => {
				const tile = tileAt([row, column]);
				if (tile) places.set(tile, [row, column]);
				return tile?.el ?? make("div.tile.blank", {role: "gridcell", tabindex: -1, "aria-label": says.not_asked}, make("div.box"));
			});
			return make("div.row", {role: "row"}, headerOf("row", line), ...cells);
		});
		const corner = make("div.column-header", {role: "gridcell"});
		grid.replaceChildren(make("div.row.top", {role: "row"}, corner, ...columns.map(line => headerOf("column", line))), ...body);
		vary(grid, "columns", columns.length);

		tabList.hidden = tabs.length < 2;
		const presses = tabs.map(line => {
			const on = line.key === set.tab;
			const label = lineLabel(drawn, line);
			const press = button(label, () => showTab(line.key));
			aria(press, {selected: on});
			return Object.assign(press, {role: "tab", dir: "auto", tabIndex: on ? 0 : -1});
		});
		tabList.replaceChildren(...presses);
		for (const el of grid.querySelectorAll('[tabindex="0"]')) el.setAttribute("tabindex", "-1");
		if (focused?.isConnected) current = placeOf(focused);
		const at = /** @type {Place} */ ([Math.min(current[0], rows.length - 1), Math.min(current[1], columns.length - 1)]);
		select(Math.max(...at) < 0 ? [0, 0] : at);
		if (focused) refocus();
	}
	/** @param {string} key */
	function showTab(key) {
		set.tab = key;
		build();
		arrange();
		/** @type {HTMLElement | null} */ (tabList.querySelector('[tabindex="0"]'))?.focus();
		sharpen();
	}

	/** Another grid has come. */
	function forget() {
		for (const el of windows) el.close();
		set = recall(drawn.run_id);
		setZoom(set.zoom);
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
		const held = root.contains(document.activeElement);
		drawn = head;
		if (head !== before) {
			const other = head.run_id !== before?.run_id;
			if (other) forget();
			for (const [key, tile] of tiles) {
				if (!other && tile.at[0] < head.rows.length && tile.at[1] < head.columns.length) continue;
				setPicture(tile);
				tiles.delete(key);
			}
			for (const row of head.rows.keys())
				for (const column of head.columns.keys()) if (!tileHere(row, column)) tiles.set(`${row},${column}`, makeTile(store, [row, column]));
			header.draw(head);
			say();
			arrange(!other && head.rows.length === before?.rows.length && head.columns.length === before.columns.length);
		}
		let anew = false;
		for (let place = 0; place < head.places; place++) {
			const cell = store.cell(place);
			const tile = cell && tileHere(cell.row, cell.column);
			const bytes = store.picture(place);
			if (!tile || (tile.cell === cell && tile.bytes === bytes)) continue;
			anew ||= closer.shows(tile);
			const fresh = tile.cell !== NO_CELL;
			tile.cell = cell;
			if (tile.bytes !== bytes) {
				originals.drop(tile);
				setPicture(tile, bytes);
			}
			dress(tile, true, fresh);
		}
		refresh();
		if (anew) closer.draw();
		if (held) keepFocus();
		tick();
	}

	function limitTiles() {
		vary(grid, "widest", `${drawn.widest}px`);
		root.style.maxWidth = set.zoom ? "" : `${Math.max(640, 220 + layout.columns.length * (drawn.widest + 6))}px`;
	}

	/** @type {OnGridKey} */
	function onGridKey(name, shift, target) {
		const tile = tileOf(target);
		const onHeading = !tile && !target.classList.contains("qw-tile");
		const by = STEPS[name];
		const chosen = tile && chosenBy(name, choices.of(tile.at));
		if (by && shift && onHeading && Math.abs(by[0] + by[1]) === 1) move(current, by[0] + by[1]);
		else if (by && !shift) step(by);
		else if (name === "h" && onHeading) hide(current);
		else if (name === "Enter" && target.querySelector(".qw-take")) take(layout.rows[current[0]].row);
		else if (!tile) return false;
		else if (name === "Enter") look(tile);
		else if (name === " ") pick(tile);
		else if (chosen) choose(tile, chosen);
		else if (name === ".") actions.show(tile);
		else return false;
		return true;
	}
	/** @param {string} name */
	const onAnyKey = name =>
		does(name, {
			"?": help.open,
			c: compare,
			v: showView,
			b: () => drawn.rows.length > 1 && vote.show(),
			"+": () => setZoom(set.zoom + 10),
			"-": () => setZoom(set.zoom - 10),
			Escape: () => {
				picks = [];
				refresh();
			}
		});
	/** @param {KeyboardEvent} event */
	function onKey(event) {
		const target = /** @type {Element} */ (event.composedPath()[0]);
		// The host's shortcuts would delete the cell below the widget; Ctrl+S and its like it may have.
		const control = event.ctrlKey || event.metaKey;
		if (!root.contains(target) || (control && event.key !== "Enter")) return;
		event.stopPropagation();
		if (event.altKey || control) return;
		const name = event.key.length > 1 ? event.key : event.key.toLowerCase().replace("=", "+");
		if (OWN.some(([field, own]) => target.matches(field) && own.test(name))) return;
		const dialog = dialogs.find(({el}) => el.open)?.el;
		let taken = false;
		if (dialog) {
			taken = (dialog === vote.el && vote.key(name)) || does(name, {Escape: () => dialog.close()});
		} else if (closer.el.open) {
			taken = closer.key(name, event.shiftKey);
			if (name === "?") help.open();
		} else if (target.getAttribute("role") === "tab" && STEPS[name]) {
			const {tabs} = layout;
			showTab(tabs[within([...tabList.children].indexOf(target) + Math.sign(STEPS[name][0] + STEPS[name][1]), tabs.length - 1)].key);
			taken = true;
		} else {
			taken = (itemOf(target) === target && onGridKey(name, event.shiftKey, target)) || onAnyKey(name);
		}
		if (taken) event.preventDefault();
	}

	// Notebook 7 hears keys on their way down.
	addEventListener("keydown", onKey, true);
	on(grid, "focusin", ({target}) => {
		const item = itemOf(target);
		if (item) select(placeOf(item));
		showStrip(item);
	});
	// Not `pointerover`: that comes while scrolling, too. A finger's tap looks closer.
	on(grid, "pointermove", ({target, pointerType}) => pointerType !== "touch" && showStrip(itemOf(target)));
	on(grid, "pointerleave", () => showStrip(itemOf(document.activeElement)));
	on(grid, "click", ({target, shiftKey, ctrlKey, metaKey}) => {
		const item = itemOf(target);
		const tile = tileOf(item);
		if (!item) return;
		item.focus();
		if (tile) (shiftKey || ctrlKey || metaKey ? pick : look)(tile);
	});
	/** @param {HTMLElement | null} item */
	function showStrip(item) {
		const tile = tileOf(item);
		if (tile && tile.cell.state !== "blank") putStrip(tile);
		else if (item?.matches(".qw-row-header, .qw-column-header")) {
			stripHeader = item;
			const inside = /** @type {HTMLElement} */ (item.firstElementChild);
			// As high as it is while it's closed, it moves nothing when it opens.
			if (!item.contains(headStrip)) vary(item, "high", `${inside.offsetHeight}px`);
			inside.append(headStrip);
		}
	}
	on(size, "input", () => setZoom(size.valueAsNumber));
	on(scroller, "scroll", sharpen);
	on(grid, "load", sharpen, true);
	const unwatch = store.watch(() => {
		choices.settle();
		frame ||= requestAnimationFrame(draw);
	});
	host.append(root);
	draw();

	return () => {
		unwatch();
		removeEventListener("keydown", onKey, true);
		cancelAnimationFrame(frame);
		cancelAnimationFrame(sharper);

		clearInterval(ticking);
		closer.stop();
		originals.clear();
		for (const tile of tiles.values()) setPicture(tile);
		root.remove();
	};
}

export default {
	/** @param {{model: any, el: HTMLElement}} context */
	render: ({model, el}) => mount(widgetStore(model), el)
};
