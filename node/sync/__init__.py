"""Catching up with peers that have more work: headers first, then bodies.

`headersync` learns from one peer which blocks are missing, each header checked with its work; `download`
fetches the bodies from every connected peer at once and hands them over in order; `sync` is the service that
decides when to do so, with whom, and who is to blame if it fails. Bodies are asked for only once the headers
carry more work than the own head, so that nobody can make a node fetch a worthless branch.
"""
