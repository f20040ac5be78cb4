"""Makes blocks.

`miner` builds a template on the head and searches for its nonce in threads. `mining` is the service that an
operator controls: it starts and stops the miner, and mines a number of blocks on request.

A block that was found is given to the chain like a block from a peer, and judged in full: a mistake in the
making of a block must not reach the database.
"""
