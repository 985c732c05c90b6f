// Several runs beside each other.

/** @typedef {{name: string, control: boolean, seeds: number[], moments: number[], mean: (number | null)[],
 *   half: (number | null)[], final: number | null, final_half: number | null, flops: number, wall: number}} Group */
/** @typedef {{name: string, group: string, seed: number, events: number, validation: number | null,
 *   test: number | null, parameters: number, flops: number, wall: number}} ComparedRun */
/** @typedef {{groups: string[], pairs: number, difference: number | null, p: number | null,
 *   smallest: number | null}} PairTest */
/** @typedef {{differing: string[], copies: [copy: string, original: string][], groups: Group[], runs: ComparedRun[],
 *   tests: PairTest[]}} Comparison */

/** Colours that differ in lightness too; each group has a pattern of its own besides. */
const KINDS = 6;

/** @param {Comparison} found */
function comparePage(found) {
  document.title = `${found.runs.length} runs compared`;
  at("title").textContent = `${found.runs.length} runs compared`;
  at("subtitle").textContent = differences(found);
  const frame = at("courses");
  const draw = () => frame.replaceChildren(coursesChart(found.groups, frame.clientWidth));
  new ResizeObserver(draw).observe(frame);
  at("legend").append(...found.groups.map((group, number) => h("span", { class: "entry" },
    s("svg", { width: 26, height: 8, "aria-hidden": "true" },
      s("line", { class: lineClass(group, number), x2: 26, y1: 4, y2: 4 })),
    ` ${group.name}${group.control ? " (control)" : ""}`)));
  at("groups").append(tableOf(
    ["group", "runs", "seeds", "test accuracy", "95 % interval", "FLOPs a run", "wall time a run"],
    found.groups.map((group) => [group.name + (group.control ? " (control)" : ""), plain(group.seeds.length),
      group.seeds.join(", "), percent(group.final, 2),
      group.final_half === null ? "–" : `± ${(100 * group.final_half).toFixed(2)}`, short(group.flops),
      duration(group.wall)])));
  at("notes").textContent = repeats(found);
  at("tests").append(found.tests.some(({ pairs }) => pairs) ? tableOf(
    ["groups", "pairs of equal seeds", "mean difference", "p", "smallest p that is possible"],
    found.tests.filter(({ pairs }) => pairs).map((test) => [test.groups.join(" against "), plain(test.pairs),
      test.difference === null ? "–" : `${points(test.difference)} points`, chance(test.p), chance(test.smallest)]))
    : h("p", { class: "soft" }, "No two groups have runs of equal seeds."));
  at("runs").append(tableOf(
    ["run", "group", "seed", "individuals", "validation", "test", "parameters", "FLOPs", "wall time"],
    found.runs.map((run) => [run.name, run.group, String(run.seed), plain(run.events), percent(run.validation, 2),
      percent(run.test, 2), plain(run.parameters), short(run.flops), duration(run.wall)])));
}

/** Tells in what the runs differ, and how long they are. @param {Comparison} found */
function differences({ differing, runs }) {
  const seeds = new Set(runs.map(({ seed }) => seed));
  const settings = differing.length ? `They differ in ${differing.map(readable).join(", ")}.`
    : seeds.size > 1 ? "Their settings differ in the seeds alone." : "Their settings and seeds are the same.";
  const individuals = range(runs.map(({ events }) => events), plain);
  return `${settings} Individuals a run: ${individuals}. FLOPs a run: ${range(runs.map(({ flops }) => flops), short)}.`;
}

/** @param {number[]} values @param {(value: number) => string} text */
function range(values, text) {
  const [least, most] = [text(Math.min(...values)), text(Math.max(...values))];
  return least === most ? least : `${least} to ${most}`;
}

