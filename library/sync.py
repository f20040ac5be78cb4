"""Chains, models and rounds for programs and notebooks without `async`: each call waits for its answer.

Each method says in one line what it does. The classes of `chain`, `model` and `rounds`, which do the work in
an event loop of their own, describe arguments, results and errors.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar, Unpack

import numpy as np
import numpy.typing as npt

from engram.consensus.chainspec import ChainSpec
from engram.library.chain import AccountFacts, AsyncChain, Head
from engram.library.evaluation import Evaluation
from engram.library.explanation import Ancestry, Explanation
from engram.library.model import AsyncModel, ModelVersion, Proof
from engram.library.network import Network
from engram.library.opening import OpeningOptions
from engram.library.portal import Portal
from engram.library.rounds import AsyncRound, Played, PlayingOptions, RoundOutcome
from engram.participant.coins import Coins
from engram.participant.notices import Report
from engram.primitives.keys import PrivateKey


class SyncChain:
    """A chain through one node, see `AsyncChain`. Close it, or use it in a `with` block."""

    def __init__(self, inner: AsyncChain, portal: Portal | None = None) -> None:
        """Opens `inner`; what runs in `portal` ends with it. `connect` makes both."""
        self._portal: Final = Portal() if portal is None else portal
        self._owns_portal = portal is None
        self._inner: Final = inner
        self._others: Final[list[SyncChain]] = []
        try:
            self._portal.enter(inner)
        except BaseException:
            self._end_portal()
            raise

    def __repr__(self) -> str:
        return repr(self._inner)

    def __enter__(self) -> Self:
        """Raises `ChainClosed` if it has been closed: a `with` block ends what it is given."""
        self._inner.check_open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection. What still runs is cancelled first. Harmless if it is closed already."""
        while self._others:
            self._others.pop().close()
        if not self._owns_portal:
            self._portal.leave(self._inner)
        self._end_portal()

    def using(self, key: str | PrivateKey, passphrase: str | None = None) -> SyncChain:
        """The same chain, acting with another key; it is closed with this one."""
        other = SyncChain(self._inner.using(key, passphrase), self._portal)
        self._others.append(other)
        return other

    @property
    def url(self) -> str:
        """The RPC address of the node."""
        return self._inner.url

    @property
    def address(self) -> str:
        """The address of the key."""
        return self._inner.address

    def call(self, method: str, **params: Any) -> Any:
        """Sends any request to the node; docs/rpc describes the methods."""
        return self._portal.run(self._inner.call(method, **params))

    def head(self) -> Head:
        """The newest block."""
        return self._portal.run(self._inner.head())

    def spec(self) -> ChainSpec:
        """Every constant of the chain."""
        return self._portal.run(self._inner.spec())

    def account(self, address: str | PrivateKey | None = None) -> AccountFacts:
        """An account, by its address, name or key; by default that of the chain's key."""
        return self._portal.run(self._inner.account(address))

    def transfer(self, to: str | PrivateKey, coins: Coins) -> str:
        """Sends coins and waits for the block; the transaction's id."""
        return self._portal.run(self._inner.transfer(to, coins))

    def advance(
        self, blocks: int | None = None, *, ticks: int | None = None, phase: str | None = None
    ) -> Head:
        """Moves the time of a chain without work by blocks or ticks, or to a phase of the running round."""
        return self._portal.run(self._inner.advance(blocks, ticks=ticks, phase=phase))

    def snapshot(self) -> str:
        """The id of the newest block of a chain without work, for `revert`."""
        return self._portal.run(self._inner.snapshot())

    def revert(self, snapshot: str) -> Head:
        """Takes a chain without work back to a block; what came after is gone."""
        return self._portal.run(self._inner.revert(snapshot))

    def confirmed(self, txid: str) -> dict[str, Any]:
        """Waits until a block holds a transaction that was sent already; its receipt."""
        return self._portal.run(self._inner.confirmed(txid))

    def opened_round(self, txid: str) -> SyncRound:
        """The round that a transaction opens which was sent already, as soon as a block holds it."""
        return SyncRound(self._portal.run(self._inner.opened_round(txid)), self._portal)

    def models(self) -> list[SyncModel]:
        """The models of the chain."""
        return [SyncModel(each, self._portal) for each in self._portal.run(self._inner.models())]

    def model(self, id: str | None = None) -> SyncModel:
        """The model whose id begins so; None means the only one."""
        return SyncModel(self._portal.run(self._inner.model(id)), self._portal)

    def rounds(self, model: str | None = None) -> list[SyncRound]:
        """The rounds of the chain, or of a model; the oldest first."""
        return [SyncRound(each, self._portal) for each in self._portal.run(self._inner.rounds(model))]

    def round(self, id: str | None = None) -> SyncRound:
        """The round whose id begins so; None means the one that goes on, and of several the key's own."""
        return SyncRound(self._portal.run(self._inner.round(id)), self._portal)

    def events(self, *topics: str) -> Iterator[tuple[str, Any]]:
        """Every event of these topics from now on, as (topic, event), waited for one by one.

        The stream goes on after a restart of the node, without what happened meanwhile; `subscribed` says
        when that was so.
        """
        return (item for item in self.subscribed(*topics) if item is not None)

    def subscribed(self, *topics: str) -> Iterator[tuple[str, Any] | None]:
        """As `events`, with a None at first, and again after each restart of the node.

        What happens between the end of a node and the next None is told by no event: look at the chain at
        each None, and nothing is missed.
        """
        stream = self._portal.iterate(self._inner.subscribed(*topics))
        return itertools.chain([next(stream)], stream)  # it stands now

    def open_round(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        *,
        model: str | None = None,
        wait_for: int | None = None,
        sure: bool = False,
        **options: Unpack[OpeningOptions],
    ) -> SyncRound:
        """Opens a round with rows of your own, on a model or on a new one; `SyncRound.running` plays it."""
        opening = self._inner.open_round(X, y, model=model, wait_for=wait_for, sure=sure, **options)
        return SyncRound(self._portal.run(opening), self._portal)

    def _end_portal(self) -> None:
        if self._owns_portal:
            self._portal.close()


