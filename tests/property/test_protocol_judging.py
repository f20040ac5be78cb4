"""The judgement as rounds.md says it is the judgement of the code, whatever the numbers are."""

from dataclasses import astuple, replace

import numpy as np
from hypothesis import event, given
from hypothesis import strategies as st

from engram.nn.loss import LossKind, loss_limit
from engram.statemachine.records import NamedWitness, RetentionPart
from engram.statemachine.rounds.candidates import (
    forgotten_ppm,
    group_of,
    is_refused,
    reasons_against,
    validation_bar,
)
from engram.statemachine.rounds.judging import frequency_table, ln_rows, null_growth_losses, proves_gain
from engram.statemachine.rounds.judging import tally as core_tally
from engram.statemachine.rounds.records import ClassRows, GroupScore, RoundKind, Tally
from engram.statemachine.rounds.rewards import ladder
from engram.statemachine.rules import Rules
from tests.support import judging_oracle as oracle
from tests.support.round_samples import (
    WITNESS_NAME,
    a_candidate,
    a_model,
    a_round,
    a_share,
    a_witness,
    opened,
)

COUNTS = st.lists(st.integers(1, 60_000), min_size=3, max_size=6)
SMALL = st.integers(0, 400)
LOSSES = st.integers(0, 2**34)


@given(st.integers(1, 2**31 - 1))
def test_logarithms_of_rows(rows: int) -> None:
    assert ln_rows(rows) == oracle.lnr(rows)


@given(COUNTS, st.data())
def test_baselines_and_tallies(counts: list[int], data: st.DataObject) -> None:
    old = data.draw(st.integers(1, len(counts)))
    label = data.draw(st.integers(0, len(counts) - 1))
    limit = loss_limit(len(counts))
    base, own = data.draw(st.integers(0, limit)), data.draw(st.integers(0, limit))
    labels = np.array([label], np.uint16)
    baseline = null_growth_losses(np.array([base], np.int64), labels, old, counts)
    assert baseline.tolist() == [oracle.null_growth(counts, old, label, base)]
    for kind in LossKind:
        assert frequency_table(kind, counts)[label] == oracle.frequencies(kind, counts, label)
    assert list(astuple(core_tally(np.array([own], np.int64), baseline))) == oracle.tally(
        [own], baseline.tolist()
    )


@given(st.builds(Tally, SMALL, SMALL, SMALL, st.integers(0, 160_000)), st.integers(1, 20))
def test_when_a_gain_is_proved(found: Tally, z_squared: int) -> None:
    assert proves_gain(found, z_squared) == oracle.proves(astuple(found), z_squared)


GROUPS = st.builds(
    GroupScore,
    rows=st.just(100),
    loss=LOSSES,
    forgotten=st.integers(0, 12),
    growth=st.just(Tally(2**40, 1_000, 0, 1)),
)


@given(
    st.tuples(GROUPS, GROUPS),
    st.tuples(SMALL, SMALL),
    st.tuples(SMALL, SMALL),
    st.lists(st.integers(0, 30), min_size=2, max_size=2),
    st.integers(0, 30),
    st.booleans(),
    LOSSES,
    LOSSES,
    st.integers(0, 12),
    st.integers(0, 500),
    st.sampled_from([0, 20_000, 100_000]),
)
def test_what_speaks_against_a_growth(
    groups: tuple[GroupScore, GroupScore],
    losable: tuple[int, int],
    wrong: tuple[int, int],
    of_old: list[int],
    of_new: int,
    teaches: bool,
    known: int,
    old_loss: int,
    retention_forgotten: int,
    retained: int,
    epsilon: int,
) -> None:
    counts = (*of_old, of_new + 1) if teaches else (of_old[0], of_old[1] + 1)
    own = replace(opened(known, old=losable[0] + wrong[0]), old_right=losable[0])
    theirs = opened(0, old=losable[1] + wrong[1], owner=WITNESS_NAME, name=1)
    unseen = own, replace(theirs, old_right=losable[1])
    round_ = a_round(kind=RoundKind.GROW, unseen=unseen, counts=counts, witnesses=[a_witness()])
    if not teaches:
        round_ = replace(round_, classes=2, terms=replace(round_.terms, new_classes=0))
    model = a_model(RetentionPart(bytes(32), retained, 2), epsilon=epsilon)
    forgotten = tuple(ClassRows(label, min(count, 5)) for label, count in enumerate(of_old))
    candidate = replace(
        a_candidate(1, 0, *groups),
        old_loss=old_loss,
        forgotten=forgotten,
        retention_forgotten=retention_forgotten,
    )
    rules = replace(Rules(), min_witness_rows=8)
    gate = oracle.Gate(
        epsilon,
        model.retention_delta_ppm,
        model.threshold_ppm,
        rules.min_old_rows,
        sum(losable) + sum(wrong),
        losable,
        known,
        retained,
        counts,
        2,
    )
    gone = [(each.label, each.rows) for each in forgotten]
    wire = [[group.rows, group.loss, group.forgotten] for group in groups]
    said = oracle.against_a_growth(gate, wire, old_loss, gone, retention_forgotten)
    assert list(reasons_against(rules, round_, model, candidate)) == said
    lost = [group.forgotten for group in groups]
    assert forgotten_ppm(rules, round_, candidate) == oracle.lost_ppm(losable, lost)


@st.composite
def judged_groups(draw: st.DrawFn) -> GroupScore:
    """Rows on which a baseline loses and a candidate gains something, mostly the same on every row."""
    gains = [draw(st.sampled_from([-(2**16), 0, 2**17, 3 * 2**16]))] * draw(st.integers(8, 40))
    gains += draw(st.lists(st.integers(-3 * 2**16, 3 * 2**16), max_size=8))
    found = Tally(
        draw(st.integers(1, 2**30)),
        sum(max(gain, 0) for gain in gains),
        sum(max(-gain, 0) for gain in gains),
        sum(gain * gain for gain in gains),
    )
    other = replace(found, baseline=draw(st.integers(1, 2**30)), gained=found.gained * 2)
    return GroupScore(len(gains), 1, 0, found, draw(st.sampled_from([found, other])))


