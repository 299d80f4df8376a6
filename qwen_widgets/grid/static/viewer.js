// The live view of a grid. A plain ES module: no build step, no framework, no network.
// Users' words only ever become text nodes or plain attributes; pictures are Blob URLs.

/// <reference path="./types.d.ts" />

const ICONS = {
  clock: "M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 0 0 0-11M8 5v3l2 1.5",
  note: "M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 0 0 0-11M8 7.5v3.2M8 5.2v.1",
  close: "M4 4l8 8M12 4l-8 8",
  previous: "M10 3.5L5.5 8l4.5 4.5",
  next: "M6 3.5L10.5 8L6 12.5",
  keep: "M3 8.5l3.2 3.2L13 4.8",
  star: "M8 2.2l1.8 3.7 4 .6-2.9 2.8.7 4L8 11.4l-3.6 1.9.7-4L2.2 6.5l4-.6z",
  more: "M3.5 8h.1M8 8h.1M12.5 8h.1",
  hide: "M2 8s2.2-4 6-4 6 4 6 4-2.2 4-6 4-6-4-6-4M3 13L13 3",
  plus: "M8 3.5v9M3.5 8h9",
  minus: "M3.5 8h9",
  pick: "M2.5 3.5h4.7v9H2.5zM8.8 3.5h4.7v9H8.8z",
};
/** What a placeholder says; the words of a failure come with the cell. */
const WORDS = /** @type {{[state: string]: string}} */ ({ waiting: "waiting", running: "running", stored: "no preview", unknown: "not known", stopped: "stopped", failed: "failed", blank: "" });
const AXES = ["prompt", "model", "size", "seed"];
const MODES = ["side by side", "slider", "hover", "blink", "difference"];
/** Seconds beyond which the kernel's clock and this one are taken to disagree. */
const BELIEVABLE = 3600;
const SPOKEN_EVERY = 4000;
/** Two changes a second: WCAG 2.3.1 draws the line at three flashes. */
const BLINK_EVERY = 500;
const MOST_PICKS = 6;
const ORIGINALS_KEPT = 12;
const LETTERS = "ABCDEF";

/** @template {keyof HTMLElementTagNameMap} T @param {T} tag @param {{[name: string]: unknown}} [attributes] null, undefined and false are left out
 * @param {...(Node | string | null | undefined)} children */
