// Uploads with progress, what this browser stored, and deleting.

import { Refusal, ask, hint, original, refusal, remove, stored as kept, thumbnail, unreachable } from "./api.js";
import { copier } from "./copy.js";
import { announce, by, bytes, el, tell, time } from "./dom.js";
import * as mine from "./mine.js";

/** Files that are sent at a time. */
const LANES = 2;

/** Side of the small pictures in the list. */
const THUMBNAIL_PX = 384;

const waiting = [];
let under = 0;

/** An error as a sentence. */
export const headline = (error) => `${error.message.charAt(0).toUpperCase()}${error.message.slice(1)}.`;

/** The same with what helps, and where its log is. */
export const sentence = (error) => [headline(error), hint(error), error.id ? `Request ${error.id}.` : ""].filter(Boolean).join(" ");

/** Sends one file. `progress` is told the bytes that are gone, and of how many. Gives the request, to be stopped, and what comes of it. */
function send(file, progress) {
  const request = new XMLHttpRequest();
  const done = new Promise((resolve, reject) => {
    request.upload.addEventListener("progress", (event) => progress(event.loaded, event.total));
    request.addEventListener("load", () => {
      if (request.status === 201) {
        resolve(JSON.parse(request.responseText).files[0]);
      } else {
        const header = (name) => request.getResponseHeader(name);
        reject(refusal(request.status, request.responseText, header("x-request-id"), header("retry-after")));
      }
    });
    request.addEventListener("error", () => reject(unreachable()));
    request.addEventListener("abort", () => reject(new Refusal(0, "stopped", "stopped", "", 0)));
    request.open("POST", "/image");
    const form = new FormData();
    form.append("images[]", file, file.name || "pasted");
    request.send(form);
  });
  return { request, done };
}

/** Puts what was stored into the list, with what is known of it. */
async function listed({ file, delete_token: token }, more) {
  mine.add({ file, token, ...more, stored: await kept(file), at: Date.now() });
}

/** Takes files in: a line each, and a card when it is stored. */
export function take(files) {
  for (const file of files) {
    const line = row(file);
    by("uploads").append(line.node);
    waiting.push(line);
  }
  next();
}

function next() {
  while (under < LANES && waiting.length > 0) {
    const line = waiting.shift();
    if (line.isGone) continue;
    under += 1;
    line.run().finally(() => {
      under -= 1;
      next();
    });
  }
}

function row(file) {
  const name = file.name || "pasted picture";
  const state = el("span", { class: "quiet", text: `${bytes(file.size)}, waits` });
  const bar = el("progress", { max: 100, value: 0, "aria-label": `Progress of ${name}` });
  const wrong = el("p", { class: "error", role: "alert", hidden: true });
  const stop = el("button", { type: "button", class: "button small", text: "Stop", "aria-label": `Stop ${name}` });
  const again = el("button", { type: "button", class: "button small", text: "Try again", hidden: true });
  const node = el("li", { class: "upload" },
    el("div", { class: "upload-name" }, el("strong", { text: name }), state), bar, wrong, el("div", { class: "buttons" }, again, stop));
  const line = { node, isGone: false };
  let sending = null;

  stop.addEventListener("click", () => {
    line.isGone = true;
    sending?.request.abort();
    node.remove();
    by("files").focus();
  });
  again.addEventListener("click", () => {
    tell(wrong, "");
    node.classList.remove("failed");
    again.hidden = true;
    bar.hidden = false;
    stop.textContent = "Stop";
    waiting.push(line);
    next();
  });

  line.run = async () => {
    const began = performance.now();
    sending = send(file, (gone, all) => {
      bar.value = 100 * gone / all;
      state.textContent = gone < all ? `${bytes(gone)} of ${bytes(all)}` : "sent, is being checked and stored";
      // Without a value the bar shows that something goes on, and not how far it is.
      if (gone >= all) bar.removeAttribute("value");
    });
    try {
      const stored = await sending.done;
      const took = performance.now() - began;
      await listed(stored, { name, bytes: file.size, millis: Math.round(took) });
      announce(`${name} is stored as ${stored.file}.`);
      node.remove();
      document.dispatchEvent(new CustomEvent("stored", { detail: stored.file }));
    } catch (error) {
      if (line.isGone) return;
      bar.hidden = true;
      node.classList.add("failed");
      state.textContent = bytes(file.size);
      tell(wrong, sentence(error));
      again.hidden = false;
      stop.textContent = "Dismiss";
    }
  };
  return line;
}

