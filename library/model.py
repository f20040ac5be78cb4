"""A model of a chain: its versions, who made it, its integers, and proofs about it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from operator import index
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from engram.library.connection import Connection
from engram.library.errors import OptionInvalid
from engram.library.evaluation import Evaluation
from engram.library.explanation import Ancestry, Explanation
from engram.library.network import Network
from engram.library.words import in_words
from engram.nn.loss import LossKind
from engram.participant.errors import RecordMissing
from engram.participant.export import pull_version
from engram.statemachine.rounds.records import RoundKind

Q24: Final = 2**24
"""Units of a nat in which the chain counts losses."""


@dataclass(frozen=True)
class ModelVersion:
    """One version of a model, as the chain has it."""

    number: int
    height: int
    """Of the block that made it."""
    kind: str
    """`train` or `grow`: what the round was that made it."""
    classes: int
    neurons: int
    parameter_bytes: int
    """Of all its weights and biases, in the form in which the chain holds them."""
    author: str | None
    """None for a version 0 that nobody has trained."""
    root: str
    """The hash from which every integer of it follows."""
    loss: float | None
    """Nats a row on the rows that nobody had seen before the reveals; None if none was scored."""
    accuracy: float | None
    """Share of these rows that it gets right."""

    @classmethod
    def of(cls, found: dict[str, Any]) -> ModelVersion:
        """From what `model_versions` gives."""
        rows = int(found["sealed_rows"])
        return cls(
            number=int(found["number"]),
            height=int(found["height"]),
            kind=RoundKind(int(found["kind"])).name.lower(),
            classes=int(found["classes"]),
            neurons=int(found["neurons"]),
            parameter_bytes=int(found["parameter_bytes"]),
            author=found["author"],
            root=str(found["root"]),
            loss=int(found["sealed_loss"]) / rows / Q24 if rows else None,
            accuracy=int(found["sealed_correct"]) / rows if rows else None,
        )


@dataclass(frozen=True)
class Proof:
    """A proof about a version, which `engram verify` checks without a node."""

    raw: bytes
    facts: dict[str, Any]
    """What the node says of it, among this the id of the block whose state is proven."""

    def __repr__(self) -> str:
        return f"<proof of {len(self.raw):,} bytes>"

    def save(self, path: str | Path) -> Path:
        """Writes the bundle to a file; returns its path."""
        target = Path(path)
        target.write_bytes(self.raw)
        return target


class AsyncModel:
    """One model. `AsyncChain.model` finds it.

    What it predicts is computed here, with the integers of a version that were checked against the root on
    the chain: rows are sent nowhere, and the answers are those that every node would give.
    """

    def __init__(self, chain: Connection, id: str) -> None:
        self._chain = chain
        self.id: Final = id
        self._pulled: dict[int, Network] = {}

    def __repr__(self) -> str:
        return f"<model {self.id[:12]}>"

    async def info(self) -> dict[str, Any]:
        """The model as `engram model show --json` has it: rules, current version, limits, in words.

        docs/json.md describes the fields; amounts are in sparks. `call("model_get", id=...)` gives the node's
        own numbers for kinds.
        """
        found: dict[str, Any] = in_words(await self._told())
        return found

    async def _told(self) -> dict[str, Any]:
        """The model with the node's own numbers."""
        found: dict[str, Any] = await self._chain.client.call("model_get", id=self.id)
        return found

    async def versions(self) -> list[ModelVersion]:
        """All versions, from the founding on."""
        found = await self._chain.client.call("model_versions", id=self.id)
        with self._chain.client.understood("model_versions"):
            return [ModelVersion.of(item) for item in found]

    async def lineage(self, version: int | None = None) -> list[Ancestry]:
        """Who made the neurons of a version, by default the current one, and since which version they are
        there.
        """
        found = await self._chain.client.call("model_version", id=self.id, version=version)
        people = await self._chain.people()
        return [Ancestry.of(item, people) for item in found["lineage"]]

    async def pull(self, version: int | None = None) -> Network:
        """The network of a version, by default the current one, checked against its root on the chain.

        Raises `RecordMissing` if there is no such version, `OptionInvalid`, `BlobMismatch`.
        """
        number = int((await self._told())["head"]) if version is None else _number(version)
        if not 0 <= number < 2**32:
            raise RecordMissing("the chain has no such version", got=number)
        if number not in self._pulled:
            pulled = await pull_version(self._chain.client, bytes.fromhex(self.id), number)
            self._pulled[number] = Network.of_version(pulled, await self._chain.people())
        return self._pulled[number]

    async def predict(self, X: npt.ArrayLike, version: int | None = None) -> npt.NDArray[np.int64]:
        """(rows,): the class of each row. Raises as `pull` and as `Network.predict`."""
        return await asyncio.to_thread((await self.pull(version)).predict, X)

    async def predict_proba(self, X: npt.ArrayLike, version: int | None = None) -> npt.NDArray[np.float64]:
        """(rows, classes): the probability of each class. Raises as `pull` and as `Network.predict_proba`."""
        return await asyncio.to_thread((await self.pull(version)).predict_proba, X)

    async def explain(self, X: npt.ArrayLike, version: int | None = None) -> Explanation:
        """Whose neurons made the predictions: exact parts of each row's largest logit and of its lead.

        They are computed here, too, and who made which neurons follows from the root. Raises as `pull` and
        as `Network.explain`.
        """
        return await asyncio.to_thread((await self.pull(version)).explain, X)

    async def evaluate(self, X: npt.ArrayLike, y: npt.ArrayLike, version: int | None = None) -> Evaluation:
        """Loss, accuracy and confusions on labelled rows; the loss is of the model's kind.

        Raises as `pull` and as `Network.evaluate`.
        """
        told = await self._told()
        with self._chain.client.understood("model_get"):
            kind = LossKind(int(told["loss_kind"]))
        return await asyncio.to_thread((await self.pull(version)).evaluate, X, y, kind)

    async def prove(
        self, version: int | None = None, *, checkpoint: str | None = None, confirmations: int = 10
    ) -> Proof:
        """A proof bundle about a version, from genesis or from a block that the verifier trusts.

        `confirmations`: how many blocks shall stand on the proven one; fewer if the version is younger.
        """
        asked = {"version": version, "checkpoint": checkpoint, "confirmations": confirmations}
        found = await self._chain.client.call("model_prove", id=self.id, **asked)
        return Proof(bytes.fromhex(found.pop("bundle")), found)


def _number(version: Any) -> int:
    try:
        return index(version)
    except TypeError as error:
        raise OptionInvalid(
            "a version is named by its number, such as 1", expected="a whole number", got=repr(version)[:40]
        ) from error
