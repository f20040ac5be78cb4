// One model: where its neurons come from, how it has learned, what it still knows, who earned what.

import { card, facts, h, table, tag } from "../dom.js";
import { bytes, count, link, loss, many, percent, shortId, whole } from "../format.js";
import { curves } from "../curves.js";
import { colourOf, frozenTag, isFrozen, kindOf, lineagePicture } from "../lineage.js";
import { live } from "../live.js";
import { policyName, policyText } from "../policies.js";
import { refill } from "../refill.js";
import { measuring } from "../retention.js";
import { kindName, statusName, statusTag } from "../roundwords.js";
import { ranges } from "../who.js";
import { askLink } from "./models.js";

const Q24 = 2 ** 24;
const PPM = 1e6;
const DRAWN = 40;
const LINEAGE =
  "A column is a version, a block a group of neurons that one author made. Training replaces all of them. " +
  "Once they are frozen, a growth puts new ones on top, and the old ones never change. " +
  "The loss is that of a sealed row.";
const LEARNING =
  "Measured in the round that made a version, on rows that its author could not see. Each round has its own.";
const FEW =
  "The chain has recorded one score for each kept part so far; the command engram model score pays for more.";
const VERSIONS =
  "❄ means that the neurons are fixed for ever. MACs a row are what the chain charges for one row: " +
  "its multiplications, and the rest of a node's work as so many multiplications.";
const CHARGED =
  "which are the multiplications of integers that it takes, and the rest of the work, as so many of them.";
const LAYERS =
  "A convolution is one small window of weights that moves over a picture; a dense neuron has a weight for " +
  "each value that it reads.";
const PLACES = [
  "head",
  "lineage",
  "learning",
  "kept",
  "measured",
  "layers",
  "versions",
  "people",
  "rounds",
  "rules",
];
const BADGES = ["participation", "best loss", "teacher", "witness", "founder"];

export const title = (params) => `Model ${shortId(params.id)}`;

export async function view(root, params, chain) {
  const places = Object.fromEntries(PLACES.map((name) => [name, h("div")]));
  const [notice, measured] = [h("div", { "aria-live": "polite" }), measuring(chain, params.id)];
  root.append(notice, ...Object.values(places));
  places.measured.append(measured.node);
  const read = async () => {
    const found = await everything(chain, params.id);
    refill(places.head, head(found.model));
    refill(places.lineage, card("Whose neurons these are", lineage(found)));
    refill(places.learning, card("How it has learned", learning(found)));
    refill(places.kept, card("What it must not forget", retention(found)));
    refill(places.layers, card("What the network is made of", layers(found.current)));
    refill(places.versions, card("Versions", versionTable(found)));
    refill(places.people, card("People", people(found)));
    refill(places.rounds, card("Rounds", rounds(found.rounds)));
    refill(places.rules, card("Rules", rules(found.model)));
    measured.knows(found.model, found.versions);
  };
  return live(chain, ["versions", "rounds"], read, notice);
}

async function everything(chain, id) {
  const asked = ["get", "versions", "version", "scores", "badges", "reputation"];
  const [model, versions, current, scores, badges, reputation, rounds] = await Promise.all([
    ...asked.map((what) => chain.call(`model_${what}`, { id })),
    chain.call("round_list", { model: id }),
  ]);
  return { model, versions, current, scores, badges, reputation, rounds };
}

function head(model) {
  const parent = [", forked from version ", count(model.parent_version), " of ", link("model", model.parent)];
  return [
    h("h1", {}, `Model ${shortId(model.id)} `, frozenTag(model)),
    h(
      "p",
      {},
      `Version ${count(model.head)} tells ${many(model.classes, "class", "classes")} apart `,
      `by ${many(model.inputs, "number")} a row. Founded by `,
      link("account", model.founder),
      /^0+$/.test(model.parent) ? "." : [parent, "."],
    ),
    h("p", {}, askLink(model)),
  ];
}

function lineage({ model, versions, current }) {
  const shown = versions.slice(-DRAWN);
  const made = (group) => versions[group.version];
  const columns = [
    { head: "Group", cell: (group) => [key(group), ` v${group.version}`] },
    { head: "Neurons", cell: (group) => count(group.neurons), numeric: true },
    { head: "Came with classes", cell: (group) => (group.classes.length ? ranges(group.classes) : "–") },
    { head: "Made by", cell: (group) => link("account", group.author) },
    {
      head: "Loss then",
      cell: (group) => loss(made(group).sealed_loss, made(group).sealed_rows),
      numeric: true,
    },
    {
      head: "At height",
      cell: (group) => link("block", made(group).height, count(made(group).height)),
      numeric: true,
    },
  ];
  return [
    h("p", { class: "muted" }, LINEAGE),
    shown.length < versions.length
      ? h("p", { class: "muted" }, `The last ${DRAWN} of ${versions.length} versions.`)
      : null,
    scrolling("Lineage", lineagePicture(model, shown, current.lineage)),
    table("Groups of neurons in the current version", columns, current.lineage),
  ];
}

