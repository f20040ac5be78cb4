"""Speaks to one peer at a time: messages, sessions, gossip. Knows no store, mempool or chain."""
