"""The cells of the experiment: one run on three mining nodes, sweeps on one node, and the dual memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from engram.consensus.chainspec import Allocation, ChainSpec, local
from engram.nn.spec import macs_per_row
from engram.node.files import folder_bytes
from engram.node.localnet.localnet import Localnet
from engram.participant.arena.arena import PURSE, Arena, arena_spec, key_of
from engram.participant.arena.entries import ChainEntry, entries_of
from engram.participant.arena.examining import Marks
from engram.participant.arena.network import NetworkVenue
from engram.participant.arena.replaying import Judged, replay
from engram.participant.arena.venue import Venue
from engram.participant.experiments.data import DataFolder
from engram.participant.experiments.document import Document, Row
from engram.participant.experiments.paper import report
from engram.participant.experiments.paper.dual import asked, proven_version
from engram.participant.experiments.paper.play import (
    EXAMINER,
    RULES,
    PaperRound,
    PaperRounds,
    actors,
)
from engram.participant.experiments.plan import Cell, Rows, Say, Scale
from engram.participant.experiments.setting import PaperSetting, shares_of
from engram.participant.memory.slow import CONFIRMATIONS
from engram.participant.notices import Notice
from engram.participant.view import ChainView
from engram.statemachine.record import u32
from engram.statemachine.records import Version

NODES: Final = 3
BLOCK_MS: Final = 1_000
QUICK_BLOCK_MS: Final = 250
Q24: Final = 1 << 24
QUICK: Final = PaperSetting(
    "digits",
    hidden=32,
    neurons=24,
    participants=2,
    part_rows=40,
    own_rows=660,
    epochs=2,
    steps=200,
    batch=32,
    epsilon_ppm=300_000,
)
FULL: Final = PaperSetting("mnist", own_rows=36_000, steps=1_500)
SWEPT: Final = replace(FULL, epochs=1)
SIZES: Final = (16, 32, 64, 128, 256)
CROWDS: Final = (1, 2, 3, 4, 5, 6)
NETWORK, SIZE, CROWD, DUAL = "network", "size", "participants", "dual"
_MADE: Final = (1, 2)
"""The versions that the two rounds make."""


@dataclass(frozen=True)
class PaperExperiment:
    """See the package's docstring."""

    name: str = "paper"
    title: str = "The paper's setting: digits 0 to 5, then 6 to 9, on three mining nodes"

    def data_sets(self, scale: Scale) -> Sequence[str]:
        return ("digits",) if scale is Scale.QUICK else ("mnist",)

    def cells(self, scale: Scale, data: DataFolder) -> Sequence[Cell]:
        if scale is Scale.QUICK:
            small = replace(QUICK, epochs=1)
            return [
                _cell("network", NETWORK, QUICK, 3.0, block_ms=QUICK_BLOCK_MS),
                _cell("dual", DUAL, small),
                _cell("size-16", SIZE, replace(small, hidden=16)),
                _cell("participants-1", CROWD, replace(small, participants=1)),
            ]
        sizes = (_cell(f"size-{each}", SIZE, replace(SWEPT, hidden=each)) for each in SIZES)
        crowds = (_cell(f"participants-{each}", CROWD, replace(SWEPT, participants=each)) for each in CROWDS)
        main = _cell("network", NETWORK, FULL, 8.0, block_ms=BLOCK_MS)
        return [main, _cell("dual", DUAL, SWEPT), *sizes, *crowds]

    def run(self, cell: Cell, work: Path, data: DataFolder, say: Say, engine: str) -> Rows:
        setting = PaperSetting.from_json(cell.settings)
        match cell.settings["kind"]:
            case "network":
                return asyncio.run(
                    _on_a_network(setting, int(cell.settings["block_ms"]), work, data, say, engine)
                )
            case "dual":
                return asyncio.run(_with_dual_memory(setting, work, data, engine))
            case kind:
                return {str(kind): asyncio.run(_swept(setting, work, data, engine))}

    def document(self, scale: Scale, rows: Rows) -> Document:
        return report.document(scale, rows)


def _cell(name: str, kind: str, setting: PaperSetting, weight: float = 1.0, **more: Any) -> Cell:
    return Cell(name, {"kind": kind, **setting.to_json(), **more}, weight)


