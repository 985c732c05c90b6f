// The panel: all about the selected individual, or about the one under the pointer.

let previewed = NONE;

/** Shows an individual in the panel while the pointer is on it. @param {number} place NONE to end it */
function preview(place) {
  if (place === previewed) return;
  previewed = place;
  showPanel();
}

function showPanel() {
  const place = previewed === NONE ? view.selected : previewed;
  const panel = at("individual");
  panel.classList.toggle("preview", previewed !== NONE && previewed !== view.selected);
  if (place === NONE) {
    panel.replaceChildren(h("p", { class: "soft" }, "No individual has finished yet."));
    return;
  }
  // The focus would be lost with what has it.
  const focused = panel.contains(document.activeElement) ? document.activeElement : null;
  const step = focused?.getAttribute("data-step");
  const heading = h("h2", { tabindex: -1 }, `Individual ${columns.id[place]}`);
  panel.replaceChildren(
    h("div", { class: "head" }, heading, h("span", { class: "fate" }, fate(place))),
    steps(),
    figures(place),
    descentText(place),
    h("div", { class: "drawn" }, largeNetwork(place, Math.max(220, panel.clientWidth - 4))),
    facts(place),
    offspring(place),
  );
  if (step) panel.querySelector(`[data-step="${step}"]`)?.dispatchEvent(new Event("refocus"));
  else if (focused) heading.focus({ preventScroll: true });
}

/** @param {number} place */
function fate(place) {
  if (hasFailed(place)) return "training failed";
  if (place === best) return isAlive(place) ? "the winner, alive" : "the winner";
  return isAlive(place) ? "alive" : `died after event ${columns.death[place]}`;
}

function steps() {
  const moves = /** @type {[string, string, string][]} */ ([["ArrowLeft", "←", "previous individual"],
    ["ArrowRight", "→", "next individual"], ["ArrowUp", "↑", "parent"], ["ArrowDown", "↓", "fittest child"],
    ["End", "★", "the winner"]]);
  return h("div", { class: "steps", role: "group", "aria-label": "Walk through the run" },
    ...moves.map(([key, sign, name]) => {
      const button = h("button", { type: "button", "data-step": key, title: name, "aria-label": name,
        click: () => moveByKey(key), refocus: () => button.focus() }, sign);
      return button;
    }));
}

/** @param {number} place */
function figures(place) {
  if (hasFailed(place)) return h("p", { class: "reason" }, `${story.failures[columns.failure[place]]}.`);
  return h("dl", { class: "large" },
    h("div", {}, h("dt", {}, "validation"), h("dd", {}, percent(columns.validation[place]))),
    h("div", {}, h("dt", {}, "test"), h("dd", {}, percent(columns.test[place]))));
}

/** @param {number} place */
function descentText(place) {
  const parent = columns.parent[place];
  if (parent === NONE) {
    const from = columns.inherits[place] ? "the weights of an earlier run" : "fresh weights";
    return h("p", { class: "descent" }, `An initial individual, trained from ${from}.`);
  }
  const known = !hasFailed(place) && !hasFailed(parent);
  const change = columns.validation[place] - columns.validation[parent];
  return h("p", { class: "descent" }, "Child of ", link(parent), " by ", h("b", {}, readable(mutationOf(place))),
    known ? `: ${points(change)} points. ` : ". ",
    columns.inherits[place] ? "It began from its parent’s weights." : "It began from fresh weights.");
}

/** @param {number} place */
function facts(place) {
  /** @type {[string, string][]} */
  const rows = [
    ["learning rate", plain(columns.learning_rate[place])],
    ["parameters", plain(columns.parameters[place])],
    ["FLOPs per image", short(columns.image_flops[place])],
    ["FLOPs of its training", short(columns.flops[place])],
    ...Object.entries(story.summary).map(([name, column]) => /** @type {[string, string]} */ ([
      readable(name), typeof column[place] === "number" ? plain(Number(column[place])) : String(column[place])])),
    ["trained in", duration(columns.train[place])],
    ["compiled in", columns.compile[place] ? duration(columns.compile[place]) : "known already"],
    ["event", `${plain(place + 1)} of ${plain(count)}`],
    ["finished after", duration(columns.elapsed[place])],
    ["virtual time", duration(columns.virtual[place])],
    ["generation", plain(lineage(place).length - 1)],
  ];
  return h("dl", { class: "facts" },
    ...rows.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

/** @param {number} place */
function offspring(place) {
  const most = 40;
  const all = children[place];
  if (!all.length) return h("p", { class: "offspring soft" }, "No children.");
  return h("p", { class: "offspring" }, all.length === 1 ? "One child: " : `${all.length} children: `,
    ...all.slice(0, most).flatMap((child) => [link(child), " "]),
    all.length > most ? `and ${all.length - most} more` : null);
}

/** Says the selection to screen readers. */
function announce() {
  const place = view.selected;
  if (place === NONE) return;
  const parent = columns.parent[place];
  const made = parent === NONE ? "initial" : `child of ${columns.id[parent]} by ${readable(mutationOf(place))}`;
  const accuracy = hasFailed(place) ? "training failed" : `validation ${percent(columns.validation[place])}`;
  at("status").textContent = `Individual ${columns.id[place]}: ${accuracy}, ${made}, ${fate(place)}.`;
  at("jump").replaceChildren(h("b", {}, String(columns.id[place])),
    ` · ${hasFailed(place) ? "failed" : percent(columns.validation[place])} · ${fate(place)}`);
}

/** Makes a button that selects an individual. @param {number} place @param {string} [text] */
function link(place, text) {
  const name = text ?? String(columns.id[place]);
  return h("button", { type: "button", class: "link", click: () => select(place) }, name);
}
