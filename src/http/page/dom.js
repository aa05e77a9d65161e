// Elements, built without markup in strings, and how numbers are written.

const SVG = "http://www.w3.org/2000/svg";

/** The element with this id, which is in the page. */
export const by = (id) => document.getElementById(id);

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "text") element.textContent = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** A new element: attributes, `text`, and listeners as `onclick`. */
export const el = (name, attributes, ...children) => fill(document.createElement(name), attributes, children);

/** The same in SVG. */
export const svg = (name, attributes, ...children) => fill(document.createElementNS(SVG, name), attributes, children);

/** An icon of one path, for the eye alone. */
export const icon = (path) => svg("svg", { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { d: path }));

export const ICONS = {
  up: "M12 19V5m0 0-6 6m6-6 6 6",
  down: "M12 5v14m0 0 6-6m-6 6-6-6",
  close: "M6 6l12 12M18 6 6 18",
  grip: "M9 6h.01M15 6h.01M9 12h.01M15 12h.01M9 18h.01M15 18h.01",
  plus: "M12 5v14M5 12h14",
  check: "M5 13l4 4L19 7",
};

/** How long what was said stands to be read. */
const SAID_MILLIS = 8000;

/** Says something to whoever does not see the page. What was said just before is not cut off. */
export function announce(text) {
  const line = el("p", { text });
  by("live").append(line);
  setTimeout(() => line.remove(), SAID_MILLIS);
}

/** `12.3 KiB`: in the units of the server's options. */
export function bytes(count) {
  if (count < 1024) return `${count}\u00a0B`;
  const units = ["KiB", "MiB", "GiB", "TiB"];
  let value = count;
  let unit = -1;
  while (value >= 1023.5 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)}\u00a0${units[unit]}`;
}

/** `34 ms`, `1.2 s`, `3 min`. */
export function time(millis) {
  if (millis === 0) return "0\u00a0ms";
  if (millis < 10) return `${millis < 1 ? millis.toFixed(1) : +millis.toFixed(1)}\u00a0ms`;
  if (millis < 1000) return `${Math.round(millis)}\u00a0ms`;
  if (millis < 60_000) return `${+(millis / 1000).toFixed(1)}\u00a0s`;
  return `${Math.round(millis / 60_000)}\u00a0min`;
}

/** `3 d 4 h`, `4 h 12 min`, `12 min 5 s`. */
export function span(secs) {
  const parts = [[86_400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const from = parts.findIndex(([unit]) => secs >= unit);
  if (from < 0) return "0 s";
  let rest = secs;
  return parts.slice(from, from + 2).map(([unit, name]) => {
    const count = Math.floor(rest / unit);
    rest -= count * unit;
    return `${count} ${name}`;
  }).join(" ");
}

const whole = new Intl.NumberFormat("en");

/** `12,345`. */
export const number = (count) => whole.format(count);

/** `81 %`, or a dash where there is nothing to divide. */
export function percent(part, all) {
  return all > 0 ? `${(100 * part / all).toFixed(part === all || part === 0 ? 0 : 1)} %` : "–";
}

/** Shows a text in an element that is hidden while there is none. */
export function tell(element, text) {
  element.hidden = !text;
  element.textContent = text ?? "";
}
