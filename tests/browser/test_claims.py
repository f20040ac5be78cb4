"""Claims of scores, in a real browser: one that was refuted, and one that was confirmed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest

from engram.node.client import RpcClient
from engram.node.config import Config
from engram.node.threaded import running_node
from engram.participant.adversaries import flattering
from engram.participant.claiming import Claims, Telling, truly
from engram.participant.verification import Disputed
from engram.participant.wallet import Wallet
from engram.participant.watcher import Watcher
from engram.primitives.types import Hash
from tests.support.browser import Explorer
from tests.support.stage import Stage, digits, learner, running_stage, small_model, small_round, stage_spec

TWO = (0, 1)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The address of a node, and a round on it that has ended; nobody has withdrawn."""
    folder, spec = tmp_path_factory.mktemp("node"), stage_spec()

    async def play() -> str:
        async with running_stage(folder, spec) as stage:
            model = small_model(verification=Disputed(audited=2))
            round_id = await stage.begin(small_round(digits(1, *TWO)), model)
            await stage.finish(
                round_id,
                {},
                alice=_claiming(stage, round_id, 2, flattering(1, 9)),
                bob=_claiming(stage, round_id, 3, truly),
                carol=_watching(round_id),
            )
            return round_id.hex()

    round_id = asyncio.run(play())
    with running_node(Config(data_dir=folder, rpc_port=0, p2p_port=0), spec) as node:
        assert node.info is not None
        yield node.info.rpc_url, round_id


def _claiming(
    stage: Stage, round_id: Hash, share: int, telling: Telling
) -> Callable[[Wallet], Awaitable[None]]:
    async def play(wallet: Wallet) -> None:
        author = stage.author(wallet, learner(share, *TWO), telling=telling)
        await author.play_epoch(round_id, 0)
        claims = Claims(wallet, author.view, telling)
        await claims.score(round_id)
        await claims.confirm(round_id)

    return play


def _watching(round_id: Hash) -> Callable[[Wallet], Awaitable[None]]:
    async def watch(wallet: Wallet) -> None:
        await Watcher(wallet, lambda notice: None).run(round_id)

    return watch


@pytest.fixture(scope="module")
def explorer(driver: object, played: tuple[str, str]) -> Explorer:
    return Explorer(driver, played[0])


def test_the_page_of_a_round_tells_what_became_of_each_claim(
    explorer: Explorer, played: tuple[str, str]
) -> None:
    explorer.open(f"round/{played[1]}", "li.card.won")
    lost, won = sorted((card.text for card in explorer.all("ul.grid li.card")), key=lambda text: "★" in text)
    assert "confirmed" in won
    assert "every node has recomputed 2 of 6 chunks" in won
    assert "refuted" in lost
    assert "The bond is lost" in lost
    assert "a gain is proved" in won
    assert "a gain is proved" not in lost, "what was claimed of it is false"
    assert "Its author claimed scores that the update does not have" in lost
    assert "On this model each author claims them, row by row." in explorer.text()
    explorer.picture("round-claims")
    explorer.resize("phone")
    assert explorer.overflow_px() <= 0
    explorer.resize("desktop")


def test_blocks_tell_of_claims_disputes_and_confirmations(
    explorer: Explorer, played: tuple[str, str]
) -> None:
    async def places() -> dict[str, str]:
        found = {}
        async with RpcClient(played[0]) as client:
            for height in range(1, int((await client.call("chain_head"))["height"]) + 1):
                for tx in (await client.call("chain_block", height=height))["transactions"]:
                    found[tx["name"]] = str(tx["txid"])
        return found

    found = asyncio.run(places())
    for name, text in (
        ("score_update", "claims the scores of an update in round"),
        ("dispute_claim", "disputes a chunk of what"),
        ("confirm_update", "with 2 audited chunks"),
    ):
        explorer.open(f"tx/{found[name]}", "h1")
        assert text in explorer.text()
