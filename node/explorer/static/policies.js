// What the policies of models promise about old classes: their names and a sentence for each.

const NAMES = ["strict", "gated", "relative"];
const TEXTS = [
  "A growth cannot change the logits of old classes: they stay the same integers for ever.",
  "A growth may feed old classes, too, and rows that must not be forgotten judge the result.",
  "A growth may move all old logits together, by one number a row: their differences stay for ever.",
];

export const policyName = (model) => NAMES[model.policy] ?? `policy ${model.policy}`;
export const policyText = (model) => TEXTS[model.policy] ?? "";
