"""What a node keeps on its disk, and how it is read and written. No rule of validity stands here.

`schema` lists every key of the database, and `db` is LevelDB behind a small interface. `blockfiles` are
append-only files with the body of every block; everything else can be rebuilt from them. `batches` says what
a node writes when it takes in a block: the caller collects everything in one batch, which is stored whole or
not at all. `store` gives typed reads, and `lru` is a cache of bounded size. `failpoints` are places at which
a test can end the process, to show that a crash there loses nothing.

The order of writing is what makes a crash harmless. First the body of a block is appended to a block file and
synced. Then one synced batch writes everything that follows from the block, together with the new head. Only
then does the head in memory change. A crash before the batch leaves the old head and a body that the next
start imports again; a crash after it leaves the new head with everything that belongs to it.

While a node fetches many blocks, and on a chain without work, only one block in many is forced to the disk.
The order stays, so the end of the process still loses nothing. A power cut then may take the last of these
blocks, or their bodies: the node starts from what is there, and fetches what is missing from its peers.
"""
