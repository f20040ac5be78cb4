"""Test rows on the chain: published after the last growth, and scored by every node, version by version."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, TypeVar

import numpy as np

from engram.nn.data import part_bytes, part_commitment
from engram.participant.datasets import Dataset
from engram.participant.opener import content_of
from engram.participant.view import ChainView
from engram.participant.wallet import Wallet
from engram.primitives.types import Hash
from engram.statemachine.record import u32
from engram.statemachine.records import ScoreEntry
from engram.statemachine.transaction import TxPayload
from engram.statemachine.transactions.publish_part import PublishPart
from engram.statemachine.transactions.score_version import ScoreVersion

K = TypeVar("K")

SALT: Final = bytes(32)
"""The salt of published parts, which hide nothing."""
WAITING: Final = 32
"""So many transactions are sent before their blocks are waited for."""
Q24: Final = 1 << 24


@dataclass(frozen=True)
class Marks:
    """What a version has shown on rows."""

    rows: int
    correct: int
    nats: float
    """The loss, summed over the rows."""

    @property
    def accuracy(self) -> float:
        """The share of right answers."""
        return self.correct / self.rows

    def __add__(self, other: Marks) -> Marks:
        return Marks(self.rows + other.rows, self.correct + other.correct, self.nats + other.nats)


NO_MARKS: Final = Marks(0, 0, 0.0)


async def publish(
    wallet: Wallet, sets: Mapping[K, Dataset], rows: int, *, at_once: int = WAITING
) -> dict[K, list[Hash]]:
    """Publishes sets of rows as parts of at most so many rows each; the ids of each set's parts.

    A part knows of the classes up to the highest label of its set. A version that has fewer answers 0 for the
    others, so it should not be asked. Raises what `Wallet.execute` raises.
    """
    found: dict[K, list[Hash]] = {}
    payloads: list[TxPayload] = []
    for name, data in sets.items():
        found[name], classes = [], int(data.labels.max()) + 1
        for begin in range(0, data.rows, rows):
            part = data.take(np.arange(begin, min(begin + rows, data.rows)))
            raw = part_bytes(part.features, part.labels)
            found[name].append(part_commitment(SALT, raw))
            content = await content_of(wallet, raw)
            payloads.append(PublishPart(part.rows, part.inputs, classes, SALT, content))
    await send_all(wallet, payloads, at_once)
    return found


async def examine(
    wallet: Wallet,
    model: Hash,
    asked: Sequence[tuple[int, K]],
    parts: Mapping[K, Sequence[Hash]],
    *,
    at_once: int = WAITING,
) -> dict[tuple[int, K], Marks]:
    """Has versions scored by the chain on sets of published parts: the marks for each version and set.

    Raises what `Wallet.execute` raises.
    """
    wanted = [(version, part) for version, name in asked for part in parts[name]]
    await send_all(wallet, (ScoreVersion(model, version, part) for version, part in wanted), at_once)
    view, marks = ChainView(wallet.client), {}
    for version, name in asked:
        total = NO_MARKS
        for part in parts[name]:
            entry = await view.get(ScoreEntry, model, u32(version), part)
            total += Marks(entry.rows, entry.correct, entry.loss / Q24)
        marks[version, name] = total
    return marks


async def send_all(wallet: Wallet, payloads: Iterable[TxPayload], at_once: int = WAITING) -> None:
    """Sends transactions, so many at a time, and waits until blocks hold them. Raises as `Wallet.execute`."""
    left = iter(payloads)
    while sent := [await wallet.send(payload) for payload in islice(left, at_once)]:
        for txid in sent:
            await wallet.confirm(txid)
