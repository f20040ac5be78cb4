"""An author that finds open rounds by itself and plays one of them, or one after another.

What the author proposes is decided by the strategy that it is given; how one round is played stands in
`author.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from engram.nn.engine import FAST, Engine
from engram.node.amounts import format_coins
from engram.node.epochs import in_epoch
from engram.participant.author import Author
from engram.participant.datasets import Dataset
from engram.participant.epoch_reports import EpochReport
from engram.participant.errors import BondAboveLimit, DatasetMismatch, NoOpenRound
from engram.participant.export import load_version, pull_version
from engram.participant.finding import SHOWN_DIGITS, chosen, is_open, takes_updates
from engram.participant.journal import Journal
from engram.participant.notices import Notice, Report
from engram.participant.opener import ended
from engram.participant.pricing import Limits
from engram.participant.reconnect import watch
from engram.participant.rewards import claim_mature
from engram.participant.scoring import Withdrawn
from engram.participant.selection import check_inputs
from engram.participant.strategies import Donor
from engram.participant.task import Strategy
from engram.participant.training.qat import Progress
from engram.participant.view import ChainView
from engram.participant.wallet import Wallet
from engram.primitives.types import Hash
from engram.statemachine.additions import SegmentSources
from engram.statemachine.records import Model
from engram.statemachine.rounds.records import Round, RoundStatus


@dataclass(frozen=True)
class AgentResult:
    """A round that has ended, and what one author did and earned in it."""

    round: Round
    epochs: tuple[EpochReport, ...]
    fees: int
    """Sparks offered as fees in this round."""
    claimed: int
    """Sparks of mature rewards, from this round or earlier, that were claimed at the end of the round."""
    maturing: int
    """Sparks of rewards that have not matured and can be claimed later."""
    withdrawn: Withdrawn
    """What became of the bonds."""

    @property
    def is_missed(self) -> bool:
        """Whether this account has had no part in the round, because its phases had passed."""
        return not self.epochs and self.withdrawn == Withdrawn()

    def to_json(self) -> dict[str, Any]:
        """The result as JSON values."""
        return {
            "round": self.round.id.hex(),
            "model": self.round.model.hex(),
            "status": RoundStatus(self.round.status).name.lower(),
            "version": self.round.new_version if self.round.status == RoundStatus.DECIDED else None,
            "epochs": [{"epoch": e.epoch, "code": e.code, "loss": e.loss} for e in self.epochs],
            "fees": self.fees,
            "bonds_returned": self.withdrawn.returned,
            "bonds_burned": self.withdrawn.burned,
            "claimed": self.claimed,
            "maturing": self.maturing,
        }


class Agent:
    """Plays rounds with one account."""

    def __init__(
        self,
        wallet: Wallet,
        strategy: Strategy,
        folder: Path,
        report: Report,
        *,
        data: Dataset | None,
        limits: Limits,
        epochs: int | None,
        progress: Progress,
        unites: bool = False,
        engine: Engine = FAST,
    ) -> None:
        """`folder` keeps the secrets that reveals need. `data` is what the strategy trains on; None if it
        does not train. `epochs` is the most epochs to play in each round; None plays all. `unites` says that
        the strategy unites growths.
        """
        self.wallet: Final = wallet
        self.view: Final = ChainView(wallet.client)
        self._strategy = strategy
        self._journal = Journal(folder)
        self._report = report
        self._data = data
        self._limits = limits
        self._epochs = epochs
        self._progress = progress
        self._unites = unites
        self._engine = engine
        self._played: set[Hash] = set()

    async def play(self, round_id: Hash) -> AgentResult:
        """Plays one round to its end, then claims mature rewards. Safe to call again after a crash.

        Before anything is sent, raises `DatasetMismatch` if the data do not fit the model, `BondAboveLimit`
        if the round asks for a higher bond than the limits allow, `AlreadyPlaying` if another program plays
        the round with this key. Later it raises as `Author.play` does.
        """
        round_ = await self.view.get(Round, round_id)
        if self._data is not None:
            check_inputs(self._data, await self.view.get(Model, round_.model))
            if not self._data.of_classes(range(round_.classes)).rows:
                raise DatasetMismatch(f"no row has a label of the round's classes, 0 to {round_.classes - 1}")
        bond, most = round_.terms.author_bond, self._limits.max_bond
        if most is not None and bond > most:
            raise BondAboveLimit(expected=most, got=bond)
        fees = self.wallet.fees
        self._report(Notice(f"playing round {round_id.hex()[:12]}", "playing", round=round_id.hex()))
        author = Author(
            self.wallet,
            self._strategy,
            self._report,
            journal=self._journal,
            limits=self._limits,
            epochs=self._epochs,
            progress=self._progress,
            unites=self._unites,
            engine=self._engine,
        )
        with self._journal.playing(round_id, self.wallet.key.address):
            reports = await author.play(round_id)
        self._played.add(round_id)
        round_ = await self.view.get(Round, round_id)
        self._report(ended(round_))
        claimed = await claim_mature(self.wallet)
        return AgentResult(
            *(round_, tuple(reports), self.wallet.fees - fees),
            *(claimed.amount, claimed.maturing, author.withdrawn),
        )

    async def open_round(self, model: Hash | None) -> Hash:
        """The round in which this agent can play; of `model`, if given. Of several, the one in which it has
        updates is meant.

        Raises `IdAmbiguous`, and `NoOpenRound`, which names the commits that this account has failed to
        reveal.
        """
        found = await self._playable(model)
        if not found:
            raise NoOpenRound(NoOpenRound().message + await self._losses(), got=model)
        return bytes.fromhex(chosen("round", found, None))

    async def _losses(self) -> str:
        """Which bonds the account has lost because a round has ended before it revealed; may be empty."""
        held = await self.wallet.client.call("account_updates", address=await self.wallet.address())
        return "".join(
            f". In round {each['round'][:SHOWN_DIGITS]}, {in_epoch(each['epoch'])}, you committed to an "
            f"update and did not reveal it in time, so that bond is lost ({format_coins(each['bond'])})"
            for each in held
            if each["kind"] == "commit" and each["can_withdraw"]
        )

    async def next_round(self, model: Hash | None) -> Hash:
        """Waits until there is a round in which this agent can play; of `model`, if given."""
        self._report(Notice("waiting for a round", "waiting", phase="open"))
        return await watch(self.wallet.client, lambda: self._find(model), "heads")

    async def _find(self, model: Hash | None) -> Hash | None:
        """The oldest round in which this agent can play: first of all one in which it has updates already."""
        return next((bytes.fromhex(item["id"]) for item in await self._playable(model)), None)

    async def _playable(self, model: Hash | None) -> list[dict[str, Any]]:
        """The rounds in which this agent can play, the oldest first: those in which it has updates; if there
        are none, those that still take updates.
        """
        listed = await self.wallet.client.call("round_list", model=model)
        rounds = [item for item in listed if is_open(item) and bytes.fromhex(item["id"]) not in self._played]
        own = []
        for item in rounds:
            round_ = await self.view.get(Round, bytes.fromhex(item["id"]))
            if await self.view.updates_of(round_, self.wallet.key.address):
                own.append(item)
        return own or [item for item in rounds if takes_updates(item)]


async def find_donor(view: ChainView, model: Hash) -> Donor:
    """The current version of another model, to adopt. Its tensors are on the chain and need no upload."""
    pulled = await pull_version(view.client, model)
    whole = pulled.network
    sources = tuple(SegmentSources(own.weights, own.bias) for own in whole.segments)
    split = len(whole.hidden)
    return Donor(whole.spec, pulled.parameters, sources[:split], sources[split:])


def load_donor(path: Path) -> Donor:
    """The network in a file of `engram model pull`, to adopt. Raises as `export.load_version` does."""
    return Donor(*load_version(path))
