// A list whose entries can be moved: by dragging a handle, with mouse, pen or finger, and by the arrow keys on it.

const CALM = window.matchMedia("(prefers-reduced-motion: reduce)");

/** Lets an entry slide from where it was to where it is. */
function slide(entry, from) {
  const by = from - entry.getBoundingClientRect().top;
  if (CALM.matches || by === 0) return;
  entry.animate([{ transform: `translateY(${by}px)` }, { transform: "none" }], { duration: 160, easing: "ease-out" });
}

/** Moves `other`, the neighbour of an entry, to its other side. */
function pass(list, entry, other, isAbove) {
  const from = other.getBoundingClientRect().top;
  list.insertBefore(other, isAbove ? entry.nextSibling : entry);
  slide(other, from);
}

/** Makes `entry` of `list` movable by `handle`. `moved` is told when it was let go in another place. */
export function draggable(list, entry, handle, moved) {
  let held = null;

  const place = () => [...list.children].indexOf(entry);

  handle.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || held) return;
    event.preventDefault();
    handle.focus();
    handle.setPointerCapture(event.pointerId);
    held = { pointer: event.pointerId, at: event.clientY, place: place() };
    entry.classList.add("held");
  });

  handle.addEventListener("pointermove", (event) => {
    if (held?.pointer !== event.pointerId) return;
    const before = entry.offsetTop;
    // Neighbours change places with the entry when its edge passes their middle. The entry itself stays where it is in the tree:
    // one that is taken out loses the pointer.
    const { top, bottom } = entry.getBoundingClientRect();
    const middle = (other) => { const box = other.getBoundingClientRect(); return box.top + box.height / 2; };
    const above = entry.previousElementSibling;
    const below = entry.nextElementSibling;
    if (above && top < middle(above)) pass(list, entry, above, true);
    else if (below && bottom > middle(below)) pass(list, entry, below, false);
    held.at += entry.offsetTop - before;
    entry.style.transform = `translateY(${event.clientY - held.at}px)`;
  });

  const release = () => {
    if (!held) return;
    const from = entry.getBoundingClientRect().top;
    const was = held.place;
    held = null;
    entry.classList.remove("held");
    entry.style.transform = "";
    slide(entry, from);
    if (place() !== was) moved();
  };
  handle.addEventListener("pointerup", release);
  handle.addEventListener("pointercancel", release);
  handle.addEventListener("lostpointercapture", release);
}

/** Moves an entry one place, if there is one. */
export function shift(list, entry, by) {
  const other = by < 0 ? entry.previousElementSibling : entry.nextElementSibling;
  if (!other) return false;
  const from = entry.getBoundingClientRect().top;
  pass(list, entry, other, by < 0);
  slide(entry, from);
  return true;
}
