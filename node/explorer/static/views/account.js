// One account: what it holds, what is bound, what it has earned by work on models, and its history.

import { card, clear, facts, h, table, tag } from "../dom.js";
import { coins, count, link, many, ordinal, shortAddress, when, whole, words } from "../format.js";
import { live } from "../live.js";
import { nameOf } from "../names.js";
import { naming } from "../naming.js";

export const title = ({ id }) => `Account ${shortAddress(id)}`;
const PAGE = 25;
const BADGES = ["participation", "best loss", "teacher", "witness", "founder"];

export async function view(root, { id }, chain) {
  const notice = h("div", { "aria-live": "polite" }), body = h("div"), history = h("div");
  const renew = h("button", { type: "button", hidden: true }, "Show what is new");
  const heading = h("h1", null, "Account");
  const called = () => {
    const name = nameOf(id);
    clear(heading, "Account", name === null ? null : ` ${name}`);
  };
  called();
  root.append(heading, h("p", null, whole(id)), notice, body);
  root.append(card("History", renew, history));
  let earned = null;
  const forget = chain.subscribe("versions", () => { earned = null; });
  const read = async () => {
    earned ??= await chain.call("account_standing", { address: id }); // it costs the node much
    const [account, updates] = await Promise.all([
      chain.call("account_get", { address: id }),
      chain.call("account_updates", { address: id }),
    ]);
    clear(body, ...shown(account, updates, earned));
  };
  renew.addEventListener("click", () => {
    renew.hidden = true;
    tell(history, chain, id);
  });
  const end = await live(chain, ["heads", "transactions", "versions"], read, notice);
  body.after(card(null, naming(id, called))); // once it is known that this is an account
  await tell(history, chain, id);
  const stop = chain.subscribe("heads", () => { renew.hidden = history.querySelector("table") === null; });
  return () => {
    forget();
    stop();
    end();
  };
}

function shown(account, updates, earned) {
  const maturing = account.maturing.reduce((sum, each) => sum + BigInt(each.amount), 0n);
  const mature = account.maturing.filter((each) => each.mature);
  const ready = mature.reduce((sum, each) => sum + BigInt(each.amount), 0n);
  const bonds = updates.reduce((sum, each) => sum + BigInt(each.bond), 0n);
  const pending = account.pending;
  return [
    h(
      "div",
      { class: "grid" },
      card(
        "What it holds",
        facts(
          ["Balance", coins(account.balance)],
          ["Rewards not claimed", maturing ? `${coins(maturing)}, of which ${coins(ready)} can be` : null],
          ["Bonds of updates", bonds ? coins(bonds) : null],
          ["Transactions in blocks", count(account.nonce)],
          ["Next nonce", count(account.next_nonce)],
        ),
      ),
      card("Badges", badges(earned.badges)),
      card("Reputation", table("Reputation", reputationColumns, earned.reputation, "It has earned none.")),
    ),
    pending.length
      ? card(many(pending.length, "waiting transaction"), table("Waiting", pendingColumns, pending))
      : null,
    updates.length ? card("Updates that hold a bond", table("Updates", updateColumns, updates)) : null,
  ];
}

const reputationColumns = [
  { head: "Model", cell: (row) => link("model", row.model) },
  { head: "Loss removed", numeric: true, cell: (row) => `${(Number(row.points) / 10000).toFixed(2)} %` },
];

const pendingColumns = [
  { head: "Transaction", cell: (tx) => link("tx", tx.txid) },
  { head: "Nonce", numeric: true, cell: (tx) => count(tx.nonce) },
  { head: "Offers at most", numeric: true, cell: (tx) => coins(tx.max_fee) },
];

const updateColumns = [
  { head: "Round", cell: (row) => link("round", row.round) },
  { head: "Epoch", numeric: true, cell: (row) => ordinal(row.epoch) },
  { head: "Is a", cell: (row) => row.kind },
  { head: "Bond", numeric: true, cell: (row) => coins(row.bond) },
  { head: "", cell: (row) => bondTag(row.bond_returns) },
];

function bondTag(returns) {
  if (returns === null) return tag("the round runs");
  return returns ? tag("returns when withdrawn", "good") : tag("forfeited", "bad");
}

const historyColumns = [
  { head: "Block", cell: (row) => link("block", row.height, count(row.height)) },
  { head: "When", cell: (row) => when(row.timestamp_ms) },
  { head: "What", cell: (row) => (row.txid ? link("tx", row.txid, words(row.kind)) : words(row.kind)) },
  { head: "As", cell: (row) => row.roles.map(words).join(", ") },
  { head: "Received", numeric: true, cell: (row) => amount(row.received) },
  { head: "Reward", numeric: true, cell: (row) => amount(row.reward) },
  { head: "Sent", numeric: true, cell: (row) => amount(row.sent) },
  { head: "Fee", numeric: true, cell: (row) => amount(row.fee) },
  { head: "With", cell: (row) => (row.other ? link("account", row.other) : "–") },
];

function amount(sparks) {
  return sparks === null || BigInt(sparks) === 0n ? "–" : coins(sparks);
}

function badges(list) {
  if (!list.length) return h("p", { class: "muted" }, "It has none.");
  const word = (each) => tag(BADGES[each.badge] ?? `kind ${each.badge}`, "good");
  const line = (each) => [word(each), ` version ${count(each.version)} of `, link("model", each.model)];
  return h("ul", null, list.map((each) => h("li", null, line(each))));
}

/** Fills `place` with the first page of the history, and a button for the next ones. */
async function tell(place, chain, address) {
  const rows = [];
  const more = async (before) => {
    const page = await chain.call("account_history", { address, limit: PAGE, ...(before ? { before } : {}) });
    rows.push(...page.entries);
    const next = page.next && h("button", { type: "button", on: { click: () => more(page.next) } }, "Older");
    const since = page.from_height ? `The index begins at block ${count(page.from_height)}.` : null;
    clear(place, table("History, the latest first", historyColumns, rows, "No block has named it."), next);
    if (since) place.append(h("p", { class: "muted small" }, since));
  };
  try {
    await more(null);
  } catch (error) {
    clear(place, error.code === "account_index_off" ? OFF() : h("p", { role: "alert" }, error.message));
  }
}

const OFF = () =>
  h(
    "p",
    { class: "notice" },
    "This node keeps no index of what blocks were to accounts, so it cannot tell this. Set ",
    h("code", null, "account_index = true"),
    " in its engram.toml and start it anew: it makes the index in the background, also of the blocks so far.",
  );
