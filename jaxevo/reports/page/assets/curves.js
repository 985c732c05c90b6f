// The course of the run as small charts that share one axis of events.

function courses() {
  const holder = at("curves");
  holder.append(...story.curves.charts.map((chart) => {
    const frame = h("figure", { class: "curve" });
    new ResizeObserver(() => drawCurve(frame, chart)).observe(frame);
    onChange((changed) => changed === "selection" && moveMark(frame));
    return frame;
  }));
}

/** @param {HTMLElement} frame @param {Curve} chart */
function drawCurve(frame, chart) {
  const width = frame.clientWidth;
  if (!width || frame.dataset.width === String(width)) return;
  frame.dataset.width = String(width);
  const [top, floor, left, right] = [10, 104, 44, 6];
  const text = chart.kind === "share" ? wholePercent : undefined;
  const values = [...Object.values(chart.lines), ...chart.band].flat();
  const x = scaleOf([1, Math.max(2, count)], left, width - right, { ticks: 4 });
  const y = scaleOf(values, floor, top, { log: chart.kind === "log", ticks: 4, text });
  const moments = story.curves.moments;
  const names = Object.keys(chart.lines);
  const lines = Object.values(chart.lines).map((line, number) => s("path", { class: `line of${number}`,
    d: pathOf(moments, line, x, y) }));
  const band = chart.band.length && s("path", { class: "band", d: bandOf(moments, chart.band, x, y) });
  frame.replaceChildren(
    h("figcaption", {}, h("b", {}, chart.title), ...names.map((name, number) => h("span", { class: `key of${number}` },
      name, " ", h("span", { class: "value" }, lastOf(chart.lines[name], y))))),
    s("svg", { width, height: 126, role: "img", "aria-label": curveText(chart, y) },
      ...y.ticks.flatMap((tick) => [
        s("line", { class: "grid", x1: left, x2: width - right, y1: y.to(tick), y2: y.to(tick) }),
        s("text", { class: "tick", x: left - 6, y: y.to(tick) + 3.5, "text-anchor": "end" }, y.text(tick))]),
      s("line", { class: "axis", x1: left, x2: width - right, y1: floor + 4, y2: floor + 4 }),
      ...x.ticks.map((tick) => s("text", { class: "tick", x: x.to(tick), y: floor + 18,
        "text-anchor": x.to(tick) > width - 20 ? "end" : "middle" }, x.text(tick))),
      band || null, ...lines,
      s("line", { class: "selected", y1: top, y2: floor + 4, "data-from": left, "data-to": width - right })));
  moveMark(frame);
}

/** @param {HTMLElement} frame */
function moveMark(frame) {
  const mark = /** @type {SVGElement | null} */ (frame.querySelector("line.selected"));
  if (!mark || view.selected === NONE) return;
  const [from, to] = [Number(mark.dataset.from), Number(mark.dataset.to)];
  const place = String(from + ((to - from) * view.selected) / Math.max(1, count - 1));
  mark.setAttribute("x1", place);
  mark.setAttribute("x2", place);
}

/** @param {number[]} moments @param {(number | null)[]} line @param {Scale} x @param {Scale} y */
function pathOf(moments, line, x, y) {
  let [path, isOpen] = ["", false];
  line.forEach((value, number) => {
    const known = value !== null && !(y.log && value <= 0);
    if (known) path += `${isOpen ? "L" : "M"}${x.to(moments[number]).toFixed(1)} ${y.to(value).toFixed(1)}`;
    isOpen = known;
  });
  return path;
}

/** @param {number[]} moments @param {(number | null)[][]} band @param {Scale} x @param {Scale} y */
function bandOf(moments, [low, high], x, y) {
  const known = moments.map((_, number) => number).filter((number) => low[number] !== null && high[number] !== null &&
    !(y.log && Number(low[number]) <= 0));
  const corner = (/** @type {number} */ number, /** @type {(number | null)[]} */ edge) =>
    `${x.to(moments[number]).toFixed(1)} ${y.to(Number(edge[number])).toFixed(1)}`;
  const upper = known.map((number) => corner(number, high));
  const lower = known.map((number) => corner(number, low)).reverse();
  return known.length ? `M${[...upper, ...lower].join("L")}Z` : "";
}

/** @param {(number | null)[]} line @param {Scale} y */
function lastOf(line, y) {
  const last = line.findLast((value) => value !== null);
  return last === undefined || last === null ? "–" : y.text(last);
}

/** @param {Curve} chart @param {Scale} y */
function curveText(chart, y) {
  const ends = Object.entries(chart.lines).map(([name, line]) => `${name}: at last ${lastOf(line, y)}`);
  return `${chart.title} over the run. ${ends.join("; ")}.`;
}
