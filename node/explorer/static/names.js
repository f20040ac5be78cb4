// The address book: names that the reader gives to addresses. They are kept in this browser, sent nowhere.
//
// No stranger can put a name on the page: what stands here was typed here, or, on a chain for development, is
// what the node's operator calls a key. Such a name is not kept, and gives way to one that was typed.

const KEY = "engram.names";
const LONGEST = 40;
const MOST = 1000;
const ADDRESS = /^[a-z]{1,16}1[02-9ac-hj-np-z]{30,60}$/;
// Letters that one does not see, or that turn the text around them, could make one name look like another.
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cn}]/gu;

let known = null; // address -> name, as it was read last
let offered = new Map(); // address -> name, as the node of a chain for development calls its keys
let isKept = true;

/** Whether a text has the form of an address. */
export const isAddress = (text) => ADDRESS.test(text);

/** The name of an address, or null. */
export const nameOf = (address) => read().get(address) ?? offered.get(address) ?? null;

/** Whether the name of an address was typed in this browser. */
export const isTyped = (address) => read().has(address);

/** All names, by name: [{address, name, typed}]. */
export function entries() {
  const found = [...read()].map(([address, name]) => ({ address, name, typed: true }));
  for (const [address, name] of offered) if (!isTyped(address)) found.push({ address, name, typed: false });
  return found.sort((one, other) => one.name.localeCompare(other.name));
}

/** Takes the names that a node gives: [{address, name}]; says whether any of them is new. */
export function offer(pairs) {
  const taken = new Set([...read().values()].map((name) => name.toLowerCase()));
  const fresh = new Map();
  for (const { address, name } of pairs.slice(0, MOST)) {
    const shown = plain(name).slice(0, LONGEST);
    if (!isAddress(address) || !shown || taken.has(shown.toLowerCase()) || isAddress(shown)) continue;
    taken.add(shown.toLowerCase());
    fresh.set(address, shown);
  }
  const isNew = [...fresh].some(([address, name]) => offered.get(address) !== name);
  offered = fresh;
  return isNew;
}

/** The address of a name, whatever the case of its letters, or null. */
export function addressOf(name) {
  const asked = plain(name).toLowerCase();
  return entries().find((each) => each.name.toLowerCase() === asked)?.address ?? null;
}

/** Whether names outlive this page: a browser may forbid to keep anything. */
export const areKept = () => isKept;

/** Gives an address a name; says what is wrong with it, or nothing. */
export function give(address, text) {
  const name = plain(text);
  if (!isAddress(address)) return "This is no address. Copy it whole, to the last letter.";
  if (!name) return "Type a name, or press Forget to have none.";
  if (name.length > LONGEST) return `A name has at most ${LONGEST} letters.`;
  if (isAddress(name.toLowerCase())) return "A name must not look like an address.";
  const other = addressOf(name);
  if (other !== null && other !== address) return "Another address has this name: choose another name.";
  const names = new Map(read());
  names.set(address, name);
  if (names.size > MOST) return `There are ${MOST} names already. Forget one first.`;
  write(names);
  return null;
}

/** Takes the name of an address away. */
export function forget(address) {
  const names = new Map(read());
  names.delete(address);
  write(names);
}

/** Calls `listener()` when another page of this browser has changed a name. */
export function onChange(listener) {
  window.addEventListener("storage", (event) => {
    if (event.key !== KEY && event.key !== null) return;
    known = null;
    listener();
  });
}

function plain(text) {
  return String(text).normalize("NFC").replace(UNSEEN, "").replace(/\s+/g, " ").trim();
}

function read() {
  if (known) return known;
  let found = {};
  try {
    found = JSON.parse(localStorage.getItem(KEY) ?? "{}");
  } catch (error) {
    isKept = !(error instanceof DOMException); // else the text is damaged, and is replaced at the next change
  }
  const pairs = found && typeof found === "object" ? Object.entries(found) : [];
  const isFit = ([address, name]) => isAddress(address) && typeof name === "string" && plain(name);
  const fit = pairs.filter(isFit);
  known = new Map(fit.slice(0, MOST).map(([address, name]) => [address, plain(name).slice(0, LONGEST)]));
  return known;
}

function write(names) {
  known = names;
  try {
    localStorage.setItem(KEY, JSON.stringify(Object.fromEntries(names)));
    isKept = true;
  } catch {
    isKept = false;
  }
}
