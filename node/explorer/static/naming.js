// The form by which one names an address.

import { h } from "./dom.js";
import { areKept, forget, give, isTyped, nameOf } from "./names.js";

const KEPT = "The name is kept in this browser and sent nowhere; it is shown wherever this address stands.";
const OFFERED = "This is what the node's operator calls the key; a name that you type here takes its place.";
const LOST = "This browser keeps nothing for this page, so the name is forgotten when the page is closed.";

/** A form that names an address; `changed()` is called after each change. */
export function naming(address, changed) {
  const field = h("input", { id: "name", autocomplete: "off", spellcheck: false, maxlength: 40 });
  field.value = nameOf(address) ?? "";
  const said = h("p", { class: "muted small", role: "status" }, KEPT);
  const away = h("button", { type: "button", on: { click: () => take() } }, "Forget");
  const show = (text, isBad = false) => {
    said.textContent = text;
    said.className = isBad ? "notice bad" : "muted small";
    away.hidden = !isTyped(address);
  };
  const take = () => {
    forget(address);
    field.value = nameOf(address) ?? "";
    show("The name is forgotten.");
    changed();
  };
  const save = (event) => {
    event.preventDefault(); // nothing is sent by the form
    const wrong = give(address, field.value);
    if (wrong) {
      show(wrong, true);
      return;
    }
    field.value = nameOf(address);
    show(areKept() ? KEPT : LOST);
    changed();
  };
  const isOffered = nameOf(address) !== null && !isTyped(address);
  show(isOffered ? OFFERED : areKept() ? KEPT : LOST);
  return h(
    "form",
    { class: "naming", on: { submit: save } },
    h(
      "p",
      { class: "row" },
      h("label", { for: "name" }, "Name of this address"),
      field,
      h("button", { type: "submit" }, "Save"),
      away,
    ),
    said,
  );
}
