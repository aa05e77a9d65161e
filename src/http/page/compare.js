// Before and after in one frame: a slider over both says how much of the first is seen.

import { by } from "./dom.js";

/** Shows the slider's place. Styles are set one by one: the page's policy allows no style attribute in markup. */
function place() {
  const split = by("split");
  by("compare").style.setProperty("--split", `${split.value}%`);
  split.setAttribute("aria-valuetext", `${split.value} % of the original`);
}

/** Whether both pictures have the same shape, but for whole pixels: then they lie on each other. */
function alike() {
  const [first, second] = [by("before"), by("after")].map((image) => image.naturalWidth / image.naturalHeight);
  by("compare").classList.toggle("alike", Math.abs(first / second - 1) < 0.06);
}

export function start() {
  for (const id of ["before", "after"]) by(id).addEventListener("load", alike);
  by("split").addEventListener("input", place);
  place();
  clear("");
}

/** Shows these two pictures by their addresses, in a frame of `ratio`, width over height. */
export function show(before, after, ratio, text) {
  const [first, second] = [by("before"), by("after")];
  if (first.getAttribute("src") !== before) first.src = before;
  second.src = after;
  first.alt = `The original of ${text}`;
  second.alt = `The result of ${text}`;
  for (const element of [first, second, by("split")]) element.hidden = false;
  by("compare").style.setProperty("--ratio", ratio);
  by("compare").classList.add("full");
  by("compare").classList.remove("stale");
  by("stage-empty").hidden = true;
}

/** What is shown is not what is asked for. */
export const fade = () => by("compare").classList.add("stale");

/** Shows none, and this text. */
export function clear(text) {
  by("stage-text").textContent = text;
  for (const id of ["before", "after", "split"]) by(id).hidden = true;
  by("before").removeAttribute("src");
  by("compare").classList.remove("full", "stale");
  by("stage-empty").hidden = false;
}
