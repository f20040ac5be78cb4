"""The demonstration behind `engram demo`: participants play the paper's story on nodes of this machine.

`play.py` tells the story act by act. It starts a `Localnet`, gives each actor a key and a node (`cast.py`)
and rows that nobody else has (`data.py`). The blocks wait for every actor, so no phase is too short for this
machine. `rounds.py` plays a round with everyone in it: a founder who opens it, a witness, three honest
authors, and cheats. After each act, `attacks.py`, `ledger.py` and `ending.py` read from the chain what came
of it, raise `UnexpectedOutcome` if it is not what the protocol promises, and add rows to the report
(`report.py`). Events are told to a `Stage` (`stage.py`), which `commands/support/demo_screen.py` prints.

All actors use the participants' own classes and reach the chain by RPC, with no more rights than any user
has. The nodes know nothing of the demonstration.
"""
