// The tree of descent: across the event, down the order of families.

function tree() {
  const holder = at("tree");
  const survivors = new Set();
  for (let place = count - 1; place >= 0; place--) {
    if (isAlive(place)) for (let one = place; one !== NONE && !survivors.has(one); one = columns.parent[one]) {
      survivors.add(one);
    }
  }
  let pruned = count > 1500;
  const height = Math.round(Math.min(520, 140 + 12 * Math.sqrt(count) * 1.6));
  /** @type {{xs: Float64Array, ys: Float64Array}} */
  let layout = { xs: new Float64Array(0), ys: new Float64Array(0) };
  const isDrawn = (/** @type {number} */ place) => !pruned || survivors.has(place) || inWinnersLine.has(place);
  const drawing = canvas(holder, height, (context, width) => {
    layout = treeLayout(isDrawn, width, height);
    drawTree(context, layout, isDrawn, survivors);
  });
  new ResizeObserver(drawing.again).observe(holder);
  onChange(drawing.again);
  holder.addEventListener("click", (event) => {
    const bounds = holder.getBoundingClientRect();
    const [x, y] = [event.clientX - bounds.left, event.clientY - bounds.top];
    let [found, least] = [NONE, 18 * 18];
    for (let place = 0; place < count; place++) {
      const distance = (layout.xs[place] - x) ** 2 + (layout.ys[place] - y) ** 2;
      if (distance < least) [found, least] = [place, distance];
    }
    if (found !== NONE) select(found);
  });
  const box = /** @type {HTMLInputElement} */ (h("input", { type: "checkbox", checked: pruned, change: () => {
    pruned = box.checked;
    drawing.again();
  } }));
  at("tree-controls").append(h("label", { class: "choice" }, box, h("span", {}, "only ancestors of the living")));
}

/** @param {(place: number) => boolean} isDrawn @param {number} width @param {number} height */
function treeLayout(isDrawn, width, height) {
  const [xs, rows] = [new Float64Array(count).fill(NaN), new Float64Array(count).fill(NaN)];
  const offspring = children.map((all) => all.filter(isDrawn));
  let leaves = 0;
  const roots = columns.parent.flatMap((parent, place) => (parent === NONE && isDrawn(place) ? [place] : []));
  // Without recursion: a lineage may be thousands of generations long.
  for (const root of roots) {
    const open = [{ place: root, next: 0 }];
    while (open.length) {
      const top = open[open.length - 1];
      const all = offspring[top.place];
      if (top.next < all.length) open.push({ place: all[top.next++], next: 0 });
      else {
        rows[top.place] = all.length ? (rows[all[0]] + rows[all[all.length - 1]]) / 2 : leaves++;
        open.pop();
      }
    }
  }
  const ys = rows.map((row) => 8 + ((height - 16) * row) / Math.max(1, leaves - 1));
  const step = (width - 16) / Math.max(1, count - 1);
  for (let place = 0; place < count; place++) if (isDrawn(place)) xs[place] = 6 + step * place;
  return { xs, ys };
}

/** @param {CanvasRenderingContext2D} context @param {{xs: Float64Array, ys: Float64Array}} layout
 *  @param {(place: number) => boolean} isDrawn @param {Set<number>} survivors */
function drawTree(context, { xs, ys }, isDrawn, survivors) {
  const edge = (/** @type {number} */ place) => {
    const parent = columns.parent[place];
    if (parent === NONE || !isDrawn(place)) return;
    const bend = Math.min(xs[place], xs[parent] + 14);
    context.moveTo(xs[parent], ys[parent]);
    context.bezierCurveTo(bend, ys[parent], xs[parent] + 2, ys[place], bend, ys[place]);
    context.lineTo(xs[place], ys[place]);
  };
  /** @param {string} style @param {number} width @param {(place: number) => boolean} has */
  const edges = (style, width, has) => {
    context.beginPath();
    for (let place = 0; place < count; place++) if (has(place)) edge(place);
    context.strokeStyle = style;
    context.lineWidth = width;
    context.stroke();
  };
  context.globalAlpha = 0.75;
  edges(colour.dead, count > 2000 ? 0.4 : 0.7, (place) => !survivors.has(place) && !inWinnersLine.has(place));
  context.globalAlpha = 1;
  edges(colour.alive, count > 2000 ? 0.7 : 1, (place) => survivors.has(place));
  edges(colour.mark, 1.8, (place) => inWinnersLine.has(place));
  if (view.selected !== best) edges(colour.ink, 1.4, (place) => chosen.has(place));
  for (let place = 0; place < count; place++) {
    if (!isDrawn(place) || !isAlive(place)) continue;
    context.fillStyle = colour.alive;
    disc(context, xs[place], ys[place], 2);
    context.fill();
  }
  if (view.selected !== NONE && !Number.isNaN(xs[view.selected])) {
    context.strokeStyle = colour.ink;
    context.lineWidth = 1.6;
    disc(context, xs[view.selected], ys[view.selected], 5);
    context.stroke();
  }
}

/** The ancestors of the selected individual, and itself. @type {Set<number>} */
let chosen = new Set();
onChange((changed) => {
  if (changed === "selection") chosen = new Set(lineage(view.selected));
});
