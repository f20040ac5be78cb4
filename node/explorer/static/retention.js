// Asks the node what every version says of the kept rows, and shows for each class how many it gets right.

import { curves } from "./curves.js";
import { clear, h, table } from "./dom.js";
import { count, percent } from "./format.js";
import { rowsOf } from "./rows.js";

const TEXT =
  "The node asks the versions about the rows of the kept parts, which are public, and counts for each class.";
const MOST_VERSIONS = 12;
const MOST_ROWS = 400;
const MESSAGE_NUMBERS = 40_000;

/** A place with a button that measures: `knows(model, versions)` says of what, `node` is what to show. */
export function measuring(chain, id) {
  const answer = h("div", { "aria-live": "polite" });
  const button = h("button", { type: "button", on: { click: () => measure() } }, "Measure now");
  const node = h(
    "section",
    { class: "card" },
    h("h2", {}, "What it knows of them now"),
    h("p", { class: "muted" }, TEXT),
    button,
    answer,
  );
  let known = null;
  node.hidden = true;

  async function measure() {
    button.disabled = true;
    try {
      const rows = await keptRows(chain, known.model);
      const shown = known.versions.slice(-MOST_VERSIONS);
      const found = [];
      for (const version of shown) {
        clear(
          answer,
          h("p", { class: "muted" }, `Asking version ${version.number} about ${count(rows.length)} rows…`),
        );
        found.push(await recall(chain, id, version, rows));
      }
      clear(answer, heatmap(shown, found, rows));
    } catch (error) {
      clear(answer, h("p", { class: "notice bad" }, `It could not be measured: ${error.message}`));
    } finally {
      button.disabled = false;
    }
  }

  return {
    node,
    knows(model, versions) {
      known = { model, versions };
      node.hidden = model.retention.length === 0;
    },
  };
}

async function keptRows(chain, model) {
  const rows = [];
  for (const part of model.retention) {
    if (rows.length >= MOST_ROWS) break;
    rows.push(...(await rowsOf(chain, part.part)));
  }
  return rows.slice(0, MOST_ROWS);
}

/** How many rows of each class a version gets right: a map from the class to [right, all]. */
async function recall(chain, id, version, rows) {
  const tally = new Map();
  const most = Math.max(1, Math.floor(MESSAGE_NUMBERS / rows[0].values.length));
  for (let first = 0; first < rows.length; first += most) {
    const some = rows.slice(first, first + most);
    const asked = { id, version: version.number, rows: some.map((row) => row.values) };
    const { predictions } = await chain.call("model_predict", asked);
    predictions.forEach((prediction, index) => {
      const [right, all] = tally.get(some[index].label) ?? [0, 0];
      tally.set(some[index].label, [right + (prediction.class === some[index].label ? 1 : 0), all + 1]);
    });
  }
  return tally;
}

function heatmap(versions, found, rows) {
  const classes = [...new Set(rows.map((row) => row.label))].sort((one, other) => one - other);
  const columns = [
    { head: "Class", cell: (label) => label },
    ...versions.map((version, index) => ({
      head: `v${version.number}`,
      cell: (label) => share(label < version.classes ? found[index].get(label) : null),
      numeric: true,
    })),
  ];
  const accuracy = found.map((tally) => {
    const sums = [...tally.values()].reduce(([right, all], each) => [right + each[0], all + each[1]], [0, 0]);
    return sums[0] / sums[1];
  });
  const written = (value) => `${(value * 100).toFixed(1)}%`;
  const old = oldest(versions, found);
  return [
    curves(
      "Share of the kept rows that a version gets right",
      versions,
      [
        { name: `rows of the ${count(versions[0].classes)} classes that it was founded with`, values: old },
        { name: "rows of all classes", values: accuracy },
      ],
      { low: 0, high: 1, written },
    ),
    table("Right answers by class and version", columns, classes),
    h(
      "p",
      { class: "muted small" },
      `Of ${count(rows.length)} kept rows. A class is unknown until a growth adds it.`,
    ),
  ];
}

/** The share of right rows of the classes that the first version has, by version. */
function oldest(versions, found) {
  return found.map((tally) => {
    const own = [...tally].filter(([label]) => label < versions[0].classes).map(([, counted]) => counted);
    const right = own.reduce((sum, each) => sum + each[0], 0);
    return right / own.reduce((sum, each) => sum + each[1], 0);
  });
}

function share(counted) {
  if (!counted) return h("span", { class: "muted" }, "unknown");
  const cell = h("span", { class: "heat" }, percent(...counted));
  cell.style.setProperty("--share", String(counted[0] / counted[1]));
  return cell;
}