const key = (group) => h("span", { class: `curves-key ${colourOf(group)}`, "aria-hidden": "true" }, "■");

function learning({ versions }) {
  const shown = versions.slice(-DRAWN);
  const accuracy = shown.map((version) =>
    version.sealed_rows ? version.sealed_correct / version.sealed_rows : null,
  );
  const mean = (version, rows) =>
    version[`${rows}_rows`] ? Number(version[`${rows}_loss`]) / version[`${rows}_rows`] / Q24 : null;
  const sealed = shown.map((version) => mean(version, "sealed"));
  const revealed = shown.map((version) => mean(version, "validation"));
  const known = [...sealed, ...revealed].filter((value) => value !== null);
  if (!known.length) return h("p", { class: "muted" }, "No round has been decided yet: nothing is measured.");
  const right = accuracy.filter((value) => value !== null);
  const low = Math.min(0.9, Math.floor(Math.min(...right) * 10) / 10);
  return [
    h("p", { class: "muted" }, LEARNING),
    h(
      "div",
      { class: "grid" },
      curves(
        "Accuracy on the sealed rows of the version's round",
        shown,
        [{ name: "accuracy", values: accuracy }],
        {
          low,
          high: 1,
          written: (value) => `${(value * 100).toFixed(1)}%`,
        },
      ),
      curves(
        "Loss in nats a row",
        shown,
        [
          { name: "on sealed rows, which decide", values: sealed },
          { name: "on the rows that authors saw", values: revealed },
        ],
        { low: 0, high: Math.max(...known) * 1.1, written: (value) => value.toFixed(2) },
      ),
    ),
  ];
}

function retention({ model, versions, scores }) {
  const shown = versions.slice(-DRAWN);
  const names = new Map(model.retention.map((part) => [part.part, part.classes]));
  const at = (part, number) => scores.find((score) => score.part === part && score.version === number);
  const series = [...names].map(([part, classes]) => ({
    name: `part ${shortId(part)}, of the first ${classes} classes`,
    values: shown.map((version) => {
      const score = at(part, version.number);
      return score ? score.correct / score.rows : null;
    }),
  }));
  const told = [
    `Every decided round leaves a part that later growths must still get right. One growth may lose`,
    `${ppm(model.retention_epsilon_ppm)} of the rows of old classes. All growths so far have lost`,
    `${ppm(model.lost_ppm)}; at ${ppm(model.lost_cap_ppm)} growth ends.`,
  ].join(" ");
  const isLine = series.some((line) => line.values.filter((value) => value !== null).length > 1);
  const axis = { low: 0, high: 1, written: (value) => `${(value * 100).toFixed(1)}%` };
  const label = "Accuracy on the kept parts, as the chain has recorded it";
  return [
    h("p", { class: "muted" }, told),
    isLine
      ? curves(label, shown, series, axis)
      : h("p", { class: "muted" }, series.length ? FEW : "No part is kept yet."),
  ];
}

/** The layers of the current version, from the inputs to the classes. */
function layers({ layers: widths, layer_kinds: kinds, classes, macs_per_row: macs }) {
  const last = { name: "classes", width: classes, made: "the sum for each class" };
  const rows = widths.map((width, index) => ({
    name: index ? `layer ${index}` : "inputs",
    width,
    made: index ? kinds[index - 1].map(segmentName).join(" and ") : "numbers from 0 to 255",
  }));
  const columns = [
    { head: "Layer", cell: (layer) => layer.name },
    { head: "Width", cell: (layer) => count(layer.width), numeric: true },
    { head: "Made of", cell: (layer) => layer.made, wide: true },
  ];
  return [
    h("p", { class: "muted" }, `A row is charged ${count(macs)} MACs, ${CHARGED} ${LAYERS}`),
    table("Layers of the network", columns, [...rows, last]),
  ];
}

const SEGMENTS = { conv: "convolutions", dense: "dense neurons", max: "maxima of windows" };
const ACTIVATIONS = { relu: "ReLU", square: "squares", root: "square roots" };

