// Figure 1 of Real et al. 2017, from this run: all individuals, and four networks of the winner's lineage.

/** @type {Record<string, {label: string, values: () => number[], text?: (value: number) => string}>} */
const X_AXES = {
  event: { label: "event", values: () => columns.id.map((_, place) => place + 1) },
  elapsed: { label: "wall time", values: () => columns.elapsed, text: duration },
  virtual: { label: "virtual time", values: () => columns.virtual, text: duration },
  flops: { label: "FLOPs of the run so far", values: () => totalFlops, text: short },
};

const wholePercent = (/** @type {number} */ value) => `${Number((100 * value).toPrecision(4))} %`;

/** The winner and three of its ancestors, with networks that differ. */
function shownNetworks() {
  const changed = winnersLine.filter((place, number) => number === 0 || number === winnersLine.length - 1 ||
    columns.drawing[place] !== columns.drawing[winnersLine[number - 1]]);
  if (changed.length > 1 && columns.drawing[changed[changed.length - 2]] === columns.drawing[best]) {
    changed.splice(changed.length - 2, 1);
  }
  const last = changed.length - 1;
  return [...new Set([0, 1, 2, 3].map((part) => changed[Math.round((part * last) / 3)]))];
}

/** Spreads columns of a width over a range, each as near as possible to where it should be.
 *  @param {number[]} wanted @param {number} width @param {number} from @param {number} to */
function spread(wanted, width, from, to) {
  const places = wanted.map((place) => Math.min(Math.max(place, from + width / 2), to - width / 2));
  for (let one = 1; one < places.length; one++) places[one] = Math.max(places[one], places[one - 1] + width);
  for (let one = places.length - 1; one >= 0; one--) {
    const limit = one === places.length - 1 ? to - width / 2 : places[one + 1] - width;
    places[one] = Math.min(places[one], limit);
  }
  return places;
}

/** @param {Plot} plot @param {number[]} networks @param {number} band height of the band above the dots */
function callouts(plot, networks, band) {
  const width = plot.width ?? 0;
  const column = Math.min(150, (width - 4) / networks.length);
  const centres = spread(networks.map((place) => plot.xs[place]), column, 2, width - 2);
  return networks.flatMap((place, number) => {
    const network = smallNetwork(place, column - 16, band - 42);
    const left = centres[number] - network.middle;
    const top = band - network.height - 8;
    const foot = [centres[number], band - 6];
    const dot = [plot.xs[place], plot.ys[place]];
    const known = !Number.isNaN(dot[1]);
    const accuracy = columns[view.y === "test" ? "test" : "validation"][place];
    const name = `${columns.id[place]} · ${hasFailed(place) ? "failed" : percent(accuracy)}`;
    return [
      known && s("path", { class: "leader", d: `M${foot[0]} ${foot[1]}L${dot[0]} ${dot[1] - 5}` }),
      s("g", { class: "callout", click: () => select(place) },
        s("rect", { class: "hit", x: left - 4, y: top - 24, width: network.width + 8, height: network.height + 26 }),
        s("text", { class: place === best ? "best" : "", x: centres[number], y: top - 9, "text-anchor": "middle" },
          name),
        s("g", { transform: `translate(${left} ${top})` }, network.element)),
    ].filter((element) => element instanceof Node);
  });
}

/** @type {Plot} */
let figurePlot;

function figure() {
  const networks = shownNetworks();
  const deepest = Math.max(2, ...networks.map((place) => drawingOf(place).boxes.length));
  const band = networks.length ? Math.min(250, 50 + 18.5 * deepest) : 20;
  const holder = at("figure");
  figurePlot = new Plot(holder, {
    height: band + 345,
    margins: { top: band + 26, right: 14, bottom: 40, left: 46 },
    label: "All individuals of the run by accuracy.",
    axes: () => {
      const x = X_AXES[view.x];
      const values = view.y === "test" ? columns.test : columns.validation;
      const measured = values.map((value, place) => (hasFailed(place) ? null : value));
      return {
        x: { values: x.values(), label: `${x.label} →`, text: x.text },
        y: { values: measured, label: `↑ ${view.y} accuracy`, text: wholePercent },
      };
    },
    over: (plot) => /** @type {Node[]} */ (callouts(plot, networks, band)),
  });
  const parts = /** @type {[string, string][]} */ (story.tried.map(([name]) => [name, readable(name)]));
  at("controls").append(
    viewChoice("x", "across", Object.entries(X_AXES).map(([name, { label }]) => [name, label]), (x) => {
      view.x = x;
      tell("axes");
    }),
    viewChoice("y", "up", [["validation", "validation"], ["test", "test"]], (y) => {
      view.y = y;
      tell("axes");
    }),
    viewChoice("mutation", "made by", [["", "any mutation"], ...parts], (mutation) => filter({ mutation })),
    viewChoice("line", "among", [["", "all individuals"], ["winner", "the winner’s lineage"],
      ["selected", "the selected’s family"]], (line) => filter({ line })),
  );
}

/** Makes a select that shows a part of the view, whatever changes it.
 *  @param {"x" | "y" | "mutation" | "line"} name @param {string} label @param {[string, string][]} options
 *  @param {(value: string) => void} chosen */
function viewChoice(name, label, options, chosen) {
  const made = choice(label, options, view[name], chosen);
  onChange(() => {
    /** @type {HTMLSelectElement} */ (made.querySelector("select")).value = view[name];
  });
  return made;
}
