"""A search for coalitions that gain: whatever moves they make, what must hold of rounds holds.

`make search` plays thousands of rounds; the ordinary run plays a sample, and shows that the search fails
where a rule is taken out.
"""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram.nn.loss import RowScores
from engram.statemachine import transition
from engram.statemachine.rounds import candidates
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.records import RoundStatus
from engram.statemachine.scoring import DataPart, Scorer
from engram.statemachine.transactions import reveal_update
from tests.support.attacks import fails
from tests.support.round_search import COIN, ROWS, Author, Holder, Moves, Outcome, campaign, grow_honestly

HOLDERS = st.sampled_from(list(Holder))
WINDOWS = (
    Phase.OPEN,
    Phase.REVEAL,
    Phase.COMMIT,
    Phase.UPDATE,
    Phase.AUDIT_WITNESSES,
    Phase.AUDIT,
    Phase.SCORE,
)
STUFFED = st.lists(st.tuples(st.sampled_from(WINDOWS), st.sampled_from([1, 3, 14])), max_size=2).map(tuple)
MOVES = st.builds(
    Moves,
    grows=st.booleans(),
    opener=HOLDERS,
    witness=HOLDERS,
    authors=st.lists(st.tuples(st.sampled_from(list(Author)), st.integers(0, 15)), max_size=4).map(tuple),
    crowd=st.integers(0, 5),
    poison=st.integers(0, 3),
    epochs=st.integers(1, 3),
    shift=st.sampled_from([0, 0, -40, -3, 25]),
    stuffed=STUFFED,
    alone=st.booleans(),
)
SAMPLING = 0.15
"""So much more than the truth may 24 to 72 rows say."""
FAIR = (Holder.HONEST, Holder.ABSENT)


@given(MOVES)
def test_no_coalition_gains_and_no_model_is_harmed(moves: Moves) -> None:
    all_is_well(moves)


def all_is_well(moves: Moves) -> None:
    outcome = campaign(moves)
    assert outcome.round.status != RoundStatus.OPEN, "every round must end by itself"
    assert (outcome.round.bond, outcome.round.pot) == (0, 0), "an ended round must hold no coins"
    assert outcome.burned == 0, "whoever plays by the rules must lose no bond"
    no_gain(moves, outcome)
    if moves.opener is Holder.HONEST and moves.witness in FAIR and not moves.alone:
        assert outcome.round.status == RoundStatus.DECIDED, "an honest improvement must become a version"
    if moves.grows and Holder.HONEST in (moves.opener, moves.witness):
        epsilon = outcome.play.model.retention_epsilon_ppm / 10**6
        assert outcome.forgotten <= epsilon + SAMPLING, "what a frozen model knows must stay"
    if moves.grows and outcome.round.status != RoundStatus.DECIDED:
        grow_honestly(outcome.play, moves)
        assert outcome.play.round.status == RoundStatus.DECIDED, "the model must be able to grow again"


def no_gain(moves: Moves, outcome: Outcome) -> None:
    """The coalition is no richer than by its updates and a witness's fee, less what filled blocks cost."""
    terms = outcome.round.terms
    worth = outcome.worth + (terms.bounty * SAMPLING if outcome.worth else 0)
    if moves.opener is not Holder.HONEST:
        worth = 0  # the bounty is the coalition's own
    elif moves.witness not in FAIR:
        worth += terms.witness_fee
    bound = worth - outcome.stuffing
    assert outcome.gained <= bound, f"{outcome.gained / COIN} of {bound / COIN} coins"


def moves_of(grows: bool, *authors: tuple[Author, int], **changes: Any) -> Moves:
    """These authors beside honest people."""
    moves = Moves(grows, Holder.HONEST, Holder.HONEST, authors, 0, 0, 1, 0, (), alone=False)
    return replace(moves, **changes)


STUFFED_COMMIT = moves_of(False, stuffed=((Phase.COMMIT, 4),))
ON_A_SHIFT = moves_of(True, (Author.CONSTANT, 8), shift=-40, alone=True)


def test_where_full_blocks_let_time_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    all_is_well(STUFFED_COMMIT)
    monkeypatch.setattr(transition, "is_light", lambda *_: True)
    fails(lambda: all_is_well(STUFFED_COMMIT))


def test_where_new_classes_have_logit_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    all_is_well(ON_A_SHIFT)
    known = Scorer.network_rows

    def with_all_classes(self: Scorer, *given: object, keep: bool = False) -> RowScores:
        network, part, classes, kind = given
        assert isinstance(part, DataPart), "networks are scored on parts"
        labels = part.load().labels
        grows = len(labels) == ROWS and int(labels.max()) == 2
        return known(self, network, part, 3 if grows else classes, kind, keep=keep)  # type: ignore[arg-type]

    monkeypatch.setattr(Scorer, "network_rows", with_all_classes)
    monkeypatch.setattr(candidates, "null_growth_losses", lambda base, *_: base)
    monkeypatch.setattr(reveal_update, "validation_bar", lambda *_: 2**63)
    fails(lambda: all_is_well(ON_A_SHIFT))
