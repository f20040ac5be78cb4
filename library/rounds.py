"""A round of a chain: what stands in it, and the parts of its opener, its authors and its witnesses."""

from __future__ import annotations

import secrets
import warnings
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, TypedDict, Unpack, cast

import numpy.typing as npt

from engram.library.checks import called, coins, positive, whole
from engram.library.connection import Connection
from engram.library.errors import OptionInvalid, OptionUnused
from engram.library.names import People
from engram.library.rows import dataset_of
from engram.library.words import in_words
from engram.node.client import RpcClient
from engram.node.errors import RemoteError
from engram.participant.agent import Agent
from engram.participant.coins import Coins, coins_of, sparks_of
from engram.participant.errors import RoundMissed
from engram.participant.finding import SHOWN_DIGITS
from engram.participant.notices import Notice, Report
from engram.participant.opener import Opener
from engram.participant.pricing import Limits
from engram.participant.reconnect import watch
from engram.participant.selection import GivenRows
from engram.participant.strategies import Plan, honest
from engram.participant.task import unwatched
from engram.participant.training.backends import BACKENDS, Backend, backend_named
from engram.participant.training.qat import Budget
from engram.participant.wallet import Wallet
from engram.participant.witness import Witness, sealed_part
from engram.statemachine.rounds.records import RoundStatus

_WHOLE: Final[Mapping[str, tuple[int, int | None]]] = {
    **{"steps": (1, None), "patience": (0, None), "batch": (1, None), "neurons": (0, None)},
    **{"seed": (0, 2**64 - 1), "epochs": (1, None)},
}
"""Whole numbers among the options of an author, from and up to which they mean something."""

Progress = Callable[[int, float], None]
"""Called during training with the number of the step and the loss of its batch."""


class PlayingOptions(TypedDict, total=False):
    """What an author may choose, as in `engram participate`. The defaults, and what None means:

    `steps` 1000, `batch` 64, `learning_rate` 1.0, `seed` 0, `trainer` "numpy". All others are None:
    `neurons` (of a growth: as many as the round allows), `epochs` (all of the round), `device` (of torch: the
    best that there is), `patience` (all steps are taken; with N, every tenth row of each class is set aside,
    and training ends once N looks at their loss in a row, of a hundred, have found none that is lower),
    `max_bond` and `max_fee` (no limit), `report` and `progress` (nobody is told).
    """

    steps: int
    patience: int | None
    batch: int
    learning_rate: float
    neurons: int | None
    seed: int
    epochs: int | None
    trainer: str
    device: str | None
    max_bond: Coins | None
    max_fee: Coins | None
    report: Report | None
    progress: Progress | None


@dataclass(frozen=True)
class UpdateOutcome:
    """What came of one update of a round."""

    epoch: int
    """Counted from 0, as in records and RPC; `why` and other texts call the first epoch 1."""
    author: str
    paid: Decimal
    """Coins that its author got of the pot, or the authors of the growths that it unites."""
    reasons: tuple[str, ...]
    """Codes that say why it was not paid; empty if it was."""
    why: tuple[str, ...]
    """The same in words, or how it won."""

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> UpdateOutcome:
        """From a line of what `round_outcomes` gives."""
        reasons, why = tuple(map(str, found["reasons"])), tuple(map(str, found["why"]))
        return cls(int(found["epoch"]), str(found["author"]), coins_of(int(found["paid"])), reasons, why)


@dataclass(frozen=True)
class RoundOutcome:
    """How a round has ended. `str()` of it is what `engram round show` says of it."""

    round: str
    model: str
    status: str
    """`decided`; `kept` if no update was good enough; `aborted` if the opener has failed a duty, and
    `cancelled` if a standing witness has.
    """
    version: int | None
    """The version that it has made, if it is decided."""
    winner: str | None
    """The author of that version."""
    why: tuple[str, ...] = ()
    """Why it has ended so, in words, as `engram round show` prints it."""
    winner_name: str | None = None
    """The winner's name, if it is known here."""
    updates: tuple[UpdateOutcome, ...] = ()
    """What came of each update, as `engram round show --why` lists it."""

    def __str__(self) -> str:
        made = (
            f": version {self.version} by {self.winner_name or self.winner}"
            if self.version is not None
            else ""
        )
        return "\n".join([f"round {self.round[:SHOWN_DIGITS]} is {self.status}{made}", *self.why])


@dataclass(frozen=True)
class Epoch:
    """What came of one epoch for an author."""

    epoch: int
    """Counted from 0."""
    code: str
    """`candidate_admitted`, or the name of what happened instead."""
    loss: int
    """The claimed loss on the revealed rows in Q24 nats, summed over rows; 0 if nothing was committed."""


