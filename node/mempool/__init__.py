"""Transactions that wait for a block: who is let in, and in which order they stand."""
