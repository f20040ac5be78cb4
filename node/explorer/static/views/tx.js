// One transaction: what it asks for, how it stands, what it cost and what it caused.

import { card, clear, facts, h } from "../dom.js";
import { bytes, coins, count, link, many, shortId, whole, words } from "../format.js";
import { live } from "../live.js";
import { CUT, happened, sentence, standing, waitsFor } from "../transactions.js";

export const title = ({ id }) => `Transaction ${shortId(id)}`;

const ABSENT = {
  dropped: "The node has dropped this transaction: it takes no effect unless it is sent again.",
  unknown: "Neither the best chain nor the mempool of this node holds it. It may be on its way.",
};

export async function view(root, { id }, chain) {
  const notice = h("div", { "aria-live": "polite" }), body = h("div");
  root.append(notice, body);
  const read = async () => {
    const status = await chain.call("tx_status", { txid: id });
    if (status.status in ABSENT) {
      clear(body, absent(id, status));
      return;
    }
    const tx = await chain.call("tx_get", { txid: id, cut: CUT });
    clear(body, ...shown(tx, status));
  };
  return live(chain, ["heads", "transactions"], read, notice);
}

function absent(id, { status, code }) {
  return [
    h("h1", null, `Transaction ${shortId(id)}`),
    h("p", null, standing(status, code)),
    h("p", null, ABSENT[status]),
    card(null, facts(["Id", whole(id)])),
  ];
}

function shown(tx, status) {
  const { receipt } = status;
  const events = receipt ? receipt.events : [];
  return [
    h("h1", null, capital(words(tx.name ?? "transaction"))),
    h("p", { class: "row" }, standing(status.status, status.code)),
    h("p", null, sentence(tx), "."),
    h(
      "div",
      { class: "grid" },
      card(
        "How it stands",
        facts(
          ["Id", whole(tx.txid)],
          status.height === null ? ["Waits for", waitsFor(status.waits)] : ["Block", block(status.height)],
          ["Sender", link("account", tx.sender, tx.sender)],
          ["Nonce", count(tx.nonce)],
          ["Fee", receipt ? coins(receipt.fee) : `at most ${coins(tx.max_fee)}`],
          ["Of it for the miner", coins(tx.tip)],
          ["Size", bytes(tx.size_bytes)],
          ["Computed for it", receipt ? `${count(receipt.macs)} multiply-accumulates` : null],
        ),
      ),
      card("What it carries", payload(tx)),
    ),
    card(
      "What it caused",
      events.length
        ? h("ul", null, events.map((event) => h("li", null, happened(event))))
        : h("p", { class: "muted" }, receipt ? "Nothing beside what it says." : "Nothing yet."),
    ),
  ];
}

function block(height) {
  return link("block", height, count(height));
}

/** So many digits of a value are shown; the node sends a few more, so that one sees that it goes on. */
const LONGEST = 2 * CUT - 40;
const MOST_TEXT = 20000;

function capital(text) {
  return text.replace(/^./, (first) => first.toUpperCase());
}

function payload(tx) {
  if (!tx.payload) return h("p", { class: "muted" }, "This version of Engram does not know its kind.");
  const line = ([name, value]) => [capital(words(name)), field(name, value)];
  return facts(...Object.entries(tx.payload).map(line));
}

/** A field of a payload: a link where it names something; what is large is folded or cut. */
function field(name, value) {
  if (value === null || (Array.isArray(value) && !value.length)) return "none";
  if (name === "amount") return coins(value);
  if (["target", "author"].includes(name)) return link("account", value, value);
  if (["round", "model"].includes(name)) return /[1-9a-f]/.test(value) ? link(name, value, value) : "none";
  if (Array.isArray(value) && value.every(Number.isInteger)) return value.map(count).join(", ");
  if (typeof value === "object") return folded(value);
  const text = String(value);
  return h("span", { class: text.length > 20 ? "mono whole" : null }, cut(text, LONGEST));
}

function folded(value) {
  const text = cut(JSON.stringify(value, null, 2), MOST_TEXT);
  const size = Array.isArray(value) ? many(value.length, "entry", "entries") : "Details";
  return h("details", null, h("summary", null, size), h("pre", { tabindex: 0 }, text));
}

function cut(text, most) {
  return text.length > most ? `${text.slice(0, most)}… (this is its beginning)` : text;
}
