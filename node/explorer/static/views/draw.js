// Draw something, and see what a model answers while you draw, who says so, and what it said before it grew.

import { bars, chances, sideBySide } from "../answers.js";
import { card, clear, h } from "../dom.js";
import { link, shortId } from "../format.js";
import { pixels } from "../ink.js";
import { paper } from "../paper.js";
import { policyName, policyText } from "../policies.js";
import { refill } from "../refill.js";
import { drawRow, openedParts, rowsOf, sideOf } from "../rows.js";
import { who } from "../who.js";

const GROW = 1;
const FIELDS = 64;

export const title = (params) => `Ask model ${shortId(params.id)}`;

export async function view(root, params, chain) {
  const model = await chain.call("model_get", { id: params.id });
  const versions = await chain.call("model_versions", { id: params.id });
  const desk = new Desk(chain, model, versions, params.query);
  root.append(...desk.nodes());
  desk.begin(); // it paints with the colours of the page, of which it is a part once this has returned
  return () => desk.close();
}

class Desk {
  /** Of the address, `part` names the part whose rows come first, and `as=numbers` wants no paper. */
  constructor(chain, model, versions, address) {
    this.chain = chain;
    this.model = model;
    this.versions = versions;
    this.side = address.get("as") === "numbers" ? null : sideOf(model.inputs);
    this.full = model.inputs === 64 ? 16 : 255;
    this.parts = [];
    this.first = address.get("part");
    this.rows = [];
    this.place = 0;
    this.wanted = null;
    this.busy = false;
    this.open = true;
    this.before = earlier(versions, model);
    this.sheet = this.side ? paper((strokes) => this.drawn(strokes)) : null;
    this.seen = h("canvas", { class: "seen", role: "img", "aria-label": "What the model sees" });
    this.fields = h("div", { class: "fields" });
    this.about = h("p", { class: "muted" });
    this.answer = h("div");
    this.said = h("p", { class: "said", role: "status" });
    this.who = h("div");
    this.compared = h("div");
    this.scheme = matchMedia("(prefers-color-scheme: dark)");
    this.repaint = () => {
      this.sheet?.paint();
      if (this.sheet && this.last) drawRow(this.seen, this.last, this.side, this.full);
    };
    this.classes = h("select", { "aria-label": "Class of the row", on: { change: () => this.another() } });
    this.choice = h("select", { id: "before", on: { change: () => this.chosen() } });
  }

  nodes() {
    const what = this.side
      ? "Draw, and the answer changes while you draw. The node computes it with the integers on the chain."
      : "Load an opened row, or type numbers from 0 to 255, and see what the model answers.";
    const other = { href: `#/draw/${this.model.id}?as=numbers` };
    const numbers = this.side
      ? [" ", h("a", other, "Are the rows no pictures? Type numbers instead.")]
      : null;
    return [
      h("h1", {}, "Ask model ", link("model", this.model.id)),
      h("p", {}, what, numbers),
      h(
        "div",
        { class: "grid desk" },
        h("section", { class: "card" }, this.tools()),
        card("The answer", this.answer),
      ),
      card("Whose neurons say so", this.who),
      this.before === null ? null : card("Before and after growth", this.comparison()),
    ].filter((node) => node !== null);
  }

  tools() {
    const buttons = [
      h("button", { type: "button", id: "another", on: { click: () => this.another() } }, "Load a real row"),
      h("label", {}, "of class ", this.classes),
      this.sheet
        ? h("button", { type: "button", id: "clear", on: { click: () => this.sheet.clear() } }, "Clear")
        : null,
    ];
    const seen = h("figure", { class: "sees" }, this.seen, h("figcaption", {}, "What the model sees"));
    const row = this.sheet ? [this.sheet.canvas, this.said, seen, this.sheet.help] : [this.said, this.fields];
    return [h("div", { class: "row" }, buttons), this.about, row];
  }

