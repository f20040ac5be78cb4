// The calendar of a round as a picture: a bar of its phases with the tick at which the chain stands.

import { s } from "./dom.js";
import { spans, statusName, isOpen } from "./roundwords.js";

const WIDTH = 1000;
const BAR = 30;

/** An SVG of all phases in proportion to their ticks; what it shows stands in words beside it. */
export function timeline(round) {
  const bounded = spans(round).filter((span) => span.last !== null);
  const start = bounded[0].first;
  const end = bounded[bounded.length - 1].last + 1;
  const at = (tick) => ((Math.min(Math.max(tick, start), end) - start) / (end - start)) * WIDTH;
  const picture = s("svg", {
    class: "timeline",
    viewBox: `0 0 ${WIDTH} ${BAR + 26}`,
    role: "img",
    preserveAspectRatio: "none",
    "aria-label": described(round, bounded),
  });
  picture.append(s("rect", { class: "timeline-base", x: 0, y: 14, width: WIDTH, height: BAR }));
  for (const span of bounded) {
    const x = at(span.first);
    const width = Math.max(at(span.last + 1) - x - 2, 2);
    const bar = s("rect", { class: `timeline-${span.state}`, x, y: 14, width, height: BAR });
    bar.append(s("title", {}, `${span.name}: ticks ${span.first} to ${span.last}`));
    picture.append(bar);
  }
  if (isOpen(round)) {
    const x = at(round.tick);
    picture.append(
      s("path", { class: "timeline-mark", d: `M${x - 9} 0 L${x + 9} 0 L${x} 13 Z` }),
      s("line", { class: "timeline-needle", x1: x, x2: x, y1: 6, y2: BAR + 22 }),
    );
  }
  return picture;
}

function described(round, bounded) {
  if (!isOpen(round)) return `The round has ended: ${statusName(round)}.`;
  const done = bounded.filter((span) => span.state === "done").length;
  const now = bounded.find((span) => span.state === "now");
  return `${done} of ${bounded.length} phases are over${now ? `; now: ${now.name}` : ""}.`;
}
