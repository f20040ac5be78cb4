// Makes elements. What comes from the chain is anybody's text, so it only ever becomes text, never markup.

const SVG = "http://www.w3.org/2000/svg";
const ADDRESSES = new Set(["href", "src"]);
// A link leads within these pages; anything else, such as `javascript:`, is not made.
const OWN = /^(#|\.\/|[a-z0-9/_-]+\.(svg|css|js)$|data:image\/)/i;

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    } else if (ADDRESSES.has(name) && !OWN.test(String(value))) {
      throw new TypeError(`a page links to nothing but itself, not to ${value}`);
    } else if (name.startsWith("on") || name === "style") {
      throw new TypeError(`${name} would be code in the document: use on, or a class`);
    } else {
      node.setAttribute(name, value === true ? "" : String(value));
    }
  }
  append(node, children);
  return node;
}

function append(node, children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    if (Array.isArray(child)) append(node, child);
    else node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/** An element of HTML. Children are nodes, texts, numbers or lists of them; null stands for none. */
export function h(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** An element of SVG, by the same rules. */
export function s(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** Puts these children in the place of those that a node has. */
export function clear(node, ...children) {
  node.replaceChildren();
  append(node, children);
  return node;
}

/** A table in a box that scrolls by itself. A column is {head, cell(row), numeric, wide}. */
export function table(caption, columns, rows, empty = "There is none.") {
  if (!rows.length) return h("p", { class: "muted" }, empty);
  const style = (column) => (column.numeric ? "numeric" : column.wide ? "wide" : null);
  const cell = (column, row) => h("td", { class: style(column) }, column.cell(row));
  return h(
    "div",
    { class: "table", role: "region", "aria-label": caption, tabindex: 0 },
    h(
      "table",
      null,
      h("caption", { class: "hidden" }, caption),
      h("thead", null, h("tr", null, columns.map((c) => h("th", { scope: "col", class: style(c) }, c.head)))),
      h("tbody", null, rows.map((row) => h("tr", null, columns.map((c) => cell(c, row))))),
    ),
  );
}

/** Names and values; a pair whose value is null is left out. */
export function facts(...pairs) {
  const shown = pairs.filter(([, value]) => value !== null && value !== undefined);
  const line = ([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value));
  return h("dl", { class: "facts" }, shown.map(line));
}

/** A part of a page, with its heading. */
export function card(title, ...children) {
  return h("section", { class: "card" }, title ? h("h2", null, title) : null, ...children);
}

/** A short word about a thing; the kind is good, bad, muted or caught, and never says more than the word. */
export function tag(word, kind = "muted") {
  return h("span", { class: `tag ${kind}` }, word);
}
