"""Rounds: who may improve a model, when, at what price, and what becomes of it. Pure functions of state.

`terms` says which rounds may be opened, and `models` what may be done to a model between them. A transaction
of a round first goes through `entry`, which lets `settlement` apply every step that has fallen due and then
checks the phase by the `calendar`. Parts of the data are drawn (`draw`) and opened (`disclosure`). Updates
(`proposal`) are checked and scored (`update`) and become `candidates`. `judging` says what their scores
prove; `settlement` ends the round, pays and gives badges (`rewards`), and keeps the list of parts that the
model must not forget (`retention`). No block settles a round by itself: the first transaction that touches
the round after a deadline does, and it makes no difference whose that is.
"""
