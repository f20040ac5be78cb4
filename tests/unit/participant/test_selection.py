"""Which rows a person brings: disjoint shares, classes, new names, so many rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engram.commands.guided import acts
from engram.commands.guided.openings import OWNERS, SHARES
from engram.participant.datasets import Dataset
from engram.participant.errors import DatasetNotFound, NotEnoughRows
from engram.participant.selection import Selection
from engram.participant.tables.errors import LabelsMissing


@pytest.fixture
def source(tmp_path: Path) -> str:
    """Sixty rows that all differ, ten of each of six classes."""
    path = tmp_path / "rows.npz"
    features = np.stack([np.arange(60), np.arange(60) * 2], axis=1)
    np.savez(path, features=features, labels=np.repeat(np.arange(6), 10))
    return str(path)


def keys(data: Dataset) -> list[int]:
    return sorted(int(value) for value in data.features[:, 0])


def test_shares_are_disjoint_alike_and_the_same_for_everyone(source: str) -> None:
    shares = [Selection(source, (number, 5)).rows_of(number) for number in range(1, 6)]
    held = [key for share in shares for key in keys(share)]
    assert sorted(held) == list(range(60))
    assert all(np.bincount(share.labels).tolist() == [2] * 6 for share in shares)
    assert keys(Selection(source, (3, 5)).rows_of(99)) == keys(shares[2])


def test_equal_rows_are_in_one_share_and_the_other_rows_are_where_they_were(tmp_path: Path) -> None:
    """Seen: a twin of a row lay in another owner's share, so what was revealed told what was sealed."""
    features = np.stack([np.arange(60), np.arange(60) * 2], axis=1)
    labels = np.repeat(np.arange(6), 10)
    twins = np.arange(0, 60, 4)
    path = tmp_path / "twins.npz"
    other = np.where(twins < 30, labels[twins], 5 - labels[twins])  # some have another label
    np.savez(
        path, features=np.concatenate([features, features[twins]]), labels=np.concatenate([labels, other])
    )
    plain = tmp_path / "plain.npz"
    np.savez(plain, features=features, labels=labels)
    for number in range(1, 6):
        share, alone = (Selection(str(each), (number, 5)).rows_of(0) for each in (path, plain))
        assert keys(share) == sorted([*keys(alone), *(row for row in twins.tolist() if row in keys(alone))])
        asked = Selection(str(path), (number, 5)).asked(0)
        assert sorted(asked.features[:, 0].tolist()) == keys(share), "questions are dealt alike"
    with pytest.raises(NotEnoughRows, match="too few different rows for 61 shares"):
        Selection(str(path), (1, 61)).rows_of(0)


def test_no_author_trains_on_the_digits_that_the_documents_ask_about() -> None:
    """README asks about rows of its third share, the round with a witness about rows of hers, the fourth;
    `engram play` does so, too, and at last about a row of alice's, who has no part in the growth.
    """
    places = {shares: Selection("digits", shares).asked(0).rows for shares in ((3, 3), (4, 4), (2, 4))}
    assert {100, 101} <= set(places[3, 3])
    assert {100, 101} <= set(places[4, 4])
    assert (acts.QUESTION, acts.NEW_QUESTION) == (100, 108)
    assert (OWNERS["alice"], OWNERS["carol"], SHARES) == (2, 4, 4)
    assert 108 in places[2, 4]


def test_rows_are_dealt_in_turn_class_by_class(source: str) -> None:
    assert Selection(source, (2, 3)).asked(0).rows == tuple(range(1, 60, 3)), "the file is sorted by class"


def test_a_seed_gives_an_order_and_classes_do_not_move_rows_between_shares(source: str) -> None:
    whole, some = Selection(source, (1, 5)), Selection(source, (1, 5), (0, 3))
    assert set(keys(some.rows_of(0))) < set(keys(whole.rows_of(0)))
    first, again, other = (whole.rows_of(seed).features.tolist() for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_classes_are_kept_and_renamed_in_the_order_given(source: str) -> None:
    kept = Selection(source, classes=(4, 1)).rows_of(0)
    named = Selection(source, classes=(4, 1), relabel=True).rows_of(0)
    assert set(kept.labels.tolist()) == {1, 4}
    assert {
        int(row[0]) // 10: int(label) for row, label in zip(named.features, named.labels, strict=True)
    } == {
        4: 0,
        1: 1,
    }


def test_so_many_rows_keep_every_class_in_proportion(source: str) -> None:
    assert np.bincount(Selection(source, rows=18).rows_of(0).labels).tolist() == [3] * 6


def test_what_is_not_there_is_refused(source: str) -> None:
    with pytest.raises(NotEnoughRows):
        Selection(source, classes=(1, 9)).rows_of(0)
    with pytest.raises(NotEnoughRows):
        Selection(source, rows=61).rows_of(0)
    with pytest.raises(NotEnoughRows):
        Selection(source, (1, 61)).rows_of(0)
    with pytest.raises(DatasetNotFound):
        Selection(source + "x").rows_of(0)


def test_questions_are_the_rows_that_are_chosen_in_the_order_of_the_file(source: str) -> None:
    selection = Selection(source, (2, 3), (1, 4), rows=4)
    asked, chosen = selection.asked(7), selection.rows_of(7)
    assert list(asked.rows) == sorted(asked.rows) == keys(chosen)
    assert asked.features[:, 0].tolist() == list(asked.rows)
    assert list(asked.labels) == [row // 10 for row in asked.rows]
    renamed = Selection(source, classes=(4, 1), relabel=True).asked(0)
    assert list(renamed.labels) == [{4: 0, 1: 1}[row // 10] for row in renamed.rows]


def test_questions_need_no_labels(tmp_path: Path) -> None:
    path = tmp_path / "questions.csv"
    path.write_text("".join(f"{row},{2 * row}\n" for row in range(30)))
    whole = Selection(str(path), label="none").asked(0)
    assert (whole.rows, whole.labels) == (tuple(range(30)), (None,) * 30)
    shares = [Selection(str(path), (number, 3), label="none").asked(0) for number in (1, 2, 3)]
    assert sorted(row for share in shares for row in share.rows) == list(range(30))
    assert len(Selection(str(path), rows=5, label="none").asked(0).rows) == 5
    for named in ({"classes": (1,)}, {"relabel": True, "first_class": 2}):
        with pytest.raises(LabelsMissing, match="without a label"):
            Selection(str(path), label="none", **named).asked(0)


def test_questions_may_have_labels_that_nobody_knows(tmp_path: Path) -> None:
    path = tmp_path / "questions.csv"
    path.write_text("a,b,label\n1,2,7\n3,4,\n5,6,65535\n7,8,99999\n")
    asked = Selection(str(path), label="label").asked(0)
    assert asked.labels == (7, None, 65_535, None)
    assert Selection(str(path), classes=(7,), label="label").asked(0).rows == (0,)
