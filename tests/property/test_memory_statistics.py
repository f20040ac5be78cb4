"""Laws of merging statistics: any order and any grouping give exactly the sums of all rows."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engram.participant.memory.banks import BankRule, Banks
from engram.participant.memory.statistics import Statistics, check, make, merge
from engram.participant.memory.statistics_file import canonical, content_id, read, write

BANKS = Banks(BankRule(bytes([128] * 4), 3, 2, 2, (), bytes(32), 3, 700))


@st.composite
def owners(draw: st.DrawFn) -> list[Statistics]:
    """The sums of two to five owners, whose rows are drawn apart from each other."""
    seed = draw(st.integers(0, 2**32 - 1))
    sizes = draw(st.lists(st.integers(1, 40), min_size=2, max_size=5))
    rng, made = np.random.default_rng(seed), []
    for size in sizes:
        rows = rng.integers(0, 256, (size, 4)).astype(np.uint8)
        made.append(make(BANKS, rows, rng.integers(0, 4, size), least_rows=1))
    return made


def named(items: list[Statistics]) -> list[tuple[Statistics, bytes]]:
    return [(each, content_id(each)) for each in items]


@given(owners(), st.data())
def test_order_and_grouping_do_not_matter(items: list[Statistics], data: st.DataObject) -> None:
    whole = merge(named(items))
    order = data.draw(st.permutations(items))
    cut = data.draw(st.integers(1, len(items) - 1))
    halves = [merge(named(order[:cut])), merge(named(order[cut:]))]
    assert canonical(merge(named(halves))) == canonical(whole)
    assert canonical(merge(named(order))) == canonical(whole)


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 2), min_size=6, max_size=60))
def test_the_merged_sums_are_those_of_all_rows(seed: int, parts: list[int]) -> None:
    rng, owner = np.random.default_rng(seed), np.array(parts)
    rows, labels = rng.integers(0, 256, (len(parts), 4)).astype(np.uint8), rng.integers(0, 3, len(parts))
    mine = [
        make(BANKS, rows[owner == k], labels[owner == k], least_rows=1) for k in np.unique(owner).tolist()
    ]
    whole, merged = make(BANKS, rows, labels, least_rows=1), merge(named(mine))
    assert (merged.classes, merged.counts.tolist()) == (whole.classes, whole.counts.tolist())
    assert np.array_equal(merged.sums, whole.sums)
    assert np.array_equal(merged.gram, whole.gram)


@given(owners())
def test_what_honest_rows_give_passes_every_check_and_comes_back_from_its_file(
    items: list[Statistics],
) -> None:
    whole, rule = merge(named(items)), BANKS.rule
    check(whole, rule.bank_id, rule.neurons, least_rows=1)
    again = read(write(whole), rule.bank_id, rule.neurons, least_rows=1)
    assert canonical(again) == canonical(whole)