  comparison() {
    const choices = this.versions.slice(0, -1).filter((version) => this.isFrozen(version.number));
    this.choice.append(
      ...choices.map((version) =>
        h(
          "option",
          { value: String(version.number) },
          `version ${version.number}, ${version.classes} classes`,
        ),
      ),
    );
    this.choice.value = String(this.before);
    const policy = `The model's policy is ${policyName(this.model)}. ${policyText(this.model)}`;
    return [
      h(
        "p",
        { class: "muted" },
        "The same row, asked of an earlier version and of the current one. ",
        policy,
      ),
      h("p", {}, h("label", { for: "before" }, "Compare with "), this.choice),
      this.compared,
    ];
  }

  isFrozen(number) {
    return this.versions[number + 1]?.kind === GROW;
  }

  async begin() {
    this.scheme.addEventListener("change", this.repaint);
    this.classes.append(h("option", { value: "" }, "any"));
    for (let label = 0; label < this.model.classes; label += 1) {
      this.classes.append(h("option", { value: String(label) }, String(label)));
    }
    try {
      const opened = await openedParts(this.chain, this.model.id);
      const chosen = opened.filter((part) => part.commitment === this.first);
      this.parts = [...chosen, ...opened.filter((part) => part.commitment !== this.first)];
    } catch (error) {
      this.said.textContent = `The node gave no answer: ${error.message}`;
      return;
    }
    if (this.parts.length) await this.another();
    else this.blank();
  }

  blank() {
    this.about.textContent = "No rows of this model's rounds are open yet: there is none to load.";
    this.take(new Array(this.model.inputs).fill(0));
  }

  /** Loads the next opened row of the chosen class, from the parts of the latest round on. */
  async another() {
    const label = this.classes.value === "" ? null : Number(this.classes.value);
    try {
      const row = await this.next(label);
      if (!this.open) return;
      if (row === null) {
        this.about.textContent = `No opened row has the class ${label}.`;
        return;
      }
      clear(
        this.about,
        `A row of class ${row.label}, from the opened part `,
        h("span", { class: "mono" }, shortId(row.part)),
        ".",
      );
      this.show(row.values);
    } catch (error) {
      this.about.textContent = `No row could be loaded: ${error.message}.`;
      if (this.wanted === null && !this.said.textContent) this.take(new Array(this.model.inputs).fill(0));
    }
  }

  async next(label) {
    for (;;) {
      while (this.place < this.rows.length) {
        const row = this.rows[this.place];
        this.place += 1;
        if (label === null || row.label === label) return row;
      }
      if (!this.parts.length) {
        const found = this.rows.findIndex((row) => label === null || row.label === label);
        if (found < 0) return null;
        this.place = found + 1;
        return this.rows[found];
      }
      await this.load(this.parts.shift().commitment);
    }
  }

  /** Takes up the rows of a part. If the node lacks its bytes, the next part will do, if there is one. */
  async load(commitment) {
    try {
      const some = await rowsOf(this.chain, commitment);
      const most = some.reduce((high, row) => Math.max(high, ...row.values), 0);
      this.full = this.side === 8 && most <= 16 ? 16 : 255;
      this.rows.push(...some);
    } catch (error) {
      if (!this.parts.length && !this.rows.length) throw error;
    }
  }

  show(values) {
    if (this.sheet) this.sheet.show(values, this.side, this.full);
    this.take(values);
  }

  /** Asks about a row that nobody typed, and puts it into the fields if there are some. */
  take(values) {
    if (!this.sheet) this.type(values);
    this.ask(values);
  }

  drawn(strokes) {
    this.about.textContent = strokes.length
      ? "Your drawing, scaled and centred as the rows of the data set were."
      : "";
    this.ask(pixels(strokes, this.side, this.full));
  }

