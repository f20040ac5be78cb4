// Which neurons of a model came when and from whom, and how its curves run: pictures in SVG, no requests.

import { s, tag } from "./dom.js";
import { count, loss } from "./format.js";
import { nameOf } from "./names.js";

const COLUMN = 92;
const LEFT = 12;
const TALL = 190;
const TOP = 34;
const LEAST = 15;
const MOST_NAME = 11;
const KINDS = 8;
const GROW = 1;

/** The groups of neurons that each version has, oldest first, from what `model_versions` gives.
 *
 * `lineage` is that of the current version. A training replaces all neurons, a growth appends: so the current
 * version's groups are those of every version since the last training, as far as they had come.
 */
export function strata(versions, lineage) {
  const trained = Math.max(
    ...versions.filter((version) => version.kind !== GROW).map((version) => version.number),
  );
  return versions.map((version) => {
    if (version.number < trained) {
      return {
        version,
        groups: [{ version: version.number, author: version.author, neurons: version.neurons }],
      };
    }
    return { version, groups: lineage.filter((group) => group.version <= version.number) };
  });
}

/** Whether a version's neurons are fixed for ever: a growth followed, or the model says so of its head. */
export function isFrozen(versions, index, model) {
  return index + 1 < versions.length ? versions[index + 1].kind === GROW : model.frozen;
}

/** The picture of all versions as columns: each block is a group of neurons, the newest on top. */
export function lineagePicture(model, versions, lineage) {
  const columns = strata(versions, lineage);
  const most = Math.max(...versions.map((version) => version.neurons), 1);
  const deepest = Math.max(...columns.map((column) => column.groups.length));
  const scale = Math.max(TALL - deepest * LEAST, 0) / most;
  const width = LEFT * 2 + columns.length * COLUMN;
  const height = TOP + TALL + 78;
  const label = columns.map((column) => described(column)).join(" ");
  const picture = s("svg", {
    class: "lineage",
    viewBox: `0 0 ${width} ${height}`,
    width,
    height,
    role: "img",
    "aria-label": label,
  });
  const tops = columns.map((column) => blocksOf(column, scale));
  tops.forEach((blocks, index) => {
    const x = LEFT + index * COLUMN;
    if (index) bands(picture, tops[index - 1], blocks, x);
  });
  tops.forEach((blocks, index) => {
    const frozen = isFrozen(versions, index, model);
    column(picture, columns[index], blocks, LEFT + index * COLUMN, frozen, versions[index - 1]);
  });
  return picture;
}

function described({ version, groups }) {
  const parts = groups.map((group) => `${group.neurons} neurons of version ${group.version}`);
  return `Version ${version.number}: ${parts.join(", ")}; ${version.classes} classes.`;
}

function blocksOf({ groups }, scale) {
  let bottom = TOP + TALL;
  return groups.map((group) => {
    const tall = LEAST + group.neurons * scale;
    bottom -= tall;
    return { group, y: bottom, tall };
  });
}

/** The class of a group's colour, which is that of the version that it came with. */
export const colourOf = (group) => `k${group.version % KINDS}`;

const sameGroup = (one, other) => one.version === other.version && one.author === other.author;

function bands(picture, before, after, x) {
  const from = x - COLUMN + COLUMN - 22;
  before.forEach((block) => {
    const kept = after.find((other) => sameGroup(other.group, block.group));
    if (!kept) return;
    const right = `L${x} ${kept.y} L${x} ${kept.y + kept.tall}`;
    const d = `M${from} ${block.y} ${right} L${from} ${block.y + block.tall} Z`;
    picture.append(s("path", { class: `lineage-band ${colourOf(block.group)}`, d }));
  });
}

function column(picture, { version }, blocks, x, frozen, before) {
  const wide = COLUMN - 22;
  for (const { group, y, tall } of blocks) {
    const fresh = group.version === version.number;
    const author = nameOf(group.author) ?? group.author;
    const box = s("rect", {
      class: `lineage-block ${colourOf(group)} ${frozen ? "frozen" : ""}`,
      x,
      y: y + 1,
      width: wide,
      height: Math.max(tall - 2, 2),
      rx: 3,
    });
    box.append(
      s("title", {}, `${group.neurons} neurons, made in version ${group.version} by ${author}`),
    );
    picture.append(
      box,
      text(x + wide / 2, y + tall / 2 + 4, `${fresh ? "+" : ""}${count(group.neurons)}`, "lineage-count"),
    );
  }
  const top = Math.min(...blocks.map((block) => block.y), TOP + TALL);
  picture.append(text(x + wide / 2, top - 8, frozen ? "❄ frozen" : "", "lineage-note"));
  const base = TOP + TALL;
  picture.append(
    text(x + wide / 2, base + 18, `v${version.number}`, "lineage-version"),
    text(x + wide / 2, base + 36, kindOf(version, before), "lineage-note"),
    text(x + wide / 2, base + 52, shortName(version.author), "lineage-note lineage-name"),
    text(x + wide / 2, base + 68, sealedLoss(version), "lineage-note lineage-loss"),
  );
}

const sealedLoss = (version) =>
  version.sealed_rows ? loss(version.sealed_loss, version.sealed_rows) : "not measured";

/** Whether a model is frozen, in a word. */
export function frozenTag(model) {
  return model.frozen ? tag("❄ frozen: it can only grow", "good") : tag("in training");
}

/** What a version did: founded, trained, or how many classes it added. */
export function kindOf(version, before) {
  if (!before) return version.added.type === "Inherited" ? "forked" : "founded";
  if (version.kind !== GROW) return "trained";
  const added = version.classes - before.classes;
  if (added === 0) return "more neurons";
  return added === 1 ? "+1 class" : `+${added} classes`;
}

/** What an address is called, so short that it stands under a column. */
export function shortName(address) {
  const name = nameOf(address);
  if (name !== null) return name.length > MOST_NAME ? `${name.slice(0, MOST_NAME - 1)}…` : name;
  return address ? `${address.slice(0, 5)}…${address.slice(-4)}` : "-";
}

function text(x, y, content, name) {
  return s("text", { x, y, class: name, "text-anchor": "middle" }, content);
}
