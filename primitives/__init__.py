"""Bytes, hashes, keys and trees: what every node must make in exactly the same way.

A record or message is a frozen dataclass. The codec derives its one canonical encoding from the field types,
and refuses every other encoding of the same value; so an id, which is the hash of the encoding, names exactly
one value. Two kinds of Merkle trees commit to lists and to the state. The error families that the whole
package shares stand here as well. Nothing here knows what a block, an account or a network is.
"""
