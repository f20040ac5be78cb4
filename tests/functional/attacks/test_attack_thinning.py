"""What a frozen model knows cannot be buried by slices, under cover of many other rows.

An opener adds old rows that version t has wrong, which no growth can lose, and full witnesses of their own,
whose rows are of that kind too. The rows of an honest standing witness must weigh as much as without them.
"""

from dataclasses import replace

import numpy as np
import pytest

from engram.nn.data import parse_part, part_bytes
from engram.statemachine.records import NamedWitness
from engram.statemachine.rounds import candidates
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.candidates import OwnerGroup
from engram.statemachine.rounds.records import Round, RoundStatus
from engram.statemachine.transactions.amend_model import AmendModel
from tests.support.attacks import crowd, fails, play_with
from tests.support.rounds import (
    ALICE,
    BOB,
    OPENER,
    SMALL_RULES,
    WITNESS,
    Play,
    SecretPart,
    Weights,
    block,
    distinct,
    grow_terms,
    growth,
    make_part,
    network,
    train_terms,
)

PARTS = 10
RULES = replace(
    SMALL_RULES, min_sealed=2, min_sealed_rows=48, min_witness_rows=40, min_old_rows=20, min_z_squared=9
)
HONEST = make_part(8, parts=PARTS, classes=3, rows=60, seed=7)


def unlosable(secret: SecretPart) -> SecretPart:
    """The part with its old rows just on the wrong side of the border: version t has them wrong."""
    rows = parse_part(secret.raw, rows=60, inputs=2 + PARTS, classes=3)
    features = rows.features.copy()
    features[rows.labels == 0, 0] = 129
    features[rows.labels == 1, 0] = 127
    return SecretPart(secret.salt, part_bytes(features, rows.labels))


def sparing(inputs: int, fondness: int, feature: int) -> Weights:
    """Learns the new class, takes rows of class 1 for it, and spares those of the public retention part."""
    weights = [[{0: 1, 1: 2, feature: -1}.get(row, 0)] for row in range(inputs)]
    hidden, hidden_tensors = block(weights, [0])
    outputs, output_tensors = block([[16]], [fondness - 16 * 196])
    return Weights(growth(inputs, 16).spec, (hidden,), (outputs,), distinct(*hidden_tensors, *output_tensors))


def thinned(fondness: int, aliases: int) -> Play:
    """A growth that forgets, in a round whose opener names so many own witnesses beside the standing one."""
    names = crowd(aliases)
    play = play_with(names, rules=RULES)
    play.inputs = 2 + PARTS
    play.parts = [make_part(index, parts=PARTS, rows=48) for index in range(PARTS)]
    play.ok(play.found(terms=train_terms(play.parts, rows=48, sealed=2, z_squared=9, audit_window=12)))
    play.reveal_validation()
    play.play_epoch((ALICE, network(play.inputs, 8)))
    play.decide()
    play.withdraw_all()
    standing = (NamedWitness(WITNESS.address, old_only=False),)
    play.ok(play.send(OPENER, AmendModel(play.model_id, (), standing, play.model.lost_cap_ppm)))
    known = [part.commitment for part in play.parts].index(play.model.retention[0].part)
    fresh = [make_part(index, parts=PARTS, classes=3, rows=60, seed=1) for index in range(PARTS)]
    play.parts = [unlosable(part) for part in fresh] if aliases else fresh
    named = tuple(NamedWitness(name.address, old_only=False) for name in names)
    play.ok(
        play.open(
            grow_terms(
                play.parts,
                rows=60,
                old_rows=20,
                sealed=8,
                z_squared=9,
                open_window=12,
                witness_window=12,
                audit_window=12,
                witnesses=named,
            )
        )
    )
    play.at(Phase.OPEN)
    play.seal(WITNESS, HONEST)
    for number, name in enumerate(names):
        play.seal(name, unlosable(make_part(9, parts=PARTS, classes=3, rows=60, seed=20 + number)))
    play.reveal_validation()
    play.play_epoch((BOB, sparing(play.inputs, fondness, 2 + known)))
    play.decide()
    return play


def rows_that_cannot_be_lost(fondness: int, aliases: int) -> None:
    """The growth loses so much of the honest witness's rows that it is refused, whoever else has rows."""
    play = thinned(fondness, aliases)
    lost = play.candidate(BOB).groups[OwnerGroup.WITNESSES].forgotten
    assert lost > 2, "it does forget what the honest witness has"
    assert play.round.status == RoundStatus.KEPT
    assert "forgets_old_rows" in play.reasons(BOB)
    assert play.model.lost_ppm == 0


def an_honest_opener(fondness: int) -> None:
    assert "forgets_old_rows" in thinned(fondness, 0).reasons(BOB)


CASES = [(520, 7), (505, 5)]


@pytest.mark.parametrize(("fondness", "aliases"), CASES)
def test_rows_that_cannot_be_lost(fondness: int, aliases: int) -> None:
    an_honest_opener(fondness)
    rows_that_cannot_be_lost(fondness, aliases)


@pytest.mark.parametrize(("fondness", "aliases"), CASES)
def test_where_all_witnesses_are_one_side(
    fondness: int, aliases: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def everybody(round_: Round) -> frozenset[bytes]:
        return frozenset(witness.author for witness in round_.witnesses)

    monkeypatch.setattr(Round, "witness_side", property(everybody))
    monkeypatch.setattr(candidates, "losable_rows", all_old_rows)
    fails(lambda: rows_that_cannot_be_lost(fondness, aliases))


def all_old_rows(rules: object, round_: Round, candidate: object) -> tuple[int, int]:
    """The old rule: rows that nobody can lose count, too."""
    found = [0, 0]
    for part in round_.unseen:
        found[part.owner in round_.witness_side] += part.old
    return found[0], found[1]


def test_a_model_with_standing_witnesses_measures_them_alone() -> None:
    play = thinned(520, 2)
    assert play.round.witness_side == {WITNESS.address}
    groups = play.candidate(BOB).groups
    assert groups[OwnerGroup.WITNESSES].rows == 60
    assert groups[OwnerGroup.OPENER].rows == 60 * (8 + 2)
    assert np.sum(play.round.witness_counts) == 60
