// Networks as boxes and edges, the input at the top.

/** @param {number} place */
function drawingOf(place) {
  const [boxes, edges] = story.drawings[columns.drawing[place]];
  const missing = new Set(edges.filter(([from, to]) => to < from).map(([, to]) => to));
  return {
    boxes: boxes.map((box) => story.boxes[box]),
    skips: edges.filter(([from, to]) => to > from),
    isJoined: (/** @type {number} */ upper) => !missing.has(upper),
  };
}

/** Describes a network in words. @param {number} place */
function networkText(place) {
  const { boxes, skips } = drawingOf(place);
  const names = boxes.map(([title, detail, shape]) => `${title}${detail ? `, ${detail}` : ""}, ${shapeText(shape)}`);
  return `Network of individual ${columns.id[place]}: ${names.join("; ")}. ${skips.length} skips.`;
}

/** Gives each skip a track beside the boxes, so that no two overlap. @param {[number, number][]} skips */
function tracksOf(skips) {
  /** @type {[number, number][][]} */
  const tracks = [];
  const shortFirst = [...skips].sort((one, other) => one[1] - one[0] - (other[1] - other[0]));
  return shortFirst.map((skip) => {
    let track = tracks.findIndex((taken) => taken.every(([from, to]) => skip[1] <= from || skip[0] >= to));
    if (track === -1) track = tracks.push([]) - 1;
    tracks[track].push(skip);
    return { skip, track };
  });
}

/** Draws the arcs of skips to the right of boxes.
 *  @param {[number, number][]} skips @param {(box: number) => number} middle @param {number} edge
 *  @param {number} room pixels beside the boxes */
function arcs(skips, middle, edge, room) {
  const placed = tracksOf(skips);
  const tracks = 1 + Math.max(0, ...placed.map(({ track }) => track));
  const step = Math.min(9, (room - 3) / tracks);
  return placed.map(({ skip: [from, to], track }) => {
    const reach = edge + 4 + step * (track + 0.6);
    const [top, bottom] = [middle(from), middle(to)];
    const round = Math.min(5, reach - edge, (bottom - top) / 2);
    const path = `M${edge} ${top}H${reach - round}q${round} 0 ${round} ${round}V${bottom - round}` +
      `q0 ${round} ${-round} ${round}H${edge + 3.5}`;
    return s("g", { class: "skip" }, s("path", { d: path }),
      s("path", { class: "head", d: `M${edge} ${bottom}l4.5 -2.6v5.2z` }));
  });
}

/** Draws a small network in the style of the paper's figure 1, at most `height` pixels high.
 *  @param {number} place @param {number} width @param {number} height */
function smallNetwork(place, width, height) {
  const { boxes, skips, isJoined } = drawingOf(place);
  const pitch = Math.min(18.5, height / boxes.length);
  const box = Math.max(2, pitch * 0.76);
  const room = skips.length ? Math.min(22, width * 0.24) : 0;
  const wide = Math.min(width - room, 88);
  const middle = (/** @type {number} */ place) => pitch * (place + 0.5);
  const size = Math.min(10.5, wide / 6.6);
  const shapes = boxes.map(([title, , , label, shaded], number) => s("g", {},
    number + 1 < boxes.length && isJoined(number) &&
      s("line", { class: "edge", x1: wide / 2, x2: wide / 2, y1: middle(number), y2: middle(number + 1) }),
    s("rect", { class: shaded ? "box shaded" : "box", x: 0.5, y: middle(number) - box / 2, width: wide - 1, height: box,
      rx: Math.min(3, box / 3) }),
    pitch >= 12 && s("text", { x: wide / 2, y: middle(number) + size * 0.36, "font-size": size,
      "text-anchor": "middle" }, clipped(label || title, Math.floor(wide / (size * 0.58))))));
  return {
    element: s("g", { class: "network" }, ...shapes, ...arcs(skips, middle, wide, room)),
    width: wide + room,
    middle: wide / 2,
    height: pitch * boxes.length,
  };
}

/** Draws a network with the shapes of all outputs. @param {number} place @param {number} width */
function largeNetwork(place, width) {
  const { boxes, skips, isJoined } = drawingOf(place);
  const pitch = 31;
  const tall = 23;
  const tracks = 1 + Math.max(-1, ...tracksOf(skips).map(({ track }) => track));
  const room = skips.length ? Math.min(60, 9 * tracks + 9) : 0;
  const wide = width - room;
  const middle = (/** @type {number} */ number) => pitch * number + tall / 2 + 1;
  const shapes = boxes.map(([title, detail, shape, label, shaded], number) => {
    const y = middle(number);
    const size = shapeText(shape);
    return s("g", {},
      number + 1 < boxes.length && isJoined(number) &&
        s("line", { class: "edge", x1: wide / 2, x2: wide / 2, y1: y + tall / 2, y2: y + pitch - tall / 2 }),
      s("rect", { class: shaded ? "box shaded" : "box", x: 0.5, y: y - tall / 2, width: wide - 1, height: tall,
        rx: 3.5 }),
      s("text", { x: 9, y: y + 4, "font-size": 11.5 },
        clipped(detail || label || title, Math.floor((wide - 26 - size.length * 6.3) / 6))),
      s("text", { class: "shape", x: wide - 9, y: y + 4, "font-size": 11, "text-anchor": "end" }, size),
      s("title", {}, `${title}${detail ? `: ${detail}` : ""}, output ${size}`));
  });
  const height = pitch * (boxes.length - 1) + tall + 2;
  return s("svg", { class: "network", viewBox: `0 0 ${width} ${height}`, width, height, role: "img",
    "aria-label": networkText(place) }, ...shapes, ...arcs(skips, middle, wide, room));
}

/** @param {string} text @param {number} length */
const clipped = (text, length) => (text.length <= length ? text : `${text.slice(0, Math.max(1, length - 1))}…`);
