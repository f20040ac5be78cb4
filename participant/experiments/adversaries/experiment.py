"""The cells of the experiment: one attack by one share of the participants, on a node of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from engram.participant.arena.arena import Arena, arena_spec
from engram.participant.arena.entries import entries_of
from engram.participant.experiments.adversaries import report
from engram.participant.experiments.adversaries.attacks import ATTACKS, Attack, Side
from engram.participant.experiments.adversaries.play import MARKED, RULES, Battle, Fought, actors
from engram.participant.experiments.data import DataFolder
from engram.participant.experiments.document import Document, Row
from engram.participant.experiments.plan import Cell, Rows, Say, Scale
from engram.participant.experiments.setting import PaperSetting, shares_of
from engram.participant.notices import Notice
from engram.statemachine.rounds.records import RoundStatus

AUTHORS: Final = 10
SHARES: Final = (0, 20, 40, 60, 80)
"""Percent of the authors, or of the witnesses, who attack."""
SEEDS: Final = 2
FULL: Final = PaperSetting("mnist", hidden=32, neurons=32, participants=AUTHORS, own_rows=12_000, steps=400)
QUICK: Final = PaperSetting(
    "digits",
    hidden=24,
    neurons=16,
    participants=5,
    part_rows=40,
    own_rows=600,
    steps=150,
    batch=32,
    epsilon_ppm=300_000,
)
QUICK_CELLS: Final = (
    ("liars", 40),
    ("backdoors", 80),
    ("leaking-opener-alone", 40),
    ("withholding-opener", 100),
)
NOBODY: Final = "nobody"
"""The name of the round in which everybody is honest, to which the others are compared."""
BASELINE: Final = Attack("Nobody attacks")


@dataclass(frozen=True)
class AdversariesExperiment:
    """See the package's docstring."""

    name: str = "adversaries"
    title: str = "The attacks that the paper left for the future, by the share of those who attack"

    def data_sets(self, scale: Scale) -> Sequence[str]:
        return ("digits",) if scale is Scale.QUICK else ("mnist",)

    def cells(self, scale: Scale, data: DataFolder) -> Sequence[Cell]:
        if scale is Scale.QUICK:
            return [_cell(NOBODY, 0, QUICK, 0), *(_cell(*each, QUICK, 0) for each in QUICK_CELLS)]
        every = [(name, share) for name, attack in ATTACKS.items() for share in shares_of_attack(attack)]
        return [
            _cell(name, share, FULL, seed) for seed in range(SEEDS) for name, share in ((NOBODY, 0), *every)
        ]

    def run(self, cell: Cell, work: Path, data: DataFolder, say: Say, engine: str) -> Rows:
        name, share = str(cell.settings["attack"]), int(cell.settings["share"])
        attack = BASELINE if name == NOBODY else ATTACKS[name]
        setting = PaperSetting.from_json(cell.settings)
        fought, macs = asyncio.run(_fight(attack, share, setting, work, data, engine))
        say(f"{fought.winner} won; {fought.codes}")
        return {"fights": [_row(name, attack, share, setting, fought, macs)]}

    def document(self, scale: Scale, rows: Rows) -> Document:
        return report.document(scale, rows)


def shares_of_attack(attack: Attack) -> tuple[int, ...]:
    """The shares of attackers: there is one opener, who attacks or does not."""
    return (100,) if attack.side is Side.OPENER else SHARES[1:]


def attackers(attack: Attack, share: int, participants: int) -> int:
    """How many attack."""
    whole = {Side.OPENER: 1, Side.WITNESSES: attack.witnesses, Side.AUTHORS: participants}[attack.side]
    return whole * share // 100


def _cell(name: str, share: int, setting: PaperSetting, seed: int) -> Cell:
    attack = BASELINE if name == NOBODY else ATTACKS[name]
    sized = replace(setting, seed=seed, witnesses=attack.witnesses)
    settings: dict[str, Any] = {"attack": name, "share": share, **sized.to_json()}
    return Cell(f"{name}-{share}-{seed}", settings, 1.0 + attack.growth + (attack.epochs - 1))


async def _fight(
    attack: Attack, share: int, setting: PaperSetting, work: Path, data: DataFolder, engine: str
) -> tuple[Fought, int]:
    spec = arena_spec(actors(attack, setting.participants), RULES)
    shares = shares_of(setting, data)
    count = attackers(attack, share, setting.participants)
    async with Arena(work / "node", spec, untold, engine=engine).running() as arena:
        battle = Battle(arena, attack, count, setting, shares)
        fought = await battle.fight()
        async with arena.client() as client:
            entries = await entries_of(client, {})
    return fought, sum(each.macs for each in entries if each.name in ("reveal_update", "score_update"))


def untold(notice: Notice) -> None:
    """What actors do is read from the chain."""


def _row(name: str, attack: Attack, share: int, setting: PaperSetting, fought: Fought, macs: int) -> Row:
    count = attackers(attack, share, setting.participants)
    gains = fought.gains
    foes = {who for who in gains if who in fought.hostile}
    honest = [gain for who, gain in gains.items() if who.startswith("author") and who not in foes]
    return {
        "attack": name,
        "title": attack.title,
        "share": share,
        "seed": setting.seed,
        "attackers": count,
        "status": RoundStatus(fought.round.status).name.lower(),
        "winner": fought.winner,
        "accuracy": 100 * fought.marks["clean"].accuracy,
        "marked": 100 * fought.marks[MARKED].accuracy,
        "attackers_gain": sum(gains[who] for who in foes),
        "honest_gain": sum(honest),
        "honest_authors": len(honest),
        "opener_gain": gains["opener"],
        "witness_gain": sum(
            gain for who, gain in gains.items() if who.startswith("witness") and who not in foes
        ),
        "codes": ", ".join(f"{code} x {times}" for code, times in sorted(fought.codes.items())),
        "macs": macs,
    }


EXPERIMENT: Final = AdversariesExperiment()
