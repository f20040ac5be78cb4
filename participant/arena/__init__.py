"""Whole rounds on nodes of one's own: everybody plays at the same time, and blocks wait for everybody.

`venue.py` holds the wallets and the play. `arena.py` is a venue of one node without a clock: a block is
mined whenever everybody waits for one, so a phase of a few blocks is long enough for any training, and a
round takes as long as its work; `pacing.py` knows who waits. `network.py` is a venue of real node processes.
`examining.py` has versions scored on test rows, `entries.py` lists what stands in the blocks, and
`replaying.py` measures what a node spends on it.
"""
