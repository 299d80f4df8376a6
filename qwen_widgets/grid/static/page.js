// The viewer as a page of its own: everything is in the page. What its reader chooses stays in the reader's browser,
// and goes with the page when that is saved anew.
import {mount} from "./viewer.js";

const source = /** @type {HTMLElement} */ (document.getElementById("data"));
const host = /** @type {HTMLElement} */ (document.getElementById("grid"));
const data = JSON.parse(source.textContent ?? "{}");
/** @type {string[]} */
const pictures = [...data.pictures];
const place = `qwen_widgets choices ${data.head?.run_id}`;
/** What the page came with: what was kept of another state of the grid doesn't go with it. */
const first = JSON.stringify(data.choices);
let changed = () => {};
// The first pictures are drawn while the page is still being read: the others stand behind this script.
const reading = document.readyState === "loading";
const whole = new Promise(done => (reading ? addEventListener("DOMContentLoaded", done) : done(null)));

// A page may be without a storage: in a frame that is closed off, or by its reader's wish.
try {
	const kept = JSON.parse(localStorage.getItem(place) ?? "null");
	if (kept?.first === first) data.choices = kept.choices;
} catch {}

/** Take up what the reader chose, as the kernel would. @param {{[name: string]: any}} message */
function choose({type, row, column, value, ...vote}) {
	const {cells, votes} = data.choices;
	if (type === "vote") data.choices = {cells, votes: [...votes, {column, ...vote}]};
	else {
		const at = [row, column].join();
		data.choices = {cells: {...cells, [at]: {stars: 0, mark: "", ...cells[at], [type]: value}}, votes};
	}
	try {
		localStorage.setItem(place, JSON.stringify({first, choices: data.choices}));
	} catch {}
	changed();
}

/** This page with the choices of now. */
function page() {
	const copy = /** @type {HTMLElement} */ (document.documentElement.cloneNode(true));
	copy.querySelector("#grid")?.replaceChildren();
	// As it was written: no `<` can end the element.
	const text = JSON.stringify(data).replaceAll("<", "\\u003c");
	copy.querySelector("#data")?.replaceChildren(text);
	return new DataView(new TextEncoder().encode(`<!doctype html>\n${copy.outerHTML}\n`).buffer);
}

mount(
	{
		head: () => data.head,
		// A cell comes with its picture.
		cell: place => (place < pictures.length ? data.cells[place] : undefined),
		picture: place => pictures[place],
		choices: () => data.choices,
		words: () => data.words,
		watch(act) {
			changed = act;
			return () => {};
		},
		send: choose,
		ask: async (type, at) => ({
			content: type === "actions" && at ? {actions: data.actions[at.join()] ?? []} : {},
			buffers: type === "page" ? [await whole.then(page)] : []
		})
	},
	host
);

/** Say it where the file is cut off: a download that broke, a mail that was too large. */
function tellMissing() {
	const all = data.cells.length;
	if (pictures.length === all) return;
	const missing = /** @type {HTMLElement} */ (document.getElementById("missing"));
	missing.textContent = `This file is incomplete: ${pictures.length} of its ${all} cells are here. Copy it once more.`;
}

/** Take up the pictures of one element, and those of the next when these are drawn. @param {number} at */
function more(at) {
	const block = document.getElementsByClassName("pictures")[at];
	if (!block) return tellMissing();
	try {
		pictures.push(...JSON.parse(block.textContent ?? "[]"));
	} catch {
		return tellMissing();
	}
	changed();
	requestAnimationFrame(() => setTimeout(more, 0, at + 1));
}
whole.then(() => more(0));
