// Claims of scores, on models of which no node computes every score: what has become of each.

import { tag } from "./dom.js";
import { count } from "./format.js";

export const CLAIMED =
  "Losses are means of a row, in nats; less is better. On this model each author claims them, row by row. " +
  "A claim can be disputed while it is open: then every node recomputes the rows in question. It counts " +
  "once it is confirmed.";

const TAGS = { open: "", confirmed: "good", refuted: "bad" };

/** Where a loss on the revealed parts comes from. */
export const source = (claim) => (claim ? `as claimed: ${claim.status}` : "as claimed and as recomputed");

/** The state of a claim, and what it waits for; nothing for an update without one. */
export function claimState(claim) {
  if (!claim) return null;
  return [tag(claim.expired ? "expired" : claim.status, TAGS[claim.status]), ` ${text(claim)}`];
}

function text(claim) {
  const audited = `${count(Math.min(claim.chunks_audited, claim.chunks))} of ${count(claim.chunks)} chunks`;
  if (claim.status === "refuted") return "It was false. The bond is lost, half of it to whoever showed that.";
  if (claim.status === "confirmed") return `Nobody has refuted it, and every node has recomputed ${audited}.`;
  const claimed = `${claim.parts_claimed} of ${claim.parts} parts are claimed.`;
  if (claim.expired) return `${claimed} It was not confirmed in time, and counts for nothing.`;
  if (claim.confirm_tick === null) return claimed;
  if (!claim.window_left) {
    return `${claimed} It can be confirmed now, and disputed until then; then ${audited} are recomputed.`;
  }
  const ticks = claim.window_left === 1 ? "tick" : "ticks";
  const from = `tick ${count(claim.confirm_tick)} on, in ${count(claim.window_left)} ${ticks}`;
  return `${claimed} It can be disputed to tick ${count(claim.dispute_until)}, and confirmed from ${from}.`;
}
