"""What people do on a chain: they open rounds, bear witness, train updates, upload data, send coins.

Everything here acts for one account through a node's public RPC, with no more rights than any user has. No
rule of the chain stands here: the nodes refuse a transaction that breaks one, whoever sent it.

Data passes like this. `selection.py` and `datasets.py` read labelled rows from files. For an opener,
`round_plan.py` turns rows and a plan into the transaction that opens a round, `parts.py` splits and salts the
rows and keeps the secrets on disk, and `opener.py` reveals and settles. For an author, `agent.py` finds a
round and `author.py` plays it: it reads the chain through a `ChainView` (`view.py`), hands a `Task` to a
strategy (`strategies.py`, which trains with `training`), and commits and reveals the strategy's answer
(`committing.py`, with the secrets in `journal.py`). A witness uses `witness.py`. All of them send
transactions through a `Wallet` (`wallet.py`) and report to the user with `Notice`s (`notices.py`). `demo`
plays all roles at once.
"""