@dataclass(frozen=True)
class Played:
    """A round that an author has played to its end."""

    outcome: RoundOutcome
    epochs: tuple[Epoch, ...]
    fees: Decimal
    """Coins that were offered as fees."""
    bonds_returned: Decimal
    bonds_burned: Decimal
    claimed: Decimal
    """Coins of mature rewards that were claimed at the end."""
    maturing: Decimal
    """Coins of rewards that cannot be claimed yet."""


class AsyncRound:
    """One round. `AsyncChain.round` finds it, `AsyncChain.open_round` opens it."""

    def __init__(self, chain: Connection, id: str) -> None:
        self._chain = chain
        self.id: Final = id

    def __repr__(self) -> str:
        return f"<round {self.id[:12]}>"

    async def info(self) -> dict[str, Any]:
        """The round as a `Round` of docs/json.md: terms, parts, phase, calendar.

        Kinds and statuses are words, amounts are in sparks. `call("round_get", id=...)` gives the node's own
        numbers for kinds.
        """
        found: dict[str, Any] = in_words(await self._get(self._chain.client))
        return found

    async def wait(self) -> RoundOutcome:
        """Waits until the round has ended. It ends when somebody settles it: `run` and `participate` do."""
        return await self._ended(self._chain.client)

    async def run(self, report: Report | None = None) -> RoundOutcome:
        """Plays the opener's side to the end: reveals what is drawn, opens what is sealed, settles.

        It needs the key and the data directory with which the round was opened. Safe to call again after a
        crash. `report` is told each step.

        Raises `KeyMissing`, `ForeignRound`, `SecretsNotFound`, `RoundOver`.
        """
        tell = report or unreported
        async with self._acting(tell) as wallet:
            await Opener(wallet, self._chain.rounds_folder, tell).run(bytes.fromhex(self.id))
            return await self._ended(wallet.client)

    async def participate(
        self, X: npt.ArrayLike, y: npt.ArrayLike, **options: Unpack[PlayingOptions]
    ) -> Played:
        """Plays the round as an author: trains on these rows, commits, reveals, is scored, withdraws.

        `help(engram.library.rounds.PlayingOptions)` lists the options with their defaults.

        Before training, the loss of the version that it builds on is recomputed. What a reveal needs is saved
        in the data directory before the commit is sent: after a crash, call it again in time. `neurons` are
        for a growth, None takes as many as the round allows. `trainer` is numpy, or torch, which is an extra.
        `max_bond` and `max_fee` bound what is at stake and what is paid.

        Raises `OptionInvalid`, `OptionUnused`, `KeyMissing`, `DatasetMismatch`, `BondAboveLimit`,
        `AlreadyPlaying`, `VersionMismatch`, `TorchMissing`, and `RoundMissed` if the phases of all epochs had
        passed.
        """
        options = _checked(options)
        budget, fit = _training(options)
        data, tell = dataset_of(X, y), options.get("report") or unreported
        limits = Limits(_sparks(options.get("max_bond")), _sparks(options.get("max_fee")))
        with fit as backend:
            plan = Plan(data, budget, options.get("neurons"), options.get("seed", 0), backend.fit)
            async with self._acting(tell) as wallet:
                agent = Agent(
                    wallet,
                    honest(plan),
                    self._chain.rounds_folder,
                    tell,
                    data=data,
                    limits=limits,
                    epochs=options.get("epochs"),
                    progress=options.get("progress") or unwatched,
                )
                played = await agent.play(bytes.fromhex(self.id))
                outcome = await self._ended(wallet.client)
        if played.is_missed:
            raise RoundMissed(
                "no epoch of the round was played, because its phases had passed: begin earlier, and look at "
                "round.info() first, because an event may be of a round that is over by now",
                got=self.id,
            )
        return Played(
            outcome,
            tuple(Epoch(each.epoch, each.code, each.loss) for each in played.epochs),
            coins_of(played.fees),
            coins_of(played.withdrawn.returned),
            coins_of(played.withdrawn.burned),
            coins_of(played.claimed),
            coins_of(played.maturing),
        )

    async def seal(self, X: npt.ArrayLike, y: npt.ArrayLike, *, seed: int | None = None) -> str:
        """Seals a part made of these rows, as a witness whom the round names; returns its commitment.

        `unseal` opens it later. Raises `KeyMissing`, `NotAWitness`, `PartPublic`, `RoundOver`.
        """
        identity, drawn = bytes.fromhex(self.id), secrets.randbelow(2**63) if seed is None else seed
        async with self._chain.naming_errors():
            part = await sealed_part(self._chain.wallet, GivenRows(dataset_of(X, y)), identity, drawn)
            await Witness(self._chain.wallet, self._chain.rounds_folder, unreported).seal(identity, part)
        return part.parts[0].commitment.hex()

    async def unseal(self, report: Report | None = None) -> None:
        """Waits for the last update and opens the part that this key has sealed. Raises `SecretsNotFound`."""
        tell = report or unreported
        async with self._acting(tell) as wallet:
            await Witness(wallet, self._chain.rounds_folder, tell).testify(bytes.fromhex(self.id))

    @asynccontextmanager
    async def _acting(self, report: Report) -> AsyncIterator[Wallet]:
        """The key's account on a client of its own, for which the blocks of a test network wait: so several
        can play at once. Raises `KeyMissing`.
        """
        key = self._chain.wallet.key
        async with self._chain.naming_errors(), self._chain.acting_client(report) as client:
            yield Wallet(client, key)

    async def _ended(self, client: RpcClient) -> RoundOutcome:
        async def look() -> dict[str, Any] | None:
            found = await self._get(client)
            return None if int(found["status"]) == RoundStatus.OPEN else found

        found = await watch(client, look, "heads")
        with client.understood("round_get"):
            status = RoundStatus(found["status"])
        decided = status == RoundStatus.DECIDED
        people = await self._chain.people()
        why, updates = await self._reasons(client, people)
        winner = str(found["winner"]) if decided else None
        return RoundOutcome(
            self.id,
            str(found["model"]),
            status.name.lower(),
            int(found["new_version"]) if decided else None,
            winner,
            why,
            people.name(winner),
            updates,
        )

    async def _get(self, client: RpcClient) -> dict[str, Any]:
        """The node's record of the round. A round that is gone is named as such, with what to do."""
        try:
            found: dict[str, Any] = await client.call("round_get", id=self.id)
        except RemoteError as error:
            if error.code != "missing_round":
                raise
            raise RemoteError(
                "the chain holds no such round, or holds it no more: it was taken back, or the node at "
                f"{client.url} is of another chain. chain.rounds() gives the rounds that it holds",
                code=error.code,
                got=self.id,
            ) from None
        return found

    async def _reasons(
        self, client: RpcClient, people: People
    ) -> tuple[tuple[str, ...], tuple[UpdateOutcome, ...]]:
        """Why the round has ended as it did, and what came of each update.

        A node that has pruned the states of the round cannot tell any more: then it says so itself.
        """
        try:
            told = await client.call("round_outcomes", id=self.id)
        except RemoteError as error:
            return (f"the node does not tell the reasons: {error}",), ()
        updates = tuple(UpdateOutcome.of(each) for each in told["updates"])
        return tuple(people.read(str(each)) for each in told["why"]), updates


