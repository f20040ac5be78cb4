"""Bytes, hashes, keys and trees: what every other layer stands on; no rule of the chain stands here."""
