// What was caught in a round: claims that every node found to be untrue, and duties that were broken.

import { card, facts, h, tag } from "./dom.js";
import { coins, count, link, linked, ordinal, words } from "./format.js";

const MOST_PAGES = 10;
const FAILED =
  "These transactions stand in a block and failed there, because something in them is not true: every node " +
  "checks it, and whoever sent them loses a bond. What no block may hold, such as a copied update, is not " +
  "on the chain.";

const REFUTED =
  "On this model authors claim scores row by row, and every node computes the rows that somebody disputes " +
  "or an audit draws. These claims were false: their authors lost a bond, half of it to whoever showed that.";

/** What was caught in a round, in the order of the chain: {failed, refuted, rest, isLate, error}.
 *
 * `rest` is the height of the first block that was not looked at, or null; `error` says why nothing is known.
 */
export async function failures(chain, id) {
  const failed = [], refuted = [];
  let first = 0, isLate = false;
  try {
    for (let page = 0; page < MOST_PAGES && first !== null; page += 1) {
      const found = await chain.call("round_failures", { id, first });
      failed.push(...found.failed);
      refuted.push(...found.refuted);
      isLate ||= found.before_snapshot;
      first = found.next;
    }
  } catch (error) {
    if (error.code === "connection_lost") throw error;
    return { failed, refuted, rest: first, isLate, error: error.message };
  }
  return { failed, refuted, rest: first, isLate, error: null };
}

/** The card of what was caught; null where nothing was, as far as the node can tell. */
export function caught({ failed, refuted, rest, isLate, error }) {
  const gaps = [
    error && `What was caught in this round cannot be told in full: ${error}.`,
    !error && rest !== null && `Blocks from ${count(rest)} on are not looked at here: the round is long.`,
    isLate && "This node began with a snapshot, and cannot tell what was caught in the blocks before it.",
  ].filter(Boolean);
  if (!failed.length && !refuted.length && !gaps.length) return null;
  return card(
    "Caught",
    gaps.map((text) => h("p", { class: "notice" }, text)),
    failed.length ? h("p", { class: "muted" }, FAILED) : null,
    failed.length ? h("ul", { class: "grid plain" }, failed.map(oneFailed)) : null,
    refuted.length ? h("p", { class: "muted" }, REFUTED) : null,
    refuted.length ? h("ul", { class: "grid plain" }, refuted.map(oneRefuted)) : null,
  );
}

function oneFailed(each) {
  return oneCaught(
    each,
    words(each.code),
    h("p", {}, "The sender ", each.action, ": ", linked(each.why), "."),
    [["Bond lost", Number(each.bond_burned) ? coins(each.bond_burned) : null]],
  );
}

function oneRefuted(each) {
  const isDispute = each.kind === "dispute_claim";
  const rows = each.rows === 1 ? "the one row" : `the ${count(each.rows)} rows`;
  const where = `${rows} of chunk ${count(each.chunk)} of part ${count(each.part)}`;
  return oneCaught(
    each,
    "claim refuted",
    h("p", {}, `The author claimed other scores of ${where} than every node computed.`),
    [
      ["Bond lost", `${coins(each.bond)}; ${coins(each.bond_burned)} of it burned`],
      [isDispute ? "Disputed by" : "Found in the audit by", link("account", each.challenger)],
      ["Reward for that", coins(each.reward)],
    ],
  );
}

function oneCaught(each, name, text, more) {
  const epoch = each.epoch === null ? null : ` in epoch ${ordinal(each.epoch)}`;
  return h(
    "li",
    { class: "card caught" },
    h("h3", {}, h("s", {}, link("account", each.author), epoch), " ", tag(`caught: ${name}`, "caught")),
    text,
    facts(
      ...more,
      ["Transaction", link("tx", each.txid)],
      ["In block", link("block", each.height, count(each.height))],
    ),
  );
}
