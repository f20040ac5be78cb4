// The address book: all names that were given in this browser.

import { card, clear, h, table } from "../dom.js";
import { link, many } from "../format.js";
import { areKept, entries, forget, give } from "../names.js";

export const title = "Names";
const LEAD =
  "Names that you give to addresses. They are kept in this browser only: the node does not know them, and " +
  "whoever else opens these pages does not see them. They are shown wherever such an address stands. On a " +
  "chain for development, the keys of the node's data directory have their names here already.";
const LOST = "This browser keeps nothing for this page, so names are forgotten when the page is closed.";

export async function view(root) {
  const list = h("div"), said = h("p", { class: "notice bad", role: "alert", hidden: true });
  const show = () => {
    const columns = [
      { head: "Name", cell: (each) => link("account", each.address) },
      { head: "Address", cell: (each) => h("span", { class: "mono" }, each.address) },
      { head: "", cell: (each) => (each.typed ? away(each, show) : "the node's key") },
    ];
    const named = entries();
    clear(
      list,
      areKept() ? null : h("p", { class: "notice" }, LOST),
      named.length ? h("p", { class: "muted" }, many(named.length, "name")) : null,
      table("Names of addresses", columns, named, "No address has a name yet."),
    );
  };
  root.append(h("h1", null, "Names"), h("p", null, LEAD));
  root.append(card("Name an address", form(said, show), said), card(null, list));
  show();
  return null;
}

function form(said, changed) {
  const address = h("input", { id: "address", autocomplete: "off", spellcheck: false, maxlength: 90 });
  const name = h("input", { id: "name", autocomplete: "off", spellcheck: false, maxlength: 40 });
  const save = (event) => {
    event.preventDefault(); // nothing is sent by the form
    const wrong = give(address.value.trim(), name.value);
    said.hidden = wrong === null;
    said.textContent = wrong ?? "";
    if (wrong) return;
    address.value = name.value = "";
    changed();
  };
  return h(
    "form",
    { class: "row naming", on: { submit: save } },
    h("label", { for: "address" }, "Address"),
    address,
    h("label", { for: "name" }, "Name"),
    name,
    h("button", { type: "submit" }, "Save"),
  );
}

function away({ address, name }, changed) {
  const click = () => {
    forget(address);
    changed();
  };
  return h("button", { type: "button", "aria-label": `Forget ${name}`, on: { click } }, "Forget");
}
