"""Labels, shares, widths, windows and parts of one on the command line."""

from __future__ import annotations

import click
import pytest

from engram.commands.support import model_options
from engram.commands.support.param_types import LABELS, SHARE, WIDTHS, WINDOW_LENGTHS, WINDOWS, FractionType
from engram.nn.growth import Policy
from engram.nn.loss import LossKind
from engram.participant.round_terms import RoundWindows
from engram.participant.training.shapes import ACTIVATIONS


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("birch, 6-7", ("birch", 6, 7)),
        ("0-5", (0, 1, 2, 3, 4, 5)),
        ("3", (3,)),
        ("6-7, 1", (6, 7, 1)),
        ("65535", (65_535,)),
    ],
)
def test_labels(text: str, labels: tuple[int | str, ...]) -> None:
    assert LABELS.convert(text, None, None) == labels


@pytest.mark.parametrize("text", ["", "5-0", "1,1", "1-3,2", "-1", "70000", "1--2"])
def test_what_is_no_list_of_labels(text: str) -> None:
    with pytest.raises(click.BadParameter):
        LABELS.convert(text, None, None)


def test_shares() -> None:
    assert SHARE.convert("2/4", None, None) == (2, 4)
    for text in ("0/4", "5/4", "1", "1/0", "a/b", "1/4/2"):
        with pytest.raises(click.BadParameter):
            SHARE.convert(text, None, None)


def test_widths() -> None:
    assert WIDTHS.convert("64,32", None, None) == (64, 32)
    assert WIDTHS.convert("none", None, None) == ()
    for text in ("", "0", "64,", "wide"):
        with pytest.raises(click.BadParameter):
            WIDTHS.convert(text, None, None)


def test_windows() -> None:
    assert WINDOW_LENGTHS.convert("commit=20, gap=2", None, None) == {"commit": 20, "gap": 2}
    assert WINDOW_LENGTHS.convert("9", None, None) == {name: 9 for name in WINDOWS if name != "gap"}
    for text in ("", "draw=3", "commit", "commit=", "commit=a", "commit=1,,gap=2"):
        with pytest.raises(click.BadParameter):
            WINDOW_LENGTHS.convert(text, None, None)


def test_parts_of_one_are_exact_millionths() -> None:
    share = FractionType(1)
    texts = ("0", "1", "0.2", "0.000001", "1e-3")
    assert [share.convert(text, None, None) for text in texts] == [0, 1_000_000, 200_000, 1, 1_000]
    for text in ("-0.1", "1.000001", "0.0000001", "nan", "inf", "half"):
        with pytest.raises(click.BadParameter):
            share.convert(text, None, None)


def test_choices_are_those_of_the_protocol() -> None:
    assert tuple(kind.name.lower() for kind in LossKind) == model_options.LOSSES
    assert tuple(policy.name.lower() for policy in Policy) == model_options.POLICIES
    assert tuple(ACTIVATIONS) == model_options.ACTIVATIONS
    assert set(RoundWindows.__dataclass_fields__) == set(WINDOWS)
