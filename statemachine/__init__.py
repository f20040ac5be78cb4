"""Accounts, models, rounds and transactions as pure functions of state. No blocks, no storage."""
