"""Bytes, hashes, keys, errors: what every other package stands on. Pure: no clock, no I/O, no floats."""
