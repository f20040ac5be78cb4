"""Rounds: who may improve a model, when, at what price, and what becomes of it. Pure functions of state.

A transaction of a round first goes through `entry`, which lets `settlement` apply every step that has fallen
due and then checks the phase by the `calendar`. Parts of the data are drawn (`draw`) and opened
(`disclosure`); authors' updates are checked and scored (`update`) and stand as `candidates`; at the end
`ranking` says who improved the model and `settlement` pays, gives badges (`rewards`) and keeps what the model
must not forget (`retention`). No block settles a round by itself: the first transaction that touches the
round after a deadline does, and it makes no difference whose transaction that is.
"""
