"""Has the versions of models scored on test rows, on the chain, after their last growth."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from engram.nn.data import part_bytes, part_commitment
from engram.participant.arena.arena import Arena
from engram.participant.datasets import Dataset
from engram.participant.experiments.lifelong.lineage import SCORER
from engram.participant.experiments.lifelong.streams import Stream
from engram.participant.wallet import Wallet
from engram.primitives.types import Hash
from engram.statemachine.content import Inline
from engram.statemachine.transaction import TxPayload
from engram.statemachine.transactions.publish_part import PublishPart
from engram.statemachine.transactions.score_version import ScoreVersion

PART_ROWS: Final = 460
"""Rows of a published part: few enough for half a block's multiply-accumulates at 20 million a row. So a
block that holds one scoring is light, and fees do not rise.
"""
PUBLISHED_AT_ONCE: Final = 4
"""Parts that are sent before the first of them is waited for: about a third of a block's bytes."""


@dataclass(frozen=True)
class TestScore:
    """How one version does on the test rows of one group, as the chain has computed it."""

    right: int
    rows: int
    loss: int
    """The sum over the rows, in Q24 nats."""


class TestParts:
    """The test rows as parts on the chain, by group; a part knows no class that comes later."""

    __test__ = False
    """This is no test of pytest."""

    def __init__(self, parts: Sequence[Sequence[Hash]]) -> None:
        self._parts = parts

    @classmethod
    async def publish(cls, arena: Arena, stream: Stream, test: Dataset) -> TestParts:
        """Publishes all test rows."""
        payloads: list[PublishPart] = []
        names: list[list[Hash]] = []
        for number, end in enumerate(stream.ends):
            rows = test.of_classes(stream.group(number))
            names.append([])
            for begin in range(0, rows.rows, PART_ROWS):
                features = rows.features[begin : begin + PART_ROWS]
                raw = part_bytes(features, rows.labels[begin : begin + PART_ROWS])
                salt = hashlib.sha256(raw).digest()
                payloads.append(PublishPart(len(features), rows.inputs, end, salt, Inline(raw)))
                names[-1].append(part_commitment(salt, raw))
        async with arena.actor(SCORER) as wallet:
            await _execute(wallet, payloads, PUBLISHED_AT_ONCE)
        return cls(names)

    async def judge(
        self, arena: Arena, model: Hash, versions: Mapping[int, int]
    ) -> dict[tuple[int, int], TestScore]:
        """How a model did after group t on each group j up to t, by (t, j).

        `versions` names, for each t that is asked for, the version that knows the groups up to t.
        """
        asked = [
            (t, group, ScoreVersion(model, version, part))
            for t, version in versions.items()
            for group in range(t + 1)
            for part in self._parts[group]
        ]
        async with arena.actor(SCORER) as wallet:
            receipts = await _execute(wallet, [payload for *_, payload in asked], 1)
        found: dict[tuple[int, int], TestScore] = {}
        for (t, group, payload), receipt in zip(asked, receipts, strict=True):
            (event,) = (each for each in receipt["events"] if each["name"] == "version_scored")
            version, loss, right, rows = event["values"]
            assert version == payload.version, "a receipt tells of the version that was asked for"
            so_far = found.get((t, group), TestScore(0, 0, 0))
            found[t, group] = TestScore(so_far.right + right, so_far.rows + rows, so_far.loss + loss)
        return found


async def _execute(wallet: Wallet, payloads: Sequence[TxPayload], at_once: int) -> list[dict[str, Any]]:
    """The receipts of transactions of which so many are sent at once."""
    receipts = []
    for begin in range(0, len(payloads), at_once):
        sent = [await wallet.send(payload) for payload in payloads[begin : begin + at_once]]
        receipts += [await wallet.confirm(txid) for txid in sent]
    return receipts
