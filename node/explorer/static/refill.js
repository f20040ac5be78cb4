// Renews a part of a page as `clear` does, and leaves the reader where they were in it.

import { clear } from "./dom.js";

const FOCUSABLE = "a[href], button, input, select, summary, [tabindex]";
const SCROLLS = ".table, .scrolls";

/** Replaces the children of a node; focus, open details and scrolled boxes stay at the same places in it. */
export function refill(node, ...children) {
  const place = [...node.querySelectorAll(FOCUSABLE)].indexOf(document.activeElement);
  const open = [...node.querySelectorAll("details")].map((each) => each.open);
  const scrolled = [...node.querySelectorAll(SCROLLS)].map((each) => each.scrollLeft);
  clear(node, ...children);
  [...node.querySelectorAll("details")].forEach((each, index) => {
    if (index < open.length) each.open = open[index];
  });
  [...node.querySelectorAll(SCROLLS)].forEach((each, index) => {
    if (index < scrolled.length) each.scrollLeft = scrolled[index];
  });
  if (place >= 0) [...node.querySelectorAll(FOCUSABLE)][place]?.focus({ preventScroll: true });
}
