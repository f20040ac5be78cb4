"""What a node keeps on its disk, and how it is read and written. Knows no rule of validity.

`schema` lists every key of the database, `db` is LevelDB behind a small interface, and `blockfiles` are
append-only files with the body of every block, from which all else can be rebuilt. `batches` says what each
event of a chain writes; the caller collects it in one batch, which is stored whole or not at all. `store`
gives typed reads, with a bounded memory (`lru`) of tree nodes. `failpoints` are places where a test ends the
process, to show that a crash there loses nothing.
"""
