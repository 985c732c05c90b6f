// Settings, versions, failures, and how to make the same run.

function repeatSection() {
  const { settings, machine, shell, python, from_path: fromPath, fingerprint, reproducible, fast } = story.repeat;
  fill(at("repeat"), {}, [
    h("p", {}, reproducible
      ? "The same seed, settings, data and software on the same kind of device give the same run, bit for bit: compare "
        + "the fingerprint."
      : fast ? "This run is not reproducible: with --fast a GPU gives other last bits every time."
      : "This run is not reproducible from its seed alone, because outcomes were told in wall-clock order or births "
        + "were skipped; “jaxevo replay” makes it again from its journal."),
    fromPath
      ? h("p", {}, "What was read from a file or folder is named without its place: give the path of your copy.")
      : null,
    code("In a shell", shell), code("In Python", python), code("Fingerprint", fingerprint)]);
  at("settings").append(facing("Settings", settings.map(([name, value, changed]) => [readable(name), value, changed])),
    facing("Software and machine", machine.map(([name, value]) => [name, value, false])));
}

/** @param {string} title @param {string} text */
function code(title, text) {
  const shown = h("pre", { tabindex: 0, role: "region", "aria-label": title }, text);
  const copy = h("button", { type: "button", click: async () => {
    const copied = await copyText(text);
    if (!copied) getSelection()?.selectAllChildren(shown);
    copy.textContent = copied ? "copied" : "selected";
    setTimeout(() => (copy.textContent = "copy"), 1500);
  }, "aria-label": `Copy: ${title}` }, "copy");
  return h("div", { class: "code" }, h("div", { class: "soft" }, title, " ", copy), shown);
}

/** Copies text; false where the browser has no clipboard, or does not lend it. @param {string} text */
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

/** @param {string} title @param {[string, string, boolean][]} rows */
function facing(title, rows) {
  return h("div", {}, h("h3", {}, title), h("dl", { class: "facts" }, ...rows.map(([name, value, changed]) =>
    h("div", { class: changed ? "changed" : "" }, h("dt", {}, name), h("dd", {}, value)))));
}

function failureSection() {
  const section = at("failures");
  const failed = columns.failure.flatMap((reason, place) => (reason === NONE ? [] : [place]));
  if (!failed.length) {
    section.append(h("p", { class: "soft" }, "No training failed."));
    return;
  }
  const most = 60;
  section.append(...story.failures.map((reason, number) => {
    const places = failed.filter((place) => columns.failure[place] === number);
    return h("p", {}, h("b", {}, plain(places.length)), ` ${reason}: `,
      ...places.slice(0, most).flatMap((place) => [link(place), " "]),
      places.length > most ? `and ${plain(places.length - most)} more` : null);
  }));
}
