"""A node: disk, clock, processes and RPC around the pure core. No rule of validity stands here.

Each folder holds one service: `storage` keeps bytes on the disk, `chain` judges blocks and is the only
writer, `mempool` holds the transactions that wait for a block, `mining` makes blocks, `sync` catches up with
peers, `rpc` answers clients, and `localnet` runs many nodes on one machine. The files beside the folders join
them: `services` creates the services and connects them to each other, `node` starts and stops them together,
`peering` connects them to peers, and `process` handles signals and threads. Blocks and transactions come from
peers and clients, pass the checks and reach the writer. The writer moves the head of the chain, and every
other service follows the head.
"""
