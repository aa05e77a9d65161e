// The playground: a picture, filters, a format; what comes of them, how large it is and how long it took.

import { ask, hint, original, stored } from "./api.js";
import * as compare from "./compare.js";
import { copy } from "./copy.js";
import { announce, by, bytes, el, number, tell, time } from "./dom.js";
import { FILTERS, FORMATS, QUALITY, fault, filter } from "./filters.js";
import * as mine from "./mine.js";
import { Steps } from "./steps.js";
import { headline } from "./upload.js";

/** How long nothing has to change before a picture is asked for. */
const PAUSE_MILLIS = 220;

const BEGIN = "Upload a picture, or name one, to begin.";

let steps;
let source = "";
let format = FORMATS[0][0];
let timer = null;
let asking = null;
let shown = null;

/** What is asked for, as the query of an address. */
function query() {
  const pairs = [["src", source], ...steps.query()];
  if (!by("quality-own").checked) pairs.push([QUALITY.name, by("quality").value]);
  return pairs.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&");
}

const path = () => `/image/process.${format}?${query()}`;

/** A word in single quotes, as a shell reads it. */
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function links() {
  const address = new URL(path(), location.href).href;
  by("link").value = source ? address : "";
  const stem = source.replace(/\.[^.]*$/, "").replace(/[^A-Za-z0-9_-]/g, "") || "picture";
  const wants = format === "auto" ? "-H 'Accept: image/avif,image/webp' " : "";
  by("curl").value = source ? `curl ${wants}-o ${stem}.${format === "auto" ? "img" : format} ${quoted(address)}` : "";
  const place = `#playground/${format}?${query()}`;
  if (location.hash.startsWith("#playground") && location.hash !== place) history.replaceState(null, "", place);
}

/** Something is another: the addresses at once, the picture when nothing more comes for a moment. */
function changed() {
  links();
  clearTimeout(timer);
  asking?.abort();
  asking = null;
  const { fault: wrongly } = steps;
  if (!source || wrongly) {
    by("compare").setAttribute("aria-busy", "false");
    if (source) {
      compare.fade();
      say(wrongly.text, "Nothing was asked of the server.");
    }
    return;
  }
  by("compare").setAttribute("aria-busy", "true");
  timer = setTimeout(preview, PAUSE_MILLIS);
}

function fact(name, value, more) {
  return el("div", { class: "fact" }, el("dt", { text: name }), el("dd", {}, value, more ? el("small", { text: more }) : null));
}

async function preview() {
  const own = new AbortController();
  asking = own;
  const file = source;
  try {
    const began = performance.now();
    // What was asked for before may be in the browser's cache: the time would be that of this machine.
    const response = await ask(path(), { signal: own.signal, cache: "reload" });
    const blob = await response.blob();
    const took = performance.now() - began;
    const address = URL.createObjectURL(blob);
    const image = new Image();
    image.src = address;
    await image.decode();
    if (own.signal.aborted) {
      URL.revokeObjectURL(address);
      return;
    }
    const before = (await stored(file))?.bytes ?? 0;
    if (own.signal.aborted) return;
    tell(by("problem"), "");
    compare.show(original(file), address, image.naturalWidth / image.naturalHeight, file);
    if (shown) URL.revokeObjectURL(shown);
    shown = address;
    results(response, blob, image, took, before);
  } catch (error) {
    if (error.name === "AbortError" || own.signal.aborted) return;
    wrong(error);
  } finally {
    if (asking === own) {
      asking = null;
      by("compare").setAttribute("aria-busy", "false");
    }
  }
}

function results(response, blob, image, took, before) {
  const header = (name) => response.headers.get(name);
  const type = (header("content-type") ?? blob.type).replace("image/", "");
  const size = `${number(image.naturalWidth)} × ${number(image.naturalHeight)}`;
  const part = before > 0 ? `${(100 * blob.size / before).toFixed(blob.size < before / 10 ? 1 : 0)} % of the original’s ${bytes(before)}` : "";
  by("facts").replaceChildren(
    fact("Size", `${size}`, "pixels"),
    fact("Bytes", el("span", { id: "fact-bytes", "data-bytes": blob.size, text: bytes(blob.size) }), part || `${number(blob.size)} bytes`),
    fact("Time", el("span", { id: "fact-millis", "data-millis": Math.round(took), text: time(took) }), "from request to the last byte"),
    fact("Type", el("span", { id: "fact-type", text: type.toUpperCase() }), `request ${header("x-request-id") ?? "–"}`),
  );
  const fallback = header("x-glimt-fallback");
  const reasons = { time: "it takes longer than a request waits, and is made in the background", busy: "too many others are being made", size: "the picture is too large for it" };
  const reason = fallback?.split("reason=")[1];
  tell(by("fallback"), fallback ? `This is ${type.toUpperCase()} in the place of ${fallback.split(";")[0].toUpperCase()}: ${reasons[reason] ?? reason}.` : "");
  if (fallback && reason !== "size") by("fallback").append(" ", el("button", { type: "button", class: "link", text: "Ask again", onclick: changed }));
  announce(`${size} pixels, ${bytes(blob.size)} of ${type}, in ${time(took)}.`);
}