def unreported(notice: Notice) -> None:
    """The report of a caller who wants none: it warns of what stops the round until somebody acts."""
    if notice.event == "program_left":
        warnings.warn(str(notice), stacklevel=2)


def _checked(given: PlayingOptions) -> PlayingOptions:
    """The options that are given and are not None. Raises `TypeError`, `OptionInvalid`."""
    if unknown := sorted(set(given) - set(PlayingOptions.__annotations__)):
        raise TypeError(f"participate() got an unexpected keyword argument {unknown[0]!r}")
    found: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    for name, (least, most) in _WHOLE.items():
        if name in found:
            found[name] = whole(name, found[name], least, most)
    if "learning_rate" in found:
        positive("learning_rate", found["learning_rate"])
    for name in ("max_bond", "max_fee"):
        if name in found:
            coins(name, found[name])
    for name in ("report", "progress"):
        if name in found:
            called(name, found[name])
    return cast(PlayingOptions, found)


def _training(options: PlayingOptions) -> tuple[Budget, AbstractContextManager[Backend]]:
    """How long to train, and with what. Raises `OptionInvalid`, `OptionUnused`."""
    trainer, device = options.get("trainer", "numpy"), options.get("device")
    if trainer not in BACKENDS:
        told = " and ".join(BACKENDS)
        raise OptionInvalid(f"no trainer is called {trainer!r}; there are {told}", expected=told, got=trainer)
    if trainer == "numpy" and device is not None:
        raise OptionUnused("device has no effect on numpy: leave it out, or say trainer='torch'", got=device)
    budget = Budget(
        steps=options.get("steps", 1_000),
        batch=options.get("batch", 64),
        learning_rate=options.get("learning_rate", 1.0),
        patience=options.get("patience") or 0,
    )
    return budget, backend_named(trainer, device or "auto")


def _sparks(coins: Coins | None) -> int | None:
    return None if coins is None else sparks_of(coins)
