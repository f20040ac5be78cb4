// One block: what it stands on, who mined it, and what its transactions did.

import { card, clear, facts, h, table, tag } from "../dom.js";
import { count, fullTime, link, many, shortId, whole } from "../format.js";
import { live } from "../live.js";
import { transactionColumns } from "../transactions.js";

export const title = ({ id }) => `Block ${shortId(id)}`;

export async function view(root, params, chain) {
  const by = /^[0-9]{1,15}$/.test(params.id) ? { height: Number(params.id) } : { id: params.id };
  const notice = h("div", { "aria-live": "polite" }), body = h("div");
  root.append(notice, body);
  let block = null;
  const read = async () => {
    const head = await chain.call("chain_head");
    // Blocks are large and never change, only their place: one of another branch may take it.
    const height = block && Math.min(block.height, head.height);
    const there = block && (await chain.call("chain_header", { height }));
    if (!block || (by.height !== undefined && there.id !== block.id)) {
      block = await chain.call("chain_block", by);
    } else {
      block.canonical = there.id === block.id;
    }
    clear(body, ...shown(block, head.height));
  };
  return live(chain, ["heads"], read, notice);
}

function shown(block, height) {
  const above = height - block.height;
  const branch = block.canonical
    ? tag(above ? `${many(above, "block")} on top of it` : "the head of the chain", "good")
    : tag("not on the best chain: it lost against another block", "bad");
  const { transactions } = block;
  return [
    h("h1", null, `Block ${count(block.height)}`),
    h("p", { class: "row" }, branch),
    card(
      null,
      facts(
        ["Id", whole(block.id)],
        ["Mined", fullTime(block.timestamp_ms)],
        ["By", block.miner ? link("account", block.miner, block.miner) : "nobody: the chain begins here"],
        ["Block before", block.height ? link("block", block.parent) : null],
        ["Block after", block.canonical && above ? link("block", block.height + 1) : null],
        ["Work up to it", block.has_work ? `${count(block.work)} hashes` : "none: blocks here cost no work"],
      ),
      h(
        "details",
        null,
        h("summary", null, "What it commits to"),
        facts(
          ["State root", whole(block.state_root)],
          ["Transactions root", whole(block.transactions_root)],
          ["Receipts root", whole(block.receipts_root)],
          ["Nonce", whole(block.nonce)],
          ["Version", block.version],
        ),
      ),
    ),
    card(
      many(transactions.length, "transaction"),
      table("Transactions of the block", transactionColumns, transactions, "The block holds none."),
    ),
  ];
}
