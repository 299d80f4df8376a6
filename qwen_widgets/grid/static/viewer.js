// The live view of a grid. A plain ES module: no build step, no framework, no network.
// Users' words only ever become text nodes or plain attributes; pictures are Blob URLs.

/**
 * @typedef {{row: number, column: number, state: string, width: number, height: number, alt: string, cost: string,
 *   cached: boolean, title: string, reason: string, paid: string, next_step: string, since: number, warning: string}} Cell
 * @typedef {{prompt: string, parts: [string, string][], note: string, tally: string}} Row
 * @typedef {{title: string, facts: string[], provider: string, offline: boolean, done: number, failed: number,
 *   total: number, running: boolean, rows: Row[], columns: {label: string}[], places: number}} Head
 *
 * Where the data comes from. A widget's model is one such place; an exported page can be another.
 * @typedef {{head: () => Head | undefined, cell: (place: number) => Cell | undefined,
 *   picture: (place: number) => DataView | undefined, watch: (changed: () => void) => () => void,
 *   send: ((message: {type: string}) => void) | null}} Store
 *
 * @typedef {{el: HTMLElement, at: Place, cell: Cell | undefined, bytes: DataView | undefined, url: string}} Tile
 * @typedef {[number, number]} Place  row and column, or steps in them
 */

const ICONS = {
  clock: "M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 0 0 0-11M8 5v3l2 1.5",
  note: "M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 0 0 0-11M8 7.5v3.2M8 5.2v.1",
  close: "M4 4l8 8M12 4l-8 8",
  previous: "M10 3.5L5.5 8l4.5 4.5",
  next: "M6 3.5L10.5 8L6 12.5",
};
/** What a placeholder says; the words of a failure come with the cell. */
const WORDS = /** @type {{[state: string]: string}} */ ({ waiting: "waiting", running: "running", stored: "no preview", unknown: "not known", stopped: "stopped", failed: "failed", blank: "" });
/** Seconds beyond which the kernel's clock and this one are taken to disagree. */
const BELIEVABLE = 3600;
const SPOKEN_EVERY = 4000;

/**
 * @param {string} tag
 * @param {{[name: string]: string | number | boolean | null | undefined}} attributes  null, undefined and false: left out
 * @param {...(Node | string | null | undefined)} children
 * @returns {any}
 */
function make(tag, attributes = {}, ...children) {
  const el = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value != null && value !== false) el.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children) if (child != null && child !== "") el.append(child);
  return el;
}

