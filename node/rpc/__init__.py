"""What clients see of a node: JSON-RPC methods, events, blobs and metrics.

`server` is the HTTP door and `jsonrpc` the protocol without sockets. The methods stand in one file for each
group (`account`, `chain`, `model`, `node`, `round`, `tx`). They read the chain of one moment through
`headview` and turn it into JSON with `render`; `explain` and `verdicts` add what people ask about predictions
and rounds, `proofs` builds proof bundles. `feed` turns what happens on the node into `events`.
"""
