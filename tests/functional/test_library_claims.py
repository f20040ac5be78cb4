"""A round whose scores are claimed, played to its end through the library."""

from __future__ import annotations

from pathlib import Path

import pytest

import engram
from engram.library.errors import OptionUnused
from engram.library.opening import OpeningOptions
from tests.support.library_rounds import founded, taught, three_digits


def test_a_program_founds_and_plays_a_model_whose_scores_are_claimed(tmp_path: Path) -> None:
    data = three_digits()
    with engram.dev_node(folder=tmp_path) as chain:
        for unused in (OpeningOptions(dispute_window=9), OpeningOptions(audit_chunks=2)):
            with pytest.raises(OptionUnused, match="disputed"):
                chain.open_round(data.features, data.labels, **unused)
        opened = founded(chain, data, bounty=5, verification="disputed", audit_chunks=4)
        with opened.running():
            bob = chain.using("bob")
            played = taught(bob, opened, data)
        assert (played.outcome.status, played.outcome.winner) == ("decided", bob.address)
        assert played.bonds_burned == 0 < played.bonds_returned
        told = chain.call("model_get", id=played.outcome.model)
        rules = chain.spec().rules
        assert told["claims"] == {"window": rules.draw_ticks + rules.min_window_ticks, "audited": 4}
