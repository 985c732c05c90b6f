// How names and numbers are written.

/** @param {string} name */
const readable = (name) => name.toLowerCase().replaceAll("-", " ").replaceAll("_", " ").replaceAll("+", " + ");

/** @param {number | null} value @param {number} [digits] */
function percent(value, digits = 1) {
  return value === null ? "–" : `${(100 * value).toFixed(digits)} %`;
}

/** Writes a change of accuracy in percentage points. @param {number} value */
function points(value) {
  const text = Math.abs(100 * value).toFixed(1);
  return text === "0.0" ? "±0" : `${value > 0 ? "+" : "−"}${text}`;
}

/** Writes a large number with a prefix of the SI. @param {number} value */
function short(value) {
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  for (const [unit, letter] of /** @type {[number, string][]} */ ([[1e18, "E"], [1e15, "P"], [1e12, "T"], [1e9, "G"],
    [1e6, "M"], [1e3, "k"]])) {
    if (size >= unit) return `${Number((value / unit).toPrecision(3))} ${letter}`;
  }
  return plain(value);
}

/** Writes a number with at most four significant digits, and whole ones in full. @param {number} value */
function plain(value) {
  if (Number.isInteger(value)) return value.toLocaleString("en-US");
  return Number(value.toPrecision(4)).toLocaleString("en-US", { maximumSignificantDigits: 4 });
}

/** @param {number} seconds */
function duration(seconds) {
  if (seconds < 0.995) return `${(1000 * seconds).toFixed(0)} ms`;
  if (seconds < 99.5) return `${seconds.toPrecision(3)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  const minutes = Math.round(seconds / 60), hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** @param {number[]} shape */
const shapeText = (shape) => shape.join(" × ");
