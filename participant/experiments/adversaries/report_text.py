"""The sentences of the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

OPENING: Final = """\
The paper says that its chain should withstand dishonest participants, and leaves showing that to the
future. Here every attack is played in real rounds on a real node: attackers use the same programs and the
same public interface as everybody else, and only the chain's own rules stand against them. Ten authors
train a network with one hidden layer of 32 neurons on the digits 0 to 5, each on 720 rows of MNIST that
nobody else has. The opener pays a bounty of 50 coins and brings parts of 150 rows; a witness seals a part
of their own. A share of the authors attacks, from 20 to 80 percent of them. After the round, test rows are
published, and nodes score the model's current version.

Attackers in one round all do the same, and each trains by itself. Gains are what somebody has after the
round more than before it: bounties, less fees, entries and lost bonds. An author's bond is one coin.
Columns with a star differ between runs, because the chain's draw decides which parts are revealed."""

QUICK: Final = """\
**This is the small version**, with five authors on the 8 x 8 digits that ship along, and some of the
attacks. Its numbers show that everything works, and not how well."""

SHORT: Final = """\
Attacks by authors do not change who wins as long as one honest author takes part whose network is the best,
whatever the share of attackers: what decides is the loss on rows of sealed parts, and it is
computed by every node. Numbers of votes play no part. What the attacks cost differs: a false claim, a
forged weight, a commit that is never revealed and a network that is good on the revealed rows alone cost
the bond; a worse network that is honestly declared costs fees and the entry; a copied reveal costs nothing.

Three attacks succeed. An opener who tells friends the sealed rows hands them the bounty if there is no
witness, and the model is bad. A backdoor cannot be seen on rows without its mark: a network that has one
wins if it happens to be the best. And witnesses whom an opener has chosen can seal random rows: they get
their fee, one of five takes most of what authors would have earned, and two of five are enough for a round
that makes no version, because no honest update can prove a gain on their side. The opener's bounty then
stays with the model. A silent opener can end a round without a version, too, but pays for it with bounty
and bond."""

READING: Final = """\
In the tables below, the first line is the same round with honest people only. *Marked rows that do as told*
are test rows of the digits 1 to 5 in which the mark of the backdoor was put, and which are answered with 0,
as the backdoor wants it. Where a round has made no version, the accuracy is that of the untrained network
with which the model was founded."""

ATTACKS: Final[Mapping[str, str]] = {
    "liars": """\
A liar trains honestly and claims half of the true loss. Every node computes the loss again and finds
another number: the update is refused, and the bond burns.""",
    "copied-reveals": """\
A copycat waits until an honest author's reveal stands in the mempool and sends the same bytes under their
own name. The commit that belongs to a reveal names its author, so nodes refuse the copy before it enters a
block. The attempt costs nothing, and brings nothing.""",
    "noisy-copies": """\
This round has two epochs. In the second one, what the first one has revealed is public, and copycats bring
the best candidate of it with a hundredth of the weights changed by one. That is a valid update; but a later
epoch takes the lead only if it removes an eighth of the loss that is left, which noise does not. Attackers
pay entry and fees.""",
    "forgers": """\
The model has frozen and grows by the digits 6 to 9. Forgers bring an honest growth on top of a base in
which one frozen weight differs by one. The root of the base is not the one on the chain: refused, and the
bond burns. The accuracy is over all ten digits here, so the round of honest people is no comparison.""",
    "poisoners": """\
Half of the rows of the digit 1 are labelled as 2. The claims are true, the network is worse than the honest
ones, and loses to them; it is still better than the frequencies of the classes, so bonds return. Poison
costs fees and the entry. It wins where nobody honest takes part.""",
    "backdoors": """\
Attackers train on twice as many rows, of which half carry a mark, four white pixels, and are labelled 0. On
rows without the mark such a network is about as good as an honest one, and no rule of the chain can tell
them apart: no part holds a marked row. **This attack succeeds whenever an attacker's network happens to be
the best one**, which is as much luck as it is among honest authors; then marked rows do as told, and the
attacker is paid like anybody who wins. Trying costs no more than honest work. Whoever fears it has to put
rows that would show it into parts, as an opener or a witness.""",
    "overfitters": """\
Attackers know the revealed part by heart and answer their own rows wrongly on purpose. They lead on the
part that everybody knows, and lose on those that nobody knew. There they are worse than the frequencies of
the classes, so their bonds burn.""",
    "leaking-opener": """\
After the draw, the opener tells the attackers the rows of the sealed parts. They know these by heart, too,
and lead on the opener's side; but the witness has rows of their own, on which no gain is proved. So they
cannot win. Because they are better than the baseline on one side, their bonds return: **trying costs only
fees and the entry.**""",
    "leaking-opener-alone": """\
The same without a witness. **This attack succeeds**: the attackers' network is the best on all rows that
decide, takes the bounty, and is bad on everything else. The chain says of such a version that nobody but
the opener has opened a part, and `engram participate` warns authors before they train.""",
    "withholding-opener": """\
The opener reveals the validation part, lets everybody train, and keeps the sealed parts closed. The round
is aborted: bounty and bond of the opener burn, authors get their bonds back and lose fees and the entry,
and the witness, who has opened a part, keeps the fee. The model stays as it was. **An opener can do this to
authors at the price of bond and bounty.**""",
    "sybils": """\
Each attacker commits to nothing under five names, and never reveals. That makes no work for nodes, since a
commit carries no network, and keeps nobody out, since the number of commits is not limited. Each name loses
entry and bond.""",
    "freeloading-witnesses": """\
Of five witnesses whom the opener has named, some seal random pixels with random labels, which costs them no
data. **They get their fee**: nobody can prove that a row is nonsense. An update is judged on the side where
it does worst, so one such witness already takes most of what honest authors would be paid; it returns to
the opener. With two of five no update can prove a gain there, nobody wins, and the bounty stays with the
model for a later round. So witnesses have to be chosen with care, as the opener's own parts are.""",
    "silent-witnesses": """\
Some of five witnesses seal a part and do not open it. The round goes on without their rows, and their bonds
burn, which are as large as the whole bounty. This is the dearest of all attacks, and does nothing.""",
}

LIMITS: Final = """\
What this does not show: attacks by miners, such as leaving transactions out or steering the draw at the
price of blocks; attacks on the network between nodes; and attackers who work together in more than one of
these ways. The protocol's chapter on rounds says what is known of them, and `make search` looks for
combinations that pay. A network of 32 neurons and parts of 150 rows are small; with more rows, gains and
harm are proved more easily. There are two seeds for each line, so a single win says that something can
happen, and not how often."""
