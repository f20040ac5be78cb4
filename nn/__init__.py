"""Neural networks in exact integers: shapes, numbers, forward passes, losses and growth.

A network is described by a spec (segments and their wiring) and parameters (arrays of integers). Data flow
one way: `spec` says what is allowed and what it costs; `parameters` checks the arrays and proves that no
accumulator can overflow; `evaluate` runs the segments with an engine of `gemm`; `loss` turns logits into one
integer loss a row; `growth` appends segments without changing those that exist. The results are the same on
every machine, because the only floating-point products are those that a bound proves exact. Nothing here
knows accounts, transactions or peers.
"""
