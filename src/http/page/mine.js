// What this browser uploaded: kept in it, tokens too, so that pictures can be deleted later. Other tabs are told.

const KEY = "glimt.uploads";

/** The most that are kept. */
const LIMIT = 500;

/** Told of each change. */
export const changes = new EventTarget();

let kept = read();

function read() {
  try {
    const list = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(list) ? list.filter((entry) => typeof entry?.file === "string") : [];
  } catch {
    return [];
  }
}

function write() {
  try {
    localStorage.setItem(KEY, JSON.stringify(kept));
  } catch {
    // A browser that keeps nothing: the list lasts as long as the page.
  }
  changes.dispatchEvent(new Event("change"));
}

/** The last one first. */
export const all = () => kept;

export const has = (file) => kept.some((entry) => entry.file === file);

export function add(entry) {
  kept = [entry, ...kept].slice(0, LIMIT);
  write();
}

export function drop(file) {
  kept = kept.filter((entry) => entry.file !== file);
  write();
}

export function clear() {
  kept = [];
  write();
}

window.addEventListener("storage", (event) => {
  if (event.key !== KEY && event.key !== null) return;
  kept = read();
  changes.dispatchEvent(new Event("change"));
});
