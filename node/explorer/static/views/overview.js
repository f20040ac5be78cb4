// The node at a glance: its head, fees, peers and mempool, warnings, models, rounds, and the latest blocks.

import { card, clear, h, table, tag } from "../dom.js";
import { bytes, coins, count, duration, link, many, when } from "../format.js";
import { live } from "../live.js";
import { blockColumns } from "../blocks.js";
import { refill } from "../refill.js";
import { isOpen, phaseName, statusName, statusTag } from "../roundwords.js";
import { askLink } from "./models.js";

export const title = "Overview";
const LATEST = 8;
const TOPICS = ["heads", "transactions", "peers", "rounds"];
const SHOWN = 5;

export async function view(root, params, chain) {
  const figures = h("div", { class: "grid figures" });
  const warnings = h("div"), rounds = h("div"), made = h("div"), blocks = h("div");
  const notice = h("div", { "aria-live": "polite" });
  const name = h("span");
  root.append(
    h("h1", null, "The chain ", name),
    notice,
    warnings,
    figures,
    rounds,
    made,
    card("Latest blocks", blocks, h("p", null, h("a", { href: "#/blocks" }, "All blocks"))),
  );
  const read = async () => {
    const [status, head] = await Promise.all([chain.call("node_status"), chain.call("chain_head")]);
    const first = Math.max(0, head.height - LATEST + 1);
    const headers = await chain.call("chain_headers", { first, count: LATEST });
    clear(name, status.name);
    clear(warnings, told(status.warnings));
    clear(figures, ...figuresOf(status, head));
    clear(rounds, openRounds(status.rounds));
    clear(blocks, table("Latest blocks", blockColumns, headers.reverse()));
  };
  const readMade = async () => {
    const [models, all] = await Promise.all([chain.call("model_list"), chain.call("round_list")]);
    const rounds = all.toSorted((one, other) => other.opened - one.opened); // the latest first
    const last = (model) => rounds.findIndex((round) => round.model === model.id);
    const latest = models.toSorted((one, other) => last(one) - last(other));
    refill(made, latestModels(latest), latestRounds(rounds.filter((round) => !isOpen(round))));
  };
  const ends = [await live(chain, TOPICS, read, notice)];
  try {
    ends.push(await live(chain, ["rounds", "versions"], readMade, notice));
  } catch (error) {
    ends[0]();
    throw error;
  }
  return () => ends.forEach((end) => end());
}

function latestModels(models) {
  if (!models.length) return null;
  const all = h("p", null, h("a", { href: "#/models" }, "All models"));
  return card("Models", table("Models", modelColumns, models.slice(0, SHOWN)), all);
}

function latestRounds(ended) {
  if (!ended.length) return null;
  const all = h("p", null, h("a", { href: "#/rounds" }, "All rounds"));
  return card("Latest rounds", table("Latest rounds", endedColumns, ended.slice(0, SHOWN)), all);
}

const modelColumns = [
  { head: "Model", cell: (model) => link("model", model.id) },
  { head: "Version", cell: (model) => count(model.head), numeric: true },
  { head: "Classes", cell: (model) => count(model.classes), numeric: true },
  { head: "", cell: askLink },
];

const endedColumns = [
  { head: "Round", cell: (round) => link("round", round.id) },
  { head: "Outcome", cell: (round) => tag(statusName(round), statusTag(round)) },
  { head: "Won by", cell: (round) => link("account", round.winner) },
  { head: "Model", cell: (round) => link("model", round.model) },
  { head: "Version", cell: (round) => (round.winner ? count(round.new_version) : "–"), numeric: true },
];

function told(warnings) {
  if (!warnings.length) return null;
  return h(
    "section",
    { class: "card", "aria-label": "Warnings" },
    h("h2", null, "What needs attention"),
    warnings.map((warning) => h("p", { class: "notice bad" }, `${warning.message} [${warning.code}]`)),
  );
}

function openRounds(rounds) {
  return rounds.length ? card("Open rounds", table("Open rounds", roundColumns, rounds)) : null;
}

const roundColumns = [
  { head: "Round", cell: (round) => link("round", round.id) },
  { head: "Model", cell: (round) => link("model", round.model) },
  { head: "Phase", cell: (round) => phaseName(round.phase, round.epoch, round.epochs) },
  { head: "Left of it", cell: (round) => (round.ticks_left === null ? "–" : many(round.ticks_left, "tick")) },
];

function figuresOf(status, head) {
  const { pace, mempool, peers } = status;
  const due = pace.on_demand
    ? "blocks come when transactions wait or a round runs"
    : `a block is due every ${duration(pace.due_s)}`;
  const mean = pace.mean_s === null ? due : `${due}, came every ${duration(pace.mean_s)}`;
  const connected = peers.inbound + peers.outbound;
  const rate = pace.network_hashes_per_s;
  return [
    figure("Height", link("block", head.height, count(head.height)), when(head.timestamp_ms)),
    head.has_work
      ? figure("Work on the chain", count(head.work), rate === null ? null : `${count(rate)} hashes a second`)
      : figure("Work on the chain", "none", "blocks of this chain cost no work"),
    figure("Ticks of the round clock", count(head.ticks), mean),
    figure("Least fee", coins(status.fees.least), "what any transaction costs at least"),
    figure("Waiting transactions", count(mempool.count), bytes(mempool.bytes)),
    figure("Peers", count(connected), connected ? `this node dialled ${peers.outbound} of them` : null),
    figure("Open rounds", count(status.rounds.length), endedLink()),
    figure("Node", `up ${duration(status.uptime_s)}`, `version ${status.version}`),
  ];
}

const endedLink = () => h("a", { href: "#/rounds" }, "and those that have ended");

function figure(name, value, more) {
  return h(
    "div",
    { class: "card figure" },
    h("span", { class: "name" }, name),
    h("span", { class: "value" }, value),
    more ? h("span", { class: "more" }, more) : null,
  );
}
