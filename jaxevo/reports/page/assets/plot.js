// A scatter plot of all individuals: axes in SVG, dots on a canvas above them, and further SVG above both.

/** @typedef {{values: ArrayLike<number | null>, label: string, log?: boolean, text?: (value: number) => string,
 *   low?: number, high?: number}} Axis */
/** @typedef {{top: number, right: number, bottom: number, left: number}} Margins */

class Plot {
  /** @param {HTMLElement} holder @param {{height: number, label: string, margins: Margins, radius?: number,
   *  axes: () => {x: Axis, y: Axis}, under?: (plot: Plot, context: CanvasRenderingContext2D) => void,
   *  over?: (plot: Plot) => Node[], showsLineage?: boolean}} how */
  constructor(holder, how) {
    this.how = how;
    this.holder = holder;
    this.hovered = NONE;
    holder.classList.add("plot");
    holder.setAttribute("tabindex", "0");
    holder.setAttribute("role", "application");
    holder.setAttribute("aria-roledescription", "scatter plot");
    holder.setAttribute("aria-label", how.label);
    holder.setAttribute("aria-describedby", "keys");
    this.grid = s("svg", { height: how.height, "aria-hidden": "true" });
    holder.append(this.grid);
    this.canvas = canvas(holder, how.height, (context, width) => this.draw(context, width));
    this.svg = s("svg", { height: how.height, "aria-hidden": "true" });
    this.tip = h("div", { class: "tip", hidden: true });
    holder.append(this.svg, this.tip);
    holder.addEventListener("pointermove", (event) => this.hover(event));
    holder.addEventListener("pointerleave", () => this.leave());
    holder.addEventListener("click", (event) => this.click(event));
    holder.addEventListener("keydown", (event) => {
      if (!event.ctrlKey && !event.metaKey && !event.altKey && moveByKey(event.key)) event.preventDefault();
    });
    new ResizeObserver(() => this.canvas.again()).observe(holder);
    onChange(() => this.canvas.again());
    /** @type {Float64Array} */
    this.xs = new Float64Array(count);
    this.ys = new Float64Array(count);
  }

  /** @param {number} width */
  layOut(width) {
    const { margins, height } = this.how;
    const { x, y } = this.how.axes();
    this.width = width;
    this.x = scaleOf(Array.from(x.values), margins.left, width - margins.right, { ...x, ticks: width < 500 ? 4 : 7 });
    this.y = scaleOf(Array.from(y.values), height - margins.bottom, margins.top, y);
    for (let place = 0; place < count; place++) {
      const [horizontal, vertical] = [x.values[place], y.values[place]];
      this.xs[place] = horizontal === null ? NaN : this.x.to(horizontal);
      this.ys[place] = vertical === null ? NaN : this.y.to(vertical);
    }
    this.labels = { x: x.label, y: y.label };
  }

  /** @param {CanvasRenderingContext2D} context @param {number} width */
  draw(context, width) {
    this.layOut(width);
    for (const layer of [this.grid, this.svg]) layer.setAttribute("width", String(width));
    this.grid.replaceChildren(...this.axes());
    this.svg.replaceChildren(...(this.how.over?.(this) ?? []));
    this.how.under?.(this, context);
    this.dots(context);
    if (this.how.showsLineage ?? true) this.line(context, winnersLine);
    this.marks(context);
  }

  /** @param {CanvasRenderingContext2D} context */
  dots(context) {
    const radius = this.how.radius ?? Math.max(1.6, Math.min(3.2, 60 / Math.sqrt(count + 1) + 1));
    for (const alive of [false, true]) {
      context.fillStyle = alive ? colour.alive : colour.dead;
      for (let place = 0; place < count; place++) {
        if (isAlive(place) !== alive || Number.isNaN(this.ys[place])) continue;
        context.globalAlpha = isShown(place) ? (alive ? 0.92 : 0.62) : 0.1;
        disc(context, this.xs[place], this.ys[place], alive ? radius + 0.4 : radius);
        context.fill();
      }
    }
    context.globalAlpha = 1;
  }

