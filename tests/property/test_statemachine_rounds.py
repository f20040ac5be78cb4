"""Laws of the pure rules of rounds, over random calendars, draws, ladders and lists of retention parts."""

from dataclasses import replace
from itertools import pairwise

from hypothesis import assume, given
from hypothesis import strategies as st

from engram.statemachine.money import issue
from engram.statemachine.records import RetentionPart, Supply
from engram.statemachine.rounds.calendar import FOREVER, Calendar, Phase
from engram.statemachine.rounds.draw import draw_parts, sample
from engram.statemachine.rounds.ranking import ladder, passes_gate, takes_lead, threshold_loss
from engram.statemachine.rounds.records import PartScore, RetentionScore, Round, RoundTerms
from engram.statemachine.rounds.retention import entry_bar, limit_parts
from engram.statemachine.rounds.rewards import pay_bounty
from engram.statemachine.rules import Rules
from tests.support.conservation import coins_held
from tests.support.ledger import Ledger
from tests.support.round_samples import MODEL, a_candidate, a_model, a_round
from tests.support.rounds import SMALL_RULES, make_part, train_terms

PARTS = [make_part(index, parts=4) for index in range(4)]
windows = st.integers(1, 30)


@st.composite
def all_terms(draw: st.DrawFn) -> RoundTerms:
    names = ("open_window", "reveal_window", "commit_window", "update_window", "audit_window")
    lengths: dict[str, object] = {name: draw(windows) for name in names}
    lengths |= {"gap": draw(st.integers(0, 9)), "retention_window": draw(st.integers(0, 9))}
    return train_terms(PARTS, epochs=draw(st.integers(1, 5)), **lengths)


def a_round_of(terms: RoundTerms, opened: int) -> Round:
    return Round(bytes(32), bytes(32), bytes(20), terms, opened, 0, bytes(32), 2)


@given(all_terms(), st.integers(0, 1_000))
def test_spans_follow_without_holes_and_hold_their_heights(terms: RoundTerms, opened: int) -> None:
    spans = list(Calendar.opened_at(opened, terms, SMALL_RULES).spans)
    assert spans[0].first == opened + 1
    for before, after in pairwise(spans):
        assert after.first == before.last + 1
    assert (spans[-1].phase, spans[-1].last) == (Phase.CLOSED, FOREVER)
    round_ = a_round_of(terms, opened)
    lasting = [span for span in spans[:-1] if span.first <= span.last]
    assert len(lasting) >= 4 + 2 * terms.epochs, "only gaps and RETENTION may be empty"
    for span in lasting:
        for height in (span.first, span.last):
            assert Calendar.of(round_, SMALL_RULES).at(height) == span


@given(all_terms(), st.integers(0, 100), st.integers(0, 400), st.integers(0, 400))
def test_what_is_due_stays_due(terms: RoundTerms, opened: int, height: int, later: int) -> None:
    round_ = a_round_of(terms, opened)
    first = Calendar.of(round_, SMALL_RULES).due(round_, opened + height)
    assert first is None or Calendar.of(round_, SMALL_RULES).due(round_, opened + height + later) == first


@given(st.binary(min_size=32, max_size=32), st.integers(2, 60), st.data())
def test_a_draw_takes_each_part_once(seed: bytes, parts: int, data: st.DataObject) -> None:
    validation = data.draw(st.integers(1, parts - 1))
    sealed = data.draw(st.integers(1, parts - validation))
    commitments = [index.to_bytes(32, "big") for index in range(parts)]
    first, second = draw_parts(seed, commitments, validation, sealed)
    assert (len(first), len(second)) == (validation, sealed)
    assert len({*first, *second}) == validation + sealed
    assert {*first, *second} <= set(commitments)
    assert sample(seed, parts, parts)[: validation + sealed] == sample(seed, parts, validation + sealed)


