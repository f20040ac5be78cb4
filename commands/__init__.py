"""The command line: one file for each command or group of commands that `engram` offers.

A command parses its arguments, calls one function of `node`, `participant` or `consensus`, and prints what
comes back. The rules of the chain and the strategies of participants do not stand here. `engram.cli` imports
a command's file only when the user runs it, and a file imports heavy libraries only inside functions, so that
`--help` stays fast.

Data passes through a command like this: click turns the options into values (`support/param_types.py`,
`support/units.py`), the options that most commands have become a `CommandSession` (`support/session.py`), the
session sends requests to a node and prints the answers (`support/output.py`), and `support/failures.py` turns
an error into a message and an exit status.
"""