/** Shows an error where the picture would be, and keeps it until there is one. */
function wrong(error) {
  compare.clear("No picture came.");
  by("facts").replaceChildren();
  tell(by("fallback"), "");
  const wait = error.retrySecs > 0 ? `It may do in ${error.retrySecs} s.` : "";
  const where = error.status ? `Status ${error.status}, code ${error.code || "–"}, request ${error.id || "–"}.` : "";
  say(headline(error), [hint(error), wait, where].filter(Boolean).join(" "),
    el("button", { type: "button", class: "button small", text: "Try again", onclick: changed }));
}

function say(text, more, button) {
  by("problem").hidden = false;
  by("problem").replaceChildren(el("strong", { text }), el("span", { class: "quiet", text: more }), ...button ? [button] : []);
}

function choose(file) {
  const before = source;
  source = file.trim();
  if (source !== before || !source) {
    compare.clear(source ? "" : BEGIN);
    by("facts").replaceChildren();
  }
  by("source").value = source;
  by("source-mine").value = mine.has(source) ? source : "";
  tell(by("problem"), "");
  changed();
}

/** The pictures of this browser, to choose from. */
function options() {
  const select = by("source-mine");
  select.replaceChildren(
    el("option", { value: "", text: mine.all().length > 0 ? "Choose …" : "None uploaded from this browser" }),
    ...mine.all().map(({ file, name }) => el("option", { value: file, text: `${name} (${file})` })));
  select.value = mine.has(source) ? source : "";
}

function set_format(name) {
  format = name;
  for (const radio of document.querySelectorAll("#formats input")) radio.checked = radio.value === name;
  const lossy = name !== "png";
  by("quality-own").disabled = !lossy;
  by("quality").disabled = !lossy || by("quality-own").checked;
}

function set_quality(value) {
  by("quality-own").checked = value === null;
  if (value !== null && !fault(QUALITY, value)) by("quality").value = value;
  by("quality-shown").value = by("quality").value;
  set_format(format);
}

/** Shows what an address says behind `#playground`: `/webp?src=a.jpg&thumbnail=512`. */
export function open(rest) {
  const [wanted, asked] = rest.replace(/^\//, "").split("?");
  if (asked === undefined) {
    if (!source) choose(mine.all()[0]?.file ?? "");
    else links();
    return;
  }
  const pairs = [...new URLSearchParams(asked)];
  set_format(FORMATS.some(([name]) => name === wanted) ? wanted : format);
  set_quality(pairs.findLast(([name]) => name === QUALITY.name)?.[1] ?? null);
  steps.set(pairs.filter(([name]) => filter(name)));
  choose(pairs.findLast(([name]) => name === "src")?.[1] ?? "");
}

export function start() {
  compare.start();
  steps = new Steps(by("steps"), by("steps-empty"), changed);
  by("chips").append(...Steps.chips((name) => steps.add(name)));
  by("formats").append(...FORMATS.map(([name, title]) => el("label", {},
    el("input", { type: "radio", name: "format", value: name, checked: name === format, onchange: () => { set_format(name); changed(); } }),
    el("span", { text: title }))));
  by("quality-own").addEventListener("change", () => { set_format(format); changed(); });
  by("quality").addEventListener("input", () => { by("quality-shown").value = by("quality").value; changed(); });
  by("source-mine").addEventListener("change", () => choose(by("source-mine").value));
  by("source-form").addEventListener("submit", (event) => { event.preventDefault(); choose(by("source").value); });
  for (const button of document.querySelectorAll("[data-copy]")) {
    const field = by(button.dataset.copy);
    button.addEventListener("click", () => copy(button, field.value, field));
    field.addEventListener("focus", () => field.select());
  }
  mine.changes.addEventListener("change", options);
  // Whoever drops a picture here wants to see it here.
  document.addEventListener("stored", ({ detail }) => { if (location.hash.startsWith("#playground")) choose(detail); });
  options();
  set_quality(null);
  steps.set([["thumbnail", FILTERS[0].takes.value]]);
}
