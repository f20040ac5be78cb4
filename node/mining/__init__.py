"""Making blocks: `miner` builds templates on the head and searches for a nonce in threads; `mining` is the
miner as an operator handles it, started, stopped and asked for blocks while the node runs.

A block that was found goes to the chain as one from a peer would: the node trusts nothing that it made
itself.
"""
