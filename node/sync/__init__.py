"""Catching up with peers that have more work: headers first, then bodies.

`headersync` learns from one peer which blocks are missing, each header checked with its work; `download`
fetches the bodies from every connected peer at once and hands them over in order; `sync` is the service that
decides when to do so and with which peer, and which peer is at fault if it fails.

Headers come before bodies because they are cheap to check and expensive to forge: each carries its proof of
work. Bodies are asked for only once the headers carry more work than this node's own head. A peer therefore
cannot make a node download and execute a long branch that would lose anyway.
"""
