"""A round with a witness on a model with convolutions, in a real browser: round, model and canvas."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from engram.nn.growth import Policy
from engram.nn.loss import LossKind
from engram.node.config import Config
from engram.node.threaded import running_node
from engram.participant.memory.banks import Banks, declare
from engram.participant.memory.consolidation import Settings
from engram.participant.memory.founding import found
from engram.participant.memory.playing import Lesson, Memory, founding_of, taught, trained
from engram.participant.memory.statistics import added, make
from engram.participant.memory.trunk import convolution_trunk
from engram.participant.parts import ROUNDS_DIRECTORY
from engram.participant.round_plan import DraftedRound, draft_whole
from engram.participant.wallet import Wallet
from engram.participant.witness import Witness, sealed_part
from engram.primitives.keys import format_address
from engram.primitives.types import Hash
from engram.statemachine.records import NamedWitness
from engram.statemachine.rounds.terms import Founding
from tests.support.browser import Explorer
from tests.support.cli import Shell
from tests.support.dev_node import HRP
from tests.support.round_matter import SMALL_RULES, WITNESS
from tests.support.stage import Stage, digits, running_stage, small_round, stage_spec

OLD, NEW = (0, 1, 2), (3, 4)
WIDTH = 150
SETTINGS = Settings(ridge=1e-2)
ROUND: dict[str, Any] = {"rows": 44, "parts": 3, "neurons": WIDTH, "bounty": 10**9}
WITNESSED = format_address(WITNESS.address, HRP)
RULES = replace(SMALL_RULES, networks=replace(SMALL_RULES.networks, max_macs_per_row=2**25))


@dataclass(frozen=True)
class Played:
    """A node on which the rounds have ended."""

    url: str
    shell: Shell
    model: str
    rounds: tuple[str, str]
    """The founding's and the growth's."""


async def play(stage: Stage) -> tuple[Hash, Hash, Hash]:
    """Founds a model on convolutions and grows it; a witness seals and opens a part in both rounds."""
    named = (NamedWitness(WITNESS.address, old_only=False),)
    rows = digits(2, *OLD, *NEW).rows_of(0)
    first = rows.of_classes(OLD)
    trunk = convolution_trunk(first.features, seed=bytes(32), side=8, values=64)
    values = trunk.run(first.features)
    rule = declare(values, seed=bytes(32), width=WIDTH, count=2)
    founded = found("gate", rule, values, first.labels, policy=Policy.RELATIVE, settings=SETTINGS)
    template = Founding(
        *(founded.spec, (), (), int(Policy.RELATIVE), int(LossKind.SOFTMAX_CROSS_ENTROPY)),
        *(600_000, 200_000, 5_000_000, 900_000),
    )
    founding = founding_of(trunk, founded, template)

    async def draft(wallet: Wallet) -> DraftedRound:
        return await draft_whole(wallet, small_round(digits(1, *OLD), witnesses=named, **ROUND), founding)

    async def witness(round_id: Hash, classes: tuple[int, ...], wallet: Wallet) -> None:
        own = Witness(wallet, stage.folder / ROUNDS_DIRECTORY, stage.tell)
        await own.seal(round_id, await sealed_part(wallet, digits(3, *classes), round_id, 0))
        await own.testify(round_id)

    opened = await stage.open("opener", draft)
    ended = await stage.finish(
        opened, {"alice": trained(trunk, founded)}, witness=lambda wallet: witness(opened, OLD, wallet)
    )
    model = ended.round.model
    sums = [make(Banks(rule), trunk.run(first.features), first.labels, least_rows=1)]
    memory = Memory("gate", len(trunk.hidden), rule, founded.calibration, SETTINGS)
    plan = small_round(digits(1, *OLD, *NEW), new_classes=len(NEW), witnesses=named, **ROUND)
    grown = await stage.begin(plan, model)
    await stage.finish(
        grown,
        {"bob": taught(memory, Lesson(rows.of_classes(NEW), added(sums)))},
        witness=lambda wallet: witness(grown, (*OLD, *NEW), wallet),
    )
    return model, opened, grown


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    folder: Path = tmp_path_factory.mktemp("node")
    spec = stage_spec(RULES)

    async def on_a_stage() -> tuple[Hash, Hash, Hash]:
        async with running_stage(folder, spec) as stage:
            return await play(stage)

    model, opened, grown = asyncio.run(on_a_stage())
    with running_node(Config(data_dir=folder, rpc_port=0, p2p_port=0), spec) as node:
        assert node.info is not None
        yield Played(node.info.rpc_url, Shell(folder, {}), model.hex(), (opened.hex(), grown.hex()))


@pytest.fixture(scope="module")
def explorer(driver: object, played: Played) -> Explorer:
    return Explorer(driver, played.url)


def fits(explorer: Explorer, name: str) -> None:
    """Takes the pictures of a page, which is no wider than a phone."""
    explorer.picture(name)
    explorer.resize("phone")
    assert explorer.overflow_px() <= 0
    explorer.resize("desktop")


def test_a_round_shows_what_its_witness_did(explorer: Explorer, played: Played) -> None:
    for number, round_id in enumerate(played.rounds):
        explorer.open(f"round/{round_id}", "li.card.won")
        shown = explorer.text()
        assert "Loss on the witnesses' unseen rows" in shown
        assert "Loss on the opener's unseen rows" in shown
        assert "(named by the opener): has opened the sealed part" in shown
        uses = [cell.text for cell in explorer.all('[aria-label="Parts of the round"] tbody td:nth-child(4)')]
        assert uses.count("of a witness, unseen by authors, decides") == 1
        owners = explorer.all(f'[aria-label="Parts of the round"] a[title="{WITNESSED}"]')
        assert len(owners) == 1
        assert "witnesses open" in shown
        fits(explorer, f"round-witnessed-{number}")


def test_a_model_shows_the_layers_of_its_network(explorer: Explorer, played: Played) -> None:
    explorer.open(f"model/{played.model}", ".lineage")
    region = '[aria-label="Layers of the network"] tbody td:nth-child({})'
    made = [cell.text for cell in explorer.all(region.format(3))]
    widths = [cell.text.replace("\u202f", "") for cell in explorer.all(region.format(2))]
    version = played.shell.json("rpc", "model_version", played.model)
    assert widths == [str(width) for width in (*version["layers"], version["classes"])]
    assert any(text.startswith("convolutions") for text in made)
    assert any("dense neurons" in text for text in made)
    groups = [cell.text for cell in explorer.all(".lineage-block")]
    assert len(groups) >= 3, "founding, training, growth"
    fits(explorer, "model-convolutions")


def test_the_canvas_asks_a_model_with_convolutions(explorer: Explorer, played: Played) -> None:
    explorer.open(f"draw/{played.model}", ".bars")
    explorer.find("select[aria-label='Class of the row'] option[value='4']").click()
    explorer.until_text("main", "A row of class 4")
    explorer.until_text(".said", "Class 4")
    fits(explorer, "draw-convolutions")
