// Finds what is meant by a height, an address, an id or its beginning; goes there if it is one thing.

import { card, clear, h } from "../dom.js";
import { count, link } from "../format.js";
import { addressOf } from "../names.js";

export const title = ({ text }) => `Search for ${text}`;
const LEAST_DIGITS = 4;
const MOST_HEIGHT = /^[0-9]{1,15}$/;
const ADDRESS = /^[a-z]{1,16}1[02-9ac-hj-np-z]{30,60}$/;
const HEX = /^[0-9a-f]{1,64}$/;

export async function view(root, { text }, chain) {
  const asked = text.trim().toLowerCase();
  const named = addressOf(asked);
  const found = [...(named ? [["account", named]] : []), ...(await meant(asked, chain))];
  if (found.length === 1) {
    const [kind, id] = found[0];
    location.replace(`#/${kind}/${encodeURIComponent(id)}`);
    return null;
  }
  root.append(h("h1", null, found.length ? `What begins with ${asked}` : `Nothing is called ${asked}`));
  const list = h("ul", null, found.map(([kind, id]) => h("li", null, `${NAMES[kind]} `, link(kind, id, id))));
  clear(root, ...root.childNodes, found.length ? card(null, list) : await hint(asked, chain));
  return null;
}

const NAMES = { block: "Block", tx: "Transaction", account: "Account", model: "Model", round: "Round" };

async function hint(asked, chain) {
  if (MOST_HEIGHT.test(asked)) {
    const { height } = await chain.call("chain_head");
    return h("p", null, `There is no such block yet: the head of the chain is block ${count(height)}.`);
  }
  const short = HEX.test(asked) && asked.length < LEAST_DIGITS;
  return h(
    "p",
    null,
    short
      ? `An id is found by its first ${LEAST_DIGITS} digits or more.`
      : "Ask for the height of a block, an address in full, a name that you have given, or the id of a " +
        `block, transaction, model or round, in full or by its first ${LEAST_DIGITS} digits.`,
  );
}

async function meant(asked, chain) {
  if (ADDRESS.test(asked)) return [["account", asked]];
  if (MOST_HEIGHT.test(asked)) {
    const head = await chain.call("chain_head");
    if (Number(asked) <= head.height) return [["block", String(Number(asked))]];
  }
  if (!HEX.test(asked) || asked.length < LEAST_DIGITS) return [];
  const [blocks, transactions, models, rounds] = await Promise.all([
    chain.call("chain_find", { kind: "block", beginning: asked }),
    chain.call("chain_find", { kind: "transaction", beginning: asked }),
    chain.call("model_list"),
    chain.call("round_list"),
  ]);
  const ids = (list) => list.map((each) => each.id).filter((id) => id.startsWith(asked));
  return [
    ...blocks.map((id) => ["block", id]),
    ...transactions.map((id) => ["tx", id]),
    ...ids(models).map((id) => ["model", id]),
    ...ids(rounds).map((id) => ["round", id]),
  ];
}
