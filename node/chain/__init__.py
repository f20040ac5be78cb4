"""The best chain: the one writer that judges blocks, what it remembers, and how it recovers.

A block enters through `chain`, which queues it for a single thread. `importer` judges it in three stages and
stores the verdict and, if the block has more work, the new head in one batch. `headers` checks headers alone,
for relay and sync. `orphans` holds blocks that cannot be judged yet, `signatures` and `verification` remember
what was verified before, `recovery` brings a data directory to a head that can be trusted at every start, and
`maintenance` checks and rebuilds one while no node runs.
"""
