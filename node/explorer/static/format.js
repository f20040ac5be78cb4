// Numbers, times and ids as people read them. Large integers come as decimal text and stay exact.

import { h } from "./dom.js";
import { isAddress, nameOf } from "./names.js";

const SPARKS = 100000000n;
const Q24 = 2 ** 24;
const SHOWN_DIGITS = 10;

/** Thousands with thin spaces. */
export function count(n) {
  if (n === null || n === undefined) return "–";
  const [whole, rest] = String(n).split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f");
  return rest === undefined ? grouped : `${grouped}.${rest}`;
}

/** A number of things, by the word for one of them. */
export function many(n, one, several = `${one}s`) {
  return `${count(n)} ${Number(n) === 1 ? one : several}`;
}

/** An amount of sparks in coins, exactly, of which each has 100,000,000. */
export function coins(sparks) {
  if (sparks === null || sparks === undefined) return "–";
  const amount = BigInt(sparks), size = amount < 0n ? -amount : amount;
  const rest = String(size % SPARKS).padStart(8, "0").replace(/0+$/, "");
  const text = count(size / SPARKS) + (rest ? `.${rest}` : "");
  return `${amount < 0n ? "−" : ""}${text} ${text === "1" ? "coin" : "coins"}`;
}

/** The mean loss of so many rows in nats, from their exact sum in 2^-24 nat. */
export function loss(raw, rows = 1) {
  if (raw === null || raw === undefined || !Number(rows)) return "–";
  return `${(Number(raw) / Number(rows) / Q24).toFixed(4)} nat`;
}

/** What share `a` is of `b`. */
export function percent(a, b) {
  return Number(b) ? `${((100 * Number(a)) / Number(b)).toFixed(2)} %` : "–";
}

/** A length of time in its two largest units. */
export function duration(seconds) {
  if (Math.abs(seconds) < 10 && !Number.isInteger(seconds)) return `${Math.abs(seconds).toFixed(1)} s`;
  const whole = Math.floor(Math.abs(seconds));
  const minutes = Math.floor(whole / 60), hours = Math.floor(minutes / 60), days = Math.floor(hours / 24);
  const two = (large, small) => (small.startsWith("0 ") ? large : `${large} ${small}`);
  if (days) return two(`${days} d`, `${hours % 24} h`);
  if (hours) return two(`${hours} h`, `${minutes % 60} min`);
  return minutes ? two(`${minutes} min`, `${whole % 60} s`) : `${whole} s`;
}

/** How long ago a time was, or how long it is from now. */
export function ago(ms) {
  const seconds = Math.round((Date.now() - ms) / 1000);
  return seconds < 0 ? `in ${duration(seconds)}` : `${duration(seconds)} ago`;
}

/** A time: how long ago, and in full where one points at it. Its text is kept up to date by `tick`. */
export function when(ms) {
  const date = new Date(ms);
  const full = date.toISOString().replace("T", " ").replace(/\.\d+Z/, " UTC");
  return h("time", { datetime: date.toISOString(), title: full, "data-ms": ms }, ago(ms));
}

/** A time in full, with how long ago. */
export function fullTime(ms) {
  const text = new Date(ms).toISOString().replace("T", " ").replace(/\.\d+Z/, " UTC");
  return [`${text} (`, when(ms), ")"];
}

/** Renews every time that `when` has made. */
export function tick() {
  for (const time of document.querySelectorAll("time[data-ms]")) {
    const text = ago(Number(time.dataset.ms));
    if (time.textContent !== text) time.textContent = text;
  }
}

/** The beginning of an id, which names it well enough to people. */
export function shortId(hex) {
  return hex.length > SHOWN_DIGITS + 2 ? `${hex.slice(0, SHOWN_DIGITS)}…` : hex;
}

/** Beginning and end of an address. */
export function shortAddress(text) {
  return text.length > 22 ? `${text.slice(0, 12)}…${text.slice(-6)}` : text;
}

/** A size in bytes. */
export function bytes(n) {
  if (n === null || n === undefined) return "–";
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let size = Number(n), at = 0;
  while (size >= 1024 && at < units.length - 1) [size, at] = [size / 1024, at + 1];
  return at ? `${size.toFixed(size < 10 ? 2 : 1)} ${units[at]}` : `${count(n)} ${n === 1 ? "byte" : "bytes"}`;
}

/** A name as words: `open_round` is "open round". */
export function words(name) {
  return String(name).replaceAll("_", " ");
}

/** A link to a block, tx, account, round or model, by its id or height.
 *
 * An address to which the reader has given a name is shown by the name, and where `text` is the address in
 * full, by both.
 */
export function link(kind, id, text = null) {
  if (id === null || id === undefined) return "–";
  const name = String(id);
  const given = kind === "account" ? nameOf(name) : null;
  if (given !== null) {
    const written = text === name ? `${given} (${name})` : given;
    return h("a", { class: "named", href: `#/account/${encodeURIComponent(name)}`, title: name }, written);
  }
  const shown = text ?? (kind === "account" ? shortAddress(name) : shortId(name));
  return h("a", { class: "mono", href: `#/${kind}/${encodeURIComponent(name)}`, title: name }, shown);
}

/** A sentence in which every address is a link to its account. */
export function linked(text) {
  const parts = text.split(/\b([a-z]{1,16}1[02-9ac-hj-np-z]{30,60})\b/);
  return parts.map((part) => (isAddress(part) ? link("account", part) : part));
}

/** The number of an epoch or another thing that the chain counts from 0, as people count: from 1. */
export function ordinal(index) {
  return count(Number(index) + 1);
}

/** An id in full, which breaks where it must. */
export function whole(id) {
  return h("span", { class: "mono whole" }, id);
}
