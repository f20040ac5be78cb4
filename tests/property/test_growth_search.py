"""A search over lives of a model: whatever happens in and between its rounds, what it knows stays.

`make search` plays thousands of rounds; the ordinary run plays a sample, and shows that the search fails
where a rule is taken out.
"""

from dataclasses import replace
from math import sqrt
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engram.statemachine.records import Model
from engram.statemachine.rounds import candidates, terms
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.records import RoundStatus, RoundTerms
from engram.statemachine.rules import Rules
from engram.statemachine.transactions import open_round
from engram.statemachine.transactions.fork_model import ForkModel
from tests.support.attacks import fails
from tests.support.coalition import Author, Holder
from tests.support.growth_search import MARKS, ROWS, SAMPLING, Between, Life, Step, grow_once_more, live

WINDOWS = (Phase.REVEAL, Phase.COMMIT, Phase.UPDATE, Phase.AUDIT_WITNESSES, Phase.AUDIT, Phase.SCORE)
KINDS = (*[Author.FORGETS] * 5, Author.CONSTANT, Author.SHIFTS, Author.SCALES, Author.IMPROVES)
STEPS = st.builds(
    Step,
    between=st.sampled_from(list(Between)),
    opener=st.sampled_from(list(Holder)),
    witness=st.sampled_from(list(Holder)),
    kind=st.sampled_from(KINDS),
    strength=st.integers(0, 15),
    stuffed=st.lists(st.tuples(st.sampled_from(WINDOWS), st.sampled_from([1, 3, 14])), max_size=1).map(tuple),
)
LIVES = st.builds(
    Life,
    epsilon_ppm=st.sampled_from([20_000, 100_000]),
    cap_ppm=st.sampled_from([30_000, 100_000, 200_000]),
    standing=st.booleans(),
    alone=st.booleans(),
    steps=st.lists(STEPS, min_size=2, max_size=5).map(tuple),
)
EXAMPLES = max(1, settings().max_examples // 6)
"""A life takes as long as several rounds."""


@given(LIVES)
@settings(max_examples=EXAMPLES)
def test_what_a_frozen_model_knows_stays_over_all_its_growths(life: Life) -> None:
    it_stays(life)


def it_stays(life: Life) -> None:
    lived = live(life)
    epsilon, cap = life.epsilon_ppm / 10**6, life.cap_ppm / 10**6
    allowed = epsilon + sqrt(4 * epsilon / (ROWS // 2))
    for grown in lived.rounds:
        assert grown.surplus <= 0, "no coalition may be richer than its growth is worth"
        assert grown.burned == 0, "whoever plays by the rules must lose no bond"
        assert grown.counted_ppm <= allowed * 10**6 + 1, "no growth may lose more of one side than it may"
        if grown.honest:
            assert grown.lost <= allowed + SAMPLING, "what a frozen model knows must stay"
    assert sum(grown.counted_ppm for grown in lived.rounds) <= (cap + allowed) * 10**6, "slices add up"
    if all(grown.honest for grown in lived.rounds):
        total = sum(grown.lost for grown in lived.rounds)
        assert total <= cap + allowed + SAMPLING, "a class must not be lost by slices"
    model = lived.play.model
    if model.lost_ppm < life.cap_ppm and model.classes < 2 + MARKS:
        assert grow_once_more(lived.play) == RoundStatus.DECIDED, "the model must be able to grow again"


def life_of(between: Between, *strengths: int) -> Life:
    """Honest rows, no rival, and slices of these strengths."""
    honest = Holder.HONEST
    steps = [Step(between, honest, honest, Author.FORGETS, strength, ()) for strength in strengths]
    return Life(100_000, 30_000, True, True, tuple(steps))


def test_where_slices_have_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    life = life_of(Between.NOTHING, 2, 2, 2, 2)
    it_stays(life)
    monkeypatch.setattr(terms, "_check_kind", lambda *_: None)
    fails(lambda: it_stays(life))


def test_where_a_growth_may_lose_what_it_likes(monkeypatch: pytest.MonkeyPatch) -> None:
    life = life_of(Between.NOTHING, 15)
    it_stays(life)
    monkeypatch.setattr(candidates, "_reasons_of_the_gate", lambda *_: [])
    fails(lambda: it_stays(life))


def test_where_anybody_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    life = life_of(Between.REPLACES_MEMBERS, 0)
    it_stays(life)
    opening = terms.check_opening

    def by_anybody(rules: Rules, given: RoundTerms, model: Model, head: Any, opener: bytes) -> None:
        opening(rules, given, replace(model, members=(opener,)), head, opener)

    monkeypatch.setattr(open_round, "check_opening", by_anybody)
    fails(lambda: it_stays(life))


def test_where_a_fork_is_the_model_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    life = life_of(Between.FORKS, 0)
    it_stays(life)
    made = ForkModel._fork

    def itself(fork: ForkModel, model: Model, founder: bytes, _: bytes) -> Model:
        return made(fork, model, founder, model.id)

    monkeypatch.setattr(ForkModel, "_fork", itself)
    fails(lambda: it_stays(life))
