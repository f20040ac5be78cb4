"""No stranger can take an opener's pot away: a constant that fits the mix of one side informs nobody.

The pot stays with the model if rows of the opener's choice refuse what the other side proves, and nobody
wins. The two sides may hold other mixes of classes. A network that ignores its input can then gain on the one
and harm the other.
"""

import numpy as np
import pytest

from engram.nn.data import parse_part, part_bytes
from engram.statemachine.records import NamedWitness
from engram.statemachine.rounds import candidates
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.candidates import OwnerGroup
from engram.statemachine.rounds.judging import proves_gain, proves_harm
from engram.statemachine.rounds.records import RoundStatus
from tests.support.attacks import fails
from tests.support.rounds import (
    ALICE,
    BOB,
    COIN,
    OPENER,
    WITNESS,
    Play,
    SecretPart,
    Weights,
    constant_growth,
    grow_terms,
    growth,
    make_part,
    network,
    train_terms,
)

ENTRY = 20 * COIN // 1_000


def mixed(index: int, counts: tuple[int, int], seed: int) -> SecretPart:
    """A part with so many rows of an old class and of a new one."""
    whole = make_part(index, parts=5, rows=400, seed=seed)
    rows = parse_part(whole.raw, rows=400, inputs=7, classes=2)
    kept = np.concatenate(
        [np.flatnonzero(rows.labels == label)[:count] for label, count in enumerate(counts)]
    )
    return SecretPart(whole.salt, part_bytes(rows.features[kept], rows.labels[kept]))


def opened(parts: list[SecretPart], theirs: tuple[int, int], old_rows: int) -> Play:
    """A model of one class grows by another; the founder opens, and has named the witness. It is REVEAL."""
    play = Play(parts=5)
    play.parts = parts
    terms = grow_terms(
        parts,
        rows=sum(theirs),
        old_rows=old_rows,
        sealed=2,
        z_squared=9,
        witnesses=(NamedWitness(WITNESS.address, old_only=False),),
    )
    play.ok(play.found(network(play.inputs, 0, classes=1), terms=terms))
    play.seal(WITNESS, mixed(4, theirs, 11))
    play.at(Phase.REVEAL)
    return play


def played(play: Play, weights: Weights) -> Play:
    """Bob brings one update, and the round is played to its end."""
    play.reveal_validation()
    play.at(Phase.COMMIT)
    play.play_epoch((BOB, weights))
    play.decide()
    return play


def a_constant(mine: tuple[int, int], theirs: tuple[int, int], logit: int) -> None:
    """One side gains and the other is harmed, far beyond chance. The pot returns to the opener even so."""
    parts = [mixed(index, mine, 9) for index in range(4)]
    play = played(opened(parts, theirs, min(mine[0], theirs[0])), constant_growth(7, logit, classes=1))
    assert play.round.status == RoundStatus.KEPT
    assert play.maturing(OPENER) == 19 * COIN, "the bounty without the fee of the witness"
    assert play.spent(OPENER) == 20 * COIN
    assert play.maturing(BOB) == 0
    play.withdraw(BOB)
    assert play.spent(BOB) >= ENTRY, "an entry is gone, whatever came of it"


ATTACKS = [((67, 29), (29, 67), -128), ((48, 48), (86, 10), -256), ((48, 48), (86, 10), -128)]


@pytest.mark.parametrize(("mine", "theirs", "logit"), ATTACKS)
def test_a_constant(mine: tuple[int, int], theirs: tuple[int, int], logit: int) -> None:
    a_constant(mine, theirs, logit)


@pytest.mark.parametrize(("mine", "theirs", "logit"), ATTACKS)
def test_where_a_mix_of_classes_is_a_gain(
    mine: tuple[int, int], theirs: tuple[int, int], logit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "beyond_the_mix", lambda found, *_: found)
    fails(lambda: a_constant(mine, theirs, logit))


def noisy(index: int, wrong: float, seed: int) -> SecretPart:
    """A part of 200 rows, of which the opener has made a few wrong."""
    whole = make_part(index, parts=5, rows=200, seed=seed)
    rows = parse_part(whole.raw, rows=200, inputs=7, classes=2)
    labels = rows.labels.copy()
    chosen = np.random.default_rng((seed, index)).permutation(200)[: round(200 * wrong)]
    labels[chosen] = 1 - labels[chosen]
    return SecretPart(whole.salt, part_bytes(rows.features, labels))


def a_harvest(wrong: float, gain: int) -> None:
    """A few wrong labels prove no harm, but hide the gain. Everybody has seen Alice's network by then.

    If the pot returned, the opener would have it for nothing, and could bring a copy of it in the next round.
    """
    play = Play(parts=5)
    play.parts = [noisy(index, wrong, 5) for index in range(4)]
    named = (NamedWitness(WITNESS.address, old_only=False),)
    terms = train_terms(play.parts, rows=200, sealed=2, z_squared=9, witnesses=named)
    play.ok(play.found(terms=terms))
    play.seal(WITNESS, make_part(4, parts=5, rows=200, seed=5))
    play.reveal_validation()
    play.play_epoch((ALICE, network(7, gain)))
    play.decide()
    assert play.reasons(ALICE) == ("gain_not_proved",)
    groups = play.candidate(ALICE).groups
    assert not proves_harm(groups[OwnerGroup.OPENER].growth, 9), "nothing is proved by these rows alone"
    assert proves_gain(groups[OwnerGroup.WITNESSES].growth, 9)
    assert play.maturing(OPENER) == 0
    assert play.spent(OPENER) == 20 * COIN
    play.withdraw(ALICE)
    assert play.spent(ALICE) == ENTRY


HARVESTS = [(0.2, 4), (0.1, 8), (0.125, 8)]


@pytest.mark.parametrize(("wrong", "gain"), HARVESTS)
def test_a_harvest(wrong: float, gain: int) -> None:
    a_harvest(wrong, gain)


@pytest.mark.parametrize(("wrong", "gain"), HARVESTS)
def test_where_only_proved_harm_refuses(wrong: float, gain: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "falls_behind", lambda found, *rest: proves_harm(found, rest[-1]))
    fails(lambda: a_harvest(wrong, gain))


@pytest.mark.parametrize(("mine", "theirs"), [((60, 36), (36, 60)), ((48, 48), (48, 48))])
def test_rows_that_were_made_to_refuse_cost_the_pot(mine: tuple[int, int], theirs: tuple[int, int]) -> None:
    """Labels of the opener's sealed parts are exchanged; the witness's rows show what the update is worth."""
    rounds = (opened(poisoned(mine, seed), theirs, min(*mine, *theirs)) for seed in range(40))
    play = next(play for play in rounds if play.drawn_parts()[0] == play.parts[:1])
    played(play, growth(7, 8, classes=1, feature=0))
    assert (play.round.status, play.round.refused) == (RoundStatus.KEPT, True)
    assert play.maturing(OPENER) == 0
    play.withdraw(BOB)
    assert play.spent(BOB) == ENTRY, "his bond returns: he has shown a gain on the witness's rows"


def poisoned(counts: tuple[int, int], seed: int) -> list[SecretPart]:
    """Parts of which only the first is sound."""
    return [
        mixed(index, counts, seed) if index == 0 else swapped(mixed(index, counts, seed), sum(counts))
        for index in range(4)
    ]


def swapped(part: SecretPart, rows: int) -> SecretPart:
    """The part with the labels of its two classes exchanged."""
    known = parse_part(part.raw, rows=rows, inputs=7, classes=2)
    return SecretPart(part.salt, part_bytes(known.features, (1 - known.labels).astype(np.uint16)))
