"""A search for coalitions that gain: whatever moves they make, what must hold of rounds holds.

`make search` plays thousands of rounds; the ordinary run plays a sample.
"""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engram.statemachine.rounds.records import RoundStatus
from tests.support.round_search import COIN, Author, Holder, Moves, campaign, grow_honestly

HOLDERS = st.sampled_from(list(Holder))
MOVES = st.builds(
    Moves,
    grows=st.booleans(),
    opener=HOLDERS,
    witness=HOLDERS,
    authors=st.lists(st.tuples(st.sampled_from(list(Author)), st.integers(0, 15)), max_size=4).map(tuple),
    crowd=st.integers(0, 5),
    poison=st.integers(0, 3),
    epochs=st.integers(1, 2),
)
SAMPLING = 0.15
"""So much more than the truth may 24 to 72 rows say."""


@given(MOVES)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_no_coalition_gains_more_than_its_update_is_worth(moves: Moves) -> None:
    outcome = campaign(moves)
    round_, terms = outcome.round, outcome.round.terms
    assert round_.status != RoundStatus.OPEN, "every round ends"
    assert (round_.bond, round_.pot) == (0, 0)
    worth = outcome.worth + (terms.bounty * SAMPLING if outcome.worth else 0)
    if moves.opener is not Holder.HONEST:
        worth = 0  # the bounty is the coalition's own
    elif moves.witness not in (Holder.HONEST, Holder.ABSENT):
        worth += terms.witness_fee
    assert outcome.gained <= worth, f"{outcome.gained / COIN} of {worth / COIN} coins"


@given(MOVES.filter(lambda moves: moves.grows))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_what_a_frozen_model_knows_stays_and_it_can_grow_again(moves: Moves) -> None:
    outcome = campaign(moves)
    if Holder.HONEST in (moves.opener, moves.witness):
        epsilon = outcome.play.model.retention_epsilon_ppm / 10**6
        assert outcome.forgotten <= epsilon + SAMPLING
    if outcome.round.status != RoundStatus.DECIDED:
        grow_honestly(outcome.play)
        assert outcome.play.round.status == RoundStatus.DECIDED