def network_spec(setting: PaperSetting, block_ms: int) -> ChainSpec:
    """A chain of several mining nodes on this machine, with the rules of the sweeps."""
    allocations = tuple(Allocation(key_of(name).address, PURSE) for name in actors(setting))
    spec = local(allocations, time.time_ns() // 1_000_000)
    return replace(spec, rules=RULES, block_time_ms=block_ms)


def untold(notice: Notice) -> None:
    """What actors do is read from the chain."""


@dataclass(frozen=True, eq=False)
class PaperRun:
    """Both rounds, and what the chain says at the end."""

    rounds: tuple[PaperRound, ...]
    marks: Mapping[tuple[int, str], Marks]
    entries: tuple[ChainEntry, ...]
    versions: tuple[Row, ...]
    """Of each version: its number, bytes and MACs."""


async def _play(venue: Venue, rounds: PaperRounds, say: Say) -> PaperRun:
    """Plays both rounds. The test rows come to the chain after the second one."""
    played = [await rounds.found()]
    say(f"founded: {played[0].round.status}")
    if (await venue.model(rounds.model)).frozen:
        played.append(await rounds.grow())
        say(f"grown: {played[-1].round.status}")
    made = [number for number, each in zip(_MADE, played, strict=False) if each.decided]
    marks = await rounds.examine(made)
    async with venue.client() as client:
        names = {key_of(name).address: name for name in actors(rounds.setting)}
        entries = await entries_of(client, names)
        view, versions = ChainView(client), []
        for number in made:
            version = await view.get(Version, rounds.model, u32(number))
            spec = (await view.composition(version)).spec
            shapes = spec.totals
            versions.append(
                {
                    "version": number,
                    "classes": spec.classes,
                    "hidden": sum(segment.width for segment in spec.hidden),
                    "parameter_bytes": shapes.parameter_bytes,
                    "added_bytes": version.sent_tensor_bytes,
                    "macs_per_row": macs_per_row(spec),
                }
            )
    return PaperRun(tuple(played), marks, tuple(entries), tuple(versions))


async def _on_a_network(
    setting: PaperSetting, block_ms: int, work: Path, data: DataFolder, say: Say, engine: str
) -> dict[str, list[Row]]:
    spec, shares = network_spec(setting, block_ms), shares_of(setting, data)
    begin = time.perf_counter()
    async with Localnet(work / "nodes", spec, nodes=NODES, engine=engine) as net:
        venue = NetworkVenue(work, net, actors(setting), untold, engine)
        rounds = PaperRounds(venue, setting, shares)
        played = await _play(venue, rounds, say)
        seconds = time.perf_counter() - begin
        head = await net.settle()
        nodes = [node.data_dir for node in net.nodes]
    judged = replay(nodes[0], spec, work / "judged", engine)
    say(f"{len(judged)} transactions judged again")
    held = [folder_bytes(folder) for folder in nodes]
    chain = {
        "blocks": head["height"],
        "nodes": NODES,
        "transactions": len(played.entries),
        "transaction_bytes": sum(each.size_bytes for each in played.entries),
        "disk_bytes": sum(held) // len(held),
        "seconds": seconds,
        "node_seconds": sum(each.seconds for each in judged),
    }
    return {
        "epochs": [row for number, each in enumerate(played.rounds) for row in _epochs(number, each)],
        "versions": _versions(played),
        "transactions": _by_type(played.entries, judged),
        "people": _by_sender(setting, played.entries),
        "chain": [chain],
    }


async def _swept(setting: PaperSetting, work: Path, data: DataFolder, engine: str) -> list[Row]:
    """One line of a sweep, from a run on one node without a clock."""
    spec = arena_spec(actors(setting), RULES)
    shares = shares_of(setting, data)
    async with Arena(work / "node", spec, untold, engine=engine).running() as arena:
        played = await _play(arena, PaperRounds(arena, setting, shares), lambda line: None)
    judged = replay(work / "node", spec, work / "judged", engine)
    asked_for = [each for each in played.entries if each.sender != EXAMINER]
    spent = zip(played.entries, judged, strict=True)
    return [
        {
            "hidden": setting.hidden,
            "participants": setting.participants,
            "own_rows": setting.own_rows // setting.participants,
            **_final(played),
            **{name: played.versions[-1][name] for name in ("parameter_bytes", "macs_per_row")},
            "transactions": len(asked_for),
            "bytes": sum(each.size_bytes for each in asked_for),
            "macs": sum(each.macs for each in asked_for),
            "fees": sum(each.fee for each in asked_for),
            "fees_each": sum(each.fee for each in asked_for if each.sender.startswith("participant"))
            // setting.participants,
            "node_seconds": sum(each.seconds for entry, each in spent if entry.sender != EXAMINER),
        }
    ]


async def _with_dual_memory(
    setting: PaperSetting, work: Path, data: DataFolder, engine: str
) -> dict[str, list[Row]]:
    """What one participant answers before the growth, with both memories and with the chain alone."""
    spec = arena_spec(actors(setting), RULES)
    shares = shares_of(setting, data)
    rows: list[Row] = []
    async with Arena(work / "node", spec, untold, engine=engine).running() as arena:
        rounds = PaperRounds(arena, setting, shares)
        await rounds.found()
        async with arena.actor(EXAMINER) as wallet:
            view = ChainView(wallet.client)
            await view.wait_height(await view.height() + CONFIRMATIONS + 1)
            slow = await proven_version(spec, rounds.model, view, time.time_ns() // 1_000_000)
        for each in await asyncio.to_thread(
            lambda: list(asked(slow, shares.own[0], shares.test, setting.seed))
        ):
            rows.append(
                {
                    "when": "before the growth",
                    "examples": each.examples,
                    "old": 100 * each.old,
                    "new": 100 * each.new,
                    "all": 100 * each.whole,
                    "oracle": 100 * each.oracle,
                    "by": "the participant",
                }
            )
        grown = await rounds.grow()
        async with arena.client() as client:
            blocks = await ChainView(client).height() - grown.first_height
        marks = await rounds.examine([2] if grown.decided else [])
    if grown.decided:
        old, new = marks[2, "old"], marks[2, "new"]
        rows.append(
            {
                "when": f"after the growth, {blocks} blocks later",
                "examples": 0,
                "old": 100 * old.accuracy,
                "new": 100 * new.accuracy,
                "all": 100 * (old + new).accuracy,
                "oracle": None,
                "by": "nodes",
            }
        )
    return {"dual": rows}


def _epochs(number: int, played: PaperRound) -> list[Row]:
    """A line for each candidate of a round."""
    round_ = played.round
    unseen = sum(each.rows for each in played.candidates[0][1].groups) if played.candidates else 0
    revealed = round_.terms.validation * round_.terms.rows
    return [
        {
            "round": ("founding", "growth")[number],
            "epoch": each.epoch + 1,
            "author": author,
            "validation": each.loss / Q24 / revealed,
            "unseen": sum(group.loss for group in each.groups) / Q24 / max(1, unseen),
            "accuracy": 100 * each.correct / max(1, unseen),
            "bytes": each.sent_tensor_bytes,
            "won": (each.author, each.epoch) == (round_.winner, round_.winner_epoch),
        }
        for author, each in played.candidates
    ]


def _versions(played: PaperRun) -> list[Row]:
    """A line for each version and set of test rows."""
    found: list[Row] = []
    for row in played.versions:
        number = int(row["version"] or 0)
        marks = {name: each for (version, name), each in played.marks.items() if version == number}
        if len(marks) > 1:
            marks["all"] = marks["old"] + marks["new"]
        for name, each in marks.items():
            found.append(
                {
                    **row,
                    "digits": name,
                    "rows": each.rows,
                    "accuracy": 100 * each.accuracy,
                    "nats": each.nats / each.rows,
                }
            )
    return found


def _final(played: PaperRun) -> dict[str, float | None]:
    """Accuracies of the last version, and of old digits before the growth."""
    found: dict[str, float | None] = {"old_before": None, "old": None, "new": None, "all": None}
    if (1, "old") in played.marks:
        found["old_before"] = 100 * played.marks[1, "old"].accuracy
    if (2, "old") in played.marks:
        old, new = played.marks[2, "old"], played.marks[2, "new"]
        found |= {"old": 100 * old.accuracy, "new": 100 * new.accuracy, "all": 100 * (old + new).accuracy}
    return found


def _by_type(entries: Sequence[ChainEntry], judged: Sequence[Judged]) -> list[Row]:
    """A line for each type of transaction, with means."""
    found: list[Row] = []
    for name in dict.fromkeys(each.name for each in entries):
        mine = [each for each in entries if each.name == name]
        seconds = [each.seconds for each in judged if each.name == name]
        found.append(
            {
                "type": name,
                "transactions": len(mine),
                "bytes": sum(each.size_bytes for each in mine) / len(mine),
                "macs": sum(each.macs for each in mine) / len(mine),
                "fee": sum(each.fee for each in mine) / len(mine),
                "seconds": sum(seconds) / max(1, len(seconds)),
            }
        )
    return found


def _by_sender(setting: PaperSetting, entries: Sequence[ChainEntry]) -> list[Row]:
    """A line for each actor: what they have sent and paid."""
    return [
        {
            "actor": name,
            "transactions": len(mine),
            "bytes": sum(each.size_bytes for each in mine),
            "fees": sum(each.fee for each in mine),
        }
        for name in actors(setting)
        if (mine := [each for each in entries if each.sender == name])
    ]


EXPERIMENT: Final = PaperExperiment()
