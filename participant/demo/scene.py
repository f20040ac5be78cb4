"""What every act of the demonstration works with: network, actors, data, stage and report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engram.node.localnet.localnet import Localnet
from engram.participant.demo.cast import Cast
from engram.participant.demo.chorus import Chorus
from engram.participant.demo.data import DemoData
from engram.participant.demo.report import DemoReport
from engram.participant.view import ChainView
from engram.participant.wallet import Wallet


@dataclass(frozen=True)
class Scene:
    """Everything that belongs to one run of the demonstration."""

    net: Localnet
    cast: Cast
    wallets: Mapping[str, Wallet]
    view: ChainView
    """The chain, read through the founder's node."""
    data: DemoData
    seed: int
    folder: Path
    stage: Chorus
    report: DemoReport
    """The report, to which each act adds rows."""

    def say(self, who: str, line: str) -> None:
        """Tells the stage that `who` has done something or that something came of it."""
        self.stage.say(who, line)

    async def balance(self, name: str) -> int:
        """The spendable sparks of an actor, as the actor's node has them."""
        return int((await self.wallets[name].account())["balance"])