function card(entry) {
  const { file, token, name } = entry;
  const picture = el("img", { src: thumbnail(file, THUMBNAIL_PX), alt: name, loading: "lazy", decoding: "async" });
  const view = el("a", { class: "card-picture", href: original(file), target: "_blank", rel: "noopener", "aria-label": `Open ${name}` }, picture);
  const status = el("p", { class: "error", role: "alert", hidden: true });
  // What is stored is without metadata, or of another format.
  const sent = entry.bytes ? `${bytes(entry.bytes)} sent` : "";
  const is = entry.stored ? `${bytes(entry.stored.bytes)} of ${entry.stored.type} stored` : "";
  const details = [sent, is, entry.millis ? `in ${time(entry.millis)}` : ""].filter(Boolean).join(", ").replace(", in ", " in ");
  const ask_first = el("button", { type: "button", class: "button small danger", text: "Delete", "aria-label": `Delete ${name}` });
  const buttons = el("div", { class: "buttons" },
    copier("Copy link", `of ${name}`, () => new URL(original(file), location.href).href),
    el("a", { class: "button small", href: `#playground/webp?src=${encodeURIComponent(file)}&thumbnail=512`, text: "Filters", "aria-label": `Try filters on ${name}` }),
    ask_first);
  const node = el("li", { class: "card", "data-file": file }, view,
    el("div", { class: "card-text" },
      el("strong", { class: "card-name", text: name, title: name }),
      el("span", { class: "quiet", text: details }),
      el("dl", { class: "names" },
        el("dt", { text: "Name" }), el("dd", {}, el("code", { text: file })),
        el("dt", { text: "Delete token" }), el("dd", {}, token ? el("code", { text: token }) : "not kept")),
      buttons, status));
  picture.addEventListener("error", () => {
    view.classList.add("gone");
    view.replaceChildren(el("span", { text: "It cannot be shown: it may have been deleted." }));
    forget.hidden = false;
  });
  const forget = el("button", { type: "button", class: "button small", text: "Forget", "aria-label": `Forget ${name}`, hidden: true, onclick: () => mine.drop(file) });
  buttons.append(forget);

  // A picture is gone for good: it takes two presses.
  ask_first.addEventListener("click", () => {
    const keep = el("button", { type: "button", class: "button small", text: "Keep" });
    const really = el("button", { type: "button", class: "button small danger sure", text: "Delete for good", "aria-label": `Delete ${name} for good` });
    const question = el("div", { class: "buttons question", role: "group", "aria-label": `Delete ${name}?` }, really, keep);
    buttons.hidden = true;
    buttons.after(question);
    really.focus();
    const back = () => {
      question.remove();
      buttons.hidden = false;
      ask_first.focus();
    };
    keep.addEventListener("click", back);
    question.addEventListener("keydown", (event) => event.key === "Escape" && back());
    really.addEventListener("click", async () => {
      try {
        await remove(file, token ?? "");
        announce(`${name} is deleted.`);
        const neighbour = node.nextElementSibling ?? node.previousElementSibling;
        mine.drop(file);
        (neighbour?.querySelector("button") ?? by("files")).focus();
      } catch (error) {
        back();
        tell(status, sentence(error));
        if (error.code === "unknown-alias") forget.hidden = false;
      }
    });
  });
  return node;
}

/** Shows the list. Cards that are there stay as they are. */
function show() {
  const list = by("mine");
  const there = new Map([...list.children].map((node) => [node.dataset.file, node]));
  const wanted = mine.all().map((entry) => there.get(entry.file) ?? card(entry));
  for (const node of [...list.children]) if (!wanted.includes(node)) node.remove();
  wanted.forEach((node, at) => {
    if (list.children[at] !== node) list.insertBefore(node, list.children[at] ?? null);
  });
  const { length } = wanted;
  by("mine-clear").hidden = length === 0;
  by("mine-about").textContent = length === 0
    ? "Nothing yet. What you upload is listed here."
    : `${length === 1 ? "One picture" : `${length} pictures`} of this browser. The list is kept here and nowhere else, with the tokens that delete them: whoever uses this browser can.`;
}