/** What a kind of segment is called: `conv_relu` is "convolutions, ReLU". */
function segmentName(kind) {
  const [shape, activation] = kind.split("_");
  const name = SEGMENTS[shape] ?? kind.replaceAll("_", " ");
  return ACTIVATIONS[activation] ? `${name}, ${ACTIVATIONS[activation]}` : name;
}

const ppm = (value) => `${((Number(value) / PPM) * 100).toFixed(1)}%`;

function versionTable({ model, versions }) {
  const place = (version) => versions.indexOf(version);
  const came = (version) => kindOf(version, versions[place(version) - 1]);
  const right = (version) =>
    version.sealed_rows ? percent(version.sealed_correct, version.sealed_rows) : "–";
  const columns = [
    {
      head: "Version",
      cell: (version) => `${version.number}${isFrozen(versions, place(version), model) ? " ❄" : ""}`,
    },
    {
      head: "Came by",
      cell: (version) =>
        /^0+$/.test(version.round) ? came(version) : link("round", version.round, came(version)),
    },
    { head: "Author", cell: (version) => link("account", version.author) },
    { head: "Neurons", cell: (version) => count(version.neurons), numeric: true },
    { head: "Classes", cell: (version) => count(version.classes), numeric: true },
    {
      head: "Loss, sealed",
      cell: (version) => loss(version.sealed_loss, version.sealed_rows),
      numeric: true,
    },
    { head: "Right, sealed", cell: right, numeric: true },
    { head: "Sent", cell: (version) => bytes(version.sent_tensor_bytes), numeric: true },
    { head: "In all", cell: (version) => bytes(version.parameter_bytes), numeric: true },
    { head: "MACs a row", cell: (version) => count(version.macs_per_row), numeric: true },
    {
      head: "Height",
      cell: (version) => link("block", version.height, count(version.height)),
      numeric: true,
    },
  ];
  return [h("p", { class: "muted" }, VERSIONS), table("Versions", columns, [...versions].reverse())];
}

function people({ badges, reputation }) {
  const points = new Map(reputation.map((each) => [each.address, Number(each.points)]));
  const own = (address) => badges.filter((badge) => badge.address === address);
  const addresses = [...new Set([...points.keys(), ...badges.map((badge) => badge.address)])];
  addresses.sort((one, other) => (points.get(other) ?? 0) - (points.get(one) ?? 0));
  const columns = [
    { head: "Address", cell: (address) => link("account", address) },
    {
      head: "Loss removed",
      cell: (address) => (points.has(address) ? ppm(points.get(address)) : "–"),
      numeric: true,
    },
    {
      head: "Badges",
      cell: (address) => own(address).map((badge) => [tag(badgeName(badge)), " "]),
      wide: true,
    },
  ];
  return [
    h(
      "p",
      { class: "muted" },
      "Loss removed adds up, over all rounds, the shares of the baseline's loss that somebody has removed.",
    ),
    table("People", columns, addresses, "Nobody has earned a badge yet."),
  ];
}

const badgeName = (badge) => `${BADGES[badge.badge] ?? badge.badge}, v${badge.version}`;

function rounds(found) {
  const columns = [
    { head: "Round", cell: (round) => link("round", round.id) },
    { head: "Kind", cell: (round) => kindName(round.terms.kind) },
    { head: "Outcome", cell: (round) => tag(statusName(round), statusTag(round)) },
    { head: "Opened by", cell: (round) => link("account", round.opener) },
    { head: "Won by", cell: (round) => link("account", round.winner) },
  ];
  return table("Rounds of the model", columns, [...found].reverse(), "No round has been opened on it.");
}

function rules(model) {
  const limits = Object.entries(model.growth_limits).map(
    ([name, most]) => `${count(most)} ${name.replaceAll("_", " ")}`,
  );
  const names = (addresses) => addresses.map((address) => [link("account", address), " "]);
  return facts(
    ["Policy", `${policyName(model)}: ${policyText(model)}`],
    ["Freezes at", `a loss of ${model.threshold_ppm / PPM} · ln(classes) a row`],
    ["One growth may add", `at most ${limits.join(", ")}`],
    ["Opens growths", ["the founder", model.members.length ? [" and ", names(model.members)] : ""]],
    [
      "Standing witnesses",
      model.witnesses.length ? names(model.witnesses.map((each) => each.address)) : "none",
    ],
    ["Id of the model", whole(model.id)],
    ["Parameters root", whole(model.root)],
  );
}

function scrolling(label, picture) {
  return h("div", { class: "scrolls", tabindex: "0", role: "region", "aria-label": label }, picture);
}
