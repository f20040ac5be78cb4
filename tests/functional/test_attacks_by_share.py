"""Every attack of the experiment `adversaries` in a small round: how it is answered, what it brings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engram.participant.arena.arena import Arena, arena_spec
from engram.participant.experiments.adversaries.attacks import ATTACKS
from engram.participant.experiments.adversaries.experiment import QUICK
from engram.participant.experiments.adversaries.play import COIN, FEE, RULES, Battle, Fought, actors
from engram.participant.experiments.data import DataFolder
from engram.participant.experiments.setting import shares_of
from engram.statemachine.rounds.records import RoundStatus


async def fought(folder: Path, name: str, count: int) -> Fought:
    attack = ATTACKS[name]
    rows = 240 if attack.witnesses > 1 else 480
    setting = replace(QUICK, participants=3, own_rows=rows, witnesses=attack.witnesses)
    spec = arena_spec(actors(attack, setting.participants), RULES)
    async with Arena(folder / "node", spec, lambda notice: None).running() as arena:
        return await Battle(arena, attack, count, setting, shares_of(setting, DataFolder())).fight()


def gain_of_attackers(found: Fought) -> float:
    """In coins, of all their names together."""
    return sum(found.gains[name] for name in found.hostile) / COIN


@pytest.mark.parametrize(
    ("name", "code", "most"),
    [
        ("liars", "loss_mismatch", -1.0),
        ("copied-reveals", "commit_missing", 0.0),
        ("noisy-copies", "sat_out", -0.5),
        ("forgers", "base_mismatch", -1.0),
        ("overfitters", "candidate_admitted", -0.05),
        ("leaking-opener", "candidate_admitted", -0.05),
        ("sybils", "never revealed", -5.0),
    ],
)
async def test_an_attack_that_brings_nothing(tmp_path: Path, name: str, code: str, most: float) -> None:
    found = await fought(tmp_path, name, 1)
    assert found.winner == "honest"
    assert code in found.codes
    assert gain_of_attackers(found) <= most
    assert found.marks["clean"].accuracy > 0.8


@pytest.mark.parametrize("name", ["poisoners", "backdoors"])
async def test_a_true_claim_of_a_harmful_network_is_admitted(tmp_path: Path, name: str) -> None:
    found = await fought(tmp_path, name, 1)
    assert found.codes == {"candidate_admitted": 1}
    won = found.winner == "attackers"
    assert (gain_of_attackers(found) > 0) == won, "only who wins is paid"
    if name == "backdoors":
        assert (found.marks["marked"].accuracy > 0.9) == won, "whoever wins decides whether it does as told"


async def test_without_a_witness_a_leak_takes_the_bounty(tmp_path: Path) -> None:
    found = await fought(tmp_path, "leaking-opener-alone", 1)
    assert found.winner == "attackers"
    assert gain_of_attackers(found) > 40


async def test_an_opener_who_withholds_pays_for_it(tmp_path: Path) -> None:
    found = await fought(tmp_path, "withholding-opener", 1)
    assert (found.winner, found.round.status) == ("nobody", RoundStatus.ABORTED)
    assert found.hostile == {"opener"}
    assert gain_of_attackers(found) < -70


async def test_witnesses_who_seal_noise_get_their_fee(tmp_path: Path) -> None:
    found = await fought(tmp_path, "freeloading-witnesses", 3)
    assert found.winner == "nobody", "on noise, no update proves a gain"
    assert all(0.9 * FEE < found.gains[name] <= FEE for name in found.hostile)


async def test_witnesses_who_open_nothing_lose_their_bonds(tmp_path: Path) -> None:
    found = await fought(tmp_path, "silent-witnesses", 2)
    assert found.winner == "honest"
    assert gain_of_attackers(found) < -90
