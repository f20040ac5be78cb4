"""Accounts, models, rounds and transactions as pure functions of state.

`transition` applies one transaction after the other to a `State`, which is the root of an immutable tree
with an overlay of changed records on top. Every transaction type checks itself, says what it costs, and
applies itself; what it charges, moves and records goes through `fees`, `money` and `content`. Models and what
they are made of stand in `parameters`, `loading` and `scoring`; rounds, which improve models, in the folder
`rounds`. Nothing here knows headers, proof of work or storage; a `BlockContext` tells a transaction the few
facts about its block that it may depend on.
"""
