// One round: where it stands, what each update has shown, why it won or lost, its parts and its money.

import { caught, failures } from "../caught.js";
import { CLAIMED, claimState, source } from "../claims.js";
import { card, facts, h, table, tag } from "../dom.js";
import { coins, count, link, linked, loss, ordinal, percent, shortId, whole } from "../format.js";
import { live } from "../live.js";
import { refill } from "../refill.js";
import * as words from "../roundwords.js";
import { timeline } from "../timeline.js";

const SIDES = ["opener's unseen rows", "witnesses' unseen rows"];
const LOSSES =
  "Losses are means of a row, in nats; less is better. Every node recomputes what an author claims, and an " +
  "update whose claim is wrong is refused: it stands under Caught.";
const PARTS = [
  { head: "Part", cell: (part) => h("span", { class: "mono" }, shortId(part.commitment)) },
  { head: "State", cell: (part) => (part.old === undefined ? tag("closed") : tag("open", "good")) },
  { head: "Use", cell: (part) => part.use },
  { head: "Owner", cell: (part) => link("account", part.owner) },
  { head: "Rows of old classes", cell: (part) => count(part.old), numeric: true },
];

export const title = (params) => `Round ${shortId(params.id)}`;

export async function view(root, params, chain) {
  const names = ["head", "now", "updates", "caught", "parts", "money", "terms"];
  const places = Object.fromEntries(names.map((name) => [name, h("div")]));
  const notice = h("div", { "aria-live": "polite" });
  const spoken = h("p", { class: "hidden", role: "status" });
  root.append(notice, spoken, ...Object.values(places));
  let stood = "";
  const read = async () => {
    const [round, { pace }] = await Promise.all([
      chain.call("round_get", { id: params.id }),
      chain.call("node_status"),
    ]);
    const stands = JSON.stringify({ ...round, height: 0, tick: 0 });
    if (!words.isOpen(round) && stands === stood) return; // blocks change nothing of a round that has ended
    const [told, failed] = await Promise.all([judged(chain, params.id), failures(chain, params.id)]);
    const found = { round, pace, ...told };
    stood = stands;
    const said = words.nowText(round);
    if (spoken.textContent !== said) spoken.textContent = said; // read out at each phase, not each block
    refill(places.head, head(round));
    refill(places.now, now(found));
    refill(places.updates, card("Updates: who won, who lost, and why", updates(found)));
    refill(places.caught, caught(failed));
    refill(places.parts, card("Parts", parts(round)));
    refill(places.money, card("Money and witnesses", money(round)));
    refill(places.terms, card("Terms", terms(round)));
  };
  return live(chain, ["heads", "rounds"], read, notice);
}

/** How the updates of a round do; of an old round the node may have deleted what they are judged by. */
async function judged(chain, id) {
  try {
    const [outcomes, verdicts, candidates, claims] = await Promise.all(
      ["round_outcomes", "round_verdicts", "round_candidates", "round_claims"].map((method) =>
        chain.call(method, { id }),
      ),
    );
    return { outcomes, verdicts, candidates, claims, lost: null };
  } catch (error) {
    if (error.code !== "state_pruned") throw error;
    const outcomes = { due_text: null, why: [], updates: [] };
    return { outcomes, verdicts: [], candidates: [], claims: [], lost: error.message };
  }
}

function head(round) {
  const kind = round.terms.kind === 1 ? "A growth" : "Training";
  return [
    h("h1", {}, `Round ${shortId(round.id)} `, tag(words.statusName(round), words.statusTag(round))),
    h(
      "p",
      {},
      `${kind} of model `,
      link("model", round.model),
      `, from version ${round.version}, opened by `,
      link("account", round.opener),
      newClasses(round),
    ),
  ];
}

function newClasses(round) {
  const added = round.terms.new_classes;
  if (round.terms.kind !== 1) return ".";
  if (!added) return "; it adds no class.";
  return `; it adds ${added === 1 ? "one class" : `${added} classes`} to ${round.old_classes}.`;
}

