"""`engram learn`: the daemon of the dual memory. It learns, answers, consolidates, and forgets.

Types and the way of the data, from the bottom up:

    states.py      the states of a consolidation, which may follow which, and the one file that keeps them
    policy.py      when to consolidate: rows, hours, surprise; and what a day may cost: `budget.py`
    intake.py      takes batches in exactly once, also across a crash
    feed.py        files of a folder; `lines.py`: JSON lines of a stream
    memories.py    fast memory, slow memory and the gate between them, for tasks of one event loop
    matching.py    which classes of the chain are which of the participant's own
    lessons.py     what one growth teaches, kept on disk until its rows are forgotten
    opening.py     a growth round of one's own: parts cut off before anything is trained
    consolidator.py  one step after another from examples to a proven version, resumable after each
    learner.py     all of it, as a library; `endpoint.py`: over HTTP on loopback
"""
