// The operator's view: what `/internal/overview` says, asked for again and again while it is looked at.

import { ask } from "./api.js";
import { histogram, legend, meter, stack, table } from "./charts.js";
import { announce, by, bytes, el, number, percent, span, tell, time } from "./dom.js";
import { sentence } from "./upload.js";

const STORED_AS = "glimt.key";
const EVERY_MILLIS = 3000;

let key = session();
let timer = null;
let paused = false;
let visible = false;
let kind = "all";
let errors = [];

function session(value) {
  try {
    if (value === null) sessionStorage.removeItem(STORED_AS);
    else if (value !== undefined) sessionStorage.setItem(STORED_AS, value);
    return sessionStorage.getItem(STORED_AS) ?? "";
  } catch {
    return value ?? "";
  }
}

const KINDS = [
  ["all", "All", () => true],
  ["faults", "Faults", ({ status, code }) => status >= 500 && !code.startsWith("busy-")],
  ["busy", "Refused", ({ status, code }) => status === 429 || code.startsWith("busy-")],
  ["bad", "Bad requests", ({ status }) => status < 500 && status !== 429],
];

const GATES = { connections: "Connections", requests: "Requests", uploads: "Uploads", backgrounded: "In the background", queue: "Variants in the pool" };
const ROUTES = {
  process: "Variants", original: "Originals", upload: "Uploads", download: "Downloads", delete: "Deletes", internal: "Behind the key", other: "The rest",
};
const CLASSES = { originals: "Originals", variants: "Variants", proxies: "Proxies" };
const DEVICES = { none: ["None", ""], ok: ["Works", "good"], rebuilding: ["Is being rebuilt", "bad"] };

/** A block of the dashboard: made once, filled anew. */
const blocks = new Map();
function block(id, title, ...children) {
  if (!blocks.has(id)) {
    const body = el("div", { class: "block-body" });
    const node = el("section", { class: "panel block", id: `block-${id}`, "aria-labelledby": `block-${id}-title` }, el("h2", { id: `block-${id}-title`, text: title }), body);
    by("dashboard").append(node);
    blocks.set(id, body);
  }
  const body = blocks.get(id);
  // What was folded out stays so.
  const opened = [...body.querySelectorAll("details")].map((details) => details.open);
  const focus = [...body.querySelectorAll("summary")].indexOf(document.activeElement);
  body.replaceChildren(...children.filter(Boolean));
  [...body.querySelectorAll("details")].forEach((details, at) => { details.open = opened[at] ?? false; });
  if (focus >= 0) body.querySelectorAll("summary")[focus]?.focus({ preventScroll: true });
}

const tile = (name, value, more, tone = "") =>
  el("div", { class: `tile ${tone}` }, el("span", { class: "tile-name", text: name }), el("strong", { class: "tile-value", text: value }), el("span", { class: "quiet", text: more }));

function server({ engine, uptime_secs, version, pool }) {
  const [device, tone] = DEVICES[engine.device] ?? [engine.device, ""];
  const jobs = engine.cpu_jobs + engine.device_jobs;
  block("server", "Server", el("div", { class: "tiles" },
    tile("Up for", span(uptime_secs), `glimt ${version}`),
    tile("Engine", engine.chosen, engine.description === engine.chosen ? "SIMD on the processor" : engine.description),
    tile("Device", device, engine.rebuilds > 0 ? `rebuilt ${number(engine.rebuilds)} times` : engine.device === "none" ? "the processor does it all" : "never rebuilt", tone),
    tile("Jobs done", number(jobs), `${number(engine.device_jobs)} on the device, ${number(engine.cpu_jobs)} on the processor`),
    tile("At work", `${number(pool.running)} of ${number(pool.workers)}`, `${number(pool.waiting)} wait, for about ${time(1000 * pool.expected_wait_secs)}`)));
}

function storage({ stored, cache }) {
  const parts = stored.map((held) => [CLASSES[held.class] ?? held.class, held.bytes, bytes(held.bytes)]);
  const all = parts.reduce((sum, [, value]) => sum + value, 0);
  const text = parts.map(([name, , value]) => `${name} ${value}`).join(", ");
  block("storage", "Storage",
    el("p", { class: "big" }, el("strong", { text: bytes(all) }), el("span", { class: "quiet", text: ` in ${number(stored.reduce((sum, { files }) => sum + files, 0))} files${cache.is_counted ? "" : ", still counting"}` })),
    stack(parts, all, text), legend(parts),
    meter("Variants on the disk", cache.disk.bytes, cache.disk.limit_bytes, bytes),
    meter("Variants in memory", cache.memory.bytes, cache.memory.limit_bytes, bytes),
    table("Storage by class", ["Class", "Files", "Bytes"], stored.map((held) => [CLASSES[held.class] ?? held.class, number(held.files), bytes(held.bytes)])));
}

function hits({ cache }) {
  // What is not in memory is looked for on the disk, and what is not there is made.
  const parts = [["In memory", cache.memory.hits], ["On the disk", cache.disk.hits], ["Made", cache.disk.misses]];
  const all = parts.reduce((sum, [, value]) => sum + value, 0);
  const told = parts.map(([name, value]) => [name, value, `${number(value)} (${percent(value, all)})`]);
  block("hits", "Cache",
    el("p", { class: "big" }, el("strong", { id: "hit-rate", text: percent(all - cache.disk.misses, all) }), el("span", { class: "quiet", text: " of what was asked for was there" })),
    stack(told, all, told.map(([name, , value]) => `${name} ${value}`).join(", ")), legend(told),
    el("p", { class: "quiet", text: `${number(cache.memory.variants)} in memory, ${number(cache.disk.variants)} on the disk; ${number(cache.evicted_size)} deleted for room, ${number(cache.evicted_age)} for age.` }),
    table("Where variants were found", ["Where", "How many", "Part"], parts.map(([name, value]) => [name, number(value), percent(value, all)])));
}

