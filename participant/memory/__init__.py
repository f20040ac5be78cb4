"""How a participant teaches a frozen network new classes without the rows of the old ones.

No node and no chain stand here: networks, rows and sums go in, integers come out. Everything that is reported
as accuracy is computed by `nn` on these integers.

`trunk.py` makes the features that every growth reads: layers without learned weights, frozen at the founding.
`banks.py` declares, at the founding, the seeded neurons of all later growths. `statistics.py` holds what an
owner hands over instead of rows: integer sums over these neurons. `engines` turns rows and sums into a
growth; `stream.py` measures what comes of it when classes arrive group by group.

Sums are no rows, but they are no secret keepers either: means and second moments of the rows of a class can
be read from them, and whoever knows all rows but one can work out that one.
"""
