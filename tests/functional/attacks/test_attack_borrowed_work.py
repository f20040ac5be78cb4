"""A proof says what it stands on: the work of others does not make a model that never was.

A forger plays rounds on a ledger of their own, copies the headers of the real chain, and mines a few upon
them that claim the state of that ledger. The first is dated a year later, so the next ones are easy.
"""

from collections.abc import Sequence
from functools import cache

import pytest

from engram.consensus import proof
from engram.consensus.block import BlockHeader
from engram.consensus.bundle import ProofBundle
from engram.consensus.compact import bits_to_target, work_of
from tests.support.attacks import fails
from tests.support.published import SPEC, YEAR_MS, Published, published, told
from tests.support.rounds import ALICE, BOB, Play, network

CONFIRMATIONS = 2
"""So many blocks stand on the honest version; a verifier asks for the work of all three."""


@cache
def honest_play() -> Play:
    """Alice's version 1 on the real ledger."""
    play = Play()
    play.ok(play.found())
    play.reveal_validation()
    play.play_epoch((ALICE, network(play.inputs, 6)))
    play.decide()
    return play


@cache
def forged_play(gain: int) -> Play:
    """A model that the real ledger has never seen, much better than Alice's."""
    play = Play(parts=5)
    play.ok(play.found())
    play.reveal_validation()
    play.play_epoch((BOB, network(play.inputs, gain)))
    play.decide()
    return play


def forge(real: Published, play: Play, copied: int, blocks: int) -> Published:
    """The last `copied` headers of the real chain are left out, and so many of the forger's own come."""
    late = SPEC.genesis_time_ms + YEAR_MS - 3_600_000
    line = real.cut(real.head.height - copied)
    return line.mine(play.ledger.root, play.ledger.nodes, blocks, timestamp_ms=late)


def a_model_on_the_work_of_others(left_out: int, blocks: int) -> None:
    """The whole line carries more work than anybody asks for, and next to nothing of it is the forger's."""
    honest, invented = honest_play(), forged_play(16)
    real = published(honest)
    asked = real.work(1 + CONFIRMATIONS)
    true = told(real.bundle(honest.model_id, depth=CONFIRMATIONS), min_work=asked)
    assert (true.code, true.facts["min_work"]) == ("", asked)
    forged = forge(real, invented, left_out, blocks)
    bundle = forged.bundle(invented.model_id, depth=blocks - 1)
    assert forged.work(len(forged.line)) > asked, "most of it was done by honest miners"
    own = forged.work(blocks)
    assert own < asked // 2, "the forger has worked less than for two blocks"
    said = told(bundle)
    assert not said.accepted
    assert said.facts["sealed_loss"] < true.facts["sealed_loss"], "the forged model looks better"
    assert said.facts["work"] == own
    assert f"takes about {own:,} hash attempts" in said.proved
    assert told(bundle, min_work=asked).code == "insufficient_work"


def a_verifier_who_asks_for_little(left_out: int, blocks: int) -> None:
    """Is told how little it was."""
    invented = forged_play(8)
    forged = forge(published(honest_play()), invented, left_out, blocks)
    least = forged.work(blocks)
    said = told(forged.bundle(invented.model_id, depth=blocks - 1), min_work=least)
    assert not said.accepted, "whoever asks for less than a forger has done relies on too little"
    assert f"takes about {least:,} hash attempts. You asked for {least:,}." in said.proved
    assert "So little work is no anchor" in said.proved


FORGERIES = [(0, 2), (2, 1), (3, 4)]


@pytest.mark.parametrize(("left_out", "blocks"), FORGERIES)
def test_a_model_on_the_work_of_others(left_out: int, blocks: int) -> None:
    a_model_on_the_work_of_others(left_out, blocks)
    a_verifier_who_asks_for_little(left_out, blocks)


@pytest.mark.parametrize(("left_out", "blocks"), FORGERIES)
def test_where_the_work_of_all_headers_counts(
    left_out: int, blocks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = proof._checked_line
    lines: list[Sequence[BlockHeader]] = []

    def remembered(bundle: ProofBundle, *given: object) -> object:
        lines.append(bundle.headers)
        return checked(bundle, *given)  # type: ignore[arg-type]  # passed on

    def of_all(headers: Sequence[BlockHeader]) -> int:
        return sum(work_of(bits_to_target(header.target)) for header in (lines or [headers])[-1])

    monkeypatch.setattr(proof, "_checked_line", remembered)
    monkeypatch.setattr(proof, "_work", of_all)
    fails(lambda: a_model_on_the_work_of_others(left_out, blocks))
