// One block: what it stands on, who mined it, and what its transactions did.

import { card, clear, facts, h, table, tag } from "../dom.js";
import { count, fullTime, link, many, shortId, whole } from "../format.js";
import { live } from "../live.js";
import { CUT, transactionColumns } from "../transactions.js";

const PAGE = 100;

export const title = ({ id }) => `Block ${shortId(id)}`;

export async function view(root, params, chain) {
  const by = /^[0-9]{1,15}$/.test(params.id) ? { height: Number(params.id) } : { id: params.id };
  const asked = params.query.get("from");
  const first = asked !== null && /^[0-9]{1,9}$/.test(asked) ? Number(asked) : 0;
  const notice = h("div", { "aria-live": "polite" }), body = h("div");
  root.append(notice, body);
  let block = null;
  const read = async () => {
    const head = await chain.call("chain_head");
    // Blocks are large and never change, only their place: one of another branch may take it.
    const height = block && Math.min(block.height, head.height);
    const there = block && (await chain.call("chain_header", { height }));
    if (!block || (by.height !== undefined && there.id !== block.id)) {
      block = await chain.call("chain_block", { ...by, first, count: PAGE, cut: CUT });
    } else {
      block.canonical = there.id === block.id;
    }
    clear(body, ...shown(block, head.height, first));
  };
  return live(chain, ["heads"], read, notice);
}

function shown(block, height, first) {
  const above = height - block.height;
  const branch = block.canonical
    ? tag(above ? `${many(above, "block")} on top of it` : "the head of the chain", "good")
    : tag("not on the best chain: it lost against another block", "bad");
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
      many(block.transaction_count, "transaction"),
      table("Transactions of the block", transactionColumns, block.transactions, nothing(block)),
      turns(block, first),
    ),
  ];
}

function nothing({ transaction_count }) {
  return transaction_count ? "The block has no transaction at this place." : "The block holds none.";
}

function turns({ id, transaction_count, transactions }, first) {
  const end = first + transactions.length;
  if (!first && end >= transaction_count) return null;
  const at = (from) => `#/block/${id}?from=${from}`;
  return h(
    "nav",
    { class: "row", "aria-label": "More transactions" },
    first > 0 ? h("a", { href: at(Math.max(0, first - PAGE)) }, "Those before") : null,
    transactions.length
      ? h("span", { class: "muted" }, `${count(first + 1)} to ${count(end)} of ${count(transaction_count)}`)
      : null,
    end < transaction_count ? h("a", { href: at(end) }, "Those after") : null,
  );
}
