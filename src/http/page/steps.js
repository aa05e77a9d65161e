// The filters that were chosen, in their order, each with its controls.

import { ICONS, announce, el, icon } from "./dom.js";
import { FILTERS, GRAVITIES, fault, filter } from "./filters.js";
import { draggable, shift } from "./reorder.js";

let made = 0;

/** Controls for each kind of value. Each is given the value, what it is for, and whom to tell of another one. */
const KINDS = {
  number(takes, value, id, tell) {
    const [low, high] = takes.slider;
    const range = el("input", { type: "range", id, min: low, max: high, step: takes.step, value, "aria-describedby": `${id}-fault` });
    const box = el("input", {
      type: "number", class: "figure", min: takes.min, max: takes.max, step: takes.step, value, "aria-label": `${takes.what}, as a number`,
      "aria-describedby": `${id}-fault`,
    });
    range.addEventListener("input", () => { box.value = range.value; tell(range.value); });
    box.addEventListener("input", () => { range.value = box.value; tell(box.value); });
    return {
      node: el("div", { class: "slider" },
        el("label", { for: id, text: takes.what }), range, el("span", { class: "unit" }, box, takes.unit)),
      set(next) { range.value = next; box.value = next; },
    };
  },
  pair(takes, value, id, tell) {
    const [width, height] = value.split("x");
    const side = (text, name, more) => el("input", {
      type: "number", class: "figure", min: takes.min, max: takes.max, step: 1, value: text, "aria-label": `${takes.what}: ${name}`,
      "aria-describedby": `${id}-fault`, ...more,
    });
    const boxes = [side(width, "width", { id }), side(height ?? "", "height")];
    for (const box of boxes) box.addEventListener("input", () => tell(boxes.map((one) => one.value).join("x")));
    return {
      node: el("div", { class: "slider" }, el("label", { for: id, text: takes.what }),
        el("span", { class: "unit pair" }, boxes[0], "×", boxes[1], takes.unit)),
      set(next) { next.split("x").forEach((text, at) => { boxes[at].value = text; }); },
    };
  },
  placed(takes, value, id, tell) {
    const parts = (text) => [text.split(".", 1)[0], text.includes(".") ? text.slice(text.indexOf(".") + 1) : ""];
    let [frame, gravity] = parts(value);
    const told = () => tell(gravity === "" ? frame : `${frame}.${gravity}`);
    const sides = KINDS.pair(takes, frame, id, (next) => { frame = next; told(); });
    const options = [["", "as gravity says"], ...GRAVITIES.map((name) => [name, name])];
    const keeps = KINDS.choice({ what: "Keeps", options }, gravity, `${id}-gravity`, (next) => { gravity = next; told(); });
    keeps.node.querySelector("select").setAttribute("aria-describedby", `${id}-fault`);
    return {
      node: el("div", { class: "placed" }, sides.node, keeps.node),
      set(next) {
        [frame, gravity] = parts(next);
        sides.set(frame);
        keeps.set(gravity);
      },
    };
  },
  choice(takes, value, id, tell) {
    const select = el("select", { id, "aria-describedby": `${id}-fault` }, ...takes.options.map(([name, title]) => el("option", { value: name, text: title })));
    select.value = value;
    select.addEventListener("change", () => tell(select.value));
    return { node: el("div", { class: "slider" }, el("label", { for: id, text: takes.what }), select), set(next) { select.value = next; } };
  },
  colour(takes, value, id, tell) {
    const box = el("input", { type: "color", id, value: `#${value}`, "aria-describedby": `${id}-fault` });
    box.addEventListener("input", () => tell(box.value.slice(1)));
    return { node: el("div", { class: "slider" }, el("label", { for: id, text: takes.what }), box), set(next) { box.value = `#${next}`; } };
  },
  fixed() {
    return { node: null, set() {} };
  },
};

/** The list of filters in `list`. `changed` is told when the order or a value is another. */
export class Steps {
  #list;
  #empty;
  #changed;
  #of = new WeakMap();

  constructor(list, empty, changed) {
    this.#list = list;
    this.#empty = empty;
    this.#changed = changed;
  }

