// All rounds of the chain: those that go on with their countdown, those that have ended with their outcome.

import { card, h, table, tag } from "../dom.js";
import { coins, count, link, shortId } from "../format.js";
import { live } from "../live.js";
import { refill } from "../refill.js";
import { countdown, isOpen, kindName, nowText, phaseName, statusName, statusTag } from "../roundwords.js";
import { timeline } from "../timeline.js";

const SHOWN = 100;
const LEAD =
  "A round is one attempt to improve a model: rows that stay sealed until the last update decide.";
const COLUMNS = [
  { head: "Round", cell: (round) => link("round", round.id) },
  { head: "Outcome", cell: (round) => tag(statusName(round), statusTag(round)) },
  { head: "Kind", cell: (round) => kindName(round.terms.kind) },
  { head: "Model", cell: (round) => link("model", round.model) },
  { head: "Won by", cell: (round) => link("account", round.winner) },
  { head: "Version", cell: (round) => (round.winner ? count(round.new_version) : "–"), numeric: true },
  { head: "Opened at tick", cell: (round) => count(round.opened), numeric: true },
];

export const title = "Rounds";

export async function view(root, _params, chain) {
  const [going, ended, notice] = [h("div"), h("div"), h("div", { "aria-live": "polite" })];
  const heading = h("h2", { class: "apart" }, "Going on now");
  root.append(h("h1", {}, "Rounds"), h("p", {}, LEAD), notice, heading, going, card("Ended", ended));
  const read = async () => {
    const [rounds, status] = await Promise.all([chain.call("round_list"), chain.call("node_status")]);
    const over = rounds.filter((round) => !isOpen(round)).reverse();
    refill(going, running(rounds.filter(isOpen), status.pace));
    refill(
      ended,
      table("Rounds that have ended", COLUMNS, over.slice(0, SHOWN), "No round has ended yet."),
      left(over),
    );
  };
  return live(chain, ["heads", "rounds"], read, notice);
}

function running(rounds, pace) {
  if (rounds.length)
    return h(
      "div",
      { class: "grid" },
      rounds.map((round) => runningCard(round, pace)),
    );
  return h("p", { class: "muted" }, "No round goes on. ", h("code", {}, "engram round open"), " opens one.");
}

function runningCard(round, pace) {
  return h(
    "section",
    { class: "card" },
    h(
      "h3",
      {},
      link("round", round.id, `Round ${shortId(round.id)}`),
      " ",
      tag(phaseName(round.phase, round.epoch, round.terms.epochs)),
    ),
    h("p", {}, nowText(round)),
    h("p", { class: "countdown" }, countdown(round, pace)),
    timeline(round),
    h(
      "p",
      { class: "muted" },
      `${kindName(round.terms.kind)} of model `,
      link("model", round.model),
      `, pot ${coins(round.pot)}`,
    ),
  );
}

function left(over) {
  return over.length > SHOWN
    ? h("p", { class: "muted" }, `${count(over.length - SHOWN)} older rounds are not shown.`)
    : null;
}
