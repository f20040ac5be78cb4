// Curves over the versions of a model as SVG: values are written at the points, marks differ by shape.

import { h, s } from "./dom.js";
import { many } from "./format.js";

const STEP = 84;
const LEFT = 60;
const TALL = 150;
const TOP = 22;
const SHAPES = ["●", "■", "▲", "◆", "○", "□", "△", "◇"];

/** A chart of several series over the same versions, with a legend.
 *
 * `series`: [{name, values}], a value for each version or null where nothing was measured. `low` and `high`
 * bound the axis, `written` words a value. Values of the first series are written at its points, and under
 * each version its number of classes, because more classes are harder to tell apart.
 */
export function curves(label, versions, series, { low, high, written }) {
  const width = LEFT + versions.length * STEP;
  const height = TOP + TALL + 46;
  const x = (index) => LEFT + index * STEP + 31;
  const y = (value) => TOP + (1 - (value - low) / (high - low || 1)) * TALL;
  const picture = s("svg", {
    class: "curves",
    viewBox: `0 0 ${width} ${height}`,
    width,
    height,
    role: "img",
    "aria-label": told(label, versions, series, written),
  });
  [low, (low + high) / 2, high].forEach((value) => {
    picture.append(
      s("line", { class: "curves-grid", x1: LEFT, x2: width, y1: y(value), y2: y(value) }),
      s("text", { class: "curves-axis", x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, written(value)),
    );
  });
  versions.forEach((version, index) => {
    [`v${version.number}`, many(version.classes, "class", "classes")].forEach((words, line) => {
      const place = { x: x(index), y: TOP + TALL + 22 + 16 * line, "text-anchor": "middle" };
      picture.append(s("text", { class: "curves-axis", ...place }, words));
    });
  });
  series.forEach((line, kind) => draw(picture, line, kind, x, y));
  series[0].values.forEach((value, index) => {
    if (value === null) return;
    const place = { class: "curves-value", x: x(index), y: y(value) - 10, "text-anchor": "middle" };
    picture.append(s("text", place, written(value))); // above the marks of all series
  });
  const legend = series.map((line, kind) =>
    h(
      "li",
      {},
      h("span", { class: `curves-key k${kind % 8}`, "aria-hidden": "true" }, SHAPES[kind % 8]),
      ` ${line.name}`,
    ),
  );
  return h(
    "figure",
    { class: "chart" },
    h("figcaption", {}, label),
    h("div", { class: "scrolls", tabindex: "0", role: "region", "aria-label": label }, picture),
    h("ul", { class: "legend" }, legend),
  );
}

function draw(picture, line, kind, x, y) {
  const known = line.values.map((value, index) => [index, value]).filter(([, value]) => value !== null);
  const d = known.map(([index, value], place) => `${place ? "L" : "M"}${x(index)} ${y(value)}`).join(" ");
  if (known.length > 1) picture.append(s("path", { class: `curves-line k${kind % 8}`, d }));
  for (const [index, value] of known) {
    const mark = s(
      "text",
      { class: `curves-mark k${kind % 8}`, x: x(index), y: y(value) + 4.5, "text-anchor": "middle" },
      SHAPES[kind % 8],
    );
    picture.append(mark);
  }
}

function told(label, versions, series, written) {
  const lines = series.map((line) => {
    const points = line.values.map((value, index) =>
      value === null ? null : `version ${versions[index].number} ${written(value)}`,
    );
    return `${line.name}: ${points.filter((point) => point !== null).join(", ")}.`;
  });
  return `${label}. ${lines.join(" ")}`;
}