CHOSEN = st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), max_size=4)
"""Of each witness: old_only, named_by_opener, opened."""
CLASS_ROWS = st.lists(st.integers(0, 9) | st.integers(8, 12), min_size=3, max_size=3)


def is_a_refusal(
    groups: tuple[GroupScore, GroupScore],
    counts: tuple[list[int], list[int]],
    chosen: list[tuple[bool, bool, bool]],
    standing: int,
    train: bool,
) -> bool:
    """What the text says; fails if the code says otherwise."""
    opener, theirs = ([1 + each[0], *each[1 : 3 - train]] for each in counts)
    pooled = [first + second for first, second in zip(opener, theirs, strict=True)]
    names = [bytes([name]) * 20 for name in range(1, 5)]
    sealed = [
        replace(a_witness(old_only=old_only, named_by_opener=named), author=name, opened=is_open)
        for name, (old_only, named, is_open) in zip(names, chosen, strict=False)
    ]
    kind = RoundKind.TRAIN if train else RoundKind.GROW
    listed = tuple(NamedWitness(each.author, each.old_only) for each in sealed[:standing])
    round_ = replace(
        a_round(kind=kind, counts=tuple(pooled), witnesses=sealed),
        witness_counts=tuple(theirs),
        standing=listed,
    )
    side = oracle.witness_side(
        [(each.author, each.old_only) for each in sealed], [name.address for name in listed]
    )
    by = oracle.chosen(
        [(each.author, each.old_only, each.named_by_opener, each.opened) for each in sealed], side
    )
    mixes = [oracle.advantage(1, pooled, own, 2, train=train) for own in (opener, theirs)]
    wire = [
        [each.rows, each.loss, each.forgotten, list(astuple(each.growth)), list(astuple(each.frequencies))]
        for each in groups
    ]
    said = oracle.refused(wire, mixes, by, round_.terms.z_squared, train=train)
    assert is_refused(round_, a_model(), a_candidate(1, 0, *groups)) == said
    return said


@given(
    st.tuples(judged_groups(), judged_groups()),
    st.tuples(CLASS_ROWS, CLASS_ROWS),
    CHOSEN,
    st.integers(0, 4),
    st.booleans(),
)
def test_when_a_gain_is_refused(
    groups: tuple[GroupScore, GroupScore],
    counts: tuple[list[int], list[int]],
    chosen: list[tuple[bool, bool, bool]],
    standing: int,
    train: bool,
) -> None:
    event(f"refused: {is_a_refusal(groups, counts, chosen, standing, train)}")


NAMES = st.sampled_from([bytes([name]) * 20 for name in range(6)])


@given(
    st.dictionaries(NAMES, st.booleans(), max_size=5),
    st.sets(NAMES, max_size=3),
    st.lists(NAMES, min_size=1, max_size=6, unique=True),
    st.integers(1, 33),
)
def test_whose_rows_are_a_group(
    sealed: dict[bytes, bool], standing: set[bytes], owners: list[bytes], least: int
) -> None:
    witnesses = [replace(a_witness(old_only=old_only), author=name) for name, old_only in sealed.items()]
    parts = [opened(1, owner=owner, name=place) for place, owner in enumerate(owners)]
    round_ = a_round(kind=RoundKind.GROW, unseen=parts, witnesses=witnesses)
    standing_ones = sorted(standing & set(sealed))
    named = tuple(NamedWitness(name, sealed[name]) for name in standing_ones)
    round_ = replace(round_, standing=named)
    side = oracle.witness_side(list(sealed.items()), standing_ones)
    assert round_.witness_side == side
    rules = replace(Rules(), min_witness_rows=least)
    said = [oracle.group_of(owner, 8, side, standing_ones, owners, least) for owner in owners]
    assert [int(group_of(rules, round_, part)) for part in parts] == said


@given(st.lists(st.integers(1, 6_000), min_size=3, max_size=3), st.booleans(), LOSSES)
def test_the_entry_bar(counts: list[int], train: bool, known: int) -> None:
    kind = RoundKind.TRAIN if train else RoundKind.GROW
    round_ = a_round(kind=kind, validation=known, witnesses=[a_witness()])
    mine = counts[:2] if train else counts
    round_ = replace(round_, validation_counts=tuple(mine))
    promised = 2 * round_.terms.old_rows
    said = oracle.entry_bar(mine, 2, known, promised, 1, train=train)
    assert validation_bar(round_, a_model()) == said


@given(st.lists(st.none() | st.tuples(st.integers(0, 1_000), st.integers(1, 1_000)), min_size=1, max_size=5))
def test_the_ladder(shares: list[tuple[int, int] | None]) -> None:
    round_ = a_round(epochs=len(shares))
    best = [
        held if share is None else a_share(1 + epoch, *share)
        for epoch, (held, share) in enumerate(zip(round_.best, shares, strict=True))
    ]
    found = ladder(replace(round_, best=tuple(best)))
    named = [
        None if share is None else (bytes([1 + epoch]) * 20, share) for epoch, share in enumerate(shares)
    ]
    said = oracle.rungs(named)
    assert [(rung.epoch, rung.best.author) for rung in found] == [
        (epoch, author) for epoch, author, *_ in said
    ]
    paid = [oracle.removed(10**9, own, before) for *_, own, before in said]
    assert [rung.of(10**9) for rung in found] == paid
    assert sum(paid) <= 10**9
