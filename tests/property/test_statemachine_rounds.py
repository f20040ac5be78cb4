"""Laws of the pure rules of rounds, over random calendars, draws, ladders and lists of retention parts."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engram.nn.loss import softmax_cross_entropy
from engram.statemachine.money import issue
from engram.statemachine.records import RetentionPart, Supply
from engram.statemachine.rounds.calendar import FOREVER, Calendar, Phase
from engram.statemachine.rounds.draw import draw_parts, sample
from engram.statemachine.rounds.judging import (
    add_tallies,
    is_lower,
    null_growth_losses,
    proves_gain,
    takes_lead,
    tally,
)
from engram.statemachine.rounds.records import EpochBest, HalfWeight, Round, RoundTerms
from engram.statemachine.rounds.retention import limit_parts
from engram.statemachine.rounds.rewards import Rung, ladder, pay_pot
from engram.statemachine.rules import Rules
from tests.support.conservation import coins_held
from tests.support.judging_oracle import divided
from tests.support.ledger import Ledger
from tests.support.round_samples import PARTS, a_round, a_share, a_witness
from tests.support.rounds import SMALL_RULES, train_terms

windows = st.integers(1, 30)
seeds = st.binary(min_size=32, max_size=32)


@st.composite
def all_terms(draw: st.DrawFn) -> RoundTerms:
    names = ("open", "reveal", "commit", "update", "witness", "audit", "score")
    lengths: dict[str, object] = {f"{name}_window": draw(windows) for name in names}
    return train_terms(PARTS, epochs=draw(st.integers(1, 5)), gap=draw(st.integers(0, 9)), **lengths)


@st.composite
def all_rounds(draw: st.DrawFn) -> Round:
    """Rounds with and without witnesses, of which phases have ended early or not."""
    terms = draw(all_terms())
    ends = st.integers(0, 400)
    return replace(
        a_round(unseen=()),
        terms=terms,
        opened=draw(st.integers(0, 1_000)),
        validation_opened=(),
        unseen=(),
        witnesses=draw(st.sampled_from([(), (a_witness(),), (a_witness(bond=9),)])),
        reveal_ended=draw(ends),
        witnesses_ended=draw(ends),
        audit_ended=draw(ends),
    )


@given(all_rounds())
def test_spans_follow_without_holes_and_hold_their_ticks(round_: Round) -> None:
    calendar = Calendar.of(round_, SMALL_RULES)
    spans = list(calendar.spans)
    assert spans[0].first == round_.opened + 1
    for before, after in pairwise(spans):
        assert after.first == before.last + 1
    assert (spans[-1].phase, spans[-1].last) == (Phase.CLOSED, FOREVER)
    for span in spans[:-1]:
        if span.first <= span.last:
            for tick in (span.first, span.last):
                assert calendar.at(tick) == span


@given(all_rounds())
def test_no_round_is_longer_than_its_terms_and_only_three_phases_are_shorter(round_: Round) -> None:
    longest = Calendar.opened_at(round_.opened, round_.terms, SMALL_RULES).spans
    for most, span in zip(longest, Calendar.of(round_, SMALL_RULES).spans, strict=True):
        assert (span.phase, span.epoch) == (most.phase, most.epoch)
        assert span.first <= most.first
        if span.phase not in (Phase.REVEAL, Phase.AUDIT_WITNESSES, Phase.AUDIT, Phase.CLOSED):
            assert span.last - span.first == most.last - most.first, "everyone else keeps the whole window"


@given(all_rounds(), st.integers(0, 400), st.integers(0, 400))
def test_what_is_due_stays_due(round_: Round, tick: int, later: int) -> None:
    calendar = Calendar.of(round_, SMALL_RULES)
    first = calendar.due(round_, round_.opened + tick)
    assert first is None or calendar.due(round_, round_.opened + tick + later) == first


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


shares = st.builds(
    a_share, st.integers(1, 9), st.integers(0, 2_000), st.integers(1, 1_000), st.integers(1, 50)
)
halves = st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)).filter(any)
unions = st.builds(
    lambda share, weights: replace(
        share, halves=tuple(HalfWeight(bytes([20 + at]) * 20, weight) for at, weight in enumerate(weights))
    ),
    shares,
    halves,
)
entrants = st.lists(st.one_of(st.just(EpochBest()), shares, unions), min_size=1, max_size=8)


@given(unions, st.integers(0, 2**63))
def test_a_union_is_paid_to_the_last_spark_and_to_its_halves_alone(share: EpochBest, amount: int) -> None:
    first, second = share.halves
    parts = dict(Rung(0, share, EpochBest()).divided(amount))
    assert sum(parts.values()) == amount
    assert set(parts) == {half.author for half in share.halves if half.weight}
    both = first.weight + second.weight
    for half in share.halves:
        assert abs(parts.get(half.author, 0) * both - amount * half.weight) < both
    assert list(parts.values()) == [
        part
        for part, half in zip(divided(amount, [first.weight, second.weight]), share.halves, strict=True)
        if half.weight
    ]


@given(entrants, st.integers(0, 10**9))
def test_a_pot_is_paid_out_to_the_last_spark(found: list[EpochBest], pot: int) -> None:
    ledger = Ledger({})
    state, ctx = ledger.state, ledger.ctx
    round_ = replace(a_round(epochs=len(found)), pot=pot, best=tuple(found))
    issue(state, pot)
    burned = state.get(Supply).burned
    pay_pot(state, ctx, round_, ladder(round_))
    held = sum(coins_held(record) for record in state._overlay.values() if record is not None)
    assert (held, state.get(Supply).burned) == (pot, burned)


@given(entrants)
def test_rungs_fall_by_an_eighth_and_what_they_remove_adds_up(found: list[EpochBest]) -> None:
    round_ = replace(a_round(epochs=len(found)), best=tuple(found))
    rungs = ladder(round_)
    whole = 10**30
    for before, after in pairwise(rungs):
        assert after.before == before.best
    for rung in rungs:
        assert takes_lead(rung.best, rung.before)
        assert rung.of(whole) >= whole // 8 * rung.before.loss // rung.before.baseline - 1
    assert sum(rung.of(whole) for rung in rungs) <= whole
    if rungs:
        last = rungs[-1].best
        assert (
            abs(sum(rung.of(whole) for rung in rungs) - whole * (last.baseline - last.loss) // last.baseline)
            <= 9
        )
    epochs = [rung.epoch for rung in rungs]
    assert epochs == sorted(set(epochs))


@given(entrants, st.integers(1, 9))
def test_dividing_ones_candidates_among_names_pays_nothing_more(found: list[EpochBest], name: int) -> None:
    """What one author removes in all is the same if each of its candidates bears a name of its own."""
    mine = [index for index, entrant in enumerate(found) if entrant.author[0] == name]
    sybils = [
        replace(entrant, author=bytes([100 + index]) * 20) if index in mine else entrant
        for index, entrant in enumerate(found)
    ]

    def removed(entrants: list[EpochBest], names: set[int]) -> int:
        rungs = ladder(replace(a_round(epochs=len(entrants)), best=tuple(entrants)))
        return sum(rung.of(10**12) for rung in rungs if rung.best.author[0] in names)

    assert removed(sybils, {100 + index for index in mine}) == removed(found, {name})


@given(st.lists(shares, min_size=1, max_size=6))
def test_the_best_of_an_epoch_does_not_depend_on_the_order_of_scoring(found: list[EpochBest]) -> None:
    def best(entrants: list[EpochBest]) -> EpochBest:
        held = entrants[0]
        for entrant in entrants[1:]:
            held = entrant if is_lower(entrant, held) else held
        return held

    first = best(found)
    again = best(sorted(found, key=lambda share: (share.author, share.loss)))
    assert not is_lower(first, again)
    assert not is_lower(again, first)


rows = st.lists(
    st.tuples(st.integers(0, 5), st.lists(st.integers(-(2**20), 2**20), min_size=6, max_size=6)),
    min_size=2,
    max_size=40,
)


@given(rows, st.integers(-(2**28), 2**28))
def test_a_number_added_to_all_logits_of_version_t_or_of_a_candidate_changes_no_gain(
    found: list[tuple[int, list[int]]], added: int
) -> None:
    """Four old classes and two new ones."""
    labels = np.array([label for label, _ in found], np.uint16)
    logits = np.array([row for _, row in found], np.int64)
    counts = np.bincount(labels, minlength=6).tolist()

    def gains(of_base: int, of_own: int) -> object:
        known = softmax_cross_entropy(logits[:, :4] + of_base, np.where(labels < 4, labels, 0))
        own = softmax_cross_entropy(logits[:, ::-1] + of_own, labels)
        return tally(own, null_growth_losses(known, labels, 4, counts))

    assert gains(added, 0) == gains(0, added) == gains(0, 0)


losses = st.lists(st.tuples(st.integers(0, 2**28), st.integers(0, 2**28)), min_size=1, max_size=60)


@given(losses, st.integers(0, 60), st.integers(1, 30))
def test_parts_can_be_scored_in_any_order_and_a_gain_needs_rows(
    found: list[tuple[int, int]], cut: int, z_squared: int
) -> None:
    """Nothing is proved by fewer than z² rows, however much each of them gains."""
    own, base = (np.array(column, np.int64) for column in zip(*found, strict=True))
    whole = tally(own, base)
    halves = tally(own[:cut], base[:cut]), tally(own[cut:], base[cut:])
    assert add_tallies(*halves) == add_tallies(*reversed(halves)) == whole
    if len(found) < z_squared:
        assert not proves_gain(whole, z_squared)


retained = st.lists(st.tuples(st.integers(2, 6), st.integers(1, 200)), min_size=1, max_size=20)


@given(retained, st.integers(1, 16), st.binary(min_size=32, max_size=32))
def test_the_newest_part_stays_and_so_does_the_order(
    found: list[tuple[int, int]], limit: int, seed: bytes
) -> None:
    parts = [
        RetentionPart(index.to_bytes(32, "big"), rows, classes) for index, (classes, rows) in enumerate(found)
    ]
    round_ = replace(a_round(), seed=seed)
    left = limit_parts(Rules(max_retention_parts=limit), round_, parts)
    assert len(left) == min(limit, len(parts))
    assert left[-1] == parts[-1]
    assert [part.part for part in left] == sorted(part.part for part in left)
    classes = {part.classes for part in parts}
    assert len({part.classes for part in left}) == min(limit, len(classes)), "as many kinds as can be kept"
