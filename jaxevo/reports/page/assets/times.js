// Where the time went.

function timeSection() {
  const { wall, train, compile, wait, lanes, sessions, lost, busy } = story.times;
  const room = wall * lanes;
  at("time-facts").textContent = count === 0 ? "" : [
    `The run took ${duration(wall)} on ${lanes === 1 ? "one lane" : `${lanes} lanes`}`,
    sessions > 1 ? `, in ${sessions} sessions` : "",
    `. Lanes trained ${share(train, room)} of that and waited ${share(wait, room)}, for programs or for births. `,
    `Compiling took ${duration(compile)} in all, beside the lanes where threads were free.`,
    lost ? ` ${lost} trainings were interrupted and begun again.` : "",
  ].join("");
  const legend = at("time-bar");
  const part = (/** @type {string} */ kind, /** @type {number} */ seconds) => s("rect", { class: kind, y: 0, height: 14,
    width: room ? `${(100 * seconds) / room}%` : 0, x: kind === "wait" && room ? `${(100 * train) / room}%` : 0 });
  const told = `Training ${share(train, room)}, waiting ${share(wait, room)} of the lanes’ time`;
  legend.append(s("svg", { width: "100%", height: 14, role: "img", "aria-label": told }, part("train", train),
    part("wait", wait)),
  h("div", { class: "keys" }, h("span", { class: "key train" }, "training ", h("b", {}, duration(train))),
    h("span", { class: "key wait" }, "waiting ", h("b", {}, duration(wait))),
    h("span", { class: "soft" }, "compiling ", h("b", {}, duration(compile)))));
  const row = busy.length > 16 ? 6 : 14;
  const drawing = canvas(at("lanes"), Math.max(1, busy.length * (row + 2)), (context, width) => {
    busy.forEach((blocks, lane) => {
      const block = (width - 52) / blocks.length;
      context.globalAlpha = 1;
      context.fillStyle = colour.line;
      context.fillRect(52, lane * (row + 2), width - 52, row);
      context.fillStyle = colour.alive;
      blocks.forEach((percentage, number) => {
        context.globalAlpha = percentage / 100;
        context.fillRect(52 + number * block, lane * (row + 2), block + 0.3, row);
      });
      context.globalAlpha = 1;
      context.fillStyle = colour.soft;
      context.font = "11px system-ui, sans-serif";
      if (row > 10) context.fillText(`lane ${lane + 1}`, 0, lane * (row + 2) + row - 3);
    });
  });
  new ResizeObserver(drawing.again).observe(at("lanes"));
  onChange((changed) => changed === "theme" && drawing.again());
}