/** @param {keyof typeof ICONS} name */
function icon(name) {
  const ns = "http://www.w3.org/2000/svg";
  const [svg, path] = [document.createElementNS(ns, "svg"), document.createElementNS(ns, "path")];
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", "qw-icon");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/** A real button, which JupyterLab's shortcuts leave alone. @param {string} label @param {Node | string} content @param {string} [kind] */
const button = (label, content, kind) => make("button", { type: "button", class: kind, "data-lm-suppress-shortcuts": "true", "aria-label": label, title: label }, content);

/** @param {number} value @param {number} last */
const within = (value, last) => Math.max(0, Math.min(value, last));
/** @param {Cell} cell */
const hasWords = (cell) => Boolean(cell.title || cell.reason);

/** @param {any} model @returns {Store} */
function widgetStore(model) {
  return {
    head: () => model.get("head"),
    cell: (place) => model.get(`c${place}`),
    picture: (place) => model.get(`p${place}`),
    // One listener for all: a grid that grows brings names that nobody could have listened to before.
    watch: (changed) => { model.on("change", changed); return () => model.off("change", changed); },
    send: (message) => model.send(message),
  };
}

/** The prompt in its runs; the blanks around a run stay outside of its mark. @param {[string, string][]} parts */
function marked(parts) {
  const fragment = document.createDocumentFragment();
  for (const [kind, text] of parts) {
    const words = text.trim();
    const start = text.length - text.trimStart().length;
    const tag = { added: "ins", dropped: "del" }[kind];
    fragment.append(text.slice(0, start), tag ? make(tag, {}, words) : words, text.slice(start + words.length));
  }
  return fragment;
}

/** @param {HTMLElement} el @param {Row} row */
function drawRowHeader(el, row) {
  el.title = row.prompt;
  el.replaceChildren(make("div", { class: "qw-prompt", dir: "auto" }, marked(row.parts)),
    make("small", {}, [row.note, row.tally].filter(Boolean).join(" · ")));
}

/** Give `parent` exactly `count` children. @param {Element} parent @param {number} count @param {(at: number) => Element} create */
function fit(parent, count, create) {
  while (parent.children.length > count) parent.lastElementChild?.remove();
  while (parent.children.length < count) parent.append(create(parent.children.length));
}

/** What a cell without a picture says. @param {Cell} cell */
function told(cell) {
  if (hasWords(cell)) {
    const after = [cell.paid, cell.next_step].filter(Boolean).join(" ");
    return make("div", { class: "qw-told" }, make("b", {}, cell.title), make("span", {}, cell.reason), make("small", {}, after));
  }
  return make("div", { class: "qw-rest" }, cell.state === "running" ? icon("clock") : null, make("span", { class: "qw-state" }, WORDS[cell.state]));
}

/** @param {Cell} cell @param {string} label */
const caption = (cell, label) => [label, cell.cost, cell.warning].filter(Boolean).join(" · ");

/** Show a cell's state in its tile. @param {Tile} tile @param {string} label */
function drawTile(tile, label) {
  const { el, cell } = tile;
  if (!cell) return;
  el.className = `qw-tile qw-${cell.state}`;
  el.setAttribute("aria-label", [cell.alt, cell.warning].filter(Boolean).join(", "));
  el.title = hasWords(cell) ? [cell.title, cell.reason, cell.paid, cell.next_step].filter(Boolean).join("\n") : "";
  const box = make("div", { class: "qw-box" });
  box.style.setProperty("--qw-ratio", String(cell.width / cell.height || 1));
  if (tile.url) {
    box.append(picture(tile), make("div", { class: "qw-caption" }, caption(cell, label)));
    if (cell.warning) box.append(make("span", { class: "qw-note" }, icon("note")));
  } else {
    box.append(told(cell));
  }
  el.replaceChildren(box);
}

/** The tile's <img>: the one that is there, or a new one that fades in once. @param {Tile} tile */
function picture({ el, url }) {
  const old = el.querySelector("img");
  if (old?.src === url) return old;
  const img = make("img", { src: url, alt: "", draggable: "false", class: "qw-new" });
  img.addEventListener("animationend", () => img.classList.remove("qw-new"), { once: true });
  return img;
}

/** Give a tile its picture, and the old one's memory back. @param {Tile} tile @param {DataView | undefined} bytes */
function setPicture(tile, bytes) {
  if (tile.url) URL.revokeObjectURL(tile.url);
  tile.bytes = bytes;
  // Without a type an <img> takes it for a picture by its first bytes; an SVG it wouldn't take.
  tile.url = bytes && bytes.byteLength ? URL.createObjectURL(new Blob([bytes])) : "";
}

/** The seconds under every running tile, counted here; one clock, and only while something runs. @param {() => Iterable<Tile>} tiles */
function stopwatch(tiles) {
  /** @type {WeakMap<Tile, number>} When this page first saw it running, for a kernel whose clock is off. */
  const seen = new WeakMap();
  let timer = 0;
  function tick() {
    const now = Date.now() / 1000;
    let busy = false;
    for (const tile of tiles()) {
      if (tile.cell?.state !== "running") { seen.delete(tile); continue; }
      busy = true;
      if (!seen.has(tile)) seen.set(tile, now);
      let elapsed = now - tile.cell.since;
      if (elapsed < 0 || elapsed > BELIEVABLE) elapsed = now - /** @type {number} */ (seen.get(tile));
      const line = tile.el.querySelector(".qw-state");
      if (line) line.textContent = `${Math.floor(elapsed)} s`;
    }
    if (busy && !timer) timer = window.setInterval(tick, 1000);
    if (!busy && timer) stop();
  }
  const stop = () => { window.clearInterval(timer); timer = 0; };
  return { tick, stop };
}

/** Say the progress to those who can't see it, not more often than one can listen. @param {HTMLElement} status */
function speaker(status) {
  let last = 0, timer = 0, words = "";
  const speak = () => { last = Date.now(); timer = 0; status.textContent = words; };
  return {
    /** @param {Head} head */
    say(head) {
      const failed = head.failed ? `, ${head.failed} failed` : "";
      words = `${head.running ? "" : "finished: "}${head.done} of ${head.total}${failed}`;
      if (!head.running) { window.clearTimeout(timer); speak(); }
      else if (!timer) timer = window.setTimeout(speak, Math.max(0, last + SPOKEN_EVERY - Date.now()));
    },
    stop: () => window.clearTimeout(timer),
  };
}

/** @param {Store} store @param {AbortSignal} signal */
function makeHeader(store, signal) {
  const title = make("b", { class: "qw-title", dir: "auto" });
  const facts = make("span", { class: "qw-facts" });
  const badge = make("span", { class: "qw-badge" });
  const stop = button("stop: buys no further pictures; what is paid for still arrives", "Stop");
  const bar = make("div", { class: "qw-bar", role: "progressbar", "aria-label": "progress", "aria-valuemin": 0 });
  const el = make("header", { class: "qw-header" }, make("div", { class: "qw-names" }, title, facts), badge, stop, bar);
  const ask = (/** @type {boolean} */ asked) => { stop.disabled = asked; stop.textContent = asked ? "Stopping" : "Stop"; };
  stop.addEventListener("click", () => { ask(true); store.send?.({ type: "stop" }); }, { signal });
  /** @param {Head} head */
  function draw(head) {
    title.textContent = head.title || "grid";
    facts.textContent = head.facts.join(" · ");
    badge.textContent = head.provider;
    badge.classList.toggle("qw-offline", head.offline);
    if (!head.running) ask(false);
    stop.hidden = !head.running || !store.send;
    bar.hidden = !head.running;
    bar.setAttribute("aria-valuemax", String(head.total));
    bar.setAttribute("aria-valuenow", String(head.done + head.failed));
    bar.style.width = `${(100 * (head.done + head.failed)) / Math.max(1, head.total)}%`;
  }
  return { el, draw };
}

/** One cell at a time, large; arrows go on to its neighbours.
 * @param {(at: Place) => Tile | undefined} tileAt @param {() => Head} head @param {(by: Place) => void} move
 * @param {(at: Place) => void} closed @param {AbortSignal} signal */
function makeLightbox(tileAt, head, move, closed, signal) {
  let shown = /** @type {Place} */ ([0, 0]);
  const stage = make("div", { class: "qw-stage" });
  const words = make("div", { class: "qw-words", "aria-live": "polite" });
  const [back, on, shut] = /** @type {const} */ (["previous", "next", "close"]).map((name) => button(name, icon(name), "qw-round"));
  const el = make("dialog", { class: "qw-lightbox", "aria-label": "look closer", tabindex: -1, "data-lm-suppress-shortcuts": "true" },
    stage, make("div", { class: "qw-under" }, words, back, on, shut));
  shut.addEventListener("click", () => el.close(), { signal });
  back.addEventListener("click", () => move([0, -1]), { signal });
  on.addEventListener("click", () => move([0, 1]), { signal });
  el.addEventListener("click", (/** @type {Event} */ event) => { if (event.target === el) el.close(); }, { signal });
  // The browser gives the focus back to the tile that was opened; it belongs to the one shown last.
  el.addEventListener("close", () => closed(shown), { signal });
  /** @param {Place} at */
  function open(at) {
    if ((tileAt(at)?.cell?.state ?? "blank") === "blank") return;
    el.showModal();
    el.focus();
    draw(at);
  }
  /** @param {Place} at */
  function draw(at) {
    const { cell, url } = tileAt(at) ?? {};
    if (!el.open || !cell) return;
    shown = at;
    const { rows, columns } = head();
    stage.className = `qw-stage qw-${cell.state}`;
    stage.style.setProperty("--qw-ratio", String(cell.width / cell.height || 1));
    stage.replaceChildren(url ? make("img", { src: url, alt: cell.alt }) : told(cell));
    const { prompt, parts } = rows[at[0]];
    const cut = parts.some(([kind, text]) => kind === "same" && text.includes("…")) && !prompt.includes("…");
    words.replaceChildren(make("div", { class: "qw-prompt", dir: "auto" }, cut ? prompt : marked(parts)), make("small", {}, caption(cell, columns[at[1]].label)));
    // Not `disabled`: that would throw the focus, and with it the arrow keys, out of the dialog.
    back.setAttribute("aria-disabled", String(at[1] === 0));
    on.setAttribute("aria-disabled", String(at[1] === columns.length - 1));
  }
  return { el, draw, open };
}

const KEYS = [["←↑→↓", "move"], ["Home", "End", "first, last"], ["Enter", "look closer"], ["Esc", "back"]];
const makeFooter = () => make("footer", { class: "qw-footer" }, ...KEYS.map((keys) =>
  make("span", {}, ...keys.slice(0, -1).map((key) => make("kbd", {}, key)), keys[keys.length - 1])));

/** @type {{[key: string]: Place}} Steps in rows and columns. */
const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0], Home: [0, -Infinity], End: [0, Infinity] };

