// The viewer as a page of its own: everything is in the page, and what the reader chooses stays there.
import {mount} from "./viewer.js";

const data = JSON.parse(document.getElementById("data")?.textContent ?? "{}");
mount(
	{
		head: () => data.head,
		cell: place => data.cells[place],
		picture: place => data.pictures[place],
		choices: () => data.choices,
		words: () => data.words,
		watch: () => () => {},
		send: null,
		ask: (type, at) => Promise.resolve({content: type === "actions" && at ? {actions: data.actions[at.join()] ?? []} : {}, buffers: []})
	},
	/** @type {HTMLElement} */ (document.getElementById("grid"))
);