F = TypeVar("F", AsyncModel, AsyncRound)


class _Face(Generic[F]):
    """Something of a chain that has an id."""

    def __init__(self, inner: F, portal: Portal) -> None:
        self._inner: Final[F] = inner
        self._portal: Final = portal

    def __repr__(self) -> str:
        return repr(self._inner)

    @property
    def id(self) -> str:
        """The id, 64 hexadecimal digits."""
        return self._inner.id

    def info(self) -> dict[str, Any]:
        """What the node shows of it; see docs/rpc."""
        return self._portal.run(self._inner.info())


class SyncRound(_Face[AsyncRound]):
    """One round, see `AsyncRound`."""

    def wait(self) -> RoundOutcome:
        """Waits until the round has ended."""
        return self._portal.run(self._inner.wait())

    def run(self, report: Report | None = None) -> RoundOutcome:
        """Plays the opener's side to the end."""
        return self._portal.run(self._inner.run(report))

    @contextmanager
    def running(self, report: Report | None = None) -> Iterator[None]:
        """Plays the opener's side while the `with` block runs, and waits for its end behind the block.

        If the block raises, the opener stops where it is: `run` goes on later. `report` is called in another
        thread.
        """
        opener = self._portal.begin(self._inner.run(report))
        try:
            yield
            opener.result()
        except BaseException as error:
            opener.cancel()
            if (reason := opener.failure) not in (None, error):
                error.add_note(f"the opener had stopped: {type(reason).__name__}: {reason}")
            raise

    def participate(self, X: npt.ArrayLike, y: npt.ArrayLike, **options: Unpack[PlayingOptions]) -> Played:
        """Plays the round as an author: trains, commits, reveals, is scored, withdraws."""
        return self._portal.run(self._inner.participate(X, y, **options))

    def seal(self, X: npt.ArrayLike, y: npt.ArrayLike, *, seed: int | None = None) -> str:
        """Seals a part of one's own as a witness; its commitment."""
        return self._portal.run(self._inner.seal(X, y, seed=seed))

    def unseal(self, report: Report | None = None) -> None:
        """Waits for the last update and opens the part that this key has sealed."""
        self._portal.run(self._inner.unseal(report))


class SyncModel(_Face[AsyncModel]):
    """One model, see `AsyncModel`."""

    @property
    def versions(self) -> list[ModelVersion]:
        """All versions, from the founding on."""
        return self._portal.run(self._inner.versions())

    @property
    def lineage(self) -> list[Ancestry]:
        """Who made the neurons of the current version."""
        return self._portal.run(self._inner.lineage())

    def pull(self, version: int | None = None) -> Network:
        """The network of a version, checked against its root on the chain."""
        return self._portal.run(self._inner.pull(version))

    def predict(self, X: npt.ArrayLike, version: int | None = None) -> npt.NDArray[np.int64]:
        """(rows,): the class of each row, computed here."""
        return self.pull(version).predict(X)

    def predict_proba(self, X: npt.ArrayLike, version: int | None = None) -> npt.NDArray[np.float64]:
        """(rows, classes): the probability of each class, computed here."""
        return self.pull(version).predict_proba(X)

    def explain(self, X: npt.ArrayLike, version: int | None = None) -> Explanation:
        """Whose neurons made the predictions: exact parts of each row's largest logit and of its lead."""
        return self._portal.run(self._inner.explain(X, version))

    def evaluate(self, X: npt.ArrayLike, y: npt.ArrayLike, version: int | None = None) -> Evaluation:
        """Loss, accuracy and confusions on labelled rows, computed here."""
        return self._portal.run(self._inner.evaluate(X, y, version))

    def prove(
        self, version: int | None = None, *, checkpoint: str | None = None, confirmations: int = 10
    ) -> Proof:
        """A proof bundle about a version, which `engram verify` checks."""
        return self._portal.run(
            self._inner.prove(version, checkpoint=checkpoint, confirmations=confirmations)
        )
