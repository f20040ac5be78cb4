"""Speaking to peers: links, signed handshakes, sessions and gossip. Blocks are bytes here.

A `Transport` makes links (WebSockets, or in memory for tests). `handshake` binds a link to the keys of both
nodes; `session` then sends and receives typed messages under size caps and rates; `gossip` spreads ids and
fetches what is missing once; `manager` decides with whom to speak. What the bytes mean is asked of a
`ChainProtocol`, which the node implements in `node/peering.py`; so this package imports nothing of consensus.
"""
