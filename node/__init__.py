"""A node: disk, clock, processes and RPC around the pure core. No rule of validity stands here.

Each wing is one service or serves one: `storage` keeps bytes on the disk, `chain` is the one writer that
judges blocks, `mempool` holds what waits, `mining` makes blocks, `sync` catches up with peers, `rpc` answers
clients, and `localnet` runs many nodes on one machine. The flat files join them: `services` connects the
parts, `node` starts and stops them together, `peering` connects them to peers, `process` is the operating
system's view. Data flow from peers and clients through checks to the writer, and from the head of the chain
to everybody who follows it.
"""
