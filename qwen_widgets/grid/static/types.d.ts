// The viewer's types, for the checker and for readers: npx -p typescript tsc -p qwen_widgets/grid/static

type Words = { [name: string]: string };
type Ids = { [axis: string]: number };
type Bytes = DataView<ArrayBuffer>;
/** Row and column, or steps in them. */
type Place = [number, number];

interface Cell {
  row: number; column: number; state: string; width: number; height: number; alt: string; cost: string; cached: boolean;
  title: string; reason: string; paid: string; next_step: string; since: number; warning: string; flagged: boolean;
  offers: Action[];
}
interface Row {
  prompt: string; parts: [string, string][]; note: string; tally: string; size: string; model: string; width: number; height: number;
  [axis: string]: any;
}
interface Head {
  run_id: string; message: string; take: string;
  title: string; facts: string[]; provider: string; offline: boolean; done: number; failed: number; total: number; running: boolean; stoppable: boolean;
  rows: Row[]; columns: { label: string; seed: string }[]; places: number;
}
interface Choice { stars: number; mark: string; [what: string]: number | string }
/** `stars` and how many, `mark` and which. */
type Chosen = [what: string, value: string | number];
/** The winner is a row, or -1 for a tie. */
interface Vote { id: number; column: number; one: number; other: number; winner: number }
interface Choices { cells: { [place: string]: Choice }; votes: Vote[] }
/** Without a text it is a button only; with a key it can be done in place. */
interface Action { label: string; text: string; price: string; key: string }
interface Told { icons: Words; keys: { [group: string]: string[] }; says: Words }
interface Answer { content: any; buffers: Bytes[] }

/** Where the data comes from: a widget's model, or an exported page, which has no kernel and no `send`. */
interface Store {
  head(): Head | undefined;
  cell(place: number): Cell | undefined;
  picture(place: number): Bytes | undefined;
  choices(): Choices | undefined;
  words(): Told;
  watch(changed: () => void): () => void;
  send: ((message: { [name: string]: any }) => void) | null;
  ask(type: string, at?: Place): Promise<Answer>;
}
interface Tile {
  el: HTMLElement; at: Place; cell: Cell | undefined; bytes: Bytes | undefined; url: string;
  /** Whether someone has asked to see what moderation flagged. */
  revealed: boolean;
  /** Seconds since the epoch at which this page first saw it running, for a kernel whose clock is off; 0 before. */
  seen: number;
  act(key: string): void;
}
/** A row, a column or a tab of the page, by the place on each axis that it stands for. */
interface Line { key: string; ids: { [axis: string]: number }; row: number; column: number }
interface Layout { rows: Line[]; columns: Line[]; tabs: Line[]; tileAt: Map<string, string>; hidden: number; mark: string }
interface Settings { where: { [axis: string]: string }; order: { [side: string]: string[] }; hidden: Set<string> }

interface ChoiceBook {
  of(at: Place): Choice;
  choose(at: Place, chosen: Chosen): void;
  votes(): Vote[];
  vote(vote: Vote): void;
  settle(): void;
}
interface Originals { get(tile: Tile, ready: () => void): string; drop(tile: Tile): void; clear(): void }
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
type On = <T extends keyof HTMLElementEventMap>(el: HTMLElement, name: T, act: (event: HTMLElementEventMap[T]) => void, how?: AddEventListenerOptions) => void;
type Pair = { column: number; left: number; right: number };
/** The label of a button that has an icon only, the icon, and what a press does. */
type Tool = (label: string, name: string, press: () => void, kind?: string) => HTMLButtonElement;