/** Tells which runs are left out, and which seeds were run more than once. @param {Comparison} found */
function repeats({ copies, groups }) {
  const left = copies.map(([copy, original]) =>
    `${copy} is left out: by its fingerprint it is the same run as ${original}.`);
  const repeated = groups.flatMap(({ name, seeds }) => {
    const again = [...new Set(seeds.filter((seed, place) => seeds.indexOf(seed) !== place))];
    const which = `${again.length > 1 ? "each of the seeds" : "seed"} ${again.join(", ")}`;
    return again.length ? [`The group “${name}” has several runs of ${which}: all count in its mean and interval, and `
      + "a test takes their mean."] : [];
  });
  return [...left, ...repeated].join(" ");
}

/** @param {Group} group @param {number} number */
const lineClass = (group, number) => `course kind${number % KINDS}${group.control ? " control" : ""}`;

/** @param {number | null} value */
const chance = (value) => (value === null ? "–" : value < 0.001 ? value.toExponential(1) : value.toFixed(4));

/** @param {Group[]} groups @param {number} width */
function coursesChart(groups, width) {
  const [height, left, right, top, floor] = [380, 46, 14, 22, 340];
  const x = scaleOf([1, ...groups.flatMap(({ moments }) => moments)], left, width - right, { ticks: 7 });
  const edges = groups.flatMap(({ mean, half }) => mean.flatMap((value, place) => (value === null ? []
    : [value - (half[place] ?? 0), value + (half[place] ?? 0)])));
  const inside = edges.map((edge) => Math.min(1, Math.max(0, edge)));
  const y = scaleOf(inside, floor, top, { text: (tick) => percent(tick, 0) });
  const at = (/** @type {number} */ moment, /** @type {number} */ value) =>
    `${x.to(moment).toFixed(1)} ${y.to(Math.min(1, Math.max(0, value))).toFixed(1)}`;
  return s("svg", { width, height, role: "img", "aria-label": `Test accuracy over events. ${groups.map((group) =>
    `${group.name}: at last ${percent(group.final)}`).join("; ")}.` },
  ...y.ticks.flatMap((tick) => [
    s("line", { class: "grid", x1: left, x2: width - right, y1: y.to(tick), y2: y.to(tick) }),
    s("text", { class: "tick", x: left - 8, y: y.to(tick) + 3.5, "text-anchor": "end" }, y.text(tick))]),
  ...x.ticks.map((tick) => s("text", { class: "tick", x: x.to(tick), y: floor + 18,
    "text-anchor": x.to(tick) > width - 30 ? "end" : "middle" }, x.text(tick))),
  s("line", { class: "axis", x1: left, x2: width - right, y1: floor, y2: floor }),
  s("text", { class: "name", x: width - right, y: floor + 35, "text-anchor": "end" }, "event →"),
  s("text", { class: "name", x: 0, y: 10 }, "↑ test accuracy of the best by validation"),
  ...groups.map(({ moments, mean, half }, number) => {
    const known = moments.map((_, place) => place).filter((place) => mean[place] !== null && half[place] !== null);
    if (!known.length) return null;
    const edge = (/** @type {number} */ sign) => known.map((place) =>
      at(moments[place], Number(mean[place]) + sign * Number(half[place])));
    const outline = [...edge(1), ...edge(-1).reverse()].join("L");
    return s("path", { class: `interval kind${number % KINDS}`, d: `M${outline}Z` });
  }),
  ...groups.map((group, number) => {
    const points = group.moments.flatMap((moment, place) => (group.mean[place] === null ? []
      : [at(moment, Number(group.mean[place]))]));
    return s("path", { class: lineClass(group, number), d: points.length ? `M${points.join("L")}` : "" });
  }));
}

/** @param {string[]} head @param {string[][]} rows */
function tableOf(head, rows) {
  return h("table", {}, h("thead", {}, h("tr", {}, ...head.map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", {}, ...rows.map(([first, ...rest]) => h("tr", {}, h("th", { scope: "row" }, first),
      ...rest.map((value) => h("td", {}, value))))));
}