  /** Buttons that add a filter each, by groups. */
  static chips(add) {
    const groups = new Map();
    for (const entry of FILTERS) groups.set(entry.group, [...(groups.get(entry.group) ?? []), entry]);
    return [...groups].map(([name, entries]) => el("div", { class: "chip-group", role: "group", "aria-label": name },
      el("span", { class: "chip-name", "aria-hidden": "true", text: name }),
      ...entries.map((entry) => el("button", { type: "button", class: "chip", title: entry.about, onclick: () => add(entry.name) },
        el("span", { class: "offscreen", text: "Add " }), entry.title))));
  }

  #entries() {
    return [...this.#list.children].map((node) => this.#of.get(node));
  }

  /** The pairs of the query, in their order. */
  query() {
    return this.#entries().map((entry) => [entry.of.name, entry.value]);
  }

  /** What is wrong with the values, the first; `null` when every filter takes its own. */
  get fault() {
    return this.#entries().map((entry) => fault(entry.of, entry.value)).find(Boolean) ?? null;
  }

  /** Shows these pairs instead. What is no filter is passed over. */
  set(pairs) {
    this.#list.replaceChildren();
    for (const [name, value] of pairs) if (filter(name)) this.#append(name, value);
    this.#settle();
  }

  add(name) {
    const node = this.#append(name);
    this.#settle();
    this.#changed();
    node.querySelector("input, select, button.grip").focus();
    node.scrollIntoView({ block: "nearest" });
    announce(`${filter(name).title} added, at place ${this.#list.children.length}.`);
  }

  #append(name, value) {
    const of = filter(name);
    made += 1;
    const id = `step-${made}`;
    const entry = { of, value: value ?? of.takes.value };
    const wrong = el("p", { class: "error", id: `${id}-fault`, role: "alert", hidden: true });
    const control = KINDS[of.takes.kind](of.takes, entry.value, id, (next) => {
      entry.value = next;
      check();
      this.#changed();
    });
    const check = () => {
      const found = fault(of, entry.value);
      wrong.hidden = !found;
      node.classList.toggle("wrong", Boolean(found));
      wrong.replaceChildren();
      if (!found) return;
      wrong.append(`${found.text}. `, el("button", {
        type: "button", class: "link", text: `Use ${found.nearest}`,
        onclick: () => {
          entry.value = found.nearest;
          control.set(found.nearest);
          check();
          this.#changed();
          (node.querySelector("input, select") ?? node).focus();
        },
      }));
    };
    const grip = el("button", { type: "button", class: "grip", "aria-label": `Move ${of.title}`, "aria-describedby": "steps-help", title: "Drag, or use the arrow keys" }, icon(ICONS.grip));
    const tool = (label, shape, onclick) => el("button", { type: "button", class: "tool", "aria-label": label, title: label, onclick }, icon(shape));
    const node = el("li", { class: "step", "data-filter": name },
      el("div", { class: "step-head" }, grip,
        el("span", { class: "step-name", text: of.title }),
        tool(`Move ${of.title} up`, ICONS.up, () => this.#shift(node, -1)),
        tool(`Move ${of.title} down`, ICONS.down, () => this.#shift(node, 1)),
        tool(`Remove ${of.title}`, ICONS.close, () => this.#remove(node))),
      el("p", { class: "quiet step-about" }, el("code", { text: name }), ` ${of.about}`),
      control.node, wrong);
    this.#of.set(node, entry);
    this.#list.append(node);
    draggable(this.#list, node, grip, () => this.#moved(node));
    node.addEventListener("keydown", (event) => {
      const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
      if (!by || (event.target !== grip && !event.altKey)) return;
      event.preventDefault();
      this.#shift(node, by);
    });
    check();
    return node;
  }

  #shift(node, by) {
    if (!shift(this.#list, node, by)) {
      announce(`${this.#of.get(node).of.title} is ${by < 0 ? "first" : "last"} already.`);
      return;
    }
    this.#moved(node);
  }

  #moved(node) {
    this.#settle();
    const place = [...this.#list.children].indexOf(node) + 1;
    announce(`${this.#of.get(node).of.title} is at place ${place} of ${this.#list.children.length} now.`);
    this.#changed();
  }

  #remove(node) {
    const next = node.nextElementSibling ?? node.previousElementSibling;
    node.remove();
    this.#settle();
    announce(`${this.#of.get(node).of.title} removed.`);
    (next?.querySelector(".grip") ?? document.querySelector("#chips button")).focus();
    this.#changed();
  }

  #settle() {
    this.#empty.hidden = this.#list.children.length > 0;
  }
}
