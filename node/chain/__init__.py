"""The best chain: the one writer that judges blocks, what it remembers, and how it recovers from a crash.

A block enters through `chain`, which queues it for a single thread. In that thread, `importer` judges the
block in three stages and stores the result in one batch, together with the new head if the block's branch has
more work. `headers` checks headers without bodies, for relay and sync. `orphans` holds blocks that cannot be
judged yet. `signatures` and `verification` remember what was verified before. `recovery` checks a data
directory at every start and imports the blocks that the database lacks. `maintenance` checks or rebuilds a
data directory while no node runs on it.

Only one thread writes, so that every block is judged against a database that does not change meanwhile, and
no two blocks can move the head at the same time. Other threads read without locks: a state root never changes
its content, so a reader that holds the root of an old head keeps reading that head.
"""
