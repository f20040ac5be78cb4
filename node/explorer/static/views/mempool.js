// What waits for a block, in the order in which blocks would take it, and what holds it up.

import { card, clear, h, table } from "../dom.js";
import { bytes, coins, count, link, many, words } from "../format.js";
import { live } from "../live.js";
import { waitsFor } from "../transactions.js";

export const title = "Mempool";
const SHOWN = 200;

const columns = [
  { head: "Transaction", cell: (tx) => link("tx", tx.txid) },
  { head: "Kind", cell: (tx) => words(tx.name ?? `kind ${tx.kind}`) },
  { head: "Sender", cell: (tx) => link("account", tx.sender) },
  { head: "Nonce", numeric: true, cell: (tx) => count(tx.nonce) },
  { head: "Offers at most", numeric: true, cell: (tx) => coins(tx.max_fee) },
  { head: "Size", numeric: true, cell: (tx) => bytes(tx.size_bytes) },
  { head: "Waits for", cell: (tx) => waitsFor(tx.waits) },
];

export async function view(root, params, chain) {
  const notice = h("div", { "aria-live": "polite" }), body = h("div");
  root.append(h("h1", null, "Mempool"), h("p", null, "Transactions that wait for a block."), notice, body);
  const read = async () => {
    const [info, list] = await Promise.all([chain.call("mempool_info"), chain.call("mempool_list")]);
    const parked = info.parked ? `, ${count(info.parked)} of them until fees fall` : "";
    const size = `${bytes(info.bytes)} of ${bytes(info.max_bytes)}`;
    clear(
      body,
      card(
        null,
        h("p", { class: "row" }, `${many(info.count, "transaction")}${parked}: ${size}.`),
        bar(info.bytes, info.max_bytes),
        table("Waiting transactions", columns, list.slice(0, SHOWN), "None waits."),
        list.length > SHOWN ? h("p", null, `${count(list.length - SHOWN)} more are not shown.`) : null,
      ),
    );
  };
  return live(chain, ["heads", "transactions"], read, notice);
}

function bar(part, all) {
  const filled = h("span");
  filled.style.width = `${Math.min(100, (100 * part) / Math.max(1, all))}%`;
  const label = `${((100 * part) / Math.max(1, all)).toFixed(1)} % of the room is taken`;
  return h("div", { class: "bar", role: "img", "aria-label": label }, filled);
}
