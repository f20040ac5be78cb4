"""Experiment `paper`: the setting of Krolevets (2019), whose section 5 has no experiments.

A network with one hidden layer learns the digits 0 to 5 from several participants on a chain, freezes, and
then grows by the digits 6 to 9.
"""
