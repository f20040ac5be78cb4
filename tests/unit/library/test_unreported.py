"""Who asks for no report of a round is still warned where the round waits for somebody."""

import warnings

import pytest

from engram.library.rounds import unreported
from engram.participant.notices import Notice


def test_a_program_that_has_left_is_warned_of() -> None:
    with pytest.warns(UserWarning, match="give its command again"):
        unreported(Notice("the blocks wait: give its command again", "program_left", left=1))


def test_nothing_else_is() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        unreported(Notice("the round is kept", "round_ended"))
