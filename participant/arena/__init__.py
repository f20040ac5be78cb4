"""Rounds on one real node without a clock: a block is mined whenever everybody waits for one.

So a phase of a few blocks is long enough for any training, and a round takes as long as its work. `pacing.py`
knows who waits; `arena.py` holds the node, the wallets and the play.
"""
