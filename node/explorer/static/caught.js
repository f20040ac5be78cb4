// What failed in a round: claims that every node found to be untrue, and duties that were broken.

import { card, facts, h, tag } from "./dom.js";
import { coins, count, link, linked, ordinal, words } from "./format.js";

const MOST_PAGES = 10;
const LEAD =
  "These transactions stand in a block and failed there, because something in them is not true: every node " +
  "checks it, and whoever sent them loses a bond. What no block may hold, such as a copied update, is not " +
  "on the chain.";

/** What failed in a round, in the order of the chain: {failed, rest, before_snapshot, error}.
 *
 * `rest` is the height of the first block that was not looked at, or null; `error` says why nothing is known.
 */
export async function failures(chain, id) {
  const failed = [];
  let first = 0, isLate = false;
  try {
    for (let page = 0; page < MOST_PAGES && first !== null; page += 1) {
      const found = await chain.call("round_failures", { id, first });
      failed.push(...found.failed);
      isLate ||= found.before_snapshot;
      first = found.next;
    }
  } catch (error) {
    if (error.code === "connection_lost") throw error;
    return { failed, rest: first, isLate, error: error.message };
  }
  return { failed, rest: first, isLate, error: null };
}

/** The card of what failed; null where nothing did, as far as the node can tell. */
export function caught({ failed, rest, isLate, error }) {
  const gaps = [
    error && `What failed in this round cannot be told in full: ${error}.`,
    !error && rest !== null && `Blocks from ${count(rest)} on are not looked at here: the round is long.`,
    isLate && "This node began with a snapshot, and cannot tell what failed in the blocks before it.",
  ].filter(Boolean);
  if (!failed.length && !gaps.length) return null;
  return card(
    "Caught",
    failed.length ? h("p", { class: "muted" }, LEAD) : null,
    gaps.map((text) => h("p", { class: "notice" }, text)),
    h("ul", { class: "grid plain" }, failed.map(one)),
  );
}

function one(each) {
  const epoch = each.epoch === null ? null : ` in epoch ${ordinal(each.epoch)}`;
  return h(
    "li",
    { class: "card caught" },
    h(
      "h3",
      {},
      h("s", {}, link("account", each.author), epoch),
      " ",
      tag(`caught: ${words(each.code)}`, "caught"),
    ),
    h("p", {}, "The sender ", each.action, ": ", linked(each.why), "."),
    facts(
      ["Bond lost", Number(each.bond_burned) ? coins(each.bond_burned) : null],
      ["Transaction", link("tx", each.txid)],
      ["In block", link("block", each.height, count(each.height))],
    ),
  );
}
