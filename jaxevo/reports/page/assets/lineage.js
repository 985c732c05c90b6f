// The winner's lineage as a strip, and which mutations paid.

function lineageStrip() {
  const strip = at("strip");
  const known = winnersLine.filter((place) => !hasFailed(place)).map((place) => columns.validation[place]);
  const [low, high] = [Math.min(...known), Math.max(...known)];
  strip.append(...winnersLine.map((place, number) => {
    const parent = columns.parent[place];
    const now = columns.validation[place];
    const hasGain = parent !== NONE && !hasFailed(place) && !hasFailed(parent);
    const network = smallNetwork(place, 92, 92);
    const share = hasFailed(place) ? 0 : high > low ? (now - low) / (high - low) : 1;
    return h("li", {}, h("button", { type: "button", "data-place": place, click: () => select(place) },
      h("span", { class: "made" }, number ? readable(mutationOf(place)) : "initial"),
      h("span", { class: "gain" }, hasGain ? points(now - columns.validation[parent]) : "", number
        ? h("span", { class: "soft" }, columns.inherits[place] ? "weights kept" : "fresh weights") : ""),
      s("svg", { width: 92, height: 96, class: "network", "aria-hidden": "true" },
        s("g", { transform: `translate(${(92 - network.width) / 2} ${96 - network.height})` }, network.element)),
      bar(share),
      h("span", { class: "who" }, h("b", {}, String(columns.id[place])),
        ` ${hasFailed(place) ? "failed" : percent(now)}`)));
  }));
  const mark = () => {
    for (const button of strip.querySelectorAll("button")) {
      const chosen = Number(button.dataset.place) === view.selected;
      if (chosen) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    }
  };
  onChange((changed) => changed === "selection" && mark());
  mark();
  strip.scrollLeft = strip.scrollWidth;
  at("line-facts").textContent = lineFacts();
}

/** @param {number} share */
function bar(share) {
  return s("svg", { class: "bar", width: 92, height: 4, "aria-hidden": "true" },
    s("rect", { class: "rest", width: 92, height: 4, rx: 2 }),
    s("rect", { class: "part", width: Math.max(3, 92 * share), height: 4, rx: 2 }));
}

function lineFacts() {
  const { lineage_length: length, mutations_accumulated: mutations, common_ancestor: ancestor,
    common_ancestor_depth: depth } = story.measures;
  if (!length) return "";
  const first = `${plain(length)} individuals, ${plain(mutations ?? 0)} mutations accumulated. `;
  if (ancestor === null) {
    return `${first}The living have no common ancestor: several first individuals have descendants.`;
  }
  return `${first}The most recent common ancestor of the living is individual ${ancestor}, in generation ${depth}.`;
}

function mutationTable() {
  const most = Math.max(1, ...story.tried.map(([, tried]) => tried));
  const head = ["mutation", "tried", "", "improved on parent", "survived", "in winner’s line", "median change"];
  const part = (/** @type {number} */ some, /** @type {number} */ all) => h("td", { class: "number" }, plain(some),
    h("span", { class: "soft part" }, share(some, all)));
  const rows = story.tried.map(([name, tried, improved, survived, winning, change]) => {
    const show = h("button", { type: "button", class: "link", "data-mutation": name, "aria-pressed": "false",
      click: () => filter({ mutation: view.mutation === name ? "" : name }) }, readable(name));
    return h("tr", {}, h("th", { scope: "row" }, show),
      h("td", { class: "number" }, plain(tried)),
      h("td", { class: "bars" }, counts(tried / most, survived / most, improved / most)),
      part(improved, tried), part(survived, tried),
      h("td", { class: "number" }, winning ? plain(winning) : "–"),
      h("td", { class: "number" }, change === null ? "–" : points(change)));
  });
  at("mutations").append(h("table", {},
    h("caption", { class: "hidden" }, "Children by the mutation that made them"),
    h("thead", {}, h("tr", {}, ...head.map((name, place) => place === 2
      ? h("td", { class: "bars" }) : h("th", { scope: "col", class: place ? "number" : "" }, name)))),
    h("tbody", {}, ...rows)));
  const mark = () => {
    for (const button of at("mutations").querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.dataset.mutation === view.mutation));
    }
  };
  onChange((changed) => changed === "filter" && mark());
  mark();
}

/** @param {number} part @param {number} whole */
const share = (part, whole) => (whole ? `${Math.round((100 * part) / whole)} %` : "");

/** @param {number} tried @param {number} survived @param {number} improved shares of the longest bar */
function counts(tried, survived, improved) {
  const width = 150;
  return s("svg", { class: "counts", width, height: 12, "aria-hidden": "true" },
    s("rect", { class: "rest", y: 1, width: Math.max(1, width * tried), height: 10 }),
    s("rect", { class: "some", y: 1, width: width * survived, height: 10 }),
    s("rect", { class: "part", y: 3.5, width: width * improved, height: 5 }));
}
