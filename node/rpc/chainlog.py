"""What a person reads in the log of how the chain grows: a line for each block, step of a round and version.

While the node fetches many blocks, one line in `CATCH_UP_S` seconds says how far it has come. At level debug
there is a line for every transaction, with the code of what became of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from engram.node import logs
from engram.node.chain.chain import HeadChanged
from engram.node.clock import Clock
from engram.primitives.types import Hash

CATCH_UP_S: Final = 10.0
KEPT_REORGANISATIONS: Final = 100
RECENT_BLOCKS: Final = 10
"""A block is news if no more than so many were due since it was made."""


@dataclass(frozen=True)
class Reorganisation:
    """The best chain has changed to another branch."""

    time_ms: int
    fork_height: int
    """Height of the last block that both branches have."""
    blocks_left: int
    blocks_joined: int
    old_head: Hash
    new_head: Hash


class ChainLog:
    """Writes these lines, and remembers the last reorganisations. For the event loop only."""

    def __init__(self, clock: Clock, block_time_ms: int) -> None:
        self._clock = clock
        self._recent_ms = RECENT_BLOCKS * block_time_ms
        self.reorganisations: Final[deque[Reorganisation]] = deque(maxlen=KEPT_REORGANISATIONS)
        self._said_s = -CATCH_UP_S
        self._fetched = 0
        self._chain = logs.get_logger("chain")
        self._rounds = logs.get_logger("rounds")
        self._transactions = logs.get_logger("transactions")

    def head_changed(self, change: HeadChanged, transactions: int) -> None:
        """Blocks have joined the best chain, with so many transactions in all of them."""
        head = change.head
        if not change.connected:
            self._chain.warning(
                "the chain was taken back", blocks=len(change.disconnected), height=head.height, head=head.id
            )
            return
        if change.disconnected:
            self.reorganisations.append(
                Reorganisation(
                    self._clock.now_ms(),
                    change.connected[0].height - 1,
                    len(change.disconnected),
                    len(change.connected),
                    change.disconnected[0].id,
                    head.id,
                )
            )
            self._chain.warning(
                "another branch has more work",
                blocks_left=len(change.disconnected),
                blocks_joined=len(change.connected),
                fork_height=change.connected[0].height - 1,
                old_head=change.disconnected[0].id,
                head=head.id,
            )
        age_ms = self._clock.now_ms() - head.header.timestamp_ms
        if len(change.connected) == 1 and age_ms <= self._recent_ms:
            age_s = round(age_ms / 1000, 1)
            self._chain.info("block", height=head.height, id=head.id, transactions=transactions, age_s=age_s)
            return
        self._fetched += len(change.connected)
        now_s = self._clock.monotonic()
        if now_s - self._said_s >= CATCH_UP_S:
            self._chain.info("blocks fetched", height=head.height, blocks=self._fetched, head=head.id)
            self._said_s, self._fetched = now_s, 0

    def rounds_changed(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Rounds have entered other phases, as the topic `rounds` tells it."""
        for event in events:
            if event["status"] == "open":
                words = {name: event[name] for name in ("phase", "epoch", "height", "model")}
                self._rounds.info("round", id=event["id"], **words)
            else:
                self._rounds.info(
                    "round ended", id=event["id"], status=event["status"], height=event["height"]
                )

    def versions_made(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Models have new versions, as the topic `versions` tells it."""
        for event in events:
            self._rounds.info(
                "new version", model=event["model"], number=event["number"], height=event["height"]
            )

    def transaction(self, event: Mapping[str, Any]) -> None:
        """What became of a transaction, as the topic `transactions` tells it."""
        code = {"code": event["code"]} if event["code"] else {}
        self._transactions.debug(f"transaction {event['status']}", id=event["txid"], **code)
