"""Neural networks in exact integers: shapes, numbers, forward passes, losses and growth.

A network is described by a spec (its segments and how they are wired) and by parameters (arrays of integers).
A segment is a group of neurons of one layer with parameters of its own. The modules build on each other:

- `spec` says which networks are allowed and what they cost;
- `parameters` checks the arrays and proves that no accumulator can overflow;
- `evaluate` runs the segments with one of the arithmetics of `gemm`, and `engine` makes engines of these;
- `loss` turns logits into one integer loss for each row;
- `growth` appends segments without changing those that exist.

The results are the same on every machine, because floating-point products are used only where a bound proves
them exact. Nothing here knows accounts, transactions or peers.
"""
