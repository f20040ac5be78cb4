"""The best chain: the one writer that judges blocks, what it remembers, how it recovers."""
