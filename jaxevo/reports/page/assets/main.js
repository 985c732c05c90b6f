// The page, from its data.

function header() {
  const { measures } = story;
  document.title = `${story.dataset}, seed ${story.seed}: what evolved`;
  at("title").textContent = story.dataset;
  at("subtitle").textContent = `seed ${story.seed} · ${story.state}`;
  if (best === NONE) return;
  /** @type {[string, string][]} */
  const numbers = [
    ["best validation", percent(hasFailed(best) ? null : columns.validation[best])],
    ["its test", percent(columns.test[best])],
    ["individuals", plain(count)],
    ["wall time", duration(story.times.wall)],
    ["FLOPs", short(story.total_flops)],
    ["parameters", short(columns.parameters[best])],
    ["lineage", `${plain(Number(measures.lineage_length))}`],
  ];
  at("numbers").append(...numbers.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

function themeButton() {
  const names = ["auto", "light", "dark"];
  let number = 0;
  const button = at("theme");
  button.addEventListener("click", () => {
    number = (number + 1) % names.length;
    document.documentElement.dataset.theme = names[number];
    button.textContent = names[number];
    button.setAttribute("aria-label", `Theme: ${names[number]}`);
    readColours();
    tell("theme");
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    readColours();
    tell("theme");
  });
}

/** Reloads the page while the run goes on, unless somebody is busy with it. */
function reloads() {
  if (!story.live) return;
  let touched = 0;
  for (const kind of ["pointermove", "pointerdown", "keydown", "wheel", "touchmove"]) {
    addEventListener(kind, () => (touched = Date.now()), { passive: true });
  }
  setInterval(() => {
    const isBusy = Date.now() - touched < 3000 || Boolean(getSelection()?.toString());
    if (!isBusy && !document.hidden) location.reload();
  }, 1000 * story.reload_seconds);
}

function main() {
  readColours();
  readAddress();
  chosen = new Set(lineage(view.selected));
  header();
  if (count) {
    figure();
    lineageStrip();
    mutationTable();
    courses();
    tree();
    costs();
    timeSection();
    table();
  }
  winnerSection();
  failureSection();
  repeatSection();
  showPanel();
  announce();
  onChange((changed) => {
    if (changed !== "selection") return;
    showPanel();
    at("individual").querySelector("h2:focus")?.scrollIntoView({ block: "nearest" });
    announce();
  });
  at("jump").addEventListener("click", (event) => {
    // The address holds the view, not a place in the page.
    event.preventDefault();
    at("individual").scrollIntoView();
    at("individual").querySelector("h2")?.focus({ preventScroll: true });
  });
  addEventListener("hashchange", () => {
    const before = view.selected;
    readAddress();
    if (view.selected !== before) tell("selection");
    tell("filter");
  });
  new ResizeObserver(() => showPanel()).observe(at("individual").parentElement ?? document.body);
  themeButton();
  reloads();
}

main();
