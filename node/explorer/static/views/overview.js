// The node at a glance: its head, fees, peers and mempool, warnings, and the latest blocks.

import { card, clear, h, table } from "../dom.js";
import { bytes, coins, count, duration, link, many, when } from "../format.js";
import { live } from "../live.js";
import { blockColumns } from "../blocks.js";
import { phaseName } from "../roundwords.js";

export const title = "Overview";
const LATEST = 8;
const TOPICS = ["heads", "transactions", "peers", "rounds"];

export async function view(root, params, chain) {
  const figures = h("div", { class: "grid figures" });
  const warnings = h("div"), rounds = h("div"), blocks = h("div");
  const notice = h("div", { "aria-live": "polite" });
  const name = h("span");
  root.append(
    h("h1", null, "The chain ", name),
    notice,
    warnings,
    figures,
    rounds,
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
  return live(chain, TOPICS, read, notice);
}

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
    figure("Open rounds", count(status.rounds.length), null),
    figure("Node", `up ${duration(status.uptime_s)}`, `version ${status.version}`),
  ];
}

function figure(name, value, more) {
  return h(
    "div",
    { class: "card figure" },
    h("span", { class: "name" }, name),
    h("span", { class: "value" }, value),
    more ? h("span", { class: "more" }, more) : null,
  );
}
