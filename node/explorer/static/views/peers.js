// The nodes that this one speaks with, those that it dials, and those that it refuses.

import { card, clear, h, table, tag } from "../dom.js";
import { bytes, count, duration, fullTime, link, shortId } from "../format.js";
import { live } from "../live.js";

export const title = "Peers";

const sessions = [
  { head: "Peer", cell: (peer) => h("span", { class: "mono", title: peer.id }, shortId(peer.id)) },
  { head: "Address", cell: (peer) => h("span", { class: "mono" }, peer.address) },
  { head: "Who dialled", cell: (peer) => (peer.direction === "outbound" ? "this node" : "the peer") },
  { head: "Height", numeric: true, cell: (peer) => link("block", peer.height, count(peer.height)) },
  { head: "Round trip", numeric: true, cell: (peer) => trip(peer.round_trip_ms) },
  { head: "Connected", numeric: true, cell: (peer) => duration(peer.connected_s) },
  { head: "Received", numeric: true, cell: (peer) => bytes(peer.received_bytes) },
  { head: "Sent", numeric: true, cell: (peer) => bytes(peer.sent_bytes) },
  { head: "Link", cell: (peer) => (peer.encrypted ? tag("encrypted", "good") : tag("plain")) },
];

const targets = [
  { head: "Address", cell: (target) => h("span", { class: "mono" }, target.address) },
  { head: "How it stands", wide: true, cell: (target) => stands(target) },
];

const bans = [
  { head: "Whom", cell: (ban) => h("span", { class: "mono", title: ban.subject }, shortId(ban.subject)) },
  { head: "By whom", cell: (ban) => (ban.by_operator ? "the operator" : "the node, for misbehaviour") },
  { head: "Until", cell: (ban) => fullTime(ban.until_ms) },
  { head: "Why", wide: true, cell: (ban) => ban.reason || "no reason is given" },
];

export async function view(root, params, chain) {
  const notice = h("div", { "aria-live": "polite" }), body = h("div");
  root.append(h("h1", null, "Peers"), notice, body);
  const read = async () => {
    const [peers, dialled, refused] = await Promise.all(
      ["peer_list", "peer_targets", "peer_bans"].map((method) => chain.call(method)),
    );
    clear(
      body,
      card("Connected", table("Open sessions", sessions, peers, "No peer is connected.")),
      card("Addresses that this node dials", table("Dialled addresses", targets, dialled, "It dials none.")),
      refused.length ? card("Refused", table("Bans", bans, refused)) : null,
    );
  };
  return live(chain, ["peers", "heads"], read, notice);
}

function trip(ms) {
  return ms === null ? "–" : `${ms.toFixed(1)} ms`;
}

function stands(target) {
  if (target.peer) return [tag("connected", "good"), " ", h("span", { class: "mono" }, shortId(target.peer))];
  const retry = target.retry_s === null ? "" : ` Tried again in ${duration(target.retry_s)}.`;
  if (!target.error) return `It is being dialled.${retry}`;
  const word = { peer_banned: "banned", peer_refused: "refused" }[target.error.code] || "no answer";
  return [tag(word, "bad"), ` ${target.error.message}.${retry}`];
}
