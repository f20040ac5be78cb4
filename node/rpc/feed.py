"""Turns what happens on this node into events for subscribers.

    heads          {height, id, state_root, timestamp_ms, ticks, exponent, connected: [ids], disconnected:
                   [ids]}; ticks of the round clock and base exponent of fees after the head
    transactions   {txid, status: pending | included | failed | dropped, code, height}
    rounds         {id, model, phase, epoch, status, height}   whenever its phase or its record changes
    versions       {model, number, root, height}

An event is published only after the change: a client that calls an RPC method on an event sees the new state.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from engram.node.chain.chain import Chain, HeadChanged
from engram.node.concurrency import ReaderThreads
from engram.node.mempool.mempool import Mempool
from engram.node.mempool.pool import PooledTx
from engram.node.metrics import Metrics
from engram.node.rpc.chainlog import ChainLog
from engram.node.rpc.events import EventHub
from engram.node.storage.recordindex import records
from engram.node.storage.store import BlockRef
from engram.primitives.types import ZERO_HASH, Hash
from engram.statemachine.receipt import Status
from engram.statemachine.record import Record
from engram.statemachine.records import Model, RoundClock, Version
from engram.statemachine.registry import parse_record
from engram.statemachine.roundclock import round_clock
from engram.statemachine.rounds.calendar import Calendar, Phase
from engram.statemachine.rounds.records import Round, RoundStatus

R = TypeVar("R", bound=Record)

TOLD_AT_ONCE: Final = 64
"""Behind so many events of transactions the event loop does other things: one change of the head may bring
the transactions of many blocks.
"""


@dataclass
class _Findings:
    """The consequences of a change of the head, as a worker thread found them in the store."""

    clock: RoundClock
    transactions: list[dict[str, Any]] = field(default_factory=list)
    versions: list[dict[str, Any]] = field(default_factory=list)
    rounds: list[dict[str, Any]] = field(default_factory=list)
    macs: int = 0
    """Multiply-accumulates that the transactions of the new blocks were charged for."""


class EventFeed:
    """The service that follows the head and the mempool and publishes events to an `EventHub`."""

    def __init__(
        self,
        chain: Chain,
        mempool: Mempool,
        hub: EventHub,
        metrics: Metrics,
        threads: ReaderThreads,
        log: ChainLog,
    ) -> None:
        self._chain = chain
        self._mempool = mempool
        self._hub = hub
        self._metrics = metrics
        self._threads = threads
        self._log = log
        self._changes = chain.changes()
        self._phases: dict[Hash, tuple[Phase, int]] = {}
        """Phase and epoch of every open round, as last published."""

    async def run(self) -> None:
        """The service: publishes events until it is cancelled."""
        end = self._mempool.listen(self._admitted)
        end_drops = self._mempool.listen_drops(self._dropped)
        try:
            rounds = await self._threads.run(self._all_open)
            await self._threads.run(self._look_at_rounds, self._chain.head, rounds)
            async for change in self._changes:
                await self._publish(change)
        finally:
            end()
            end_drops()

    def open_rounds(self) -> dict[Hash, str]:
        """The phase of every open round, as last published."""
        return {name: phase.name.lower() for name, (phase, _) in list(self._phases.items())}

    def _admitted(self, entry: PooledTx) -> None:
        self._transaction_moved(_transaction(entry.txid, "pending", "", None))

    def _dropped(self, name: Hash, code: str) -> None:
        self._transaction_moved(_transaction(name, "dropped", code, None))

    def _transaction_moved(self, event: dict[str, Any]) -> None:
        self._log.transaction(event)
        self._hub.publish("transactions", event)

    async def _publish(self, change: HeadChanged) -> None:
        findings = await self._threads.run(self._examine, change)
        if change.disconnected and change.connected:
            self._metrics.reorganised(len(change.disconnected))
        if self._hub.hears("heads"):
            self._hub.publish("heads", _head(change, findings.clock))
        self._metrics.verified_macs += findings.macs
        self._log.head_changed(change, len(findings.transactions))
        self._log.versions_made(findings.versions)
        self._log.rounds_changed(findings.rounds)
        for place, event in enumerate(findings.transactions, 1):
            self._transaction_moved(event)
            if place % TOLD_AT_ONCE == 0:
                await asyncio.sleep(0)
        for topic, events in (("versions", findings.versions), ("rounds", findings.rounds)):
            for event in events:
                self._hub.publish(topic, event)

    def _examine(self, change: HeadChanged) -> _Findings:
        """Reads the clock, the receipts of blocks that joined, and the rounds of blocks that joined or left.

        It reads the disk: call it in a worker thread.
        """
        findings, touched = _Findings(self._clock(change.head)), set[Hash]()
        for ref in change.connected:
            for receipt in self._chain.store.receipts(ref):
                status = "included" if receipt.status == Status.OK else "failed"
                findings.transactions.append(_transaction(receipt.txid, status, receipt.code, ref.height))
                findings.macs += receipt.macs
            findings.versions += [_version(record) for record in self._written(ref, Version)]
        for ref in (*change.connected, *change.disconnected):
            touched |= {record.id for record in self._written(ref, Round)}
        findings.rounds = self._look_at_rounds(change.head, touched)
        return findings

    def _written(self, ref: BlockRef, cls: type[R]) -> list[R]:
        """The records of a class that a block has written."""
        values = (entry.value for entry in self._chain.store.diff(ref).entries)
        raws = [value for value in values if value is not None and value[0] == cls.KIND]
        return [record for record in map(parse_record, raws) if isinstance(record, cls)]

    def _look_at_rounds(self, head: BlockRef, touched: set[Hash]) -> list[dict[str, Any]]:
        """Events for the rounds whose phase or record differs from what was published last.

        It reads the disk: call it in a worker thread.
        """
        state, tick = self._chain.state(head), self._clock(head).ticks
        events = []
        for name in sorted(touched | self._phases.keys()):
            round_ = state.find(Round, name)
            known = self._phases.pop(name, None)
            if round_ is None:
                continue
            stands = self._stands(round_, tick)
            if round_.status == RoundStatus.OPEN:
                self._phases[name] = stands
            if name in touched or stands != known:
                events.append(_round(round_, stands, head.height))
        return events

    def _clock(self, head: BlockRef) -> RoundClock:
        """It reads the disk: call it in a worker thread."""
        return round_clock(self._chain.state(head))

    def _stands(self, round_: Round, tick: int) -> tuple[Phase, int]:
        """Phase and epoch in which a block at this tick falls."""
        if round_.status != RoundStatus.OPEN:
            return Phase.CLOSED, 0
        span = Calendar.of(round_, self._chain.spec.rules).at(tick)
        return span.phase, span.epoch

    def _all_open(self) -> set[Hash]:
        """Ids of the rounds that are open at the head, at most one for each model.

        It reads the disk: call it in a worker thread.
        """
        database, state = self._chain.store.database, self._chain.state()
        return {model.open_round for model in records(database, state, Model)} - {ZERO_HASH}


def _head(change: HeadChanged, clock: RoundClock) -> dict[str, Any]:
    head = change.head
    return {
        "height": head.height,
        "id": head.id.hex(),
        "state_root": head.state_root.hex(),
        "timestamp_ms": head.header.timestamp_ms,
        "ticks": clock.ticks,
        "exponent": clock.exponent,
        "connected": [ref.id.hex() for ref in change.connected],
        "disconnected": [ref.id.hex() for ref in change.disconnected],
    }


def _transaction(name: Hash, status: str, code: str, height: int | None) -> dict[str, Any]:
    return {"txid": name.hex(), "status": status, "code": code, "height": height}


def _version(version: Version) -> dict[str, Any]:
    return {
        "model": version.model.hex(),
        "number": version.number,
        "root": version.root.hex(),
        "height": version.height,
    }


def _round(round_: Round, stands: tuple[Phase, int], height: int) -> dict[str, Any]:
    phase, epoch = stands
    return {
        "id": round_.id.hex(),
        "model": round_.model.hex(),
        "phase": phase.name.lower(),
        "epoch": epoch,
        "status": RoundStatus(round_.status).name.lower(),
        "height": height,
    }
