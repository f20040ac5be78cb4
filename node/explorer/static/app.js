// The router: shows the page that the address names, and says so where it cannot.

import { clear, h } from "./dom.js";
import { tick } from "./format.js";
import { find, routes } from "./routes.js";
import { Chain } from "./rpc.js";
import { offer, onChange } from "./names.js";
import { warnOfNoWork } from "./work.js";

const TICK_MS = 1000;
const main = document.getElementById("main");
const chain = new Chain();
let shown = 0;
let close = null;
let working = 0;

function navigation() {
  const named = routes.filter((route) => route.nav);
  const links = named.map((route) => h("li", null, h("a", { href: `#/${route.path}` }, route.nav)));
  clear(document.getElementById("nav"), h("ul", null, links));
}

function mark(route) {
  const path = route?.nav ? route.path : route?.under;
  for (const link of document.querySelectorAll("#nav a")) {
    const isHere = path !== undefined && link.getAttribute("href") === `#/${path}`;
    if (isHere) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

/**
 * Leaves the page that is shown, and shows the one that the address names. If that is the same one `again`,
 * what it shows stays until it is read anew.
 */
async function show({ isFirst = false, again = false } = {}) {
  const turn = ++shown;
  close?.();
  close = null;
  const found = find(location.hash);
  mark(found?.route);
  if (!found) {
    const why = "The address may be mistyped: the pages are in the navigation above.";
    failed("There is no such page.", why, null);
    return;
  }
  const loading = h("div", { class: "view" }, h("p", { class: "muted loading" }, "Reading the chain …"));
  const root = again ? main.firstElementChild : loading;
  if (!again) clear(main, root);
  try {
    const module = await import(`./views/${found.route.view}.js`);
    if (turn !== shown) return;
    const named = typeof module.title === "function" ? module.title(found.params) : module.title;
    document.title = `${named} – Engram explorer`;
    const fresh = h("div", { class: "view" });
    const end = await module.view(fresh, found.params, chain);
    if (turn !== shown) {
      end?.();
      return;
    }
    close = end ?? null;
    root.replaceWith(fresh);
    if (!isFirst && !again) focusHeading();
  } catch (error) {
    if (turn === shown) failed("This page could not be shown.", error.message, () => show());
    if (error.name !== "RpcError") console.error(error);
  }
}

function failed(what, why, retry) {
  const button = retry && h("button", { type: "button", on: { click: retry } }, "Try again");
  clear(main, h("div", { class: "view" }, h("h1", null, what), h("p", { role: "alert" }, why), button));
  document.title = `${what} – Engram explorer`;
  focusHeading();
}

/** A page that has changed is read out from its heading on. */
function focusHeading() {
  const heading = main.querySelector("h1") ?? main;
  heading.setAttribute("tabindex", "-1");
  heading.focus({ preventScroll: true });
  window.scrollTo(0, 0);
}

/** On a chain for development, the node's keys have names; a key may have been made since the last look. */
async function learnNames() {
  try {
    const { has_work: isWorked } = await chain.call("chain_head");
    if (!isWorked && offer(await chain.call("dev_names"))) await show({ again: true });
  } catch {
    // without a connection, or at a node of another version, addresses stand as they are
  }
}

/** Marks the page until the work is done: what it shows is then what it goes on to show. */
async function whileBusy(work) {
  working += 1;
  main.dataset.busy = "";
  await work();
  working -= 1;
  if (!working) delete main.dataset.busy;
}

function showState(state) {
  const place = document.getElementById("state");
  place.textContent = state === "open" ? "Live" : "No connection to the node; trying again …";
  place.className = `state ${state}`;
}

/** The search box leads to a page of what is found; it goes on by itself if that is one thing. */
function search(event) {
  event.preventDefault(); // nothing is sent by the form
  const box = document.getElementById("asked"), text = box.value.trim();
  if (!text) return;
  box.value = "";
  location.hash = `#/search/${encodeURIComponent(text)}`;
}

navigation();
document.getElementById("search").addEventListener("submit", search);
chain.onState(showState);
warnOfNoWork(chain, document.getElementById("work"));
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address names the page, not a place in it
  main.focus();
});
window.addEventListener("hashchange", () => whileBusy(() => Promise.all([show(), learnNames()])));
onChange(() => show({ again: true })); // another page of this browser has named something that may stand here
setInterval(tick, TICK_MS);
whileBusy(() => show({ isFirst: true }).then(learnNames));
