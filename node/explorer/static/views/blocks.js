// The blocks of the best chain, the latest first, page by page.

import { blockColumns } from "../blocks.js";
import { card, clear, h, table } from "../dom.js";
import { count } from "../format.js";
import { live } from "../live.js";

export const title = "Blocks";
const PAGE = 25;

export async function view(root, params, chain) {
  const asked = params.query.get("from");
  const top = asked !== null && /^[0-9]{1,15}$/.test(asked) ? Number(asked) : null;
  const notice = h("div", { "aria-live": "polite" }), list = h("div");
  root.append(h("h1", null, "Blocks"), notice, card(null, list));
  const read = async () => {
    const { height } = await chain.call("chain_head");
    const last = Math.min(top ?? height, height), first = Math.max(0, last - PAGE + 1);
    const headers = await chain.call("chain_headers", { first, count: last - first + 1 });
    const shown = table("Blocks, the latest first", blockColumns, headers.reverse());
    clear(list, shown, turns(first, last, height));
  };
  return live(chain, top === null ? ["heads"] : [], read, notice);
}

function turns(first, last, height) {
  const newer = last + PAGE >= height ? "#/blocks" : `#/blocks?from=${last + PAGE}`;
  return h(
    "nav",
    { class: "row", "aria-label": "More blocks" },
    last < height ? h("a", { href: newer }, "Newer") : null,
    h("span", { class: "muted" }, `${count(first)} to ${count(last)} of ${count(height)}`),
    first > 0 ? h("a", { href: `#/blocks?from=${first - 1}` }, "Older") : null,
  );
}
