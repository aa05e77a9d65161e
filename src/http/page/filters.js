// The filters: a line each. What a filter takes is one of the kinds in `steps.js`.
//
// `number(what, least, most, from, unit, more)`: `least` and `most` are the limits, `more.slider` a part of them that a slider reaches.
// `pair`: two whole numbers with an x between them. `placed`: the same, and behind a dot what stays, if that is not left to `gravity`. `choice`: one of some words. `colour`: RRGGBB. `fixed`: nothing to choose.

const number = (what, min, max, value, unit = "", more = {}) =>
  ({ kind: "number", what, min, max, value: String(value), unit, step: 1, slider: [min, max], ...more });
const pair = (what, max, value, unit = "") => ({ kind: "pair", what, min: 1, max, value, unit });
const placed = (...given) => ({ ...pair(...given), kind: "placed" });
const choice = (what, options, value = options[0][0]) => ({ kind: "choice", what, options, value });
const colour = (what, value) => ({ kind: "colour", what, value });
const fixed = (value) => ({ kind: "fixed", value });

const SIDE = 65_535;
const side = (value) => number("Side", 1, SIDE, value, "px", { slider: [16, 2048], step: 1 });
const change = (value) => number("Change", -100, 100, value);

export const GRAVITIES = ["smart", "center", "north", "northeast", "east", "southeast", "south", "southwest", "west", "northwest"];

export const FILTERS = [
  { name: "thumbnail", title: "Thumbnail", group: "Size", about: "Fits inside a square; never enlarges.", takes: side(512) },
  { name: "resize", title: "Resize", group: "Size", about: "Fits inside a square, as a thumbnail does.", takes: side(800) },
  { name: "fit", title: "Fit", group: "Size", about: "Fits inside a box.", takes: pair("Box", SIDE, "800x600", "px") },
  { name: "cover", title: "Cover", group: "Size", about: "Fills a box; what is over is cut off.", takes: placed("Box", SIDE, "600x400", "px") },
  { name: "crop", title: "Crop", group: "Size", about: "Cut to an aspect.", takes: placed("Aspect", SIDE, "16x9") },
  { name: "gravity", title: "Gravity", group: "Size", about: "What stays when something is cut off.", takes: choice("Keeps", GRAVITIES.map((name) => [name, name])) },
  { name: "dpr", title: "Pixel ratio", group: "Size", about: "All sizes times this.", takes: number("Times", 0.25, 8, 2, "×", { step: 0.25, slider: [0.5, 4] }) },
  { name: "blur", title: "Blur", group: "Look", about: "Gaussian; the standard deviation in pixels.", takes: number("Sigma", 0, 10_000, 3, "px", { slider: [0, 60], step: 0.5 }) },
  { name: "sharpen", title: "Sharpen", group: "Look", about: "Edges stand out more.", takes: number("Sigma", 0, 4, 1, "px", { step: 0.1 }) },
  { name: "grayscale", title: "Grayscale", group: "Look", about: "Without colours.", takes: fixed("true") },
  { name: "brightness", title: "Brightness", group: "Look", about: "Darker or lighter.", takes: change(20) },
  { name: "contrast", title: "Contrast", group: "Look", about: "Flatter or stronger.", takes: change(20) },
  { name: "saturation", title: "Saturation", group: "Look", about: "Paler or richer.", takes: change(30) },
  { name: "rotate", title: "Rotate", group: "Place", about: "Clockwise.", takes: choice("By", [["90", "90°"], ["180", "180°"], ["270", "270°"]]) },
  { name: "flip", title: "Flip", group: "Place", about: "As a mirror does.", takes: choice("Which way", [["horizontal", "left and right"], ["vertical", "up and down"], ["both", "both"]]) },
  { name: "background", title: "Background", group: "Place", about: "Behind what is transparent.", takes: colour("Colour", "ffffff") },
  { name: "identity", title: "Identity", group: "Place", about: "No change.", takes: fixed("true") },
];

/** What a picture can be sent as: the end of the address, and its name. */
export const FORMATS = [["webp", "WebP"], ["jpg", "JPEG"], ["png", "PNG"], ["avif", "AVIF"], ["auto", "Auto"]];

/** The parts of the playground's address that are no filters. */
export const QUALITY = { name: "quality", title: "Quality", takes: number("Quality", 1, 100, 80) };

export const filter = (name) => FILTERS.find((found) => found.name === name);

/** What is wrong with a value, with the nearest that is right; `null` where nothing is. */
export function fault({ name, takes }, value) {
  const said = (nearest, limits) => ({ nearest, text: `${name} is ${value === "" ? "empty" : value}: it takes ${limits}` });
  if (takes.kind === "number") {
    const limits = `a number from ${takes.min} to ${takes.max}`;
    const got = Number(value);
    if (value.trim() === "" || !Number.isFinite(got)) return said(takes.value, limits);
    if (got < takes.min) return said(String(takes.min), limits);
    if (got > takes.max) return said(String(takes.max), limits);
    if (takes.step === 1 && !Number.isInteger(got)) return said(String(Math.round(got)), `a whole number from ${takes.min} to ${takes.max}`);
    return null;
  }
  if (takes.kind === "placed" && value.includes(".")) {
    const [frame, gravity] = [value.slice(0, value.indexOf(".")), value.slice(value.indexOf(".") + 1)];
    const wrong = fault({ name, takes: { ...takes, kind: "pair" } }, frame);
    if (GRAVITIES.includes(gravity)) return wrong && { ...wrong, nearest: `${wrong.nearest}.${gravity}` };
    return said(wrong ? wrong.nearest : frame, `behind the dot one of ${GRAVITIES.join(", ")}`);
  }
  if (takes.kind === "pair" || takes.kind === "placed") {
    const sides = value.split("x");
    const clamped = sides.map((text) => Math.min(Math.max(Math.round(Number(text)) || takes.min, takes.min), takes.max));
    const isRight = sides.length === 2 && sides.every((text, at) => text === String(clamped[at]));
    return isRight ? null : said(sides.length === 2 ? clamped.join("x") : takes.value, `two whole numbers from ${takes.min} to ${takes.max}`);
  }
  if (takes.kind === "choice") {
    const names = takes.options.map(([option]) => option);
    return names.includes(value) ? null : said(names[0], `one of ${names.join(", ")}`);
  }
  if (takes.kind === "colour") return /^[0-9a-fA-F]{6}$/.test(value) ? null : said(takes.value, "six hexadecimal digits, RRGGBB");
  return null;
}
