"""What clients see of a node: JSON-RPC methods, events, blobs and metrics.

`server` listens for HTTP and WebSocket clients, and `jsonrpc` is the protocol without sockets. The methods
stand in one file for each group (`account`, `chain`, `model`, `node`, `round`, `tx`). They read the chain as
of one head through `headview`, and turn what they find into JSON with `render`. `explain` answers what people
ask about predictions, `verdicts` what they ask about the candidates of a round, and `proofs` builds proof
bundles. What each method gives is declared in `results`, of which the served document has JSON Schemas.
`feed` turns what happens on the node into events, and `events` distributes them to subscribers.
"""
