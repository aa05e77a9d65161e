// Charts, drawn with SVG: each with a text for who does not see it.

import { el, number, percent, svg, time } from "./dom.js";

/** A bar of parts one behind the other: `[name, value, text]` each. Colours are classes, `part-0` and on. */
export function stack(parts, all, text) {
  const total = Math.max(all, parts.reduce((sum, [, value]) => sum + value, 0), 1);
  let at = 0;
  const bars = parts.map(([, value], index) => {
    const width = 1000 * value / total;
    const bar = svg("rect", { class: `part-${index}`, x: at, y: 0, width: Math.max(width - (width > 6 ? 3 : 0), 0), height: 40, rx: 4 });
    at += width;
    return bar;
  });
  return svg("svg", { class: "chart stack", viewBox: "0 0 1000 40", preserveAspectRatio: "none", role: "img", "aria-label": text },
    svg("rect", { class: "track", x: 0, y: 0, width: 1000, height: 40, rx: 4 }), ...bars);
}

/** What the parts of a stack are. */
export const legend = (parts) => el("ul", { class: "legend" }, ...parts.map(([name, , text], index) =>
  el("li", {}, el("span", { class: `dot part-${index}`, "aria-hidden": "true" }), el("span", { text: name }), el("strong", { text }))));

/** How full something is. */
export function meter(name, held, limit, shown = number) {
  const text = `${shown(held)} of ${shown(limit)}`;
  return el("div", { class: "meter" },
    el("span", { class: "meter-name", text: name }), el("span", { class: "meter-value", text }),
    stack([[name, held, text]], limit, `${name}: ${text}`));
}

/** The time that a part of all answers was under, read from counts by bounds; as good as the bounds are narrow. */
export function quantile(bounds, counts, part) {
  const all = counts.reduce((sum, count) => sum + count, 0);
  if (all === 0) return null;
  let left = part * all;
  for (const [index, count] of counts.entries()) {
    if (left <= count && count > 0) {
      const low = index === 0 ? 0 : bounds[index - 1];
      const high = bounds[index] ?? bounds.at(-1) * 2;
      return low + (high - low) * (left / count);
    }
    left -= count;
  }
  return bounds.at(-1);
}

const bound = (bounds, index) => (index < bounds.length ? `≤ ${time(1000 * bounds[index])}` : `> ${time(1000 * bounds.at(-1))}`);

/** How many answers took how long. */
export function histogram(name, bounds, counts) {
  const [width, height, gap] = [336, 84, 2];
  const most = Math.max(...counts, 1);
  const step = width / counts.length;
  const all = counts.reduce((sum, count) => sum + count, 0);
  const bars = counts.map((count, index) => {
    const tall = count === 0 ? 0 : Math.max(height * count / most, 2);
    return svg("rect", { class: "bar", x: index * step + gap / 2, y: height - tall, width: step - gap, height: tall, rx: 2 },
      svg("title", { text: `${bound(bounds, index)}: ${number(count)}` }));
  });
  const ticks = [0, 2, 5, 8, 11, 14].filter((index) => index < bounds.length).map((index) =>
    svg("text", { class: "tick", x: (index + 1) * step, y: height + 16, "text-anchor": "middle", text: time(1000 * bounds[index]) }));
  const shown = (part) => { const secs = quantile(bounds, counts, part); return secs === null ? "–" : time(1000 * secs); };
  const text = `${name}: ${number(all)} answers, half of them within ${shown(0.5)}, 99 of 100 within ${shown(0.99)}`;
  const rows = counts.map((count, index) => [bound(bounds, index), number(count), percent(count, all)]).filter((row) => row[1] !== "0");
  return el("figure", { class: "histogram" },
    el("figcaption", {}, el("strong", { text: name }), el("span", { class: "quiet", text: `${number(all)} · half ${shown(0.5)} · 99 % ${shown(0.99)}` })),
    svg("svg", { class: "chart", viewBox: `0 0 ${width} ${height + 22}`, role: "img", "aria-label": text },
      svg("line", { class: "axis", x1: 0, x2: width, y1: height, y2: height }), ...bars, ...ticks),
    table(`Times of ${name}`, ["Time", "Answers", "Part"], rows));
}

/** The same as numbers, folded away. */
export function table(caption, heads, rows) {
  return el("details", { class: "numbers" }, el("summary", {}, "As a table", el("span", { class: "offscreen", text: `: ${caption}` })),
    el("table", {}, el("caption", { class: "offscreen", text: caption }),
      el("thead", {}, el("tr", {}, ...heads.map((head) => el("th", { scope: "col", text: head })))),
      el("tbody", {}, ...rows.map(([first, ...rest]) => el("tr", {}, el("th", { scope: "row", text: first }), ...rest.map((cell) => el("td", { text: cell })))))));
}
