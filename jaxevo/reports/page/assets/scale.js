// Axes: from values to pixels, and where the ticks stand.

/** @typedef {{low: number, high: number, log: boolean, to: (value: number) => number, ticks: number[],
 *   text: (value: number) => string}} Scale */

/** Makes a scale over the finite values of a column.
 *  @param {Iterable<number | null>} values @param {number} from @param {number} to pixels
 *  @param {{log?: boolean, text?: (value: number) => string, ticks?: number, low?: number, high?: number}} [how] */
function scaleOf(values, from, to, how = {}) {
  let low = how.low ?? Infinity;
  let high = how.high ?? -Infinity;
  for (const value of values) {
    if (value === null || !Number.isFinite(value) || (how.log && value <= 0)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (!(low <= high)) [low, high] = [how.log ? 1 : 0, how.log ? 10 : 1];
  if (low === high) [low, high] = how.log ? [low / 2, high * 2] : [low - 0.5, high + 0.5];
  const log = how.log ?? false;
  const map = log ? Math.log : (/** @type {number} */ value) => value;
  const [first, last] = [map(low), map(high)];
  const ticks = log ? logTicks(low, high, how.ticks ?? 5) : linearTicks(low, high, how.ticks ?? 5);
  return /** @type {Scale} */ ({
    low,
    high,
    log,
    ticks,
    text: how.text ?? (log || high >= 1e4 ? short : plain),
    to: (value) => from + ((map(value) - first) / (last - first)) * (to - from),
  });
}

/** @param {number} low @param {number} high @param {number} most */
function linearTicks(low, high, most) {
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 2.5, 5].find((one) => one * power >= rough) ?? 10);
  const ticks = [];
  for (let number = Math.ceil(low / step - 1e-9); number * step <= high + 1e-9 * step; number++) {
    ticks.push(Number((number * step).toPrecision(12)));
  }
  return ticks;
}

/** @param {number} low @param {number} high @param {number} most */
function logTicks(low, high, most) {
  const [first, last] = [Math.ceil(Math.log10(low) - 1e-9), Math.floor(Math.log10(high) + 1e-9)];
  const step = Math.max(1, Math.ceil((last - first + 1) / most));
  const ticks = [];
  for (let power = first; power <= last; power += step) ticks.push(Number(`1e${power}`));
  return ticks.length >= 2 ? ticks : linearTicks(low, high, most).filter((tick) => tick > 0);
}
