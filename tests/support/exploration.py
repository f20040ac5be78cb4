"""Breadth-first search over everything that three actors can do in a small round, on the real state machine.

A node is a state within a block: its records, and the height of the block that is being filled. An edge is a
transaction of the menu that the state takes, or the end of the block. What is explored is `apply_transaction`
itself; only signatures are left out, and scores are remembered.

What a step does follows from its height, its move and the records that it reads, and from nothing else. So
the state machine takes a step once for all states that have these records in common. Which records a step
reads is not assumed: its reads are noted when it is taken. A step that is deterministic first reads the same
record in every state; which record it reads next follows from what it has read so far. So the steps that were
taken make a tree of questions. Records of equal bytes are one object here, known by its identity.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from engram.nn.loss import RowScores
from engram.primitives import keys
from engram.primitives.codec import encode
from engram.primitives.errors import Invalid
from engram.primitives.types import ZERO_HASH, Hash
from engram.statemachine.context import BlockContext
from engram.statemachine.receipt import Receipt
from engram.statemachine.record import Record
from engram.statemachine.records import RoundClock, Supply
from engram.statemachine.rules import Rules
from engram.statemachine.scoring import NoCache, Scorer
from engram.statemachine.state import State, leaf_value
from engram.statemachine.transaction import Transaction, TxPayload
from engram.statemachine.transition import apply_transaction, begin_block
from engram.statemachine.upgrades import FROM_GENESIS
from tests.support.conservation import coins_held
from tests.support.ledger import CHAIN_ID, MINER, Blobs
from tests.support.smt_reference import Nodes

R = TypeVar("R", bound=Record)

FEE = 10**6
NO_SIGNATURE = bytes(64)


class Scores(NoCache):
    """The scores of every network and part that was ever computed, and nothing else."""

    def __init__(self) -> None:
        self._kept: dict[Hash, RowScores] = {}

    def get(self, key: Hash) -> RowScores | None:
        return self._kept.get(key)

    def put(self, key: Hash, scores: RowScores) -> None:
        self._kept[key] = scores


@dataclass(frozen=True, eq=False)
class Move:
    """Something an actor may try."""

    actor: keys.PrivateKey
    payload: TxPayload
    encoded: bytes

    @staticmethod
    def of(actor: keys.PrivateKey, payload: TxPayload) -> Move:
        return Move(actor, payload, encode(payload))


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """A record, the only one of its bytes."""

    record: Record
    mark: int
    """The digest of its bytes in the tree."""
    balance: int
    """Sparks that it holds; for the supply, what is missing in it: all that exist."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All records of a state, by name."""

    records: Mapping[bytes, Known]
    mark: int
    """The exclusive or of the marks of all records: equal for equal states, as a root would be."""

    def find(self, cls: type[R], *key_parts: bytes) -> R | None:
        """The record of this class whose key is the joined parts, or None."""
        known = self.records.get(b"".join((bytes([cls.KIND]), *key_parts)))
        return cast("R | None", known and known.record)

    def get(self, cls: type[R], *key_parts: bytes) -> R:
        """The record of this class whose key is the joined parts, which must be there."""
        record = self.find(cls, *key_parts)
        assert record is not None, f"the state has no {cls.__name__} of this key"
        return record


@dataclass(frozen=True, slots=True)
class Step:
    """What a move or the end of a block did to the records that it wrote; None for one that it removed."""

    written: tuple[tuple[bytes, Known | None], ...]
    receipt: Receipt | None


Followed = dict[Any, "Question | Step | None"]
"""What follows: another question, or what was done, or None where no block may hold the move."""


@dataclass(frozen=True, slots=True)
class Question:
    """The record that a step reads next, and what follows for each that stood there so far."""

    name: bytes
    answers: Followed = field(default_factory=dict)


class _Reads:
    """Stands under a `State` in place of the tree, and notes which records are read, in order."""

    def __init__(self, records: Mapping[bytes, Known]) -> None:
        self.known: dict[bytes, Known | None] = {}
        self._records = records

    def load(self, cls: type[Record], name: bytes) -> Record | None:
        self.known[name] = known = self._records.get(name)
        return known.record if known else None


_UNKNOWN: Any = object()


