// All models of the chain.

import { facts, h, tag } from "../dom.js";
import { count, link, loss, shortId } from "../format.js";
import { live } from "../live.js";
import { refill } from "../refill.js";
import { frozenTag } from "../lineage.js";
import { sideOf } from "../rows.js";

const LEAD = "A model is a neural network on the chain. Every round that is decided gives it a new version.";

export const title = "Models";

export async function view(root, _params, chain) {
  const [place, notice] = [h("div", { class: "grid" }), h("div", { "aria-live": "polite" })];
  root.append(h("h1", {}, "Models"), h("p", {}, LEAD), notice, place);
  const read = async () => {
    const models = await chain.call("model_list");
    refill(place, models.length ? models.map(modelCard) : none());
  };
  return live(chain, ["versions", "rounds"], read, notice);
}

function none() {
  return h(
    "p",
    { class: "muted" },
    "There is no model yet. ",
    h("code", {}, "engram round open"),
    " founds one.",
  );
}

function modelCard(model) {
  const isIdle = /^0+$/.test(model.open_round);
  return h(
    "section",
    { class: "card" },
    h("h2", {}, link("model", model.id, `Model ${shortId(model.id)}`), " ", frozenTag(model)),
    facts(
      ["Version", count(model.head)],
      ["Classes", count(model.classes)],
      ["Inputs", count(model.inputs)],
      ["Loss of a row", model.loss_rows ? loss(model.loss, model.loss_rows) : "not measured yet"],
      ["Founder", link("account", model.founder)],
      ["Open round", isIdle ? "none" : link("round", model.open_round)],
    ),
    h("p", {}, askLink(model)),
  );
}

/** The link to the page that asks a model. */
export function askLink(model) {
  return h(
    "a",
    { class: "button", href: `#/draw/${model.id}` },
    sideOf(model.inputs) ? "✎ Draw, and see its answer" : "Ask it about a row",
  );
}
