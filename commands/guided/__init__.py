"""The guided round of `engram play`: its steps, what each does by the library, and how it is told.

`steps.py` holds the steps as data: what is said before each of them, the commands that do the same by hand,
what is done, and by what the chain shows that it is done. `openings.py` holds the rounds that are opened, of
which both the commands and the deeds are made. `acts.py` and `playing.py` do, `showing.py` shows what came of
it, `playground.py` knows the folder, the keys and the node, `narrator.py` prints, and `guide.py` leads
through it.
"""
