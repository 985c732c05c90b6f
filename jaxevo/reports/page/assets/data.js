// The data of the run, and their types.

/** @typedef {{id: number[], parent: number[], mutation: number[], validation: number[], test: (number | null)[],
 *   failure: number[], death: number[], inherits: number[], virtual: number[], elapsed: number[], train: number[],
 *   compile: number[], flops: number[], parameters: number[], image_flops: number[], learning_rate: number[],
 *   drawing: number[]}} Columns */
/** @typedef {[title: string, detail: string, shape: number[], label: string, shaded: number]} Box */
/** @typedef {[boxes: number[], skips: [number, number][]]} Drawing */
/** @typedef {{title: string, kind: string, lines: Record<string, (number | null)[]>,
 *   band: (number | null)[][]}} Curve */
/** @typedef {[name: string, tried: number, improved: number, survived: number, winning: number,
 *   change: number | null]} Tried */
/** @typedef {{height: number, width: number, channels: number, pixels: string, label: number, predicted: number,
 *   probability: number}} WrongImage */
/** @typedef {{classes: string[], confusion: number[][], accuracy: number, majority: number, linear: number | null,
 *   images: number, by_class: [right: number, all: number][], confused: [label: number, predicted: number,
 *   images: number][], wrong: WrongImage[]}} Winner */
/** @typedef {{wall: number, train: number, compile: number, wait: number, lanes: number, busy: number[][],
 *   sessions: number, lost: number}} Times */
/** @typedef {{settings: [string, string, boolean][], machine: [string, string][], shell: string, python: string,
 *   from_path: boolean, fingerprint: string, data_fingerprint: string, reproducible: boolean, fast: boolean,
 *   skipped: number[]}} Repeat */
/** @typedef {{steps: number, seconds: number, share: number, evolved: number | null, finished: number | null,
 *   failure: string}} Finish */
/** @typedef {{dataset: string, seed: number, events: number, best: number, state: string, live: boolean,
 *   reload_seconds: number, total_flops: number, classes: number, image_shape: number[], columns: Columns,
 *   mutations: string[], failures: string[], summary: Record<string, (number | string)[]>, boxes: Box[],
 *   drawings: Drawing[], measures: Record<string, number | null>, tried: Tried[],
 *   curves: {moments: number[], charts: Curve[]}, times: Times, repeat: Repeat, winner: Winner | null,
 *   winner_note: string, finish: Finish | null}} Story */

const NONE = -1;

/** @type {Story} */
const story = JSON.parse(/** @type {HTMLElement} */ (document.getElementById("data")).textContent || "");
const columns = story.columns;
const count = story.events;
const best = story.best;

/** The children of each individual, by place. @type {number[][]} */
const children = Array.from({ length: count }, () => []);
columns.parent.forEach((parent, place) => {
  if (parent !== NONE) children[parent].push(place);
});

/** Cumulative FLOPs after each event. */
const totalFlops = (() => {
  let sum = 0;
  return columns.flops.map((flops) => (sum += flops));
})();

/** Returns the ancestors of an individual, the oldest first, and itself. @param {number} place */
function lineage(place) {
  const line = [];
  for (let one = place; one !== NONE; one = columns.parent[one]) line.push(one);
  return line.reverse();
}

const winnersLine = best === NONE ? [] : lineage(best);
const inWinnersLine = new Set(winnersLine);

/** @param {number} place */
const isAlive = (place) => columns.death[place] === 0;
/** @param {number} place */
const hasFailed = (place) => columns.failure[place] !== NONE;
/** @param {number} place */
const mutationOf = (place) => (columns.mutation[place] === NONE ? "" : story.mutations[columns.mutation[place]]);
/** @param {number} place */
const mutationNames = (place) => (mutationOf(place) ? mutationOf(place).split("+") : []);
