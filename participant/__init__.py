"""Trains, remembers and decides what to submit. Reaches a chain only through a node's public interfaces."""
