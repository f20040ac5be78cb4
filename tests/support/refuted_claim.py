"""A chain on which one author's claim of scores was refuted and another's was confirmed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engram.consensus.chainspec import ChainSpec
from engram.node.config import Config
from engram.node.threaded import running_node
from engram.participant.adversaries import flattering
from engram.participant.claiming import Claims, Telling, truly
from engram.participant.verification import Disputed
from engram.participant.wallet import Wallet
from engram.participant.watcher import Watcher
from engram.primitives.keys import format_address
from engram.primitives.types import Hash
from tests.support.dev_node import HRP
from tests.support.round_matter import ALICE, BOB, CAROL
from tests.support.stage import Stage, digits, learner, running_stage, small_model, small_round, stage_spec

TWO: Final = (0, 1)
LIE: Final = (1, 9)
"""Part and row: the second of three chunks of the part that decides."""
LIAR, HONEST, WATCHER = (format_address(key.address, HRP) for key in (ALICE, BOB, CAROL))


@dataclass(frozen=True)
class PlayedLie:
    """A node on which the round has ended, and nobody has withdrawn."""

    url: str
    round: str


@contextmanager
def refuted_claim(folder: Path) -> Iterator[PlayedLie]:
    """The node of this data directory, after Alice has lied, Bob has not, and Carol has watched."""
    spec = stage_spec()
    round_id = asyncio.run(_play(folder, spec))
    with running_node(Config(data_dir=folder, rpc_port=0, p2p_port=0), spec) as node:
        assert node.info is not None, "a node that runs has told where it listens"
        yield PlayedLie(node.info.rpc_url, round_id.hex())


async def _play(folder: Path, spec: ChainSpec) -> Hash:
    async with running_stage(folder, spec) as stage:
        model = small_model(verification=Disputed(audited=2))
        round_id = await stage.begin(small_round(digits(1, *TWO)), model)
        await stage.finish(
            round_id,
            {},
            alice=_claiming(stage, round_id, 2, flattering(*LIE)),
            bob=_claiming(stage, round_id, 3, truly),
            carol=_watching(round_id),
        )
        return round_id


def _claiming(
    stage: Stage, round_id: Hash, share: int, telling: Telling
) -> Callable[[Wallet], Awaitable[None]]:
    """An author who does not withdraw, so that the candidate stays."""

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
