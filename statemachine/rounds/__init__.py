"""Rounds: who may improve a model, when, at what price, and what becomes of it. Pure functions of state."""
