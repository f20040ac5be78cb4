"""A proof says what it stands on: losses on the opener's rows are not presented as losses on witnesses' rows.

An opener hands easy rows to names of their own, who seal them beside the hard rows of an honest standing
witness; or to names who together hold too few rows to count; or exchanges the two sides in the file.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engram.consensus.bundle import ProvenRecord
from engram.nn.data import parse_part, part_bytes
from engram.primitives.smt import SmtProof
from engram.statemachine.records import NamedWitness
from engram.statemachine.rounds import candidates
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.candidates import OwnerGroup
from engram.statemachine.rounds.records import OpenedPart, Round, RoundStatus
from engram.statemachine.rules import Rules
from engram.statemachine.state import leaf_value
from tests.support.attacks import crowd, fails, play_with
from tests.support.published import Published, Told, published, told
from tests.support.rounds import (
    ALICE,
    COIN,
    SMALL_RULES,
    WITNESS,
    Play,
    SecretPart,
    Weights,
    make_part,
    network,
    train_terms,
)

ROWS = 8
CROWDED = replace(SMALL_RULES, min_witness_rows=40)
"""Rules under which a side of witnesses whom the model does not name takes five of these parts."""


def moved(secret: SecretPart, parts: int, distance: int) -> SecretPart:
    """The part with its rows so far from the border between the classes: the further, the easier."""
    rows = parse_part(secret.raw, rows=ROWS, inputs=2 + parts, classes=2)
    features = rows.features.copy()
    features[:, 0] = np.where(rows.labels == 1, 128 + distance, 128 - distance)
    return SecretPart(secret.salt, part_bytes(features, rows.labels))


def played(names: int, weights: Weights, *, standing: bool, rules: Rules = SMALL_RULES) -> Play:
    """Alice's version 1, measured by the opener's names on easy rows, by a standing witness on hard ones."""
    aliases = crowd(names)
    play = play_with(aliases, rules=rules)
    parts = len(play.parts)
    named = tuple(NamedWitness(name.address, old_only=False) for name in aliases)
    own = (NamedWitness(WITNESS.address, old_only=False),) if standing else ()
    terms = train_terms(play.parts, open_window=10, witness_window=10, witnesses=named)
    play.ok(play.found(terms=terms, witnesses=own))
    play.at(Phase.OPEN)
    if standing:
        play.seal(WITNESS, moved(make_part(8, parts=parts, seed=3), parts, 30))
    for number, name in enumerate(aliases):
        play.seal(name, moved(make_part(9 + number, parts=parts, seed=3), parts, 120))
    play.reveal_validation()
    play.play_epoch((ALICE, weights))
    play.decide()
    assert play.round.status == RoundStatus.DECIDED
    return play


def verified(play: Play) -> Told:
    real = published(play)
    said = told(real.bundle(play.model_id), checkpoint=real.head.id)
    assert said.accepted
    return said


def computed(play: Play, weights: Weights, *owners: bytes) -> int:
    """What the network loses on the unseen parts of these owners, computed off the chain."""
    return play.loss_of(weights, [part for part in play.round.unseen if part.owner in owners])


def easy_rows_beside_hard_ones(names: int, gain: int) -> None:
    """The witness's rows stand by themselves, and pay: the opener's names change neither number."""
    shape = Play().inputs
    weights = network(shape, gain)
    play = played(names, weights, standing=True)
    said = verified(play)
    hard = computed(play, weights, WITNESS.address)
    opener = play.round.opener
    easy = computed(play, weights, opener, *(name.address for name in crowd(names)))
    assert said.measured == {
        **{"witness_rows": ROWS, "witness_loss": hard},
        **{"opener_rows": ROWS * (1 + names), "opener_loss": easy},
    }
    assert f"{ROWS} of these rows came from witnesses and not from the opener" in said.proved
    apart = f"the opener's own {ROWS} rows with {ROWS * names} rows of witnesses that do not count separately"
    assert apart in said.proved
    pot = play.round.terms.bounty - (1 + names) * COIN
    base = said.facts["witness_baseline"]
    assert play.maturing(ALICE) == pot * (base - hard) // base, "paid by the side where it does worst"


def too_few_rows_of_friends(names: int, gain: int) -> None:
    """Rows of names of the opener that do not count by themselves are told with the opener's own."""
    weights = network(Play().inputs, gain)
    play = played(names, weights, standing=False, rules=CROWDED)
    said = verified(play)
    assert said.measured["witness_rows"] == 0
    assert said.measured["opener_rows"] == ROWS * (1 + names)
    assert "came from witnesses and not from the opener" not in said.proved
    assert f"with {ROWS * names} rows of witnesses that do not count separately" in said.proved


def sides_exchanged(names: int, gain: int) -> None:
    """In the file the losses of the two sides change places; rows and losses still add up."""
    play = played(names, network(Play().inputs, gain), standing=True)
    real: Published = published(play)
    bundle = real.bundle(play.model_id)
    assert bundle.round is not None
    first, second = play.round.winner_groups
    lies = replace(play.round, winner_groups=(second, first))
    forged = replace(bundle, round=ProvenRecord(leaf_value(lies), bundle.round.proof))
    assert told(forged, checkpoint=real.head.id).code == "smt_proof_mismatch"


CASES = [(2, 4), (5, 3)]
FEW = [(1, 4), (4, 3)]


@pytest.mark.parametrize(("names", "gain"), CASES)
def test_easy_rows_beside_hard_ones(names: int, gain: int) -> None:
    easy_rows_beside_hard_ones(names, gain)
    sides_exchanged(names, gain)


@pytest.mark.parametrize(("names", "gain"), CASES)
def test_where_all_witnesses_are_one_side(names: int, gain: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def everybody(round_: Round) -> frozenset[bytes]:
        return frozenset(witness.author for witness in round_.witnesses)

    monkeypatch.setattr(Round, "witness_side", property(everybody))
    fails(lambda: easy_rows_beside_hard_ones(names, gain))


@pytest.mark.parametrize(("names", "gain"), CASES)
def test_where_records_are_taken_from_the_file(
    names: int, gain: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SmtProof, "verify", lambda *_: None)
    fails(lambda: sides_exchanged(names, gain))


@pytest.mark.parametrize(("names", "gain"), FEW)
def test_too_few_rows_of_friends(names: int, gain: int) -> None:
    too_few_rows_of_friends(names, gain)


@pytest.mark.parametrize(("names", "gain"), FEW)
def test_where_any_row_of_a_witness_counts_by_itself(
    names: int, gain: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def by_owner(_: Any, round_: Round, part: OpenedPart) -> OwnerGroup:
        return OwnerGroup(part.owner in round_.witness_side)

    monkeypatch.setattr(candidates, "group_of", by_owner)
    fails(lambda: too_few_rows_of_friends(names, gain))
