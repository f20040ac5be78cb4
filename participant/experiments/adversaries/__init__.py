"""Experiment `adversaries`: the attacks that the paper left for the future, in real rounds, by share."""
