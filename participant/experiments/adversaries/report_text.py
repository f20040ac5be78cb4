"""The sentences of the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

OPENING: Final = """\
The paper says that its chain should withstand dishonest participants, and leaves showing that to the
future. Here every attack is played in real rounds on a real node: attackers use the same programs and the
same public interface as everybody else, and only the chain's own rules stand against them. Ten authors
train a network with one hidden layer of 32 neurons on the digits 0 to 5, each on 1,200 rows of MNIST that
nobody else has. The opener pays a bounty of 50 coins and brings parts of 150 rows; a witness seals a part
of their own. A share of the authors attacks, from 20 to 80 percent of them. After the round, test rows are
published, and nodes score the model's current version.

Attackers in one round all do the same, and each trains by itself. Gains are what somebody has after the
round more than before it: bounties, less fees, entries and lost bonds. Columns with a star differ between
runs, because the chain's draw decides which parts are revealed."""

QUICK: Final = """\
**This is the small version**, with five authors on the 8 x 8 digits that ship along, and some of the
attacks. Its numbers show that everything works, and not how well."""

SHORT: Final = """\
To be written."""

READING: Final = """\
To be written."""

ATTACKS: Final[Mapping[str, str]] = {}

LIMITS: Final = """\
To be written."""