@given(
    st.integers(1, 10**6),
    st.integers(0, 10**7),
    st.integers(1, 1_024),
    st.integers(1, 10**5),
    st.integers(0, 2**42),
    st.lists(st.integers(0, 2**30), max_size=4),
)
def test_a_network_at_its_threshold_or_at_its_entry_loss_passes_the_gate(
    threshold_ppm: int, delta: int, classes: int, rows: int, entry: int, increases: list[int]
) -> None:
    """However many null growths have come since: each raises the bar by what it cost, and none lowers it."""
    model = replace(a_model(delta=delta), threshold_ppm=threshold_ppm)
    part = RetentionPart(bytes(32), rows, classes, 0, entry_bar(model, classes, rows, entry))
    for increase in increases:
        kept = max(entry, threshold_loss(model, classes, rows))
        assert passes_gate(model, part, RetentionScore(part.part, PartScore(kept + increase, 0), increase))
        most = part.bar + delta * part.bar // 10**6 + increase
        assert passes_gate(model, part, RetentionScore(part.part, PartScore(most, 0), increase))
        assert not passes_gate(model, part, RetentionScore(part.part, PartScore(most + 1, 0), increase))
        part, entry = replace(part, bar=part.bar + increase), entry + increase


losses = st.integers(0, 2_000)
entrants = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 2), losses), max_size=8)


@given(entrants, st.integers(0, 10**9), st.integers(0, 10**9))
def test_a_pot_is_paid_out_to_the_last_spark(
    found: list[tuple[int, int, int]], bounty: int, forfeited: int
) -> None:
    """Payments, refund and burn are the pot; the opener gets at most the bounty that the winner left."""
    ledger = Ledger({})
    state, ctx = ledger.state, ledger.ctx
    round_ = a_round(sealed=(1_000,))
    round_ = replace(round_, pot=bounty + forfeited, terms=replace(round_.terms, bounty=bounty))
    rungs = ladder(Rules(), round_, MODEL, [a_candidate(*entrant) for entrant in found])
    issue(state, round_.pot)
    burned = state.get(Supply).burned
    pay_bounty(state, ctx, round_, rungs)
    held = sum(coins_held(record) for record in state._overlay.values() if record is not None)
    assert held + state.get(Supply).burned - burned == round_.pot


@given(entrants)
def test_rungs_fall_and_what_they_remove_adds_up(found: list[tuple[int, int, int]]) -> None:
    rules, round_ = Rules(), a_round(sealed=(1_000,))
    rungs = ladder(rules, round_, MODEL, [a_candidate(*entrant) for entrant in found])
    lead = 1_000
    for rung in rungs:
        assert rung.removed == lead - rung.sealed_loss > 0
        assert lead == 1_000 or takes_lead(rules, lead, rung.sealed_loss)
        lead = rung.sealed_loss
    assert sum(rung.removed for rung in rungs) == 1_000 - lead
    epochs = [rung.candidate.epoch for rung in rungs]
    assert epochs == sorted(set(epochs))


@given(entrants, st.integers(1, 9))
def test_dividing_ones_candidates_among_names_pays_nothing_more(
    found: list[tuple[int, int, int]], name: int
) -> None:
    """What one author removes in all is the same if each of its candidates bears a name of its own."""
    rules, round_ = Rules(), a_round(sealed=(1_000,))
    mine = [index for index, entrant in enumerate(found) if entrant[0] == name]
    sybils = [
        (100 + index if index in mine else entrant[0], *entrant[1:]) for index, entrant in enumerate(found)
    ]

    def removed(entrants: list[tuple[int, int, int]], names: set[int]) -> int:
        rungs = ladder(rules, round_, MODEL, [a_candidate(*entrant) for entrant in entrants])
        return sum(rung.removed for rung in rungs if rung.candidate.author[0] in names)

    assume(len({(epoch, loss) for _, epoch, loss in found}) == len(found))  # ties go by address
    assert removed(sybils, {100 + index for index in mine}) == removed(found, {name})


retained = st.lists(st.tuples(st.integers(2, 6), st.integers(1, 200)), min_size=1, max_size=20)


@given(retained, st.integers(1, 16), st.binary(min_size=32, max_size=32))
def test_the_newest_part_stays_and_so_does_the_order(
    found: list[tuple[int, int]], limit: int, seed: bytes
) -> None:
    parts = [
        RetentionPart(index.to_bytes(32, "big"), rows, classes, 0, 0)
        for index, (classes, rows) in enumerate(found)
    ]
    round_ = replace(a_round_of(train_terms(PARTS), 1), seed=seed)
    left = limit_parts(Rules(max_retention_parts=limit), round_, parts)
    assert len(left) == min(limit, len(parts))
    assert left[-1] == parts[-1]
    assert [part.part for part in left] == sorted(part.part for part in left)
    classes = {part.classes for part in parts}
    assert len({part.classes for part in left}) == min(limit, len(classes)), "as many kinds as can be kept"
