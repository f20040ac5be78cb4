// Whose neurons made an answer: what each group adds to the winning logit and to its lead, in exact integers.

import { h, table } from "./dom.js";
import { count, link, many } from "./format.js";

const UNITS =
  "Nats, and below them the exact integers in units of 2⁻¹⁶ nat: they add up to the logit and to its lead.";
const OLDER =
  "Neurons also add to classes that came after them: the outputs of new classes read the older neurons, " +
  "whatever these were trained for.";
const Q16 = 65_536;
const REST = {
  norms: "Norms between stages of classes, nobody's",
  rounding: "Rounding, nobody's",
  clipping: "Clipping, nobody's",
};

/** The parts of a prediction that was asked for with `explain`, and their sums. */
export function who({ lineage, predictions: [prediction] }) {
  const parts = prediction.parts.map((part) => ({ ...part, name: groupName(lineage[part.group]) }));
  const rest = Object.entries(prediction.rest)
    .filter(([, part]) => part.logit || part.margin)
    .map(([name, part]) => ({ ...part, name: REST[name] ?? name }));
  const silent = lineage.filter((_, index) => !prediction.parts.some((part) => part.group === index));
  const lines = [...parts, ...rest];
  const most = Math.max(1, ...lines.map((line) => Math.abs(line.margin ?? line.logit)));
  const total = {
    name: h("strong", {}, "Together"),
    logit: prediction.logits[prediction.class],
    margin: prediction.margin,
  };
  const isOlder = parts.some((part) => {
    const { classes } = lineage[part.group];
    return part.logit !== 0 && classes.length && Math.max(...classes) < prediction.class;
  });
  const columns = [
    { head: "Group of neurons", cell: (line) => line.name },
    { head: `Adds to class ${prediction.class}`, cell: (line) => nats(line.logit), numeric: true },
  ];
  if (prediction.runner_up !== null) {
    columns.push(
      {
        head: `To its lead over class ${prediction.runner_up}`,
        cell: (line) => nats(line.margin),
        numeric: true,
      },
      { head: "", cell: (line) => (line === total ? "" : push(line.margin, most)) },
    );
  }
  return [
    table("Whose neurons made the answer", columns, lines.length > 1 ? [...lines, total] : lines),
    silent.length
      ? h(
          "p",
          { class: "muted" },
          `Of ${silent.map((group) => `v${group.version}`).join(", ")}, nothing reaches this answer.`,
        )
      : null,
    isOlder ? h("p", { class: "muted" }, OLDER) : null,
    h("p", { class: "muted small" }, UNITS),
  ];
}

function groupName(group) {
  return [
    `v${group.version}: ${many(group.neurons, "neuron")}`,
    br(),
    classesOf(group),
    "by ",
    link("account", group.author),
  ];
}

function classesOf({ classes }) {
  if (!classes.length) return null;
  return [`with ${classes.length === 1 ? "class" : "classes"} ${ranges(classes)}`, br()];
}

const br = () => h("br");

/** Ascending numbers as ranges: 0–7, 9. */
export function ranges(numbers) {
  const runs = [];
  for (const number of numbers) {
    const last = runs.at(-1);
    if (last && number === last[1] + 1) last[1] = number;
    else runs.push([number, number]);
  }
  return runs.map(([first, last]) => (first === last ? String(first) : `${first}–${last}`)).join(", ");
}

function nats(units) {
  const sign = units > 0 ? "+" : "";
  return [
    `${sign}${(units / Q16).toFixed(2)}`,
    h("br"),
    h("span", { class: "mono muted small" }, `${sign}${count(units)}`),
  ];
}

/** A bar from the middle to the right where a part speaks for the answer, to the left where against it. */
function push(units, most) {
  const fill = h("span", { class: units < 0 ? "against" : "for" });
  fill.style.width = `${(50 * Math.abs(units)) / most}%`;
  return h("span", { class: "push", title: units < 0 ? "against" : "for" }, fill);
}
