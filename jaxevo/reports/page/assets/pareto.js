// Accuracy against cost, with the Pareto front.

/** The places that no cheaper or equally cheap individual reaches in accuracy, the cheapest first.
 *  @param {number[]} costs @param {(number | null)[]} accuracies */
function paretoFront(costs, accuracies) {
  const order = costs.map((_, place) => place).filter((place) => accuracies[place] !== null && !hasFailed(place));
  order.sort((one, other) => costs[one] - costs[other] || Number(accuracies[other]) - Number(accuracies[one]));
  let most = -Infinity;
  return order.filter((place) => {
    if (Number(accuracies[place]) <= most) return false;
    most = Number(accuracies[place]);
    return true;
  });
}

function costs() {
  const charts = /** @type {[string, number[], string][]} */ ([
    ["cost-flops", columns.image_flops, "FLOPs per image →"], ["cost-parameters", columns.parameters, "parameters →"]]);
  for (const [id, values, label] of charts) {
    new Plot(at(id), {
      height: 300,
      margins: { top: 26, right: 14, bottom: 40, left: 46 },
      label: `All individuals by ${label.slice(0, -2)} and accuracy.`,
      radius: Math.max(1.4, Math.min(2.4, 40 / Math.sqrt(count + 1) + 1)),
      showsLineage: false,
      axes: () => {
        const accuracies = view.y === "test" ? columns.test : columns.validation;
        return { x: { values, label, log: true, text: short },
          y: { values: accuracies.map((value, place) => (hasFailed(place) ? null : value)),
            label: `↑ ${view.y} accuracy`, text: wholePercent } };
      },
      under: (plot, context) => drawFront(plot, context, values),
    });
  }
}

/** @param {Plot} plot @param {CanvasRenderingContext2D} context @param {number[]} values */
function drawFront(plot, context, values) {
  const front = paretoFront(values, view.y === "test" ? columns.test : columns.validation);
  context.beginPath();
  front.forEach((place, number) => {
    if (number) context.lineTo(plot.xs[place], plot.ys[front[number - 1]]);
    context.lineTo(plot.xs[place], plot.ys[place]);
  });
  if (front.length) context.lineTo((plot.width ?? 0) - plot.how.margins.right, plot.ys[front[front.length - 1]]);
  context.strokeStyle = colour.mark;
  context.lineWidth = 1.4;
  context.stroke();
}
