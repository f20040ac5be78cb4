"""A participant's memories, and how a frozen network is taught new classes without the rows of the old ones.

Engines know no node and no chain: networks, rows and sums go in, integers come out. Everything that is
reported as a network's accuracy is computed by `nn` on these integers.

`trunk.py` makes the features that every growth reads: layers without learned weights, frozen at the founding.
`banks.py` declares, at the founding, the seeded neurons of all later growths. `statistics.py` holds what an
owner hands over instead of rows: integer sums over these neurons. `engines` turns rows and sums into a
growth; `stream.py` measures what comes of it when classes arrive group by group.

Before a growth, `fast.py` and `fast_store.py` answer from labelled examples at once, and keep them on disk;
`slow.py` has the chain's version of the model proven and answers by it; `recall.py` asks one of the two.

Sums are no rows, but they are no secret keepers either: means and second moments of the rows of a class can
be read from them, and whoever knows all rows but one can work out that one.
"""