  /** Asks about a row; of rows that come while one is asked about, the last. */
  ask(values) {
    this.wanted = values;
    if (this.sheet) drawRow(this.seen, values, this.side, this.full);
    if (!this.busy) this.answering();
  }

  async answering() {
    this.busy = true;
    try {
      while (this.wanted !== null && this.open) {
        const values = this.wanted;
        this.wanted = null;
        await this.told(values);
      }
    } catch (error) {
      this.said.textContent = `The node gave no answer: ${error.message}`;
    } finally {
      this.busy = false;
    }
  }

  async told(values) {
    if (this.sheet && !values.some((value) => value)) {
      this.last = values;
      this.said.textContent = "The paper is empty.";
      for (const place of [this.answer, this.who, this.compared]) clear(place);
      return;
    }
    const asked = { id: this.model.id, rows: [values] };
    const [now, before] = await Promise.all([
      this.chain.call("model_predict", { ...asked, explain: true }),
      this.before === null ? null : this.chain.call("model_predict", { ...asked, version: this.before }),
    ]);
    if (!this.open) return;
    this.last = values;
    const [prediction] = now.predictions;
    const chance = chances(prediction.logits)[prediction.class];
    this.said.textContent = values.some((value) => value)
      ? `Class ${prediction.class}, by ${(chance * 100).toFixed(1)}%`
      : "All numbers are 0.";
    refill(this.answer, bars(prediction));
    refill(this.who, who(now));
    if (before) refill(this.compared, sideBySide(before, now));
  }

  chosen() {
    this.before = Number(this.choice.value);
    if (this.last) this.ask(this.last);
  }

  /** The row as numbers to type or paste, if it is no picture. The fields stay while one types. */
  type(values) {
    this.typed = [...values];
    const change = (index) => (event) => {
      this.typed[index] = featureOf(event.target.value);
      event.target.value = String(this.typed[index]);
      this.about.textContent = "Your own numbers.";
      this.ask([...this.typed]);
    };
    const heard = (index) => ({ change: change(index), paste: (event) => this.pasted(event, index) });
    const field = (value, index) =>
      h(
        "label",
        {},
        `${index + 1} `,
        h("input", { type: "number", min: 0, max: 255, value, on: heard(index) }),
      );
    refill(
      this.fields,
      values.slice(0, FIELDS).map(field),
      values.length > FIELDS ? `and ${values.length - FIELDS} more` : null,
    );
  }

  /** Takes several pasted numbers, from that field on. The browser pastes a single one. */
  pasted(event, index) {
    const words = event.clipboardData.getData("text").split(/[\s,;]+/).filter(Boolean);
    if (words.length < 2) return;
    event.preventDefault();
    const wrong = words.find((word) => !Number.isFinite(Number(word)));
    if (wrong !== undefined) {
      this.about.textContent = `Nothing was pasted: "${wrong.slice(0, 20)}" is no number.`;
      return;
    }
    const room = this.typed.length - index;
    words.slice(0, room).forEach((word, place) => {
      this.typed[index + place] = featureOf(word);
    });
    [...this.fields.querySelectorAll("input")].forEach((field, place) => {
      field.value = String(this.typed[place]);
    });
    const taken = `${Math.min(room, words.length)} numbers were pasted, from number ${index + 1} on`;
    const over = words.length - room;
    this.about.textContent = over > 0 ? `${taken}; ${over} more found no field.` : `${taken}.`;
    this.ask([...this.typed]);
  }

  close() {
    this.open = false;
    this.scheme.removeEventListener("change", this.repaint);
  }
}

/** What a text stands for in a row: a whole number from 0 to 255. */
function featureOf(text) {
  return Math.min(255, Math.max(0, Math.round(Number(text)) || 0));
}

/** The version to compare with: the last one before the model began to grow; null if it has not grown. */
function earlier(versions) {
  const grown = versions.findIndex((version, place) => place > 0 && version.kind === GROW);
  return grown < 1 ? null : grown - 1;
}
