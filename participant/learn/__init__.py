"""`engram learn`: the daemon of the dual memory. It learns, answers, consolidates, and forgets.

From the bottom up:

    states.py        the states of a consolidation, which may follow which, and the one file that keeps them
    policy.py        when to consolidate: rows, hours, surprise; `budget.py`: what rounds may cost
    intake.py        takes batches in exactly once, also across a crash
    memories.py      fast memory, slow memory and the gate between them, behind one lock
    feed.py          files of a folder; `lines.py`: JSON lines of a stream
    matching.py      which classes of the chain are which of one's own; `choosing.py`: which to teach
    lessons.py       what one growth teaches, kept on disk until its rows are forgotten
    opening.py       rows cut off for a round of one's own; `rehearsal.py`: a growth tried on them
    round_part.py    opens and plays rounds, with the classes that every participant uses
    consolidator.py  one step after another, from examples to a proven version
    learner.py       all of it, as a library; `endpoint.py`: over HTTP; `service.py`: as a program
"""
