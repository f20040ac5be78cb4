"""Engram: a proof-of-work chain whose state transition runs integer neural networks. Version only."""

__version__ = "0.1.0"
