"""Transactions that wait for a block: who is let in, in which order they stand, how they follow the head.

`admission` judges one transaction against one head and runs the forward passes that its block will need, so
that importing the block finds the results ready. `pool` is the ordered, bounded set. `mempool` is the
service: it admits, follows every new head, drops what became impossible, and gives the miner its
candidates. All of this is policy of one node; the rules of validity stand in `statemachine`.
"""
