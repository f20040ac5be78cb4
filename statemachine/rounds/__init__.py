"""Rounds: who may improve a model, when, at what price, and what becomes of it. Pure functions of state.

A transaction of a round first goes through `entry`, which lets `settlement` apply every step that has fallen
due and then checks the phase by the `calendar`. Parts of the data are drawn (`draw`) and opened
(`disclosure`). Updates are checked and scored (`update`) and become `candidates`, whose scorings are prepaid
(`escrow`). At the end `ranking` says who improved the model; `settlement` pays, gives badges (`rewards`) and
keeps the list of parts that the model must not forget (`retention`). No block settles a round by itself: the
first transaction that touches the round after a deadline does, and it makes no difference whose that is.
"""