/** Build the view of a store inside `host`. @param {Store} store @param {HTMLElement} host @returns {() => void} takes it all down */
export function mount(store, host) {
  const ending = new AbortController(), { signal } = ending;
  const tiles = /** @type {Map<string, Tile>} */ (new Map());
  let drawn = /** @type {Head | undefined} */ (undefined);
  let current = /** @type {Place} the tile that Tab comes to */ ([0, 0]);
  let frame = 0;

  const tileAt = (/** @type {Place} */ [row, column]) => tiles.get(`${row},${column}`);
  const header = makeHeader(store, signal);
  const grid = make("div", { class: "qw-grid", role: "grid", "aria-label": "prompts down, seeds across" });
  const scroller = make("div", { class: "qw-scroll" }, grid);
  const status = make("div", { class: "qw-hidden", role: "status", "aria-live": "polite" });
  const lightbox = makeLightbox(tileAt, () => /** @type {Head} */ (drawn), step, (at) => tileAt(at)?.el.focus(), signal);
  const root = make("div", { class: "qw-viewer" }, header.el, scroller, makeFooter(), status, lightbox.el);
  const clock = stopwatch(() => tiles.values());
  const voice = speaker(status);

  /** Make `at` the one tab stop. @param {Place} at */
  function select(at) {
    tileAt(current)?.el.setAttribute("tabindex", "-1");
    current = at;
    tileAt(current)?.el.setAttribute("tabindex", "0");
  }

  /** @param {Place} by */
  function step([down, right]) {
    if (!drawn) return;
    select([within(current[0] + down, drawn.rows.length - 1), within(current[1] + right, drawn.columns.length - 1)]);
    if (lightbox.el.open) lightbox.draw(current);
    else tileAt(current)?.el.focus();
  }

  /** @param {number} row @param {number} column */
  function newTile(row, column) {
    const el = make("div", { role: "gridcell", tabindex: -1, "data-lm-suppress-shortcuts": "true" });
    const tile = /** @type {Tile} */ ({ el, at: [row, column], cell: undefined, bytes: undefined, url: "" });
    el.addEventListener("focus", () => select(tile.at), { signal });
    el.addEventListener("click", () => { select(tile.at); lightbox.open(tile.at); }, { signal });
    tiles.set(`${row},${column}`, tile);
    return tile;
  }

  /** Bring headers and rows up to the head. What is there stays in place, with its focus. @param {Head} head @param {Head} [before] */
  function layOut(head, before) {
    for (const [key, { at, url }] of tiles) {
      if (at[0] < head.rows.length && at[1] < head.columns.length) continue;
      if (url) URL.revokeObjectURL(url);
      tiles.delete(key);
    }
    grid.style.setProperty("--qw-columns", String(head.columns.length));
    fit(grid, 1 + head.rows.length, (at) => make("div", { class: at ? "qw-row" : "qw-row qw-top", role: "row" }));
    const [top, ...rows] = grid.children;
    fit(top, 1 + head.columns.length, (at) => make("div", { class: "qw-column-header", role: "columnheader" }, at ? "" : make("span", { class: "qw-hidden" }, "prompt")));
    head.columns.forEach(({ label }, at) => { top.children[at + 1].textContent = label; });
    head.rows.forEach((row, at) => {
      fit(rows[at], 1 + head.columns.length, (column) => (column ? newTile(at, column - 1).el : make("div", { class: "qw-row-header", role: "rowheader" })));
      if (JSON.stringify(row) !== JSON.stringify(before?.rows[at])) drawRowHeader(/** @type {HTMLElement} */ (rows[at].firstElementChild), row);
    });
    select([within(current[0], head.rows.length - 1), within(current[1], head.columns.length - 1)]);
  }

  /** Bring the page up to the store: at most once a frame, and only what changed. */
  function draw() {
    frame = 0;
    const head = store.head();
    if (!head) return;
    const before = drawn;
    drawn = head;
    if (head !== before) {
      header.draw(head);
      voice.say(head);
      layOut(head, before);
    }
    let closer = false;
    for (let place = 0; place < head.places; place++) {
      const cell = store.cell(place);
      const tile = cell && tileAt([cell.row, cell.column]);
      const bytes = store.picture(place);
      if (!tile || (tile.cell === cell && tile.bytes === bytes)) continue;
      tile.cell = cell;
      if (tile.bytes !== bytes) setPicture(tile, bytes);
      drawTile(tile, head.columns[cell.column].label);
      closer ||= tile === tileAt(current);
    }
    limitTiles(head);
    clock.tick();
    if (closer) lightbox.draw(current);
  }

  /** A thumbnail isn't shown much larger than it is; a tall one is held by its height. @param {Head} head */
  function limitTiles(head) {
    const widest = Math.max(...[...tiles.values()].map(({ cell }) => (cell && cell.state !== "blank" ? (320 * cell.width) / cell.height : 0)));
    const limit = Math.round(Math.max(112, Math.min(280, widest || 280)));
    grid.style.setProperty("--qw-widest", `${limit}px`);
    root.style.maxWidth = `${Math.max(640, 220 + head.columns.length * (limit + 6))}px`;
  }

  /** @param {KeyboardEvent} event */
  function onKey(event) {
    // The host's shortcuts would delete the cell below the widget; Ctrl+S and its like it may have.
    if ((event.ctrlKey || event.metaKey) && event.key !== "Enter") return;
    event.stopPropagation();
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const onTile = event.target instanceof Element && event.target.matches(".qw-tile");
    if (event.key in STEPS && (onTile || lightbox.el.open)) step(STEPS[event.key]);
    else if (event.key === "Enter" && onTile) lightbox.open(current);
    else if (event.key === "Escape" && lightbox.el.open) lightbox.el.close();
    else return;
    event.preventDefault();
  }

  root.addEventListener("keydown", onKey, { signal });
  const unwatch = store.watch(() => { frame ||= requestAnimationFrame(draw); });
  host.append(root);
  draw();

  return () => {
    unwatch();
    ending.abort();
    cancelAnimationFrame(frame);
    clock.stop();
    voice.stop();
    for (const { url } of tiles.values()) if (url) URL.revokeObjectURL(url);
    tiles.clear();
    root.remove();
  };
}

export default {
  /** @param {{model: any, el: HTMLElement}} context */
  render: ({ model, el }) => mount(widgetStore(model), el),
};