function queue({ gates, memory, pool }) {
  block("queue", "Queue and limits",
    ...gates.map(({ gate, held, limit, refused }) => el("div", {}, meter(GATES[gate] ?? gate, held, limit), refused > 0 ? el("p", { class: "quiet refused", text: `${number(refused)} refused` }) : null)),
    meter("Memory for pictures", memory.granted_bytes, memory.limit_bytes, bytes),
    meter("Expected wait", pool.expected_wait_secs, pool.max_wait_secs, (secs) => time(1000 * secs)));
}

function latency({ latency: { bounds_secs, routes } }) {
  const order = Object.keys(ROUTES);
  const used = routes.filter(({ counts }) => counts.some((count) => count > 0)).sort((a, b) => order.indexOf(a.route) - order.indexOf(b.route));
  block("latency", "Time to the answer", el("div", { class: "histograms" },
    ...used.map(({ route, counts }) => histogram(ROUTES[route] ?? route, bounds_secs, counts))));
}

function failures() {
  const body = by("errors-body");
  const [, , fits] = KINDS.find(([name]) => name === kind);
  const rows = errors.filter(fits);
  body.replaceChildren(...rows.map((error) => el("tr", {},
    el("td", {}, el("time", { datetime: new Date(error.time_millis).toISOString(), text: new Date(error.time_millis).toLocaleTimeString("en-GB") })),
    el("td", {}, el("span", { class: `status s${Math.floor(error.status / 100)}`, text: error.status })),
    el("td", {}, el("code", { text: error.code || "–" })),
    el("td", { class: "path" }, el("code", { text: `${error.method} ${error.path}` })),
    el("td", { class: "right", text: time(error.millis) }),
    el("td", {}, el("code", { class: "id", text: error.id })))));
  by("errors-none").hidden = rows.length > 0;
  by("errors-table").hidden = rows.length === 0;
}

function recent(overview) {
  errors = overview.errors;
  if (!by("errors-body")) {
    const radios = KINDS.map(([name, title]) => el("label", {},
      el("input", { type: "radio", name: "errors", value: name, checked: name === kind, onchange: () => { kind = name; failures(); } }), el("span", { text: title })));
    const heads = ["When", "Status", "Code", "Request", "Took", "Id"].map((head) => el("th", { scope: "col", class: head === "Took" ? "right" : null, text: head }));
    by("dashboard").append(el("section", { class: "panel block whole", "aria-labelledby": "errors-title" },
      el("div", { class: "heading" }, el("h2", { id: "errors-title", text: "What went wrong lately" }), el("fieldset", { class: "segmented" }, el("legend", { class: "offscreen", text: "Which errors" }), ...radios)),
      el("p", { class: "quiet", text: "The id stands in the answer as x-request-id, and in the log lines of the request. The last hundred faults, and the last hundred of the others." }),
      el("div", { class: "scroll", tabindex: "0", role: "region", "aria-labelledby": "errors-title", id: "errors-table" },
        el("table", { class: "errors" }, el("caption", { class: "offscreen", text: "What went wrong lately" }), el("thead", {}, el("tr", {}, ...heads)), el("tbody", { id: "errors-body" }))),
      el("p", { id: "errors-none", class: "quiet", text: "Nothing." })));
  }
  failures();
}

async function look() {
  clearTimeout(timer);
  if (!key || !visible) return;
  try {
    const overview = await (await ask("/internal/overview", { headers: { "X-Api-Token": key }, cache: "no-store" })).json();
    if (!key) return;
    if (by("dashboard").hidden) {
      session(key);
      gate(false);
      announce("The key is right. The operator’s view is shown.");
      by("operator-title").focus();
    }
    for (const show of [server, hits, queue, storage, latency, recent]) show(overview);
    state("Live", "good");
  } catch (error) {
    if (error.status === 401) {
      key = session(null);
      gate(true);
      tell(by("key-error"), sentence(error));
      by("key").focus();
      return;
    }
    if (by("dashboard").hidden) tell(by("key-error"), sentence(error));
    state(sentence(error), "bad");
  }
  if (visible && !paused && !document.hidden) timer = setTimeout(look, EVERY_MILLIS);
}

function state(text, tone) {
  const node = by("operator-state");
  // Said once, not every three seconds.
  if (node.textContent !== text) node.textContent = text;
  node.dataset.tone = tone;
}

/** Shows the form for the key, or what is behind it. */
function gate(isShut) {
  by("key-form").hidden = !isShut;
  by("dashboard").hidden = isShut;
  by("operator-actions").hidden = isShut;
}

/** The view is looked at, or not any more. */
export function watch(isVisible) {
  visible = isVisible;
  if (visible) look();
  else clearTimeout(timer);
}

export function start() {
  gate(true);
  by("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    key = by("key").value;
    by("key").value = "";
    tell(by("key-error"), key ? "" : "The key is empty: it is what the server was started with (--api-key).");
    if (key) look();
    else by("key").focus();
  });
  by("operator-leave").addEventListener("click", () => {
    key = session(null) && "";
    gate(true);
    by("key").focus();
    announce("The key is forgotten.");
  });
  by("operator-pause").addEventListener("click", () => {
    paused = !paused;
    by("operator-pause").setAttribute("aria-pressed", String(paused));
    if (paused) {
      clearTimeout(timer);
      state("Paused", "calm");
    } else {
      look();
    }
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden && !paused) look(); });
}