function clearing() {
  const button = by("mine-clear");
  let armed = null;
  button.addEventListener("click", () => {
    if (!armed) {
      button.textContent = "Press again: the tokens are lost";
      armed = setTimeout(() => { armed = null; button.textContent = "Clear this list"; }, 4000);
      return;
    }
    clearTimeout(armed);
    armed = null;
    button.textContent = "Clear this list";
    mine.clear();
    announce("The list is empty. The pictures are on the server still.");
    by("mine-title").setAttribute("tabindex", "-1");
    by("mine-title").focus();
  });
}

function fetching() {
  by("by-url").addEventListener("submit", async (event) => {
    event.preventDefault();
    const field = by("url");
    const address = field.value.trim();
    tell(by("url-error"), "");
    if (!/^https?:\/\/[^/]/.test(address)) {
      tell(by("url-error"), `The address is ${address || "empty"}: it has to begin with http or https, such as https://example.org/picture.jpg.`);
      field.focus();
      return;
    }
    const button = event.submitter ?? event.target.querySelector("button");
    button.disabled = true;
    try {
      const began = performance.now();
      const { files: [stored] } = await (await ask(`/image/download?url=${encodeURIComponent(address)}`)).json();
      const name = decodeURIComponent(address.split(/[?#]/)[0].split("/").pop() || address);
      await listed(stored, { name, millis: Math.round(performance.now() - began) });
      announce(`It is stored as ${stored.file}.`);
      field.value = "";
      document.dispatchEvent(new CustomEvent("stored", { detail: stored.file }));
    } catch (error) {
      tell(by("url-error"), sentence(error));
      if (error.code === "download-disabled") for (const control of event.target.elements) control.disabled = true;
    } finally {
      button.disabled = false;
    }
  });
}

function deleting() {
  by("delete").addEventListener("submit", async (event) => {
    event.preventDefault();
    const [file, token] = ["delete-file", "delete-token"].map((id) => by(id).value.trim());
    const result = by("delete-result");
    const say = (text, kind) => {
      result.className = `wide ${kind}`;
      result.textContent = text;
    };
    const missing = [[file, "delete-file", "The name"], [token, "delete-token", "The token"]].find(([value]) => !value);
    if (missing) {
      say(`${missing[2]} is empty: both came with the upload’s answer.`, "error");
      by(missing[1]).focus();
      return;
    }
    try {
      await remove(file, token);
      say(`${file} is deleted.`, "good");
      mine.drop(file);
      event.target.reset();
    } catch (error) {
      say(sentence(error), "error");
    }
  });
}

function receiving() {
  const files = by("files");
  files.addEventListener("change", () => {
    take([...files.files]);
    // The same file may be chosen again.
    files.value = "";
  });
  const isFiles = (event) => [...event.dataTransfer?.types ?? []].includes("Files");
  let depth = 0;
  const veil = (on) => { by("veil").hidden = !on; };
  addEventListener("dragenter", (event) => {
    if (!isFiles(event)) return;
    depth += 1;
    veil(true);
  });
  addEventListener("dragleave", (event) => {
    if (!isFiles(event)) return;
    depth = Math.max(depth - 1, 0);
    veil(depth > 0);
  });
  addEventListener("dragover", (event) => {
    if (!isFiles(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
  });
  addEventListener("drop", (event) => {
    if (!isFiles(event)) return;
    event.preventDefault();
    depth = 0;
    veil(false);
    take([...event.dataTransfer.files]);
  });
  addEventListener("paste", (event) => {
    const pasted = [...event.clipboardData?.files ?? []];
    if (pasted.length === 0) return;
    event.preventDefault();
    take(pasted);
  });
}

export function start() {
  receiving();
  clearing();
  fetching();
  deleting();
  mine.changes.addEventListener("change", show);
  show();
}