function now({ round, pace, outcomes }) {
  const phase = words.phaseName(round.phase, round.epoch, round.terms.epochs);
  const left = words.countdown(round, pace);
  return card(
    words.isOpen(round) ? `Now: ${phase}` : "How it ended",
    h("p", {}, words.nowText(round)),
    words.isDecided(round)
      ? h("p", {}, `Version ${round.new_version} is the work of `, link("account", round.winner), ".")
      : null,
    outcomes.due_text ? h("p", { class: "notice" }, sentence(outcomes.due_text)) : null,
    left ? h("p", { class: "countdown" }, left) : null,
    timeline(round),
    h("ol", { class: "phases" }, words.spans(round).map(phaseItem)),
  );
}

function phaseItem(span) {
  const state = { done: "✓ over", now: "▶ now", ahead: "to come" }[span.state];
  return h(
    "li",
    { class: `phase ${span.state}` },
    h("span", { class: "phase-name" }, span.name),
    h("span", { class: "muted" }, ` ${ticks(span)} · ${state}`),
  );
}

function ticks({ first, last }) {
  if (last === null) return `from tick ${count(first)}`;
  return first === last ? `tick ${count(first)}` : `ticks ${count(first)}–${count(last)}`;
}

function updates({ round, outcomes, verdicts, candidates, claims, lost }) {
  if (lost) return h("p", { class: "notice" }, sentence(lost));
  if (!outcomes.updates.length) {
    const text = outcomes.why.length ? outcomes.why.map(sentence) : ["No update has been committed to yet."];
    return text.map((each) => h("p", { class: "muted" }, linked(each)));
  }
  const cards = outcomes.updates.map((update) => {
    const same = (other) => other.epoch === update.epoch && other.author === update.author;
    return updateCard(round, update, verdicts.find(same), candidates.find(same), claims.find(same));
  });
  const how = claims.length ? CLAIMED : LOSSES;
  return [h("p", { class: "muted" }, how), h("ul", { class: "grid plain" }, cards)];
}

function updateCard(round, update, verdict, candidate, claim) {
  const won = !update.reasons.length;
  return h(
    "li",
    { class: `card ${won ? "won" : ""}` },
    h(
      "h3",
      {},
      link("account", update.author),
      ` in epoch ${ordinal(update.epoch)} `,
      won ? tag("★ took the lead", "good") : standing(update),
    ),
    update.why.map((text) => h("p", {}, linked(sentence(text)))),
    verdict ? shown(round, verdict, candidate, claim) : null,
    verdict?.share ? shareBar(verdict.share) : null,
  );
}

function standing({ reasons }) {
  if (reasons.includes("not_decided")) return tag("not decided yet");
  return reasons.includes("not_revealed") ? tag("not revealed") : tag("did not win");
}

function shown(round, verdict, candidate, claim) {
  const scored = round.terms.rows * round.terms.validation;
  const groups = verdict.groups.map((group, side) =>
    group.rows ? [`Loss on the ${SIDES[side]}`, proved(group, claim)] : ["", null],
  );
  const shares = verdict.earned.map((each) => [
    coins(each.amount),
    " to ",
    link("account", each.author),
    " ",
  ]);
  return facts(
    ["Loss on the revealed parts", `${loss(verdict.loss, scored)}, ${source(claim)}`],
    ["Claim", claimState(claim)],
    ...groups,
    ["Earned", verdict.earned.length ? shares : null],
    ["Bond still held", candidate ? coins(candidate.bond) : null],
  );
}

/** What a group of unseen rows says of an update; of a claim that is not confirmed, what its author says. */
function proved(group, claim) {
  if (claim && claim.status !== "confirmed") return `${loss(group.loss, group.rows)}, as claimed`;
  const words = group.proves_harm
    ? "harm is proved"
    : group.proves_gain
      ? "a gain is proved"
      : "no gain is proved";
  return `${loss(group.loss, group.rows)}, the baseline ${loss(group.baseline, group.rows)}: ${words}`;
}

function shareBar(share) {
  const fill = h("span");
  fill.style.width = `${Math.min(100, (100 * Number(share.loss)) / Number(share.baseline))}%`;
  return [
    h("div", { class: "bar", "aria-hidden": "true" }, fill),
    h("p", { class: "muted small" }, `${percent(share.loss, share.baseline)} of the baseline's loss is left`),
  ];
}

