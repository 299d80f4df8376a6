// The viewer's types, for the checker and for readers; .ci/run checks them with tsc, and the style with Biome.

type Words = {[name: string]: string};
type Ids = {[axis: string]: number};
type Bytes = DataView<ArrayBuffer>;
/** A thumbnail: bytes in the live view, a `data:` address in an exported page. Empty: there is none. */
type Picture = Bytes | string;
/** Row and column, or steps in them. */
type Place = [number, number];
/** In a page, CSS pixels. */
type Point = {x: number; y: number};

interface Cell {
	row: number;
	column: number;
	state: string;
	width: number;
	height: number;
	alt: string;
	cost: string;
	cached: boolean;
	title: string;
	reason: string;
	paid: string;
	next_step: string;
	since: number;
	warning: string;
	flagged: boolean;
	tooltip: string;
	offers: Action[];
}
interface Row {
	prompt: string;
	parts: [string, string][];
	/** Which of the values of an axis it has; no two rows have the same of all. */
	ids: Ids;
	/** The parts with all that these leave out of a long prompt, where they do. */
	whole: [string, string][] | undefined;
	note: string;
	tally: string;
	size: string;
	model: string;
	width: number;
	height: number;
	[axis: string]: any;
}
interface Head {
	run_id: string;
	message: string;
	take: string;
	/** Axes with more than one value. */
	several: string[];
	/** CSS pixels that a tile has at most, unasked. */
	widest: number;
	title: string;
	line: string;
	/** The progress, for those who listen. */
	said: string;
	provider: string;
	offline: boolean;
	done: number;
	failed: number;
	total: number;
	running: boolean;
	/** Whether a Stop of the page is heard; what to do where a cell keeps the kernel from hearing it; whether a Stop was heard. */
	stoppable: boolean;
	interrupt: string;
	stopping: boolean;
	rows: Row[];
	columns: {label: string; seed: string; before: boolean}[];
	places: number;
}
interface Choice {
	stars: number;
	mark: string;
	[what: string]: number | string;
}
/** `stars` and how many, `mark` and which. */
type Chosen = [what: string, value: string | number];
/** The winner is a row, or -1 for a tie. */
interface Vote {
	id: number;
	column: number;
	one: number;
	other: number;
	winner: number;
}
interface Choices {
	cells: {[place: string]: Choice};
	votes: Vote[];
}
/** Without a text it is a button only; with a key it can be done in place. */
interface Action {
	label: string;
	text: string;
	price: string;
	key: string;
}
interface Told {
	icons: Words;
	keys: {[group: string]: [names: string, does: string][]};
	says: Words;
}
interface Answer {
	content: any;
	buffers: Bytes[];
}

/** Where the data comes from, and where what is chosen goes: a widget's model, or an exported page. */
interface Store {
	head(): Head | undefined;
	cell(place: number): Cell | undefined;
	picture(place: number): Picture | undefined;
	choices(): Choices | undefined;
	words(): Told;
	/** What can be interrupted, where the host lets the page reach it. */
	kernel?(): Kernel | undefined;
	watch(changed: () => void): () => void;
	send(message: {[name: string]: any}): void;
	ask(type: string, at?: Place): Promise<Answer>;
}
interface Kernel {
	interrupt(): Promise<void>;
}
interface Tile {
	el: HTMLElement;
	at: Place;
	cell: Cell;
	bytes: Picture | undefined;
	/** Whether there is a picture; its address is made when it is first needed. */
	has: boolean;
	url: string;
	/** Whether someone has asked to see what moderation flagged. */
	revealed: boolean;
	/** Seconds since the epoch at which this page first saw it running, for a kernel whose clock is off; 0 before. */
	seen: number;
	act(key: string): void;
}
/** A row, a column or a tab of the page, by the place on each axis that it stands for. */
interface Line {
	key: string;
	axes: string[];
	row: number;
	column: number;
}
interface Layout {
	rows: Line[];
	columns: Line[];
	tabs: Line[];
	tileAt: Map<string, string>;
	/** The grid's rows, and its columns, of which something isn't hidden. */
	shown: Set<number>[];
	hidden: number;
	mark: string;
}
interface Settings {
	where: {[axis: string]: string};
	order: {[side: string]: string[]};
	hidden: string[];
	tab: string;
	/** 0 to 100. */
	zoom: number;
}

interface ChoiceBook {
	of(at: Place): Choice;
	choose(at: Place, chosen: Chosen): void;
	votes(): Vote[];
	vote(vote: Vote): void;
	settle(): void;
}
interface Originals {
	get(tile: Tile, ready: () => void): string;
	drop(tile: Tile): void;
	clear(): void;
}
/** What the closer look needs of the grid. */
interface Around {
	head(): Head;
	choices: ChoiceBook;
	originals: Originals;
	step(tile: Tile, by: Place): Tile | undefined;
	moved(tile: Tile): void;
	closed(tile: Tile): void;
	choose(tile: Tile, chosen: Chosen): void;
	pick(tile: Tile): void;
	more(tile: Tile): void;
}
/** Into the clipboard; what came of it is said in the button and to those who listen. */
type Copy = (text: string, from: HTMLElement, tell: (words: string) => void) => Promise<void>;
type MakeVote = (
	head: () => Head,
	/** The rows of which something isn't hidden. */
	inView: () => Set<number>[],
	tileOf: (row: number, column: number) => Tile | undefined,
	choices: ChoiceBook,
	originals: Originals
) => {el: HTMLDialogElement; show(): void; key(name: string): boolean};
type On = <T extends keyof HTMLElementEventMap>(
	el: HTMLElement,
	name: T,
	act: (event: HTMLElementEventMap[T]) => void,
	capture?: boolean
) => void;
type Pair = {column: number; sides: number[]};
/** The icon of a button that has only that, what a press does, and its label where it isn't the icon's name. */
type Tool = (name: string, press: () => void, label?: string, kind?: string) => HTMLButtonElement;
/** Its label is its text, where nothing else is given; a press is told what was pressed. */
type Press = (content: Node | string, press: (el: HTMLButtonElement) => void, kind?: string, label?: string) => HTMLButtonElement;
/** What keys do. */
type Presses = {[key: string]: () => void};
type Made<What extends string> = What extends `${infer Tag}.${string}` ? ElementOf<Tag> : ElementOf<What>;
type ElementOf<Tag extends string> = Tag extends keyof HTMLElementTagNameMap ? HTMLElementTagNameMap[Tag] : HTMLElement;
/** Make an element of `tag.class.class`, of texts, elements and attributes; what is false or empty is left out. */
type Make = <const What extends string>(
	what: What,
	...parts: (Node | string | number | boolean | undefined | {[name: string]: unknown})[]
) => Made<What>;
type Vary = (el: HTMLElement, name: string, value: unknown) => void;
type Aria = (el: Element, values: {[name: string]: unknown}) => void;
type Join = (by: string, ...words: unknown[]) => string;
type Near = (one: DOMRect, other: DOMRect) => boolean;
type Within = (value: number, last: number, first?: number) => number;
type Plural = (count: number, word: string) => string;
type Refill = (el: HTMLElement, content: Element) => void;
type Without = (cell: Cell, act: Tile["act"]) => HTMLElement;
type DrawTile = (tile: Tile, row: Row, fresh?: boolean) => void;
type ChosenBy = (key: string, choice: Choice) => Chosen | undefined;
type LayOut = (head: Head, set: Settings) => Layout;
/** `but`: without this axis. */
type LineLabel = (head: Head, line: Line, but?: string) => string;
type OnGridKey = (name: string, shift: boolean, target: Element) => boolean;
