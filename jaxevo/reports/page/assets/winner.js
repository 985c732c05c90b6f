// What the winner does with the test images.

function winnerSection() {
  const section = at("winner");
  const found = story.winner;
  if (story.finish) section.append(h("p", { class: "soft" }, finishSentence(story.finish)));
  if (!found) {
    section.append(h("p", { class: "soft" }, story.winner_note));
    return;
  }
  section.append(
    comparison(found),
    h("div", { class: "pair" }, found.confusion.length ? confusion(found) : confused(found), byClass(found)),
    found.wrong.length ? wrongImages(found) : h("p", { class: "soft" }, story.winner_note || "No image is wrong."),
  );
}

/** Tells how the winner was trained on after the evolution. @param {Finish} finish */
function finishSentence({ steps, seconds, share, evolved, finished, failure }) {
  const trained = `The finish: trained on for ${plain(steps)} steps on training and validation images, ${
    percent(share, 0)} of the FLOPs of the run, ${duration(seconds)}. `;
  if (failure) return `${trained}It failed (${failure}): the evolved weights stay.`;
  return `${trained}Test accuracy ${evolved === null ? "unknown" : percent(evolved)} before, ${
    finished === null ? "unknown" : percent(finished)} after.`;
}

/** @param {Winner} found */
function comparison({ accuracy, majority, linear, images }) {
  const rows = /** @type {[string, number][]} */ ([["the winner", accuracy], ["a linear model of the pixels", linear],
    ["always the most frequent class", majority]].filter(([, value]) => value !== null));
  return h("div", { class: "versus" }, h("p", { class: "soft" }, `Test accuracy on ${plain(images)} images`),
    ...rows.map(([name, value], number) => h("div", { class: "row" }, h("span", {}, name),
      s("svg", { height: 10, width: "100%", "aria-hidden": "true" },
        s("rect", { class: "rest", width: "100%", height: 10, rx: 2 }),
        s("rect", { class: number ? "some" : "part", width: `${100 * value}%`, height: 10, rx: 2 })),
      h("b", {}, percent(value)))));
}

/** @param {Winner} found */
function confusion({ classes, confusion: counts }) {
  const most = counts.map((row) => Math.max(1, row.reduce((sum, one) => sum + one, 0)));
  return h("figure", { class: "confusion" }, h("figcaption", {}, h("b", {}, "Confusion"), " ",
    h("span", { class: "soft" }, "rows: true class, columns: predicted")),
  h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Confusion matrix" }, h("table", {},
    h("thead", {}, h("tr", {}, h("td"), ...classes.map((name) => h("th", { scope: "col", title: name },
      h("span", {}, clipped(name, 8)))))),
    h("tbody", {}, ...counts.map((row, label) => h("tr", {}, h("th", { scope: "row" }, clipped(classes[label], 12)),
      ...row.map((number, predicted) => {
        const part = number / most[label];
        const shade = number === 0 ? 0 : 1 + Math.min(8, Math.floor(9 * Math.sqrt(part)));
        return h("td", { class: `shade${shade}${label === predicted ? " right" : ""}`,
          title: `${classes[label]} taken for ${classes[predicted]}: ${number}` }, number || "");
      })))))));
}

/** @param {Winner} found */
function confused({ classes, confused: pairs }) {
  return h("figure", {}, h("figcaption", {}, h("b", {}, "Most often confused")), h("dl", { class: "facts" },
    ...pairs.map(([label, predicted, images]) => h("div", {}, h("dt", {}, `${classes[label]} taken for ${
      classes[predicted]}`), h("dd", {}, plain(images))))));
}

/** @param {Winner} found */
function byClass({ classes, by_class: counts }) {
  const rows = counts.map(([right, all], label) => ({ name: classes[label], all, right }));
  rows.sort((one, other) => one.right / (one.all || 1) - other.right / (other.all || 1));
  return h("figure", {}, h("figcaption", {}, h("b", {}, "Accuracy by class"), " ",
    h("span", { class: "soft" }, rows.length > 20 ? "the twenty worst" : "the worst first")),
  h("div", { class: "versus narrow" }, ...rows.slice(0, 20).map(({ name, all, right }) => h("div", { class: "row" },
    h("span", {}, clipped(name, 18)),
    s("svg", { height: 8, width: "100%", "aria-hidden": "true" }, s("rect", { class: "rest", width: "100%", height: 8,
      rx: 2 }), s("rect", { class: "part", width: `${(100 * right) / (all || 1)}%`, height: 8, rx: 2 })),
    h("b", {}, percent(all ? right / all : null))))));
}

/** @param {Winner} found */
function wrongImages({ wrong, classes }) {
  const one = wrong.length === 1 ? "one test image" : `${wrong.length} test images`;
  return h("figure", {}, h("figcaption", {}, h("b", {}, "Most confidently wrong"), " ",
    h("span", { class: "soft" }, `this file holds ${one}`)),
  h("ul", { class: "wrong" }, ...wrong.map((image) => h("li", {}, picture(image, classes),
    h("span", {}, h("b", {}, clipped(classes[image.predicted], 14)), ` ${percent(image.probability, 0)}`), h("br"),
    h("span", { class: "soft" }, `is ${clipped(classes[image.label], 14)}`)))));
}

/** @param {WrongImage} image @param {string[]} classes */
function picture({ height, width, channels, pixels, label, predicted }, classes) {
  const element = /** @type {HTMLCanvasElement} */ (h("canvas", { width, height, role: "img",
    "aria-label": `Image of ${classes[label]}, taken for ${classes[predicted]}` }));
  const context = /** @type {CanvasRenderingContext2D} */ (element.getContext("2d"));
  const data = context.createImageData(width, height);
  const bytes = Uint8Array.from(atob(pixels), (letter) => letter.charCodeAt(0));
  for (let pixel = 0; pixel < width * height; pixel++) {
    for (let part = 0; part < 3; part++) {
      data.data[4 * pixel + part] = bytes[channels * pixel + (channels < 3 ? 0 : part)];
    }
    data.data[4 * pixel + 3] = 255;
  }
  context.putImageData(data, 0, 0);
  return element;
}
