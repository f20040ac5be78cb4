"""The sentences of the report."""

from __future__ import annotations

from typing import Final

OPENING: Final = """\
8,890 records of the Garvan Institute say what the laboratory measured of a patient, who sent the patient,
and the diagnosis. Here each of the six referral sources is an owner who shows its records to nobody. The
founder, the owner called *other*, founds a model of two classes on a chain: no condition, hypothyroid. Five
further diagnosis groups arrive one after the other, each in a round of its own. In every round the owner
with the most records of the group that arrives opens three parts of 40 rows, and the largest other owner
seals and opens a fourth part, of the classes that were there before. The rows of these parts, and the test
rows, are learned from by nobody.

Two ways of teaching are compared. In *sums*, each owner makes integer sums of its own rows over the
declared neurons: how many rows it has of a class, their sum, and the sum of their products. A registry that
has no patients adds up these files, which is exact, and makes every growth from them. In *own rounds*,
nothing is handed over: in each round, every owner who has rows of all classes so far proposes a growth made
from its own rows, and the chain takes the best one.

The engine is `gate` on a model of the policy `relative`. What a bank of neurons is, and how a laboratory
value becomes a byte, is fixed at the founding from the founder's own rows of the first two classes. The
encoding, ridge, scale and the number of neurons were chosen by the balanced accuracy on held-out thirds of
the training rows of the first division, 0; some of these rows are test rows of the other divisions."""

ACCURACY: Final = """\
Three of four patients have no condition, so accuracy says little: who always answers "no condition" is
right on 76 % of the rows. Balanced accuracy is the mean over the classes of the share of right answers;
classes count the same in training, too, which is why the models trade healthy rows for ill ones and have a
plain accuracy that is hardly above that of the constant answer. The numbers of models on the chain were
computed by nodes, by `score_version` on test rows that were published after the last round. The others were
computed without a chain, by the same integer network: *alone* is what an owner can do with its own rows of
all classes at once, and *all rows in one place* is what the six together could do if they did show each
other their rows."""

OWNERS: Final = """\
What an owner gets from taking part, on its own patients. Owners with few test rows have few of each class,
so their numbers move by many points with the division."""

ROUNDS: Final = """\
Columns with a star depend on the chain's draw, which decides by block ids which of the opener's parts are
revealed and which stay sealed; in *own rounds* the draw can also decide who wins. The loss is the one on
the parts that were sealed. *Lost* are old rows that the model had right before the growth and has
wrong after it. A round whose gain is not proved leaves the model as it was; then the groups that would
follow are not taught, and their test rows count as wrong."""

HIDING: Final = """\
From the sums of few rows, the rows themselves can be found; so a file of sums must have at least 20 rows of
its class. The price is paid by the small owners. WEST has three records and can never hand over anything.
SVHD has 71 and hands over its healthy patients only. STMW and SVHC keep most of their rare diagnoses to
themselves. The large owners have enough rows of nearly all classes, so the model as a whole loses little:
compare *sums* with *sums of however few rows* above. A small owner can still use the model, open rounds, or
be a witness; and two small owners who trust each other can add up their sums before they hand them over."""

PUBLIC: Final = """\
In words: the rows of the parts that were opened, which belong to the owners who opened rounds or were
witnesses, and nobody else's; the weights of all growths, which are solved from sums over everybody's rows;
and from the founding, the means of the founder's rows of the first classes, which stand in the biases of
the neurons. The percentiles of the founder's laboratory values, by which bytes are made, are published
beside the chain. Not on the chain, but in the hands of the registry: the files of sums, which say the mean
of each owner's patients of each class in the neurons, and their second moments. Nobody but its owner ever
holds any other row. The test rows are on the chain only because this report wants every accuracy to be
computed by nodes; a federation that works need not publish any."""

LIMITS: Final = """\
What this does not show: the records come from one institute and one laboratory, and the referral sources
stand in for hospitals, whose measurements would differ more. Sums are not differentially private: two files
of the same owner that differ in one row give that row away. Nobody checks that the rows behind sums are
real; what a false file can do at most is to spoil growths, which rounds then refuse. The diagnosis groups
are small (the rarest has about 45 test rows), so a point of balanced accuracy is often a single patient."""

TYPES: Final = {
    "reveal_part": "rows of validation parts",
    "reveal_sealed": "rows of sealed parts",
    "publish_part": "test rows",
    "reveal_update": "weights of growths",
    "open_round": "openings of rounds, the founding among them",
}
"""What the bytes of a transaction are, by its type."""
