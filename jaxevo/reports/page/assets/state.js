// What is selected and filtered: one state that all figures share and that stands in the address.

/** @typedef {{selected: number, mutation: string, line: string, x: string, y: string}} View */

/** @type {View} */
const view = { selected: best, mutation: "", line: "", x: "event", y: "validation" };
const defaults = { ...view };

/** @type {((changed: "selection" | "filter" | "axes" | "theme") => void)[]} */
const listeners = [];

/** Calls a function after every change. @param {(typeof listeners)[number]} listener */
function onChange(listener) {
  listeners.push(listener);
}

/** @param {"selection" | "filter" | "axes" | "theme"} changed */
function tell(changed) {
  if (changed !== "theme") writeAddress();
  for (const listener of listeners) listener(changed);
}

/** Selects an individual. @param {number} place */
function select(place) {
  if (place < 0 || place >= count || place === view.selected) return;
  view.selected = place;
  if (view.line === "selected") shown = filtered();
  tell("selection");
  if (view.line === "selected") tell("filter");
}

/** @param {Partial<View>} changes */
function filter(changes) {
  Object.assign(view, changes);
  shown = filtered();
  tell("filter");
}

/** The places that pass the filters. @returns {Set<number> | null} null if all pass */
function filtered() {
  if (!view.mutation && !view.line) return null;
  const passing = new Set();
  const line = view.line === "winner" ? inWinnersLine : view.line === "selected" ? family(view.selected) : null;
  for (let place = 0; place < count; place++) {
    if (line && !line.has(place)) continue;
    if (view.mutation && !mutationNames(place).includes(view.mutation)) continue;
    passing.add(place);
  }
  return passing;
}

/** Returns the ancestors and descendants of an individual, and itself. @param {number} place */
function family(place) {
  const found = new Set(place < 0 ? [] : lineage(place));
  const open = place < 0 ? [] : [place];
  for (let one = open.pop(); one !== undefined; one = open.pop()) {
    found.add(one);
    open.push(...children[one]);
  }
  return found;
}

/** @type {Set<number> | null} */
let shown = null;

/** @param {number} place */
const isShown = (place) => shown === null || shown.has(place);

function writeAddress() {
  const parts = new URLSearchParams();
  if (view.selected !== defaults.selected) parts.set("individual", String(columns.id[view.selected]));
  for (const name of /** @type {const} */ (["mutation", "line", "x", "y"])) {
    if (view[name] !== defaults[name]) parts.set(name, view[name]);
  }
  const text = parts.toString();
  history.replaceState(null, "", text ? `#${text}` : `${location.pathname}${location.search}`);
}

function readAddress() {
  const parts = new URLSearchParams(location.hash.slice(1));
  const place = columns.id.indexOf(Number(parts.get("individual") || NaN));
  view.selected = place === -1 ? best : place;
  const names = new Set(story.tried.map(([name]) => name));
  view.mutation = names.has(parts.get("mutation") ?? "") ? String(parts.get("mutation")) : "";
  view.line = ["winner", "selected"].includes(parts.get("line") ?? "") ? String(parts.get("line")) : "";
  view.x = Object.hasOwn(X_AXES, parts.get("x") ?? "") ? String(parts.get("x")) : "event";
  view.y = parts.get("y") === "test" ? "test" : "validation";
  shown = filtered();
}

/** The next individual in the order of events that passes the filters. @param {number} step */
function neighbour(step) {
  for (let place = view.selected + step; place >= 0 && place < count; place += step) {
    if (isShown(place)) return place;
  }
  return view.selected;
}

/** Moves the selection by a key; returns true if the key means something. @param {string} key */
function moveByKey(key) {
  const offspring = view.selected === NONE ? [] : children[view.selected];
  /** @type {Record<string, () => number>} */
  const moves = {
    ArrowRight: () => neighbour(1),
    ArrowLeft: () => neighbour(-1),
    ArrowUp: () => (view.selected === NONE ? NONE : columns.parent[view.selected]),
    ArrowDown: () => offspring.reduce((one, other) => (fitter(other, one) ? other : one), offspring[0] ?? NONE),
    Home: () => 0,
    End: () => best,
  };
  if (!(key in moves)) return false;
  select(moves[key]());
  return true;
}

/** @param {number} one @param {number} other */
const fitter = (one, other) => other === NONE || columns.validation[one] > columns.validation[other];