function parts(round) {
  const open = [
    ...round.validation_opened.map((part) => ({ ...part, use: "revealed to authors before they train" })),
    ...round.unseen.map((part) => ({ ...part, use: unseen(round, part) })),
  ];
  const own = round.terms.commitments.map((commitment) => ({
    commitment,
    owner: round.opener,
    use: drawn(round, commitment),
  }));
  const sealed = round.witnesses.map((witness) => ({
    commitment: witness.commitment,
    owner: witness.author,
    use: duty(witness),
  }));
  const all = [...own, ...sealed].map(
    (part) => open.find((other) => other.commitment === part.commitment) ?? part,
  );
  const { commitments, rows, validation, sealed: kept } = round.terms;
  const text = [
    `The opener has committed to ${count(commitments.length)} parts of ${count(rows)} rows. The chain draws`,
    `${validation} to be revealed before authors train, and ${kept} that stay sealed until all updates are`,
    "known. Rows of open parts are public for ever.",
  ].join(" ");
  return [
    h("p", { class: "muted" }, text),
    table("Parts of the round", [...PARTS.slice(0, 2), lookAt(round), ...PARTS.slice(2)], all),
  ];
}

/** The column with links to the rows of open parts. */
function lookAt({ model }) {
  const to = (part) => `#/draw/${model}?part=${part.commitment}`;
  return {
    head: "Rows",
    cell: (part) => (part.old === undefined ? "–" : h("a", { href: to(part) }, "look at them")),
  };
}

function unseen(round, { commitment }) {
  const isWitness = round.witnesses.some((witness) => witness.commitment === commitment);
  return isWitness ? "of a witness, unseen by authors, decides" : "unseen by authors, decides";
}

function drawn(round, part) {
  if (/^0+$/.test(round.seed)) return "not drawn yet";
  if (round.validation_drawn.includes(part)) return "drawn, to be revealed";
  return round.sealed_drawn.includes(part) ? "drawn, sealed until the end" : "not drawn, stays secret";
}

function duty(witness) {
  if (witness.opened) return "of a witness, opened";
  return Number(witness.bond) ? "of a witness, sealed" : "of a witness, not opened in time";
}

function money(round) {
  const { terms } = round;
  const named = [...round.standing, ...terms.witnesses];
  const lines = named.map((each) => h("li", {}, witness(round, each)));
  return facts(
    ["Pot that is held now", coins(round.pot)],
    ["Bounty", coins(terms.bounty)],
    ["Of it for each witness", Number(terms.witness_fee) ? coins(terms.witness_fee) : null],
    ["Carried from earlier rounds", Number(round.carried) ? coins(round.carried) : null],
    ["Bond of the opener", `${coins(terms.opener_bond)}, of which ${coins(round.bond)} are held now`],
    ["Bond of an author in each epoch", coins(terms.author_bond)],
    ["Witnesses", named.length ? h("ul", { class: "plain" }, lines) : "none"],
  );
}

/** One who is named as a witness, who has named them, and what they have done. */
function witness(round, { address, old_only: isLimited }) {
  const sealed = round.witnesses.find((each) => each.author === address);
  const by = round.standing.some((each) => each.address === address) ? "by the model" : "by the opener";
  const limit = isLimited ? ", for old classes only" : "";
  return [link("account", address), ` (named ${by}${limit}): ${deed(sealed)}`];
}

function deed(sealed) {
  if (!sealed) return "has sealed nothing";
  if (sealed.opened) return "has opened the sealed part";
  return Number(sealed.bond)
    ? `has sealed a part, bond ${coins(sealed.bond)}`
    : "has opened nothing that counts";
}

function terms(round) {
  const { terms } = round;
  return facts(
    ["Kind", `${words.kindName(terms.kind)}, ${count(round.classes)} classes`],
    ["Epochs", count(terms.epochs)],
    [
      "At most in one update",
      `${count(terms.max_update_neurons)} neurons, ${count(terms.max_update_bytes)} bytes`,
    ],
    ["A gain counts beyond", `${Math.sqrt(terms.z_squared).toFixed(1)} standard errors`],
    ["Rows of old classes", terms.old_rows ? `at least ${count(terms.old_rows)} in each sealed part` : null],
    ["Id of the round", whole(round.id)],
  );
}

const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
