// All individuals as a table, a hundred rows a page, and as CSV.

const ROWS = 100;

/** @typedef {{name: string, value: (place: number) => number | string | null,
 *   text?: (place: number) => Child}} Column */

/** @returns {Column[]} */
function tableColumns() {
  const parentId = (/** @type {number} */ place) => (columns.parent[place] === NONE ? null
    : columns.id[columns.parent[place]]);
  const number = (/** @type {keyof Columns} */ name, /** @type {(value: number) => string} */ text) => ({
    name, value: (/** @type {number} */ place) => columns[name][place],
    text: (/** @type {number} */ place) =>
      (columns[name][place] === null ? "–" : text(Number(columns[name][place]))) });
  return [
    { name: "id", value: (place) => columns.id[place], text: (place) => link(place) },
    { name: "event", value: (place) => place + 1 },
    { name: "parent", value: parentId },
    { name: "mutation", value: mutationOf, text: (place) => readable(mutationOf(place)) || "initial" },
    { ...number("validation", (value) => percent(value, 2)), text: (place) => (hasFailed(place) ? "failed"
      : percent(columns.validation[place], 2)) },
    number("test", (value) => percent(value, 2)),
    number("parameters", plain),
    number("image_flops", short),
    number("flops", short),
    number("learning_rate", plain),
    ...Object.entries(story.summary).map(([name, column]) => ({ name,
      value: (/** @type {number} */ place) => column[place] })),
    number("train", (value) => duration(value)),
    number("compile", (value) => (value ? duration(value) : "–")),
    number("virtual", (value) => duration(value)),
    number("elapsed", (value) => duration(value)),
    { name: "death", value: (place) => columns.death[place] || null },
    { name: "failure", value: (place) => (hasFailed(place) ? story.failures[columns.failure[place]] : "") },
  ];
}

function table() {
  const all = tableColumns();
  const state = { page: 0, sort: 0, down: false, who: "living" };
  /** @type {Record<string, (place: number) => boolean>} */
  const groups = {
    living: isAlive,
    all: () => true,
    lineage: (place) => inWinnersLine.has(place),
    failed: hasFailed,
  };
  const body = h("tbody");
  const head = h("tr", {}, ...all.map((column, number) => h("th", { scope: "col", "aria-sort": "none" },
    h("button", { type: "button", click: () => {
      state.down = state.sort === number ? !state.down : typeof column.value(0) === "number";
      state.sort = number;
      state.page = 0;
      draw();
    } }, readable(column.name)))));
  const where = h("span", { role: "status" });
  const turn = (/** @type {number} */ step) => () => {
    state.page += step;
    draw();
  };
  const back = h("button", { type: "button", click: turn(-1) }, "← back");
  const forth = h("button", { type: "button", click: turn(1) }, "on →");
  const draw = () => {
    const places = order(all[state.sort], state.down, columns.id.flatMap((_, place) =>
      groups[state.who](place) && isShown(place) ? [place] : []));
    const pages = Math.max(1, Math.ceil(places.length / ROWS));
    state.page = Math.min(Math.max(0, state.page), pages - 1);
    const first = state.page * ROWS;
    const page = places.slice(first, first + ROWS);
    body.replaceChildren(...page.map((place) => h("tr", { "data-place": place,
      "aria-current": place === view.selected ? "true" : undefined },
    ...all.map((column) => h("td", {}, column.text ? column.text(place) : cell(column.value(place)))))));
    [...head.children].forEach((cell, number) => cell.setAttribute("aria-sort",
      number !== state.sort ? "none" : state.down ? "descending" : "ascending"));
    where.textContent = places.length === 0 ? "none"
      : `${plain(first + 1)} to ${plain(first + page.length)} of ${plain(places.length)}`;
    back.toggleAttribute("disabled", state.page === 0);
    forth.toggleAttribute("disabled", state.page === pages - 1);
  };
  at("table").append(h("table", {}, h("caption", { class: "hidden" }, "Individuals"), h("thead", {}, head), body));
  at("table-controls").append(
    choice("show", [["living", "the population now"], ["all", "all individuals"], ["lineage", "the winner’s lineage"],
      ["failed", "failed trainings"]], state.who, (who) => {
      Object.assign(state, { who, page: 0 });
      draw();
    }),
    h("span", { class: "pages" }, back, where, forth),
    h("button", { type: "button", click: () => download(all) }, "Download all as CSV"));
  onChange((changed) => {
    if (changed === "filter") draw();
    if (changed !== "selection") return;
    for (const row of body.children) {
      if (Number(row.getAttribute("data-place")) === view.selected) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
    }
  });
  body.addEventListener("click", (event) => {
    const row = event.target instanceof Element ? event.target.closest("tr") : null;
    if (row) select(Number(row.dataset.place));
  });
  draw();
}

/** @param {number | string | null} value */
const cell = (value) => (typeof value === "number" ? plain(value) : (value ?? "–"));

/** @param {Column} column @param {boolean} down @param {number[]} places */
function order(column, down, places) {
  const sign = down ? -1 : 1;
  return places.sort((one, other) => {
    const [left, right] = [column.value(one), column.value(other)];
    if (left === right) return one - other;
    if (left === null || left === "") return 1;
    if (right === null || right === "") return -1;
    return sign * (left < right ? -1 : 1);
  });
}

/** @param {Column[]} all */
function csvOf(all) {
  const field = (/** @type {number | string | null} */ value) => {
    if (typeof value === "number") return String(value);
    // A spreadsheet would take text that begins so for a formula.
    const text = (value ?? "").replace(/^[=+\-@\t\r]/, "'$&");
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const rows = columns.id.map((_, place) => all.map((column) => field(column.value(place))).join(","));
  return [all.map(({ name }) => field(name)).join(","), ...rows, ""].join("\n");
}

/** @param {Column[]} all */
function download(all) {
  const address = URL.createObjectURL(new Blob([csvOf(all)], { type: "text/csv" }));
  h("a", { href: address, download: `${story.dataset}-seed${story.seed}.csv` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