function make(tag, attributes = {}, ...children) {
  const el = document.createElement(tag);
  // JupyterLab's shortcuts leave alone what says so itself.
  if (tag === "button" || "tabindex" in attributes) el.setAttribute("data-lm-suppress-shortcuts", "true");
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
  svg.setAttribute("class", `qw-icon qw-icon-${name}`);
  aria(svg, { hidden: "true" });
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/** @param {string} label @param {Node | string} content @param {string} [kind] @param {() => void} [press] */
function button(label, content, kind, press) {
  const el = make("button", { type: "button", class: kind, "aria-label": label, title: label }, content);
  on(el, "click", (event) => { event.stopPropagation(); press?.(); });
  return el;
}

/** @template {keyof HTMLElementEventMap} T @param {HTMLElement} el @param {T} name @param {(event: HTMLElementEventMap[T]) => void} act @param {AddEventListenerOptions} [how] */
const on = (el, name, act, how) => el.addEventListener(name, act, how);
/** Set ARIA attributes. @param {Element} el @param {{[name: string]: unknown}} values */
const aria = (el, values) => { for (const [name, value] of Object.entries(values)) el.setAttribute(`aria-${name}`, String(value)); };
/** @param {...unknown} words those that are there */
const dots = (...words) => words.filter(Boolean).join(" · ");

/** A button with an icon only. @param {string} label @param {keyof typeof ICONS} name @param {() => void} press @param {string} [kind] */
const tool = (label, name, press, kind = "") => button(label, icon(name), `qw-round ${kind}`, press);
/** @param {number} value @param {number} last */
const within = (value, last) => Math.max(0, Math.min(value, last));
/** @param {Cell} cell */
const hasWords = (cell) => Boolean(cell.title || cell.reason);
/** @param {number} count @param {string} word */
const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
const stillness = () => window.matchMedia("(prefers-reduced-motion: reduce)").matches;
/** @template T @param {T[]} list */
function shuffle(list) {
  for (let at = list.length - 1; at > 0; at--) {
    const other = Math.floor(Math.random() * (at + 1));
    [list[at], list[other]] = [list[other], list[at]];
  }
  return list;
}

/** @param {any} model @returns {Store} */
function widgetStore(model) {
  /** @type {Map<string, ((answer: Answer) => void)[]>} */
  const asked = new Map();
  /** @param {any} message */
  const name = ({ type, row, column }) => [type, row, column].join();
  /** @param {any} content @param {Bytes[]} buffers */
  function answer(content, buffers) {
    const waiting = asked.get(name(content ?? {})) ?? [];
    asked.delete(name(content ?? {}));
    for (const resolve of waiting) resolve({ content, buffers: buffers ?? [] });
  }
  return {
    head: () => model.get("head"),
    cell: (place) => model.get(`c${place}`),
    picture: (place) => model.get(`p${place}`),
    choices: () => model.get("choices"),
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

/** The prompt in its runs; the blanks around a run stay outside of its mark. @param {[string, string][]} parts */
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

/** The whole prompt: with its marks where none of it was cut. @param {Row} row */
function wholePrompt({ prompt, parts }) {
  const cut = parts.some(([kind, text]) => kind === "same" && text.includes("…")) && !prompt.includes("…");
  return make("div", { class: "qw-prompt", dir: "auto" }, cut ? prompt : marked(parts));
}

/** What a cell without a picture says. @param {Cell} cell */
function told(cell) {
  if (hasWords(cell)) {
    const after = [cell.paid, cell.next_step].filter(Boolean).join(" ");
    return make("div", { class: "qw-told" }, make("b", {}, cell.title), make("span", {}, cell.reason), make("small", {}, after));
  }
  return make("div", { class: "qw-rest" }, cell.state === "running" ? icon("clock") : null, make("span", { class: "qw-state" }, WORDS[cell.state]));
}

/** @param {number} count */
const starIcons = (count) => Array.from({ length: count }, () => icon("star"));
/** @param {Choice} choice */
const choiceWords = ({ stars, mark }) => [mark && { keep: "kept", reject: "rejected" }[mark], stars && plural(stars, "star")].filter(Boolean).join(", ");

/** What a key chooses. @param {string} key @param {Choice} choice @returns {Chosen | undefined} */
function chosenBy(key, { mark }) {
  const wanted = key === "k" ? "keep" : key === "x" && "reject";
  if (wanted) return ["mark", mark === wanted ? "" : wanted];
  return /^[0-5]$/.test(key) ? ["stars", Number(key)] : undefined;
}

/** Keep, reject and five stars to press; what is given already is taken back. @param {(chosen: Chosen) => void} choose */
function makeMarks(choose) {
  let now = /** @type {Choice} */ ({ stars: 0, mark: "" });
  const press = (/** @type {string} */ key) => () => choose(/** @type {Chosen} */ (chosenBy(key, now)));
  const [keep, reject] = [tool("keep", "keep", press("k")), tool("reject", "close", press("x"))];
  const stars = [1, 2, 3, 4, 5].map((at) => button(plural(at, "star"), icon("star"), "qw-star", () => press(String(at === now.stars ? 0 : at))()));
  return {
    els: [keep, reject, make("span", { class: "qw-star-bar", role: "group", "aria-label": "stars" }, ...stars)],
    /** @param {Choice} choice */
    draw(choice) {
      now = choice;
      for (const [el, name] of /** @type {[Element, string][]} */ ([[keep, "keep"], [reject, "reject"]])) aria(el, { pressed: now.mark === name });
      stars.forEach((star, at) => { aria(star, { pressed: at + 1 === now.stars }); star.classList.toggle("qw-on", at < now.stars); });
    },
  };
}

/** Show a tile's picture, or its state in words. @param {Tile} tile @param {Row} row */
function drawTile(tile, row) {
  const { el, cell } = tile;
  if (!cell) return;
  const box = make("div", { class: "qw-box" });
  // A row's boxes have one shape, whatever came.
  const [width, height] = row.width ? [row.width, row.height] : [cell.width, cell.height];
  box.style.setProperty("--qw-ratio", String(width / height || 1));
  if (tile.url) {
    box.append(picture(tile));
    if (cell.flagged && !tile.revealed) box.append(make("span", { class: "qw-veil" }, "flagged by moderation: click to show"));
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
  on(img, "animationend", () => img.classList.remove("qw-new"), { once: true });
  return img;
}

/** Give a tile its picture, and the old one's memory back. @param {Tile} tile @param {Bytes | undefined} bytes */
function setPicture(tile, bytes) {
  if (tile.url) URL.revokeObjectURL(tile.url);
  tile.bytes = bytes;
  tile.revealed = false;
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

/** A modal dialog with a heading and a way out. @param {string} label @param {string} kind @param {() => void} [closed] */
function makeDialog(label, kind, closed) {
  const body = make("div", { class: "qw-body" });
  const el = make("dialog", { class: `qw-dialog ${kind}`, "aria-label": label, tabindex: -1 },
    make("div", { class: "qw-dialog-top" }, make("b", {}, label), tool("close", "close", () => el.close())), body);
  // A click beside the dialog leaves it; the browser gives the focus back.
  on(el, "pointerdown", (event) => { if (event.target === el) el.close(); });
  if (closed) on(el, "close", closed);
  return { el: el, body: body, open: () => { if (!el.open) el.showModal(); el.focus(); } };
}

/** Put a text on the clipboard; where the page may not, mark it for the user's own Ctrl+C. @param {string} text @param {HTMLElement} from @param {Node} [shown] */
async function copy(text, from, shown) {
  const said = from.textContent ?? "";
  let words = "copied";
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = make("textarea", { class: "qw-hidden", "aria-hidden": "true" });
    area.value = text;
    from.after(area);
    area.select();
    if (!document.execCommand("copy")) words = "press Ctrl+C";
    area.remove();
    from.focus();
    if (shown) getSelection()?.selectAllChildren(shown);
  }
  if (said === words) return;
  from.textContent = words;
  window.setTimeout(() => { from.textContent = said; }, 1500);
}

/** The ways to go on from a cell: each a cell to copy, its price beside it. @param {Store} store */
function makeActions(store) {
  const { el, body, open } = makeDialog("go on from here", "qw-actions");
  /** @param {Tile} tile @param {Head} head */
  async function show(tile, head) {
    const [row, column] = tile.at;
    const { prompt } = head.rows[row];
    const { seed, label } = head.columns[column];
    const bits = /** @type {[string, string][]} */ ([["copy the prompt", prompt]]);
    if (seed) bits.unshift(["copy the seed", seed]);
    const list = make("div", { class: "qw-list", "aria-live": "polite" });
    body.replaceChildren(make("p", { class: "qw-prompt", dir: "auto" }, prompt), make("small", {}, label),
      make("p", { class: "qw-buttons", "aria-live": "polite" }, ...bits.map(([words, text]) => {
        const press = button(words, words, "", () => copy(text, press));
        return press;
      })), list);
    open();
    const { actions = [] } = (await store.ask("actions", tile.at)).content ?? {};
    list.replaceChildren(...actions.map((/** @type {{label: string, text: string, price: string}} */ action) => {
      const code = make("pre", { dir: "auto", tabindex: 0, "aria-label": action.label }, action.text);
      const press = button(`copy: ${action.label}`, "copy", "", () => copy(action.text, press, code));
      return make("section", {}, make("h2", {}, action.label), make("span", { class: "qw-price" }, action.price), press, code);
    }));
  }
  return { el, show };
}

/** @param {{compare: () => void, vote: () => void, view: () => void}} press @param {Store} store */
function makeHeader(press, store) {
  const title = make("b", { class: "qw-title", dir: "auto" });
  const facts = make("span", { class: "qw-facts" });
  const badge = make("span", { class: "qw-badge" });
  const compare = button("compare", "Compare", "qw-compare", press.compare);
  const vote = button("blind vote", "Blind vote", "", press.vote);
  const view = button("view: size, rows, columns and tabs", "View", "", press.view);
  const ask = (/** @type {boolean} */ asked) => { stop.disabled = asked; stop.textContent = asked ? "Stopping" : "Stop"; };
  const stop = button("stop: buys no further pictures; what is paid for still arrives", "Stop", "", () => { ask(true); store.send?.({ type: "stop" }); });
  const bar = make("div", { class: "qw-bar", role: "progressbar", "aria-label": "progress", "aria-valuemin": 0 });
  const el = make("header", { class: "qw-header" }, make("div", { class: "qw-names" }, title, facts), badge, compare, vote, view, stop, bar);
  return {
    el,
    /** @param {number} count */
    picked(count) {
      compare.textContent = count > 1 ? `Compare ${count}` : "Compare";
      aria(compare, { disabled: count < 2 });
      compare.title = count > 1 ? "compare what is picked" : "pick two pictures with Space first";
      aria(compare, { label: `${compare.textContent}: ${compare.title}` });
      compare.classList.toggle("qw-strong", count > 1);
    },
    /** @param {Head} head */
    draw(head) {
      title.textContent = head.title || "grid";
      facts.textContent = head.facts.join(" · ");
      badge.textContent = head.provider;
      badge.classList.toggle("qw-offline", head.offline);
      if (!head.running) ask(false);
      stop.hidden = !head.running || !store.send;
      vote.hidden = head.rows.length < 2;
      bar.hidden = !head.running;
      aria(bar, { valuemax: head.total, valuenow: head.done + head.failed });
      bar.style.width = `${(100 * (head.done + head.failed)) / Math.max(1, head.total)}%`;
    },
  };
}

/** Which lines the page has on each side, and which tile lies where. @param {Head} head @param {Settings} set @returns {Layout} */
function layOut(head, set) {
  /** @type {{[axis: string]: string[]}} */
  const values = { prompt: [], model: [], size: [] };
  const taken = new Set();
  /** @param {Row} row */
  function idsOf(row) {
    const ids = /** @type {{[axis: string]: number}} */ ({});
    for (const axis of /** @type {("prompt" | "model" | "size")[]} */ (Object.keys(values))) {
      const known = values[axis];
      if (!known.includes(row[axis])) known.push(row[axis]);
      ids[axis] = known.indexOf(row[axis]);
    }
    // Rows that nothing tells apart stay rows of their own.
    while (taken.has(Object.values(ids).join())) ids.prompt += head.rows.length;
    taken.add(Object.values(ids).join());
    return ids;
  }
  const found = { rows: new Map(), columns: new Map(), tabs: new Map() };
  const tileAt = new Map();
  head.rows.forEach((data, row) => {
    const ids = idsOf(data);
    head.columns.forEach((_, column) => {
      const all = /** @type {{[axis: string]: number}} */ ({ ...ids, seed: column });
      const keys = Object.entries(found).map(([side, lines]) => {
        const axes = AXES.filter((axis) => set.where[axis] === side);
        const key = axes.map((axis) => axis + all[axis]).join(" ");
        if (!lines.has(key)) lines.set(key, { key, row, column, ids: Object.fromEntries(axes.map((axis) => [axis, all[axis]])) });
        return key;
      });
      tileAt.set(keys.join("|"), `${row},${column}`);
    });
  });
  let hidden = 0;
  const [rows, columns, tabs] = Object.entries(found).map(([side, lines]) => {
    const order = set.order[side] ?? [];
    const place = (/** @type {Line} */ line) => (order.includes(line.key) ? order.indexOf(line.key) : order.length);
    const all = /** @type {Line[]} */ ([...lines.values()]);
    const seen = all.filter(({ key }) => !set.hidden.has(key));
    hidden += all.length - seen.length;
    return seen.sort((one, other) => place(one) - place(other));
  });
  const mark = JSON.stringify([rows, columns, tabs].map((lines) => lines.map(({ key }) => key)));
  return { rows, columns, tabs, tileAt, hidden, mark };
}

/** What tells a line from its neighbours, in words. @param {Head} head @param {Line} line @param {string} [but] an axis to leave out */
function lineLabel(head, { ids, row, column }, but) {
  const { prompt, model, size } = head.rows[row];
  /** @type {{[axis: string]: string}} */
  const words = { prompt, model, size, seed: head.columns[column].label };
  const several = (/** @type {string} */ axis) => axis === "seed" || new Set(head.rows.map((one) => one[axis])).size > 1;
  return AXES.filter((axis) => axis in ids && axis !== but && several(axis)).map((axis) => words[axis]).join(" · ");
}

/** One picture large, or several compared, under one shared lens; arrows flip along rows and columns at the same place.
 * @param {Around} env */
function makeCloser(env) {
  let shown = /** @type {Tile[]} */ ([]);
  let mode = 0, active = 0, front = 0, split = 0.5, timer = 0;
  const lens = { scale: 1, x: 0, y: 0 };
  let panes = /** @type {Pane[]} */ ([]);
  /** @type {Map<Tile, HTMLImageElement>} */
  const images = new Map();

  const stage = make("div", { class: "qw-stage" });
  const divider = make("input", { type: "range", min: 0, max: 100, step: 1, "aria-label": "divider", class: "qw-divider" });
  const words = make("div", { class: "qw-words", "aria-live": "polite" });
  const level = button("fit, or one pixel to one", "", "qw-level", () => fitOrActual());
  const modes = MODES.map((name, at) => button(name, name, "qw-mode", () => setMode(at)));
  const modeBar = make("span", { class: "qw-modes", role: "group", "aria-label": "mode" }, ...modes, button("swap", "swap", "", swap));
  const marks = makeMarks((chosen) => env.choose(shown[active], chosen));
  const pick = tool("pick for compare", "pick", () => env.pick(shown[0]));
  const [back, forth] = /** @type {const} */ ([["previous", -1], ["next", 1]]).map(([name, by]) => tool(name, name, () => flip([0, by])));
  const el = make("dialog", { class: "qw-dialog qw-closer", "aria-label": "look closer", tabindex: -1 },
    stage, divider, make("div", { class: "qw-under" }, words, make("div", { class: "qw-tools" }, modeBar,
      make("span", {}, ...marks.els, pick, tool("go on from here", "more", () => env.more(shown[active]))),
      make("span", {}, tool("zoom out", "minus", () => zoomBy(0.8)), level, tool("zoom in", "plus", () => zoomBy(1.25))),
      make("span", {}, back, forth, tool("close", "close", () => el.close())))));
  on(el, "close", () => { window.clearInterval(timer); images.clear(); stage.replaceChildren(); env.closed(shown[active]); });
  on(divider, "input", () => { split = divider.valueAsNumber / 100; apply(); });
  const resized = new ResizeObserver(() => apply());
  resized.observe(stage);

  const comparing = () => shown.length > 1;
  const layered = () => comparing() && mode > 0;
  const way = () => layered() && MODES[mode];
  const cellOf = (/** @type {Tile} */ tile) => /** @type {Cell} */ (tile.cell);
  /** The scale at which a pixel of the picture is one of the screen. */
  const actual = () => (panes[0]?.width ? cellOf(shown[0]).width / window.devicePixelRatio / panes[0].width : 1);
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
    shown.push(/** @type {Tile} */ (shown.shift()));
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
    const img = images.get(tile) ?? make("img", { class: "qw-lens", draggable: "false" });
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
    return make("div", { class: `qw-layer${veiled ? " qw-veiled" : ""}` }, tile.url ? imageOf(tile) : told(cell),
      tile.url && veiled ? button("show it", "flagged by moderation: show", "qw-reveal", reveal) : null);
  }
  function draw() {
    if (!el.open || !shown.every((tile) => tile?.cell)) return;
    const groups = layered() ? [way() === "hover" || way() === "blink" ? shown : shown.slice(0, 2)] : shown.map((tile) => [tile]);
    stage.className = `qw-stage qw-${comparing() ? `by-${MODES[mode].split(" ")[0]}` : cellOf(shown[0]).state}`;
    const focused = panes.findIndex((pane) => pane.el === document.activeElement);
    panes = groups.map((tiles, at) => {
      const apart = comparing() && !layered();
      const own = apart ? { tabindex: 0, role: "group", "aria-label": `${LETTERS[at]}: ${cellOf(tiles[0]).alt}` } : {};
      const pane = make("div", { class: "qw-pane", ...own }, ...tiles.map(layer), apart ? make("span", { class: "qw-letter" }, LETTERS[at]) : null);
      const take = () => { if (apart && active !== at) { active = at; drawTools(); } };
      on(pane, "focus", take);
      on(pane, "pointerenter", take);
      return { el: pane, tiles, width: 0, height: 0 };
    });
    stage.replaceChildren(...panes.map((pane) => pane.el));
    if (focused >= 0) panes[Math.min(focused, panes.length - 1)].el.focus();
    window.clearInterval(timer);
    if (way() === "blink" && !stillness()) timer = window.setInterval(showNext, BLINK_EVERY);
    drawTools();
    apply();
  }
  function drawTools() {
    const { rows, columns } = env.head();
    aria(el, { label: comparing() ? `compare, ${MODES[mode]}` : "look closer" });
    modeBar.hidden = !comparing();
    divider.hidden = way() !== "slider";
    modes.forEach((press, at) => press.setAttribute("aria-pressed", String(at === mode)));
    const seen = shown.map((tile, at) => {
      const cell = cellOf(tile);
      const facts = [columns[tile.at[1]].label, cell.cost, cell.warning || (tile.url ? `${cell.width}×${cell.height}` : ""), choiceWords(env.choices.of(tile.at))];
      return make("div", { class: comparing() && at === active ? "qw-line qw-active" : "qw-line" }, comparing() ? make("span", { class: "qw-letter" }, LETTERS[at]) : null,
        make("div", {}, wholePrompt(rows[tile.at[0]]), make("small", {}, dots(...facts))));
    });
    // Said only when it is other words: a live region speaks of every change.
    const said = make("div", {}, ...seen);
    if (said.innerHTML !== words.firstElementChild?.innerHTML) words.replaceChildren(said);
    marks.draw(env.choices.of(shown[active].at));
    pick.hidden = comparing();
    aria(pick, { pressed: shown[0].el.matches(".qw-picked") });
    // Not `disabled`: that would throw the focus, and with it the arrow keys, out of the dialog.
    const stuck = (/** @type {Place} */ by) => String(shown.some((tile) => env.step(tile, by) === tile));
    aria(back, { disabled: stuck([0, -1]) });
    aria(forth, { disabled: stuck([0, 1]) });
  }

  /** Lay the lens over every pane. */
  function apply() {
    if (!el.open || !panes.length) return;
    const { clientWidth, clientHeight } = stage;
    const ratio = cellOf(shown[0]).width / cellOf(shown[0]).height || 1;
    const sizeWith = (/** @type {number} */ across) => Math.min(clientWidth / across, (clientHeight / Math.ceil(panes.length / across)) * ratio);
    const across = panes.reduce((best, _, at) => (sizeWith(at + 1) > sizeWith(best) ? at + 1 : best), 1);
    stage.style.gridTemplateColumns = `repeat(${across}, minmax(0, 1fr))`;
    lens.scale = bounded(lens.scale);
    panes.forEach((pane, order) => {
      const { clientWidth: wide, clientHeight: high } = pane.el;
      pane.tiles.forEach((tile, at) => {
        const cell = cellOf(tile);
        const width = Math.min(wide, (high * cell.width) / cell.height || 1), height = (width * cell.height) / cell.width || 1;
        if (!at) Object.assign(pane, { width, height });
        if (!at && !order) {
          lens.x = hold(lens.x, width, wide);
          lens.y = hold(lens.y, height, high);
        }
        const part = /** @type {HTMLElement} */ (pane.el.children[at]);
        const img = /** @type {HTMLElement | null} */ (part.querySelector("img"));
        if (layered()) {
          const sliding = way() === "slider" && at === 1;
          part.style.clipPath = sliding ? `inset(0 0 0 ${split * 100}%)` : "";
          part.style.visibility = way() === "hover" || way() === "blink" ? (at === front ? "visible" : "hidden") : "";
        }
        if (!img) return;
        Object.assign(img.style, { width: `${width}px`, height: `${height}px`, left: `${(wide - width) / 2}px`, top: `${(high - height) / 2}px`,
          transform: `translate(${lens.x * width}px, ${lens.y * height}px) scale(${lens.scale})`, imageRendering: lens.scale >= 3 * actual() ? "pixelated" : "" });
      });
    });
    divider.value = String(Math.round(split * 100));
    stage.style.setProperty("--qw-split", `${split * 100}%`);
    stage.classList.toggle("qw-zoomed", lens.scale > 1.01);
    level.textContent = `${Math.round((100 * lens.scale) / actual())}%`;
  }
  /** @param {number} offset @param {number} size @param {number} room */
  const hold = (offset, size, room) => {
    const limit = Math.max(0, (size * lens.scale - room) / 2) / size;
    return Math.max(-limit, Math.min(limit, offset));
  };
  /** Zoom so that what is under a point stays there. @param {number} factor @param {Pane} [pane] @param {number} [x] @param {number} [y] */
  function zoomBy(factor, pane = panes[0], x, y) {
    const box = pane.el.getBoundingClientRect();
    const px = x === undefined ? 0 : x - box.left - box.width / 2;
    const py = y === undefined ? 0 : y - box.top - box.height / 2;
    const scale = bounded(lens.scale * factor);
    const by = scale / lens.scale;
    lens.x = (px - (px - lens.x * pane.width) * by) / pane.width;
    lens.y = (py - (py - lens.y * pane.height) * by) / pane.height;
    lens.scale = scale;
    apply();
  }
  const fitOrActual = () => zoomBy((Math.abs(lens.scale - 1) > 0.01 ? 1 : actual()) / lens.scale);
  /** @param {number} x @param {number} y  CSS pixels */
  function pan(x, y, pane = panes[0]) {
    lens.x += x / pane.width;
    lens.y += y / pane.height;
    apply();
  }
  /** @param {{clientX: number, clientY: number}} point */
  const paneAt = ({ clientX, clientY }) => panes.find((pane) => {
    const box = pane.el.getBoundingClientRect();
    return clientX >= box.left && clientX <= box.right && clientY >= box.top && clientY <= box.bottom;
  });

  /** @type {Map<number, {x: number, y: number}>} */
  const fingers = new Map();
  let from = { x: 0, y: 0, sliding: false, many: false };
  const middle = () => {
    const all = [...fingers.values()];
    return { x: all.reduce((sum, { x }) => sum + x, 0) / all.length, y: all.reduce((sum, { y }) => sum + y, 0) / all.length,
      far: all.length > 1 ? Math.hypot(all[0].x - all[1].x, all[0].y - all[1].y) : 0 };
  };
  on(stage, "wheel", (event) => {
    event.preventDefault();
    zoomBy(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0015)), paneAt(event), event.clientX, event.clientY);
  }, { passive: false });
  on(stage, "dblclick", (event) => {
    zoomBy((lens.scale > 1.01 ? 1 : Math.max(2, actual())) / lens.scale, paneAt(event), event.clientX, event.clientY);
  });
  on(stage, "pointerdown", (event) => {
    if (event.button || (event.target instanceof Element && event.target.closest("button"))) return;
    stage.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    const box = stage.getBoundingClientRect();
    const near = Math.abs(event.clientX - box.left - split * box.width) < 24;
    from = { x: event.clientX, y: event.clientY, sliding: !divider.hidden && (near || lens.scale <= 1.01), many: fingers.size > 1 };
  });
  on(stage, "pointermove", (event) => {
    const box = stage.getBoundingClientRect();
    if (way() === "hover" && !fingers.size) {
      const zone = within(Math.floor(((event.clientX - box.left) / box.width) * shown.length), shown.length - 1);
      if (zone !== front) { front = active = zone; drawTools(); apply(); }
    }
    if (!fingers.has(event.pointerId)) return;
    const before = middle();
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    const now = middle();
    if (from.sliding && fingers.size === 1) {
      split = Math.max(0, Math.min(1, (event.clientX - box.left) / box.width));
      apply();
    } else {
      pan(now.x - before.x, now.y - before.y);
      if (before.far && now.far) zoomBy(now.far / before.far, paneAt(event), now.x, now.y);
    }
  });
  on(stage, "pointerup", (event) => {
    const across = event.clientX - from.x, level = Math.abs(across) > Math.max(60, Math.abs(event.clientY - from.y));
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
  return { el: el, open, draw, key, shows: (/** @type {Tile} */ tile) => shown.includes(tile), stop: () => { window.clearInterval(timer); resized.disconnect(); } };
}

/** Wins, ties and losses of every row that was voted on, the best first. @param {Vote[]} votes */
function winTable(votes) {
  /** @type {Map<number, number[]>} */
  const counts = new Map();
  for (const { one, other, winner } of votes) {
    for (const row of [one, other]) {
      const count = counts.get(row) ?? [0, 0, 0];
      count[winner < 0 ? 1 : winner === row ? 0 : 2]++;
      counts.set(row, count);
    }
  }
  return [...counts].map(([row, [wins, ties, losses]]) => ({ row, wins, ties, losses, share: (wins + ties / 2) / (wins + ties + losses) }))
    .sort((one, other) => other.share - one.share || one.row - other.row);
}

/** Two pictures of one seed, nothing said of which is which: the better one gets the vote.
 * @param {() => Head} head @param {(row: number, column: number) => Tile | undefined} tileOf
 * @param {ChoiceBook} choices @param {Originals} originals */
function makeVote(head, tileOf, choices, originals) {
  const { el, body, open } = makeDialog("blind vote", "qw-vote");
  let pairs = /** @type {{column: number, left: number, right: number}[]} */ ([]);
  let asking = false, count = 0;
  /** @param {number} row */
  const name = (row) => dots(head().rows[row].prompt, head().rows[row].note);
  function table() {
    const lines = winTable(choices.votes().filter(({ one, other }) => head().rows[one] && head().rows[other]));
    if (!lines.length) return "";
    return make("table", {}, make("caption", {}, `who wins, of ${plural(choices.votes().length, "vote")}`),
      make("thead", {}, make("tr", {}, ...["", "wins", "ties", "losses", "share"].map((word) => (word ? make("th", { scope: "col" }, word) : make("td"))))),
      make("tbody", {}, ...lines.map(({ row, wins, ties, losses, share }) => make("tr", {}, make("th", { scope: "row", dir: "auto" }, name(row)),
        ...[wins, ties, losses, `${Math.round(share * 100)}%`].map((value) => make("td", {}, String(value)))))));
  }
  function show() {
    asking = false;
    const boxes = head().rows.map((_, row) => make("input", { type: "checkbox", checked: true, "aria-label": name(row) }));
    const start = button("start", "Start", "qw-strong", () => {
      const rows = boxes.flatMap((box, row) => (box.checked ? [row] : []));
      const ready = (/** @type {number} */ row, /** @type {number} */ column) => tileOf(row, column)?.url;
      pairs = shuffle(head().columns.flatMap((_, column) => rows.flatMap((one, at) => rows.slice(at + 1).flatMap((other) => {
        const [left, right] = shuffle([one, other]);
        return ready(one, column) && ready(other, column) ? [{ column, left, right }] : [];
      }))));
      count = pairs.length;
      next();
    });
    body.replaceChildren(make("p", {}, "Two pictures of one seed at a time, the prompts hidden. Which rows take part?"),
      make("fieldset", {}, make("legend", { class: "qw-hidden" }, "rows"), ...boxes.map((box, row) => make("label", {}, box, make("span", { dir: "auto" }, name(row))))), start, table());
    open();
  }
  function next() {
    asking = pairs.length > 0;
    if (asking) draw();
    else {
      body.replaceChildren(make("p", { role: "status" }, count ? "That's all of them." : "There is no pair to show: two of the rows need a picture of the same seed."), table(), button("again", "Again", "", show));
    }
    el.focus();
  }
  function draw() {
    const { column, left, right } = pairs[0] ?? {};
    if (!asking || !el.open) return;
    const sides = [left, right].map((row, at) => {
      const tile = /** @type {Tile} */ (tileOf(row, column));
      const side = at ? "right" : "left";
      const veil = tile.cell?.flagged && !tile.revealed;
      return button(`the ${side} one is better`, make("img", { src: originals.get(tile, draw) || tile.url, alt: `the ${side} picture`, class: veil ? "qw-blur" : null }), "qw-side", () => vote(row));
    });
    body.replaceChildren(make("div", { class: "qw-pair" }, ...sides), make("p", { class: "qw-buttons" },
      make("small", { role: "status" }, `pair ${count - pairs.length + 1} of ${count}`), button("a tie", "a tie", "", () => vote(-1)),
      button("skip", "skip", "", skip), button("enough: show who wins", "enough", "", () => { pairs = []; next(); })));
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
    else if (name === "ArrowDown" || name === "t") vote(-1);
    else if (name === "s") skip();
    else return false;
    return true;
  }
  return { el, show, key };
}

/** All keys: what the footer shows comes first. */
const KEYS = [["←↑→↓", "move"], ["Enter", "look closer"], ["Space", "pick for compare"], ["K", "keep"], ["X", "reject"], ["1–5", "stars"], ["?", "all keys"]];
const MORE_KEYS = /** @type {[string, string[][]][]} */ ([
  ["in the grid", [["←↑→↓", "move; to the headers, too"], ["Home", "End", "first, last of the row"], ["Enter", "look closer"], ["Space", "pick for compare, or put back"], ["C", "compare what is picked"],
    ["K", "X", "keep, reject"], ["1–5", "stars, 0 takes them back"], [".", "go on from here: seed, prompt, cells to copy"], ["+", "−", "size of the pictures"], ["V", "view: size, rows, columns, tabs"], ["B", "blind vote"], ["Esc", "drop the picks"]]],
  ["on a row's or column's header", [["Shift+←↑→↓", "move it"], ["H", "hide it"]]],
  ["closer and compare", [["←↑→↓", "flip along the row, the column"], ["+", "−", "zoom; wheel and pinch, too"], ["Shift+←↑→↓", "pan; dragging, too"], ["F", "fit, or one pixel to one"], ["M", "next mode"], ["C", "swap"], ["Space", "the next one, in hover and blink"], ["Z", "Esc", "leave"]]],
  ["blind vote", [["←", "→", "the left, the right one is better"], ["↓", "a tie"], ["S", "skip"]]],
]);
/** @param {string[]} keys */
const keyLine = (keys) => make("span", {}, ...keys.slice(0, -1).map((key) => make("kbd", {}, key)), keys[keys.length - 1]);

/** @type {{[key: string]: Place}} Steps in rows and columns. */
const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0], Home: [0, -Infinity], End: [0, Infinity] };

/** Build the view of a store inside `host`. @param {Store} store @param {HTMLElement} host @returns {() => void} takes it all down */
export function mount(store, host) {
  const ending = new AbortController(), { signal } = ending;
  /** @type {Map<string, Tile>} */
  const tiles = new Map();
  /** @type {Map<Tile, Place>} Where the page shows it now. */
  const places = new Map();
  /** @type {Map<string, HTMLElement>} */
  const headers = new Map();
  const dressed = /** @type {WeakMap<Tile, string>} */ (new WeakMap());
  let picks = /** @type {Tile[]} */ ([]);
  let drawn = /** @type {Head} */ (/** @type {unknown} */ (undefined));
  let layout = /** @type {Layout} */ ({ rows: [], columns: [], tabs: [], tileAt: new Map(), hidden: 0, mark: "" });
  let current = /** @type {Place} what Tab comes to; -1 is a header */ ([0, 0]);
  let tab = "", zoom = 0, frame = 0, sharper = 0;
  const natural = () => ({ prompt: "rows", model: "rows", size: "rows", seed: "columns" });
  const set = { where: /** @type {{[axis: string]: string}} */ (natural()), order: /** @type {{[side: string]: string[]}} */ ({}), hidden: new Set() };

  const choices = makeChoices(store);
  const originals = makeOriginals(store);
  const header = makeHeader({ compare, vote: () => vote.show(), view: showView }, store);
  const tabList = make("div", { class: "qw-tabs", role: "tablist", "aria-label": "tabs" });
  const grid = make("div", { class: "qw-grid", role: "grid", "aria-multiselectable": "true" });
  const scroller = make("div", { class: "qw-scroll" }, grid);
  const status = make("div", { class: "qw-hidden", role: "status", "aria-live": "polite" });
  const said = make("div", { class: "qw-hidden qw-said", "aria-live": "polite" });
  const size = make("input", { type: "range", min: 0, max: 100, step: 1, value: 0, "aria-label": "size of the pictures", title: "size of the pictures: + and −" });
  const actions = makeActions(store);
  const vote = makeVote(() => drawn, (row, column) => tiles.get(`${row},${column}`), choices, originals);
  const view = makeDialog("view", "qw-view");
  const keys = makeDialog("keys", "qw-keys");
  keys.body.append(...MORE_KEYS.map(([name, lines]) => make("section", {}, make("h2", {}, name), ...lines.map(keyLine))));
  const closer = makeCloser({
    head: () => drawn, choices, originals, choose, pick, more: (tile) => actions.show(tile, drawn),
    moved: (tile) => select(places.get(tile) ?? current),
    closed: (tile) => { elAt(places.get(tile) ?? current)?.focus(); },
    step(tile, [down, right]) {
      const at = places.get(tile);
      if (!at) return undefined;
      const { rows, columns } = layout;
      const next = tileAt([within(at[0] + down, rows.length - 1), within(at[1] + right, columns.length - 1)]);
      return next?.cell && next.cell.state !== "blank" ? next : tile;
    },
  });
  const footer = make("footer", { class: "qw-footer" }, ...KEYS.slice(0, -1).map(keyLine), button("all keys", keyLine(KEYS[KEYS.length - 1]), "qw-plain", keys.open),
    make("label", { class: "qw-size" }, icon("minus"), size, icon("plus")));
  const root = make("div", { class: "qw-viewer" }, header.el, tabList, scroller, footer, status, said, closer.el, actions.el, vote.el, view.el, keys.el);
  const clock = stopwatch(() => tiles.values());
  const voice = speaker(status);

  // The strips of small actions: one of each, which goes where the pointer or the focus is.
  const marks = makeMarks((chosen) => stripTile && choose(stripTile, chosen));
  let stripTile = /** @type {Tile | undefined} */ (undefined);
  const onStrip = (/** @type {(tile: Tile) => void} */ act) => () => { if (stripTile) act(stripTile); };
  const seedChip = button("copy the seed", "", "qw-chip", onStrip((tile) => copy(drawn.columns[tile.at[1]].seed, seedChip)));
  const strip = make("div", { class: "qw-strip" }, ...marks.els, seedChip,
    tool("pick for compare", "pick", onStrip(pick), "qw-pick"), tool("go on from here", "more", onStrip((tile) => actions.show(tile, drawn)), "qw-go"));
  let stripHeader = /** @type {HTMLElement | null} */ (null);
  const onHeader = (/** @type {(at: Place) => void} */ act) => () => { if (stripHeader) act(placeOf(stripHeader)); };
  const headStrip = make("div", { class: "qw-head-strip" }, tool("move back", "previous", onHeader((at) => move(at, -1))),
    tool("move on", "next", onHeader((at) => move(at, 1))), tool("hide", "hide", onHeader(hide)));
  for (const one of [strip, headStrip]) {
    // Pressing a button there leaves the focus where it is: the strip may go, and the focus with it.
    on(one, "pointerdown", (event) => event.preventDefault());
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
    const { rows, columns } = layout;
    return tiles.get(layout.tileAt.get([rows[row]?.key, columns[column]?.key, tab].join("|")) ?? "");
  }
  /** The row's or column's header, or the tile, that an event is about. @param {EventTarget | null} target @returns {HTMLElement | null} */
  const itemOf = (target) => (target instanceof Element ? target.closest(".qw-row > [tabindex]") : null);
  const tileOf = (/** @type {Element | null} */ el) => (el?.classList.contains("qw-tile") ? tileAt(placeOf(el)) : undefined);

  /** Make `at` the one tab stop. @param {Place} at */
  function select(at) {
    elAt(current)?.setAttribute("tabindex", "-1");
    current = at;
    elAt(current)?.setAttribute("tabindex", "0");
  }
  /** @param {Place} by */
  function step([down, right]) {
    const { rows, columns } = layout;
    const row = Math.max(-1, Math.min(current[0] + down, rows.length - 1));
    const column = Math.max(right === -Infinity ? 0 : -1, Math.min(current[1] + right, columns.length - 1));
    if (row < 0 && column < 0) return;
    select([row, column]);
    elAt(current)?.focus();
  }
  /** @param {Tile} tile @param {Chosen} chosen */
  function choose(tile, chosen) {
    if (!tile.url) return;
    choices.choose(tile.at, chosen);
    refresh();
    said.textContent = choiceWords(choices.of(tile.at)) || "nothing chosen";
  }
  /** @param {Tile} tile */
  function pick(tile) {
    if (!tile.url) return;
    if (picks.includes(tile)) picks = picks.filter((one) => one !== tile);
    else if (picks.length < MOST_PICKS) picks.push(tile);
    else { said.textContent = `${MOST_PICKS} at most`; return; }
    said.textContent = `${plural(picks.length, "picture")} picked`;
    refresh();
  }
  function compare() {
    if (picks.length > 1) closer.open([...picks]);
    else said.textContent = "pick two pictures with Space first";
  }
  /** Look closer at a tile; one that moderation flagged is shown in its place first. @param {Tile} tile */
  function look(tile) {
    if (!tile.cell || tile.cell.state === "blank") return;
    if (tile.cell.flagged && tile.url && !tile.revealed) {
      tile.revealed = true;
      drawTile(tile, drawn.rows[tile.at[0]]);
      dress(tile, true);
    } else closer.open([tile]);
  }

  /** Give a tile its marks: letter, stars, kept or rejected. @param {Tile} tile @param {boolean} [anew] */
  function dress(tile, anew) {
    const { el, cell, at } = tile;
    if (!cell) return;
    const choice = choices.of(at), words = choiceWords(choice), letter = LETTERS[picks.indexOf(tile)] ?? "";
    const mark = letter + words;
    if (!anew && dressed.get(tile) === mark) return;
    dressed.set(tile, mark);
    const veiled = cell.flagged && tile.url && !tile.revealed;
    el.className = ["qw-tile", `qw-${cell.state}`, letter && "qw-picked", choice.mark && `qw-${choice.mark}`, veiled && "qw-veiled"].filter(Boolean).join(" ");
    aria(el, { label: [cell.alt, cell.warning, veiled && "flagged by moderation", words, letter && `picked ${letter}`].filter(Boolean).join(", ") });
    aria(el, { selected: Boolean(letter) });
    el.title = hasWords(cell) ? [cell.title, cell.reason, cell.paid, cell.next_step].filter(Boolean).join("\n") : [drawn.columns[at[1]].label, cell.cost, cell.warning].filter(Boolean).join(" · ");
    el.querySelector(".qw-marks")?.remove();
    if (mark && tile.url) {
      el.firstElementChild?.append(make("div", { class: "qw-marks" }, letter ? make("span", { class: "qw-letter" }, letter) : null,
        choice.stars || choice.mark === "keep" ? make("span", { class: "qw-given" }, choice.mark === "keep" ? icon("keep") : null, ...starIcons(choice.stars)) : null));
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
  /** Bring marks, header and the open views up to picks and choices. */
  function refresh() {
    picks = picks.filter((tile) => tile.url && tiles.has(tile.at.join()));
    for (const tile of tiles.values()) dress(tile);
    header.picked(picks.length);
    closer.draw();
  }

  /** Move a row or a column by one. @param {Place} at @param {number} by */
  function move(at, by) {
    const side = at[0] < 0 ? "columns" : "rows", from = Math.max(...at);
    const keysNow = layout[side].map(({ key }) => key);
    if (!(from + by in keysNow)) return;
    keysNow.splice(from + by, 0, ...keysNow.splice(from, 1));
    set.order[side] = keysNow;
    arrange();
    select(side === "rows" ? [from + by, -1] : [-1, from + by]);
    elAt(current)?.focus();
  }
  /** Hide a row or a column; the last one stays. @param {Place} at */
  function hide(at) {
    const side = at[0] < 0 ? "columns" : "rows";
    const lines = layout[side];
    if (lines.length < 2) return;
    set.hidden.add(lines[Math.max(...at)].key);
    said.textContent = "hidden";
    arrange();
    elAt(current)?.focus();
  }
  function showHidden() {
    set.hidden.clear();
    arrange();
    elAt(current)?.focus();
  }

  function showView() {
    const { rows, columns } = drawn;
    const several = AXES.filter((axis) => (axis === "seed" ? columns.length : new Set(rows.map((row) => row[axis])).size) > 1);
    const selects = several.map((axis) => {
      const choose = make("select", { "aria-label": axis }, ...["rows", "columns", "tabs"].map((side) => make("option", { selected: set.where[axis] === side }, side)));
      on(choose, "change", () => { set.where[axis] = choose.value; arrange(); });
      return make("label", {}, make("span", {}, `${axis}s as`), choose);
    });
    const reset = () => { Object.assign(set, { where: natural(), order: {} }); set.hidden.clear(); setZoom(0); arrange(); view.el.close(); };
    const save = button("save as a page", "Save as a page", "", async () => {
      const { buffers: [bytes] } = await store.ask("page");
      if (!bytes) { save.textContent = "not possible here"; return; }
      const link = make("a", { href: URL.createObjectURL(new Blob([bytes], { type: "text/html" })), download: `${drawn.title || "grid"}.html` });
      link.click();
      URL.revokeObjectURL(link.href);
    });
    view.body.replaceChildren(...selects, make("p", { class: "qw-buttons" }, layout.hidden ? button("show all that is hidden", `Show ${layout.hidden} hidden`, "", () => { showHidden(); view.el.close(); }) : null,
      button("as it was", "As it was", "", reset), store.send ? save : null));
    view.open();
  }
  /** From 0, as wide as fits well, and small, to 100, one picture across. @param {number} value */
  function setZoom(value) {
    zoom = within(value, 100);
    size.value = String(zoom);
    aria(size, { valuetext: zoom ? `${zoom} of 100` : "as fits" });
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
        if (!img?.naturalWidth || !box || box.bottom < seen.top || box.top > seen.bottom || box.right < seen.left || box.left > seen.right) continue;
        if (img.naturalWidth >= 0.8 * box.width * window.devicePixelRatio) continue;
        const src = originals.get(tile, sharpen);
        if (src && img.src !== src) img.src = src;
      }
    });
  }

  /** @param {number} row @param {number} column */
  function newTile(row, column) {
    const el = make("div", { role: "gridcell", class: "qw-tile", tabindex: -1 });
    const tile = /** @type {Tile} */ ({ el, at: [row, column], cell: undefined, bytes: undefined, url: "", revealed: false });
    tiles.set(`${row},${column}`, tile);
    return tile;
  }
  /** @param {"row" | "column"} side @param {Line} line */
  function headerOf(side, { key }) {
    const name = `${side} ${key}`;
    if (!headers.has(name)) headers.set(name, make("div", { class: `qw-${side}-header`, role: `${side}header`, tabindex: -1 }));
    return /** @type {HTMLElement} */ (headers.get(name));
  }
  /** @param {HTMLElement} el @param {Line} line */
  function drawHeader(el, line) {
    const row = drawn.rows[line.row];
    const whole = "prompt" in line.ids && "model" in line.ids && "size" in line.ids;
    const note = whole ? dots(row.note, row.tally) : lineLabel(drawn, line, "prompt");
    const mark = JSON.stringify([line.ids, row.parts, note, lineLabel(drawn, line)]);
    if (el.dataset.mark === mark) return;
    el.dataset.mark = mark;
    if ("prompt" in line.ids) {
      el.title = row.prompt;
      el.replaceChildren(make("div", { class: "qw-prompt", dir: "auto" }, marked(row.parts)), note ? make("small", {}, note) : "");
    } else el.replaceChildren(make("span", { class: "qw-label", dir: "auto" }, lineLabel(drawn, line) || "all"));
    if (el === stripHeader) el.append(headStrip);
  }
  /** Lay the tiles out. Where nothing has moved, everything stays in place, with its focus. */
  function arrange() {
    const before = layout.mark + tab;
    layout = layOut(drawn, set);
    const { rows, columns, tabs } = layout;
    if (!tabs.some(({ key }) => key === tab)) tab = tabs[0].key;
    if (layout.mark + tab !== before) build();
    rows.forEach((line) => drawHeader(headerOf("row", line), line));
    columns.forEach((line) => drawHeader(headerOf("column", line), line));
    const corner = grid.firstElementChild?.firstElementChild;
    const words = layout.hidden ? `${layout.hidden} hidden: show` : "";
    if (corner?.textContent !== words) corner?.replaceChildren(words ? button("show what is hidden", words, "qw-plain", showHidden) : "");
    grid.setAttribute("aria-label", ["rows", "columns"].map((side) => `${AXES.filter((axis) => set.where[axis] === side).join(", ") || "all"} as ${side}`).join("; "));
  }
  function build() {
    const { rows, columns, tabs } = layout;
    const focused = grid.contains(document.activeElement) ? /** @type {HTMLElement} */ (document.activeElement) : null;
    places.clear();
    const body = rows.map((line, row) => make("div", { class: "qw-row", role: "row" }, headerOf("row", line), ...columns.map((_, column) => {
      const tile = tileAt([row, column]);
      if (tile) places.set(tile, [row, column]);
      return tile?.el ?? make("div", { role: "gridcell", class: "qw-tile qw-blank", tabindex: -1, "aria-label": "not asked for" }, make("div", { class: "qw-box" }));
    })));
    grid.replaceChildren(make("div", { class: "qw-row qw-top", role: "row" }, make("div", { class: "qw-column-header", role: "gridcell" }), ...columns.map((line) => headerOf("column", line))), ...body);
    grid.style.setProperty("--qw-columns", String(columns.length));
    grid.classList.toggle("qw-words-across", columns.some(({ ids }) => "prompt" in ids));
    tabList.hidden = tabs.length < 2;
    tabList.replaceChildren(...tabs.map((line) => {
      const on = line.key === tab, label = lineLabel(drawn, line);
      const press = button(label, label, "", () => { showTab(line.key); });
      press.setAttribute("role", "tab");
      press.setAttribute("dir", "auto");
      aria(press, { selected: on });
      press.tabIndex = on ? 0 : -1;
      return press;
    }));
    for (const el of grid.querySelectorAll('[tabindex="0"]')) el.setAttribute("tabindex", "-1");
    if (focused?.isConnected) current = placeOf(focused);
    const at = /** @type {Place} */ ([Math.min(current[0], rows.length - 1), Math.min(current[1], columns.length - 1)]);
    select(Math.max(...at) < 0 ? [0, 0] : at);
    if (focused) elAt(current)?.focus();
  }
  /** @param {string} key */
  function showTab(key) {
    tab = key;
    build();
    arrange();
    /** @type {HTMLElement | null} */ (tabList.querySelector('[tabindex="0"]'))?.focus();
    sharpen();
  }

  /** Bring the page up to the store: at most once a frame, and only what changed. */
  function draw() {
    frame = 0;
    const head = store.head();
    if (!head) return;
    const before = drawn;
    drawn = head;
    if (head !== before) {
      for (const [key, tile] of tiles) {
        if (tile.at[0] < head.rows.length && tile.at[1] < head.columns.length) continue;
        setPicture(tile, undefined);
        tiles.delete(key);
      }
      head.rows.forEach((_, row) => head.columns.forEach((__, column) => tiles.get(`${row},${column}`) ?? newTile(row, column)));
      header.draw(head);
      voice.say(head);
      arrange();
    }
    for (let place = 0; place < head.places; place++) {
      const cell = store.cell(place);
      const tile = cell && tiles.get(`${cell.row},${cell.column}`);
      const bytes = store.picture(place);
      if (!tile || (tile.cell === cell && tile.bytes === bytes)) continue;
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
    clock.tick();
  }

  /** Unless it was asked for, a thumbnail isn't shown much larger than it is; a tall one is held by its height. */
  function limitTiles() {
    const widest = Math.max(...[...tiles.values()].map(({ cell }) => (cell && cell.state !== "blank" ? (320 * cell.width) / cell.height : 0)));
    const limit = Math.round(Math.max(112, Math.min(280, widest || 280)));
    grid.style.setProperty("--qw-widest", `${limit}px`);
    const columns = layout.columns.length ?? 1;
    root.style.maxWidth = zoom ? "" : `${Math.max(640, 220 + columns * (limit + 6))}px`;
  }

  /** @param {string} name @param {boolean} shift @param {Element} target */
  function onGridKey(name, shift, target) {
    const tile = tileOf(target);
    const onHeading = !tile && !target.classList.contains("qw-tile");
    const by = STEPS[name];
    if (by && shift && onHeading && Math.abs(by[0] + by[1]) === 1) move(current, by[0] + by[1]);
    else if (by && !shift) step(by);
    else if (name === "h" && onHeading) hide(current);
    else if (!tile) return false;
    else if (name === "Enter") look(tile);
    else if (name === " ") pick(tile);
    else if (chosenBy(name, choices.of(tile.at))) choose(tile, /** @type {Chosen} */ (chosenBy(name, choices.of(tile.at))));
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
    if (target.matches("input, select, textarea") && name !== "?") return;
    if (target.matches("button") && (name === "Enter" || name === " ")) return;
    const dialog = root.querySelector("dialog[open]:not(.qw-closer)");
    let taken = false;
    if (dialog) {
      taken = dialog === vote.el && vote.key(name);
      if (name === "Escape" || (name === "?" && dialog === keys.el)) { /** @type {HTMLDialogElement} */ (dialog).close(); taken = true; }
    } else if (closer.el.open) {
      taken = closer.key(name, event.shiftKey) || (name === "?" && onAnyKey(name));
    } else if (target.getAttribute("role") === "tab" && STEPS[name]) {
      const lines = layout.tabs ?? [];
      const next = lines[within(lines.findIndex(({ key }) => key === tab) + Math.sign(STEPS[name][0] + STEPS[name][1]), lines.length - 1)];
      if (next) showTab(next.key);
      taken = true;
    } else {
      taken = (itemOf(target) === target && onGridKey(name, event.shiftKey, target)) || onAnyKey(name);
    }
    if (taken) event.preventDefault();
  }

  on(root, "keydown", onKey, { signal });
  on(grid, "focusin", ({ target }) => {
    const item = itemOf(target);
    if (item) { select(placeOf(item)); showStrip(item); }
  }, { signal });
  on(grid, "pointerover", ({ target, pointerType }) => {
    const item = itemOf(target);
    // A finger has no hover: its tap looks closer, and all is there.
    if (item && pointerType !== "touch") showStrip(item);
  }, { signal });
  on(grid, "pointerleave", () => { const item = itemOf(document.activeElement); if (item) showStrip(item); }, { signal });
  on(grid, "click", ({ target, shiftKey, ctrlKey, metaKey }) => {
    const item = itemOf(target), tile = tileOf(item);
    if (!item) return;
    item.focus();
    if (tile) (shiftKey || ctrlKey || metaKey ? pick : look)(tile);
  }, { signal });
  /** @param {HTMLElement} item */
  function showStrip(item) {
    const tile = tileOf(item);
    if (tile?.cell && tile.cell.state !== "blank") putStrip(tile);
    else if (item.matches(".qw-row-header, .qw-column-header")) {
      stripHeader = item;
      if (headStrip.parentElement !== item) item.append(headStrip);
    }
  }
  on(size, "input", () => setZoom(size.valueAsNumber), { signal });
  on(scroller, "scroll", sharpen, { signal, passive: true });
  const unwatch = store.watch(() => { choices.settle(); frame ||= requestAnimationFrame(draw); });
  host.append(root);
  header.picked(0);
  draw();

  return () => {
    unwatch();
    ending.abort();
    cancelAnimationFrame(frame);
    cancelAnimationFrame(sharper);
    clock.stop();
    voice.stop();
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
