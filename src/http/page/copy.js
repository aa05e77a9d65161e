// Copies text, and says that it did.

import { announce, el } from "./dom.js";

async function write(text, field) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Without TLS, browsers give pages no clipboard but by this.
    const area = field ?? document.body.appendChild(el("textarea", { class: "offscreen", readonly: true }));
    if (!field) area.value = text;
    area.select();
    const done = document.execCommand("copy");
    if (!field) area.remove();
    return done;
  }
}

/** Copies `text`, and shows on the button for a moment that it did. `field` is where it stands, if it does. */
export async function copy(button, text, field) {
  const done = await write(text, field);
  const back = button.getAttribute("data-said") ?? button.firstChild.textContent;
  button.setAttribute("data-said", back);
  button.firstChild.textContent = done ? "Copied" : "Press Ctrl+C";
  button.classList.toggle("done", done);
  announce(done ? "Copied" : "It could not be copied: it is selected now, press Ctrl and C.");
  button.focus();
  setTimeout(() => {
    button.firstChild.textContent = back;
    button.classList.remove("done");
  }, 1600);
}

/** A button that copies what `text` gives. */
export const copier = (label, what, text) => {
  const button = el("button", { type: "button", class: "button small" }, label, el("span", { class: "offscreen", text: ` ${what}` }));
  button.addEventListener("click", () => copy(button, text()));
  return button;
};
