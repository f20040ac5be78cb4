"""Who was caught, in a real browser: a round of two epochs in which one author claims false losses."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from engram.node.config import Config
from engram.node.threaded import running_node
from engram.participant.adversaries import liar
from engram.primitives.keys import format_address
from tests.support.browser import Explorer
from tests.support.cli import Shell
from tests.support.dev_node import HRP
from tests.support.round_matter import ALICE, BOB
from tests.support.stage import digits, learner, running_stage, small_model, small_round, stage_spec

TWO = (0, 1)
LIAR = format_address(ALICE.address, HRP)
HONEST = format_address(BOB.address, HRP)


@dataclass(frozen=True)
class Played:
    """A node on which the round has ended."""

    url: str
    round: str
    shell: Shell


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    folder, spec = tmp_path_factory.mktemp("node"), stage_spec()

    async def play() -> str:
        async with running_stage(folder, spec) as stage:
            round_id = await stage.begin(small_round(digits(1, *TWO), epochs=2), small_model())
            await stage.finish(round_id, {"alice": liar(learner(3, *TWO)), "bob": learner(2, *TWO)})
            return round_id.hex()

    round_id = asyncio.run(play())
    with running_node(Config(data_dir=folder, rpc_port=0, p2p_port=0), spec) as node:
        assert node.info is not None
        yield Played(node.info.rpc_url, round_id, Shell(folder, {}))


@pytest.fixture(scope="module")
def explorer(driver: object, played: Played) -> Explorer:
    return Explorer(driver, played.url)


def failed(played: Played) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = played.shell.json("round", "show", played.round)["failed"]
    return found


def test_a_false_claim_is_struck_out_as_caught(explorer: Explorer, played: Played) -> None:
    explorer.open(f"round/{played.round}", "li.card.caught")
    cards = explorer.all("li.card.caught")
    told = failed(played)
    assert len(cards) == len(told) == 2, "she lied in both epochs"
    for number, (card, each) in enumerate(zip(cards, told, strict=True), start=1):
        text = card.text
        assert f"in epoch {number}" in text, "people count from 1"
        assert "caught: loss mismatch" in text
        assert each["why"] in text
        assert each["why"].startswith("claimed loss ")
        assert ", recomputed " in each["why"]
        assert "Bond lost" in text
    struck, colour = explorer.driver.execute_script(
        """const find = (selector) => document.querySelector(selector);
        const [link, tag] = [find("li.caught s a"), find("li.caught .tag")];
        return [getComputedStyle(link.closest("s")).textDecorationLine, getComputedStyle(tag).color]"""
    )
    assert struck == "line-through"
    failure, success = (
        explorer.driver.execute_script(
            """const tag = document.createElement("span");
            tag.className = `tag ${arguments[0]}`;
            document.querySelector("main").append(tag);
            const colour = getComputedStyle(tag).color;
            tag.remove();
            return colour""",
            kind,
        )
        for kind in ("bad", "good")
    )
    assert colour not in (failure, success), "to catch a lie is neither a failure nor the liar's success"
    explorer.picture("round-caught")
    explorer.resize("phone")
    assert explorer.overflow_px() <= 0
    explorer.resize("desktop")
    explorer.find(f'li.caught a[href="#/tx/{told[0]["txid"]}"]').click()
    explorer.until_text("h1", "Reveal update")
    assert "failed: loss mismatch" in explorer.text()
    assert ", epoch 1, and claims a loss of" in explorer.text()


def test_epochs_are_counted_from_one(explorer: Explorer, played: Played) -> None:
    explorer.open(f"round/{played.round}", "li.card.won")
    shown = explorer.text()
    for name in ("commit 1", "update 1", "commit 2", "update 2", "in epoch 1", "in epoch 2"):
        assert name in shown, name
    for name in ("commit 0", "update 0", "epoch 0"):
        assert name not in shown, name
    timeline = explorer.find("svg.timeline").get_attribute("textContent")
    assert "commit 1: ticks" in timeline
    assert "commit 0" not in timeline
