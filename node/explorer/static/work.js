// What is said on every page of a chain whose blocks cost no work.

import { clear, h } from "./dom.js";

const WARNING =
  "Blocks of this chain cost no work: anybody who can make blocks can rewrite it from its first block on. " +
  "It is for rehearsals and tests. Rely on nothing that stands here.";

/** Keeps a place on the page up to date that warns of a chain without work. */
export function warnOfNoWork(chain, place) {
  const look = async () => {
    const { has_work: isWorked } = await chain.call("chain_head");
    clear(place, isWorked ? null : h("p", { class: "notice bad" }, h("strong", null, "No work. "), WARNING));
  };
  chain.onState((state) => {
    if (state === "open") look().catch(() => null); // without a connection; the next one asks again
  });
}
