"""The sentences of the report."""

from __future__ import annotations

from typing import Final

OPENING: Final = """\
"Towards artificial neural network and blockchain conjunction: life-long deep learning system" (Krolevets,
2019) describes a chain on which participants train one network together, and a dual memory beside it. Its
section on experiments is empty. This report fills it in the paper's own setting: MNIST, a network with one
hidden layer, several participants with rows of their own, digits 0 to 5 first and 6 to 9 later.

Three nodes mine, each a process with its own database, and connected by sockets; a block takes a second. A
founder opens a round with six parts of 150 rows, of which one is revealed before anybody commits and two
are opened after the last epoch; a witness seals a seventh. Each participant trains on its own 12,000 rows,
commits, and reveals. In the second and third epoch of the first round, everybody starts from the rival that
does best on the own rows. Then the network freezes. In the second round participants add neurons and
classes for the digits 6 to 9, under the policy `strict`: nothing new reaches the old classes. Here
participants own rows of all ten digits, as in the paper; growth without any old rows is what the experiment
`lifelong` is about.

Columns with a star differ between runs: either a clock decides them, or the chain's draw, which chooses the
parts that are revealed by block ids."""

QUICK: Final = """\
**This is the small version**, on the 8 x 8 digits that ship along, with two participants, parts of 40 rows,
660 training rows in all, two epochs and faster blocks. Its numbers show that everything works, and not how
well."""

EPOCHS: Final = """\
Nodes have computed every number. The loss on the revealed part is what an author claims and nodes check;
the author could have trained on it. The unseen parts decide: those of the founder that stayed sealed, and
that of the witness. A later epoch becomes the version only if it leaves at most seven eighths of the loss
that the epoch before has left."""

VERSIONS: Final = """\
Test rows were published after the growth and scored by every node with `score_version`. Version 1 does not
know the digits 6 to 9. After the growth, old digits are answered less well although no old weight and no
old logit has changed: there are more answers to choose from. What is lost there is rows whose new logits
exceed the old ones."""

COSTS: Final = """\
Bytes, multiply-accumulates (MACs) and fees are those of the blocks. The seconds were measured afterwards,
by judging every block again on one core with nothing in a cache. A node that has seen a transaction before
its block, which is the rule, spends less.

Within a round, scoring an update needs the most MACs, because both networks run on every part that decides;
opening a part costs the most bytes. Rows and not weights fill the chain: a part of 150 rows is 118 kB, an
update of this network less than half of that, and the 10,000 test rows alone are 7.8 MB. Of the minutes
that a round lasts, it keeps a node busy for less than a second."""

SIZES: Final = """\
The same two rounds, with one epoch each, on one node, with more and more hidden neurons. Weights, and with
them bytes of updates, grow with the network; but rows are most of the bytes, and charges for rows do not
depend on the network. So a network with sixteen times as many neurons does not cost twice as much in bytes
or fees, and accuracy stops to gain long before costs do."""

PARTICIPANTS: Final = """\
The same training rows, divided among more and more participants. In a round of one epoch one of them wins,
so the model has learned from the winner's share of the rows, and the accuracy falls a little as shares
become smaller. Each participant adds the same bytes, MACs, fees and work for every node, because
everybody's loss is computed by everybody. What a participant pays stays the same."""

DUAL: Final = """\
A growth takes a whole round. Between the first example of a new digit and the version that knows it, a
participant who has only the chain answers no such row. With the dual memory, examples are kept in a fast
memory, which reads the hidden layer of the frozen network and answers by the nearest example; the slow
memory is the chain's version, whose proof the participant has checked against headers; and a gate decides
which of them answers. The gate is trained from the participant's own sums. *If the right memory is asked*
is what a gate that never errs would reach: the difference is the price of the gate, which is paid on old
digits, too.

A hidden layer that was trained for the digits 0 to 5 sees the others badly. With the trunk of `lifelong`,
which is not trained at all, the fast memory does much better."""

LIMITS: Final = """\
What this does not show: networks with one hidden layer are what the paper proposes, and not what is
possible; the experiment `lifelong` shows that. All nodes run on one machine, so nothing is said about the
speed of a network across the world. The participants are honest; the experiment `adversaries` is about the
others. There is one seed a cell, so differences of a few tenths of a point mean nothing. MNIST is an easy
data set: a nearest neighbour in its pixels is right on 97 % of it."""
