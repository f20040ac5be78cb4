// Transactions as people read them: one sentence for what each asks for, and a word for what came of it.

import { tag } from "./dom.js";
import { bytes, coins, count, link, loss, many, ordinal, words } from "./format.js";

const round = (tx) => link("round", tx.payload.round);
const model = (tx) => link("model", tx.payload.model);
const epochOf = (tx) => `epoch ${ordinal(tx.payload.epoch)}`;

const SENTENCES = {
  transfer: (tx) => ["pays ", coins(tx.payload.amount), " to ", link("account", tx.payload.target)],
  claim_rewards: (tx) => [
    `claims the rewards of heights ${count(tx.payload.first)} to ${count(tx.payload.last)}`,
  ],
  publish_chunk: (tx) => [
    `uploads a piece of a blob of ${bytes(tx.payload.size_bytes)}, number ${ordinal(tx.payload.index)}`,
  ],
  publish_part: (tx) => [
    `publishes a part of ${many(tx.payload.rows, "row")}, ${many(tx.payload.inputs, "input")} each, `,
    many(tx.payload.classes, "class", "classes"),
  ],
  score_version: (tx) => [
    `has version ${count(tx.payload.version)} of model `, model(tx), " scored on a part",
  ],
  infer: (tx) => ["asks model ", model(tx), " for a prediction"],
  open_round: (tx) =>
    tx.payload.founding ? ["opens a round that founds a model"] : ["opens a round of model ", model(tx)],
  seal_part: (tx) => ["seals a part as a witness of round ", round(tx)],
  reveal_part: (tx) => ["reveals a validation part of round ", round(tx)],
  commit_update: (tx) => [`commits to an update of round `, round(tx), `, ${epochOf(tx)}`],
  reveal_update: (tx) => [
    "reveals an update of round ", round(tx), `, ${epochOf(tx)}, and claims a loss of `,
    loss(tx.payload.loss), " over all rows",
  ],
  reveal_sealed: (tx) => ["opens a sealed part of round ", round(tx)],
  score_update: (tx) => tx.payload.claimed ? [
    "claims the scores of an update in round ", round(tx), " on ", many(tx.payload.parts.length, "part"),
  ] : [
    "has an update of ", link("account", tx.payload.author), " in round ", round(tx), " scored on ",
    many(tx.payload.parts.length, "part"),
  ],
  dispute_claim: (tx) => [
    "disputes a chunk of what ", link("account", tx.payload.author), " claims in round ", round(tx),
  ],
  confirm_update: (tx) => [
    "confirms what ", link("account", tx.payload.author), " claims in round ", round(tx), ", with ",
    many(tx.payload.chunks.length, "audited chunk"),
  ],
  advance_round: (tx) => ["carries out what is due in round ", round(tx)],
  withdraw: (tx) => [
    "ends the hold on an update of ", link("account", tx.payload.author), " in round ", round(tx),
  ],
  amend_model: (tx) => ["changes who may do what with model ", model(tx)],
  retire_part: (tx) => ["retires a part of model ", model(tx)],
  fork_model: (tx) => [`founds a model on version ${count(tx.payload.version)} of model `, model(tx)],
};

/** What a transaction asks for, without its sender: `pays 5 coins to …`. */
export function asks(tx) {
  const sentence = tx.payload && SENTENCES[tx.name];
  if (sentence) return sentence(tx);
  return [tx.name ? words(tx.name) : `a kind (${tx.kind}) that this version of Engram does not know`];
}

/** The whole sentence, with its sender. */
export function sentence(tx) {
  return [link("account", tx.sender), " ", asks(tx)];
}

/** A word for what came of a transaction in a block. */
export function outcome(receipt) {
  return receipt.status === 0 || receipt.status === "ok"
    ? tag("done", "good")
    : tag(`failed: ${words(receipt.code)}`, "bad");
}

const WAITS = {
  nonce_mismatch: "an earlier transaction of its sender",
  fee_too_low: "lower fees than now",
  insufficient_balance: "more coins of its sender",
};

/** What keeps a waiting transaction out of the next block, in words; the code is what the node gives. */
export function waitsFor(code) {
  return code ? tag(WAITS[code] ?? words(code)) : tag("the next block", "good");
}

const STATUSES = { included: "good", failed: "bad", pending: "muted", dropped: "bad", unknown: "muted" };

/** A word for how a transaction stands. */
export function standing(status, code) {
  return tag(code ? `${status}: ${words(code)}` : status, STATUSES[status] ?? "muted");
}

const AMOUNTS = new Set(["bond_burned", "bond_returned", "pot_carried", "rewards_claimed", "upload_failed"]);
const LOSSES = new Set(["candidate_admitted", "no_improvement"]);
const ROUNDS = new Set([
  "bond_burned", "bond_returned", "bounty_paid", "candidate_admitted", "claim_confirmed", "claim_refuted",
  "no_improvement", "part_revealed", "part_sealed", "parts_drawn", "pot_carried", "round_ended",
  "round_opened", "sealed_opened",
  "update_committed", "update_judged", "update_scored",
]);
const MODELS = new Set([
  "badge_given", "model_amended", "model_forked", "part_retired", "prediction", "version_created",
  "version_scored",
]);

/** What a transaction has caused, as a list of texts and links. */
export function happened(event) {
  const { name, subject, values } = event;
  if (name.startsWith("round_")) return [`${words(name)}: `, link("round", subject)];
  const where = ROUNDS.has(name)
    ? [" in round ", link("round", subject)]
    : MODELS.has(name)
      ? [" of model ", link("model", subject)]
      : [];
  const amount = AMOUNTS.has(name) ? values[0] : name === "bounty_paid" ? values[1] : null;
  const told = amount === null ? null : `: ${coins(amount)}`;
  const lost = LOSSES.has(name) ? `: loss ${loss(values[1])} over all rows` : null;
  return [words(name), ...where, told ?? lost];
}

/** Of a value of more bytes, the node is asked for so many: a block can hold megabytes that nobody reads. */
export const CUT = 100;

/** The columns by which tables show the transactions of a block. */
export const transactionColumns = [
  { head: "Transaction", cell: (tx) => link("tx", tx.txid) },
  { head: "What it does", wide: true, cell: (tx) => sentence(tx) },
  { head: "Fee", numeric: true, cell: (tx) => coins(tx.receipt.fee) },
  { head: "Outcome", cell: (tx) => outcome(tx.receipt) },
];
