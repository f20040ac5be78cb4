// The columns by which tables show blocks.

import { count, link, when } from "./format.js";

export const blockColumns = [
  { head: "Height", cell: (block) => link("block", block.height, count(block.height)) },
  { head: "Block", cell: (block) => link("block", block.id) },
  { head: "Mined", cell: (block) => when(block.timestamp_ms) },
  { head: "By", cell: (block) => link("account", block.miner) },
];
