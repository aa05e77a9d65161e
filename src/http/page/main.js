// What is shown, by the part of the address behind the #; and light or dark.

import { by } from "./dom.js";
import * as operator from "./operator.js";
import * as playground from "./playground.js";
import * as upload from "./upload.js";

const VIEWS = { upload: "Upload", playground: "Playground", operator: "Operator" };
const THEME = "glimt.theme";

let current = "";

/** Shows the view that the address names. */
function show() {
  const [, named, rest] = /^#([a-z]*)(.*)$/.exec(location.hash) ?? [];
  if (location.hash === "#main") return;
  const view = VIEWS[named] ? named : "upload";
  const isOther = view !== current;
  for (const name of Object.keys(VIEWS)) {
    by(`view-${name}`).hidden = name !== view;
    const link = document.querySelector(`nav a[href="#${name}"]`);
    if (name === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${VIEWS[view]} – glimt`;
  if (view === "playground" && (isOther || rest)) playground.open(rest ?? "");
  if (isOther) operator.watch(view === "operator");
  // Whoever went to another view begins at its top; whoever opened the page begins at the page's.
  if (isOther && current) {
    by(`${view}-title`).focus({ preventScroll: true });
    scrollTo(0, 0);
  }
  current = view;
}

function theme() {
  const select = by("theme");
  const apply = (name) => {
    if (name) document.documentElement.dataset.theme = name;
    else delete document.documentElement.dataset.theme;
  };
  try {
    select.value = localStorage.getItem(THEME) ?? "";
  } catch {
    // As the system has it.
  }
  apply(select.value);
  select.addEventListener("change", () => {
    apply(select.value);
    try {
      localStorage.setItem(THEME, select.value);
    } catch {
      // It lasts as long as the page.
    }
  });
}

theme();
upload.start();
playground.start();
operator.start();
addEventListener("hashchange", show);
show();
