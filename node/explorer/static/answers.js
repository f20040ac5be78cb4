// What a model answers to one row, for people: bars per class, and the logits of two versions side by side.

import { h, table, tag } from "./dom.js";
import { count } from "./format.js";

const Q16 = 65_536;
const SHOWN = 12;

/** The probabilities of logits in units of 2^-16 nat. */
export function chances(logits) {
  const best = Math.max(...logits);
  const weights = logits.map((logit) => Math.exp((logit - best) / Q16));
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return weights.map((weight) => weight / sum);
}

/** A bar for each class, of many classes for the likeliest. */
export function bars(prediction) {
  const found = chances(prediction.logits).map((chance, label) => ({ label, chance }));
  const shown = found.length <= SHOWN ? found : found.toSorted((a, b) => b.chance - a.chance).slice(0, SHOWN);
  return h(
    "ul",
    { class: "bars" },
    shown.map(({ label, chance }) => {
      const fill = h("span");
      fill.style.width = `${chance * 100}%`;
      const best = label === prediction.class;
      return h(
        "li",
        { class: best ? "best" : "" },
        h("span", { class: "bars-label" }, `${best ? "▶ " : ""}${label}`),
        h("span", { class: "bar", "aria-hidden": "true" }, fill),
        h("span", { class: "numeric" }, `${(chance * 100).toFixed(1)}%`),
      );
    }),
  );
}

/** The logits of old classes in two versions, and in words whether they are the same integers. */
export function sideBySide(before, now) {
  const [old, logits] = [before.predictions[0].logits, now.predictions[0].logits];
  const lines = logits.map((logit, label) => ({ label, logit, old: old[label] ?? null }));
  const columns = [
    { head: "Class", cell: (line) => line.label },
    { head: `Version ${before.version}`, cell: (line) => integer(line.old), numeric: true },
    { head: `Version ${now.version}`, cell: (line) => integer(line.logit), numeric: true },
    { head: "", cell: moved },
  ];
  return [
    h(
      "p",
      { class: "verdict" },
      verdict(lines.filter((line) => line.old !== null).map((line) => line.logit - line.old)),
    ),
    table("Logits before and after", columns, lines),
    h("p", { class: "muted small" }, "Logits in units of 2⁻¹⁶ nat: the integers that every node computes."),
  ];
}

const integer = (logit) =>
  logit === null ? h("span", { class: "muted" }, "unknown") : h("span", { class: "mono" }, count(logit));

function moved({ logit, old }) {
  if (old === null) return tag("new class");
  return logit === old ? tag("= equal", "good") : tag(signed(logit - old));
}

function verdict(moves) {
  const equal = moves.filter((move) => move === 0).length;
  if (equal === moves.length)
    return `All ${moves.length} logits of old classes are the same integers, digit for digit.`;
  if (moves.every((move) => move === moves[0])) {
    const text = `All ${moves.length} logits of old classes moved by ${signed(moves[0])}`;
    return `${text}: their differences are the same integers.`;
  }
  return `${equal} of ${moves.length} logits of old classes are the same integers.`;
}

const signed = (value) => `${value > 0 ? "+" : ""}${count(value)}`;