  /** @param {CanvasRenderingContext2D} context @param {number[]} line */
  line(context, line) {
    const known = line.filter((place) => !Number.isNaN(this.ys[place]));
    for (const [style, width] of /** @type {[string, number][]} */ ([[colour.paper, 4], [colour.mark, 1.6]])) {
      context.strokeStyle = style;
      context.lineWidth = width;
      context.lineJoin = "round";
      context.beginPath();
      for (const place of known) context.lineTo(this.xs[place], this.ys[place]);
      context.stroke();
    }
    for (const place of known) {
      disc(context, this.xs[place], this.ys[place], 3);
      context.fillStyle = isAlive(place) ? colour.alive : colour.paper;
      context.fill();
      context.stroke();
    }
  }

  /** @param {CanvasRenderingContext2D} context */
  marks(context) {
    for (const place of [this.hovered, view.selected]) {
      if (place === NONE || Number.isNaN(this.ys[place])) continue;
      context.lineWidth = 2;
      context.strokeStyle = colour.paper;
      disc(context, this.xs[place], this.ys[place], 8.5);
      context.stroke();
      context.strokeStyle = colour.ink;
      context.lineWidth = 1.6;
      disc(context, this.xs[place], this.ys[place], 6.5);
      context.stroke();
    }
  }

  axes() {
    const { margins, height } = this.how;
    const x = /** @type {Scale} */ (this.x);
    const y = /** @type {Scale} */ (this.y);
    const width = this.width ?? 0;
    const floor = height - margins.bottom;
    return [
      ...y.ticks.map((tick) => s("line", { class: "grid", x1: margins.left, x2: width - margins.right, y1: y.to(tick),
        y2: y.to(tick) })),
      ...y.ticks.map((tick) => s("text", { class: "tick", x: margins.left - 8, y: y.to(tick) + 3.5,
        "text-anchor": "end" }, y.text(tick))),
      ...x.ticks.map((tick) => s("line", { class: "grid mark", x1: x.to(tick), x2: x.to(tick), y1: floor,
        y2: floor + 4 })),
      ...x.ticks.map((tick) => s("text", { class: "tick", x: x.to(tick), y: floor + 17,
        "text-anchor": x.to(tick) > width - 30 ? "end" : "middle" }, x.text(tick))),
      s("line", { class: "axis", x1: margins.left, x2: width - margins.right, y1: floor, y2: floor }),
      s("text", { class: "name", x: width - margins.right, y: floor + 34, "text-anchor": "end" },
        this.labels?.x ?? ""),
      s("text", { class: "name", x: 0, y: margins.top - 10 }, this.labels?.y ?? ""),
    ];
  }

  /** @param {MouseEvent} event @returns {number} the nearest individual, NONE if none is near */
  nearest(event) {
    const bounds = this.svg.getBoundingClientRect();
    const [x, y] = [event.clientX - bounds.left, event.clientY - bounds.top];
    let [found, least] = [NONE, 24 * 24];
    for (let place = 0; place < count; place++) {
      const distance = (this.xs[place] - x) ** 2 + (this.ys[place] - y) ** 2;
      if (distance < least && isShown(place)) [found, least] = [place, distance];
    }
    return found;
  }

  /** @param {PointerEvent} event */
  hover(event) {
    if (event.pointerType === "touch") return;
    const place = this.nearest(event);
    if (place === this.hovered) return;
    this.hovered = place;
    this.canvas.again();
    this.tip.hidden = place === NONE;
    preview(place);
    if (place === NONE) return;
    this.tip.replaceChildren(...tipContent(place));
    const left = this.xs[place];
    this.tip.style.left = `${Math.min(left + 14, (this.width ?? 0) - 190)}px`;
    this.tip.style.top = `${this.ys[place] + 14}px`;
  }

  leave() {
    if (this.hovered === NONE) return;
    this.hovered = NONE;
    this.tip.hidden = true;
    this.canvas.again();
    preview(NONE);
  }

  /** @param {MouseEvent} event */
  click(event) {
    if (event.target instanceof Element && event.target.closest(".callout")) return;
    const place = this.nearest(event);
    if (place !== NONE) select(place);
  }
}

/** @param {number} place */
function tipContent(place) {
  const accuracy = hasFailed(place) ? "failed" : percent(columns.validation[place]);
  return [
    h("b", {}, `${columns.id[place]}  `),
    accuracy,
    h("br"),
    h("span", { class: "soft" }, clipped(readable(mutationOf(place)) || "initial", 40)),
  ];
}
