"""The transactions that wait for a block: which are admitted, and how they follow the head.

`admission` judges one transaction against one head, and can run the forward passes that its block will need.
`pool` is the ordered, bounded set of waiting transactions; `keeper` is that set with its books, and `upkeep`
keeps them true to every new head. `journal` is the file in which what waits outlives the process. `mempool`
is the service: it admits transactions, and gives the miner its candidates.

All of this is the policy of one node. `statemachine` holds the rules of validity, and every block is judged
by them again, whatever the mempool thought of its transactions.
"""