@dataclass
class World:
    """What is the same in every node: rules, bytes, scores, records, and the steps that were taken."""

    rules: Rules
    blobs: Blobs = field(default_factory=Blobs)
    scorer: Scorer = field(default_factory=lambda: Scorer(Scores()))
    taken: int = 0
    """How many steps the state machine took."""
    _known: dict[bytes, Known] = field(default_factory=dict)
    _steps: Followed = field(default_factory=dict)
    """By height and move, or None for the end of the block."""

    def ctx(self, height: int) -> BlockContext:
        """Blocks have the same ids in every history, so that histories can meet again. Every block ticks."""
        return BlockContext(
            rules=self.rules,
            chain_id=CHAIN_ID,
            height=height,
            tick=height - 1,
            exponent=0,
            parent=block_id(height - 1),
            miner=MINER,
            blobs=self.blobs,
            scorer=self.scorer,
            active=FROM_GENESIS,
        )

    def holding(self, *records: Record) -> Snapshot:
        """The state of these records."""
        written = tuple((bytes([record.KIND]) + record.key, self._intern(record)) for record in records)
        return _after(Snapshot({}, 0), Step(written, None))

    def play(self, state: Snapshot, height: int, move: Move) -> tuple[Snapshot, Receipt] | None:
        """The state after a move, or None where no block may hold the move. Asserts the law."""
        step = self._step(state, height, move)
        if step is None:
            return None
        assert step.receipt is not None, "every move that a block may hold has a receipt"
        return _after(state, step), step.receipt

    def next_block(self, state: Snapshot, height: int) -> Snapshot:
        """The state in which the block after `height` begins. Asserts the law."""
        step = self._step(state, height, None)
        assert step is not None, "every block can end here"
        return _after(state, step)

    def _step(self, state: Snapshot, height: int, move: Move | None) -> Step | None:
        """A step that was taken before in such a state, or else takes it."""
        records = state.records
        step = self._steps.get((height, move), _UNKNOWN)
        while isinstance(step, Question):
            step = step.answers.get(records.get(step.name), _UNKNOWN)
        return self._take(state, height, move) if step is _UNKNOWN else step

    def _take(self, state: Snapshot, height: int, move: Move | None) -> Step | None:
        self.taken += 1
        reads, before = _Reads(state.records), State(Nodes(), ZERO_HASH)
        before._base = cast("Any", reads)
        step = self._end(before, height) if move is None else self._apply(before, height, move)
        place: tuple[Followed, Any] = self._steps, (height, move)
        for name, known in reads.known.items():
            question = place[0].setdefault(place[1], Question(name))
            assert isinstance(question, Question), "the same reads ended the step before"
            assert question.name == name, "the same reads led to another one before"
            place = question.answers, known
        place[0][place[1]] = step
        return step

    def _apply(self, before: State, height: int, move: Move) -> Step | None:
        nonce = before.account(move.actor.address).nonce
        sender, kind = move.actor.public_key, move.payload.KIND
        tx = Transaction(CHAIN_ID, sender, nonce, FEE, 0, kind, move.encoded, NO_SIGNATURE)
        known = frozenset({tx.id})
        try:
            after, receipt, _ = apply_transaction(before, self.ctx(height), tx, verified=known)
        except Invalid:
            return None
        return Step(self._written(after), receipt)

    def _end(self, before: State, height: int) -> Step:
        before.put(RoundClock(height, 0, height))
        return Step(self._written(begin_block(before, self.ctx(height + 1))), None)

    def _written(self, after: State) -> tuple[tuple[bytes, Known | None], ...]:
        """What a state and those that it is a child of have changed."""
        changed: dict[bytes, Record | None] = {}
        layer: State | None = after
        while layer is not None:
            changed = {**layer._overlay, **changed}
            layer = layer._parent
        return tuple((name, self._intern(record)) for name, record in changed.items())

    def _intern(self, record: Record | None) -> Known | None:
        if record is None:
            return None
        leaf = leaf_value(record)
        if leaf not in self._known:
            mark = int.from_bytes(hashlib.sha256(leaf).digest())
            self._known[leaf] = Known(record, mark, _balance(record))
        return self._known[leaf]


def block_id(height: int) -> Hash:
    return hashlib.sha256(b"block %d" % height).digest()


def explore(
    world: World, start: Snapshot, height: int, menu: Mapping[int, Sequence[Move]], last: int
) -> Iterator[tuple[Snapshot, int]]:
    """Every reachable node up to height `last` once, breadth first. Asserts the law on every edge."""
    seen = {(start.mark, height)}
    queue = deque([(start, height)])
    while queue:
        state, height = queue.popleft()
        yield state, height
        played = [world.play(state, height, move) for move in menu.get(height, ())]
        following = [(outcome[0], height) for outcome in played if outcome is not None]
        if height < last:
            following.append((world.next_block(state, height), height + 1))
        for after, at in following:
            if (node := (after.mark, at)) not in seen:
                seen.add(node)
                queue.append((after, at))


def _after(state: Snapshot, step: Step) -> Snapshot:
    """The state with what a step has written in it. The law: no step makes or loses a spark."""
    records, mark, appeared = dict(state.records), state.mark, 0
    for name, new in step.written:
        if (old := records.pop(name, None)) is not None:
            mark ^= old.mark
            appeared -= old.balance
        if new is not None:
            records[name] = new
            mark ^= new.mark
            appeared += new.balance
    assert appeared == 0, f"{appeared} sparks appeared"
    return Snapshot(records, mark)


def _balance(record: Record) -> int:
    return record.burned - record.issued if isinstance(record, Supply) else coins_held(record)
