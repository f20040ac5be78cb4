"""Blocks: parents, work, time, fork choice and proofs, as pure functions.

`chainspec` has every constant of a chain. `builder` puts a block together; `validation` judges one in three
stages, header, body and execution, the cheapest first; `difficulty` says how much work the next block needs;
`forkchoice` says which of two heads is better and what a reorganisation disconnects and connects; `bundle`
is the file of a proof, headers and Merkle paths, and `proof` checks it with no node at all. State is reached
through a reader that the caller passes in: nothing here reads a disk or a clock.
"""
