"""The optional index of accounts: what every block was to the accounts that it touched, by account.

`entries` reads it out of a block and its receipts. `index` keeps it in the database, on one branch: upwards
as the head moves, downwards through the blocks that were there before. `service` runs that in the background.
The chain's writer knows nothing of it.
"""
