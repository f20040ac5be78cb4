"""Reads rows from files of every kind that Engram knows, and says what was found in them.

`reading.read` is the one way from a file to rows: it finds out the format by the file's first bytes and
gives a
`RawTable`, which holds what the file says, unchanged. `values.py` turns it into what the chain can hold, by a
`DataMapping` where the file holds other numbers or names; `examining.py` says what is doubtful in it. Every
bound in
`limits.py` holds for every format and is checked before memory is taken.
"""
