// What the phases and the ends of a round are called, and how long a phase still lasts. No requests.

import { duration, many, ordinal } from "./format.js";

const OPEN = 0;
const DECIDED = 1;
const STATUS = ["open", "decided", "kept", "aborted", "cancelled"];
const STATUS_TAG = ["", "good", "muted", "bad", "muted"];
const STATUS_TEXT = [
  "",
  "An update was good enough: it became the next version of the model.",
  "No update was good enough: the model stays as it is.",
  "The opener failed a duty: the model stays as it is, and bond and bounty are burned.",
  "A standing witness of the model sealed no part: everything was given back.",
];
const PHASES = {
  open: [
    "witnesses seal",
    "Witnesses may seal parts of their own. Of the opener's rows, only commitments are known.",
  ],
  draw: [
    "draw",
    "The ids of these blocks draw which parts are revealed now and which stay sealed to the end.",
  ],
  wait: [
    "pause",
    "Nothing is accepted, so that a short reorganisation cannot make a public thing secret again.",
  ],
  reveal: ["reveal", "The opener reveals the parts on which authors measure their updates."],
  commit: ["commit", "Authors train, and commit to an update with a hash and a bond. Nobody can copy it."],
  update: ["update", "Authors reveal what they committed to, and every node recomputes the claimed loss."],
  audit_witnesses: [
    "witnesses open",
    "Witnesses open the parts that they sealed. Until then, nobody else can read them.",
  ],
  audit: ["open sealed", "The opener opens the sealed parts, which decide among the updates."],
  score: ["score", "The updates are scored on all parts that were sealed until the last update was in."],
  closed: ["settle", "All phases are over. The next transaction of the round settles its outcome."],
};

export const isOpen = (round) => round.status === OPEN;
export const isDecided = (round) => round.status === DECIDED;
export const statusName = (round) => STATUS[round.status] ?? `status ${round.status}`;
export const statusTag = (round) => STATUS_TAG[round.status] ?? "muted";
export const kindName = (kind) => (kind === 1 ? "growth" : "training");

/** The short name of a phase; of commit and update also the epoch, counted from 1 where there are several. */
export function phaseName(phase, epoch, epochs) {
  const name = PHASES[phase]?.[0] ?? phase;
  return epochs > 1 && (phase === "commit" || phase === "update") ? `${name} ${ordinal(epoch)}` : name;
}

/** One plain sentence: what happens in the round now, or how it has ended. */
export function nowText(round) {
  return isOpen(round) ? (PHASES[round.phase]?.[1] ?? "") : (STATUS_TEXT[round.status] ?? "");
}

/** The seconds that a block takes, by the last blocks, or as the chain wants it while there are none. */
export const secondsPerBlock = (pace) => pace.mean_s ?? pace.due_s;

/** "3 ticks left, about 30 s"; nothing where a phase has no end. */
export function countdown(round, pace) {
  if (round.ticks_left === null) return "";
  return `${many(round.ticks_left, "tick")} left, about ${roughly(round.ticks_left * secondsPerBlock(pace))}`;
}

/** An estimated length of time: seconds with a decimal while there are few. */
const roughly = (seconds) => (seconds < 10 ? `${seconds.toFixed(1)} s` : duration(seconds));

/** The phases of a round in their order: key, name, epoch, first and last tick, and done, now or ahead.
 *
 * `last` is null where there is no end; phases without a tick are left out.
 */
export function spans(round) {
  const found = [];
  for (const [key, [first, last]] of Object.entries(round.calendar)) {
    if (last !== null && last < first) continue;
    const [, phase, epoch] = /^([a-z_]+?)(?:_(\d+))?$/.exec(key) ?? [null, key, undefined];
    const name = phaseName(phase, Number(epoch ?? 0), round.terms.epochs);
    found.push({ key, phase, name, first, last });
  }
  const tick = round.tick;
  const reached = isOpen(round) ? tick : Infinity;
  return found.map((span) => ({ ...span, state: stateOf(span, reached) }));
}

function stateOf(span, tick) {
  if (span.last !== null && tick > span.last) return "done";
  if (tick === Infinity) return "done";
  return tick >= span.first ? "now" : "ahead";
}
