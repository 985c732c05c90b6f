// Elements: text only ever becomes text, so that no name in the data can become markup.

/** @typedef {Node | string | number | null | undefined | false} Child */
/** @typedef {Record<string, string | number | boolean | ((event: any) => void) | undefined>} Attributes */

/** @param {Element} element @param {Attributes} attributes @param {Child[]} content */
function fill(element, attributes, content) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of content) {
    if (child !== null && child !== undefined && child !== false) {
      element.append(child instanceof Node ? child : String(child));
    }
  }
}

/** Makes an HTML element. @param {string} tag @param {Attributes} [attributes] @param {...Child} content */
function h(tag, attributes = {}, ...content) {
  const element = document.createElement(tag);
  fill(element, attributes, content);
  return element;
}

/** Makes an SVG element. @param {string} tag @param {Attributes} [attributes] @param {...Child} content */
function s(tag, attributes = {}, ...content) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  fill(element, attributes, content);
  return element;
}

/** @param {string} id @returns {HTMLElement} */
function at(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}

/** Makes a select with a label. @param {string} label @param {[string, string][]} options value and text
 *  @param {string} value @param {(value: string) => void} chosen */
function choice(label, options, value, chosen) {
  const menu = /** @type {HTMLSelectElement} */ (
    h("select", { change: () => chosen(menu.value) },
      ...options.map(([one, text]) => h("option", { value: one }, text)))
  );
  menu.value = value;
  return h("label", { class: "choice" }, h("span", {}, label), menu);
}

/** Makes a canvas that is drawn again when its size or the theme changes.
 *  @param {HTMLElement} holder @param {number} height @param {(context: CanvasRenderingContext2D, width: number,
 *  height: number) => void} draw */
function canvas(holder, height, draw) {
  const element = /** @type {HTMLCanvasElement} */ (h("canvas", { "aria-hidden": "true" }));
  holder.append(element);
  element.style.height = `${height}px`;
  let due = false;
  const paint = () => {
    due = false;
    const width = holder.clientWidth;
    const scale = Math.min(3, window.devicePixelRatio || 1);
    if (!width) return;
    element.width = Math.round(width * scale);
    element.height = Math.round(height * scale);
    const context = /** @type {CanvasRenderingContext2D} */ (element.getContext("2d"));
    context.setTransform(scale, 0, 0, scale, 0, 0);
    draw(context, width, height);
  };
  const again = () => {
    if (!due) requestAnimationFrame(paint);
    due = true;
  };
  return { element, again, paint };
}

/** The colours of the theme, for canvases, which know no style sheet. @type {Record<string, string>} */
const colour = {};

function readColours() {
  const probe = h("i");
  document.body.append(probe);
  for (const name of ["ink", "soft", "line", "paper", "dead", "alive", "mark"]) {
    probe.style.color = `var(--${name})`;
    colour[name] = getComputedStyle(probe).color;
  }
  probe.remove();
}

/** Draws a disc, or a ring. @param {CanvasRenderingContext2D} context @param {number} x @param {number} y
 *  @param {number} radius */
function disc(context, x, y, radius) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
}
