"""What every act of the demonstration works with. Decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engram.node.localnet.localnet import Localnet
from engram.participant.demo.cast import Cast
from engram.participant.demo.data import DemoData
from engram.participant.demo.report import DemoReport
from engram.participant.demo.stage import Stage
from engram.participant.round_plan import RoundWindows
from engram.participant.view import ChainView
from engram.participant.wallet import Wallet


@dataclass(frozen=True)
class Scene:
    """One run: the network, who takes part, whose rows are whose, and who is told."""

    net: Localnet
    cast: Cast
    wallets: Mapping[str, Wallet]
    view: ChainView
    """The chain as the founder's node shows it."""
    data: DemoData
    windows: RoundWindows
    """Of every round."""
    seed: int
    folder: Path
    stage: Stage
    report: DemoReport
    """Grows as the acts go on."""

    def say(self, who: str, line: str) -> None:
        """Tells the stage."""
        self.stage.say(who, line)

    async def balance(self, name: str) -> int:
        """Spendable sparks of an actor, at his own node."""
        return int((await self.wallets[name].account())["balance"])
