"""The words of the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from engram.participant.experiments.plan import Scale

WHAT: Final[Mapping[Scale, str]] = {
    Scale.QUICK: """
This is the small version: 1,797 digits of 8 x 8 pixels, in one order, with one seed. It shows that
everything works. Its numbers are those of a small test set and move by a point from seed to seed.
""",
    Scale.FULL: """
Each data set is a stream: its classes arrive group by group. The first group founds a model. Every later
group is taught by an owner who has rows of the new classes and not a single one of the old. Nothing tells
the model at test time from which group a row comes.

For the main engines, Split MNIST 5 x 2 and Split Fashion-MNIST 5 x 2 are run in three orders of the
classes (order 0 is 0, 1, 2, …, the others are drawn) with three seeds each. To keep the whole experiment
below an hour and a half on two cores, the streams of one class at a time, the comparisons `pixels`,
`replay`, `naive`, and the joint bound have one seed for each order, or one run.
""",
}

HOW: Final = """
**Everything happens on a chain.** Each run has a node of its own, with the default rules of a chain; only
the windows of the rounds are short, because nobody has to wait. An opener commits to six parts of rows
that were cut from the training rows and on which nobody trains. The chain draws which part is revealed
for validation and which four stay sealed until the owner's growth is revealed; on MNIST and Fashion-MNIST
a witness brings one more. A growth that loses too many of the old rows in them, or in the parts that the
model retains, is refused. After the last growth of all models, and not before, the test rows are
published on the chain, and every accuracy below is what all nodes compute when a transaction asks them to
score a version (`score_version`). The ridge, the Gaussians and the fields of pixel banks were chosen on
validation rows that were cut from training rows.

**The engines.** All models of a run share a trunk without learned weights (oriented filters, pooling, a
drawn projection), which is fitted to rows of the first group and frozen. `gate` and `analytic` grow by a
bank of drawn neurons for each group; their outputs are solved by ridge regression from integer sums that
owners hand over instead of rows. `gate` leaves the differences between old logits as they are for ever,
and adds one column that decides whether old or new classes answer; `analytic` also corrects old logits.
`experts` knows each class by low-rank Gaussians (one on MNIST, three on Fashion-MNIST, sixteen for
letters) and changes no old logit. `pixels` is `gate` without a trunk. `replay` trains new neurons on rows
drawn from mixtures that were handed over. `naive` trains new neurons on the new rows alone, as the
paper's step says if it is taken literally. Rounds refuse such a growth whatever the model's settings are,
because it loses more than half of an old class; so `naive` plays on a chain whose rounds need no old rows
at all. `joint` has all classes from the beginning, a ridge regression as `analytic` does it, and as many
neurons as `gate` has at the end.
"""

FIGURES: Final = """
**The figures.** R[t, j] is the accuracy on the test rows of group j after group t, among all classes
learned so far. *Final* is the accuracy over all classes at the end, *average* the mean over the stages of
the accuracy over all classes so far. *Forgetting* is the mean, over all groups but the last, of the best
accuracy that a group ever had minus its final one, in points; *BWT* is the mean of the final accuracy
minus that when the group was learned. Ω are FearNet's (Kemker and Kanan 2018): means over the groups
after the first of the accuracy on the first group and on all classes, each relative to the joint bound,
and of the accuracy on the newest group. ± is the standard deviation over runs.
"""

KEEPS: Final[Mapping[str, str]] = {
    "gate": "sums (off the chain)",
    "analytic": "sums (off the chain)",
    "experts": "a Gaussian a class (the model itself)",
    "pixels": "sums (off the chain)",
    "joint": "all rows",
    "replay": "mixtures (off the chain)",
    "naive": "nothing",
}

LIMITS: Final = """
- **MNIST is easy.** Its digits are centred, of one size, and nearly separated by fixed filters: a joint
  ridge regression on such features is right on more than 99 of 100. What is left for forgetting is small,
  and engines that differ by a tenth of a point differ by ten test rows. Fashion-MNIST tells engines apart
  better.
- The trunk is made by hand for small grey images. On natural images, fixed filters are far below learned
  ones, and nothing here says that a model on a chain could learn such features without forgetting.
- The filters and sizes of the trunk were fixed before, while prototypes were compared on MNIST and
  Fashion-MNIST. They may fit these two data sets a little better than new ones.
- Sums are no rows, but they are not nothing: they reveal means and second moments of features of a class,
  and a sum over few rows reveals the rows. They travel between owners and not over the chain.
- The published figures are quoted from the papers named; their networks, pre-processing and numbers of
  passes differ from each other and from what is done here. Many of them learn their features; the trunk
  here does not.
- The order in which classes arrive changes what the first group is, and with it to what the trunk and the
  banks are fitted. Three orders show that this matters little on these data; they do not prove it for
  others.
- The rounds are played by honest actors on one node. What dishonest ones can do is another experiment.
"""
