"""What several commands share: option types, sessions with a node, printing, errors. No command stands here.

`options.py` builds the command classes and the options that many commands have, and hands each command a
`CommandSession` (`session.py`), which knows the node, the data directory and the key. `lookup.py` turns the
beginning of an id into the id, `selecting.py` and `predictions.py` turn options into rows of data, and
`sending.py` sends a transaction and waits for its block. `output.py` prints results; `progress.py`,
`round_fields.py`, `verdicts.py` and `demo_screen.py` say in words what they mean; `errors.py` and
`failures.py` cover what can go wrong. `glossary.py` and `shapes.py` read the pages that explain the words
and the JSON; `words.py` and `names.py` put words and names into what is printed.
`dev_chain.py` makes a chain for development.
"""
