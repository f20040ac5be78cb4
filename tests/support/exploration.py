"""Breadth-first search over everything that three actors can do in a small round, on the real state machine.

A node is a state within a block: its root and the height of the block that is being filled. An edge is a
transaction of the menu that the state takes, or the end of the block. What is explored is `apply_transaction`
itself; only signatures are left out, and scores are remembered.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from engram.nn.evaluate import FrozenActivations
from engram.primitives import keys
from engram.primitives.codec import encode
from engram.primitives.errors import Invalid
from engram.primitives.types import Hash
from engram.statemachine.context import BlockContext
from engram.statemachine.parameters import Composition
from engram.statemachine.receipt import Receipt
from engram.statemachine.record import Record
from engram.statemachine.records import RoundClock, Supply
from engram.statemachine.registry import RECORDS
from engram.statemachine.rules import Rules
from engram.statemachine.scoring import LoadedParameters, RowScores, Scorer
from engram.statemachine.state import State
from engram.statemachine.transaction import Transaction, TxPayload
from engram.statemachine.transition import BlockExecution, apply_transaction
from engram.statemachine.upgrades import FROM_GENESIS
from tests.support.conservation import coins_held
from tests.support.ledger import CHAIN_ID, MINER, Blobs
from tests.support.smt_reference import Nodes

FEE = 10**6
NO_SIGNATURE = bytes(64)

Node = tuple[Hash, int]
"""Root of the state, height of the block that is being filled."""


class Scores(dict[bytes, RowScores]):
    """The scores of every network and part that was ever computed; no activations."""

    def put(self, key: Hash, scores: RowScores) -> None:
        self[key] = scores

    def get_activations(self, key: Hash) -> FrozenActivations | None:
        return None

    def put_activations(self, key: Hash, activations: FrozenActivations) -> None:
        return None

    def get_composition(self, root: Hash) -> Composition | None:
        return None

    def put_composition(self, composition: Composition) -> None:
        return None

    def get_parameters(self, root: Hash) -> LoadedParameters | None:
        return None

    def put_parameters(self, root: Hash, loaded: LoadedParameters) -> None:
        return None


@dataclass(frozen=True)
class Move:
    """Something an actor may try."""

    actor: keys.PrivateKey
    payload: TxPayload
    encoded: bytes

    @staticmethod
    def of(actor: keys.PrivateKey, payload: TxPayload) -> Move:
        return Move(actor, payload, encode(payload))


@dataclass
class World:
    """What is the same in every node: rules, bytes, tree nodes, scores."""

    rules: Rules
    nodes: Nodes = field(default_factory=Nodes)
    blobs: Blobs = field(default_factory=Blobs)
    scorer: Scorer = field(default_factory=lambda: Scorer(Scores()))

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

    def play(self, state: State, height: int, move: Move) -> tuple[State, Receipt] | None:
        """The child of a state with a move in it, or None where no block may hold the move."""
        nonce = state.account(move.actor.address).nonce
        sender, kind = move.actor.public_key, move.payload.KIND
        tx = Transaction(CHAIN_ID, sender, nonce, FEE, 0, kind, move.encoded, NO_SIGNATURE)
        known = frozenset({tx.id})
        try:
            after, receipt, _ = apply_transaction(state, self.ctx(height), tx, verified=known)
        except Invalid:
            return None
        return after, receipt

    def next_block(self, state: State, height: int) -> State:
        """The state in which the block after `height` begins."""
        ended = state.child()
        ended.put(RoundClock(height, 0, height))
        return BlockExecution(ended, self.ctx(height + 1))._state

    def settle(self, after: State) -> State:
        """A state of its own from a child: its nodes are kept, and so are the records that are known."""
        root, nodes = after.commit()
        self.nodes.update(nodes)
        settled = State(self.nodes, root)
        settled._base._records.update(_known(after))
        return settled


def block_id(height: int) -> Hash:
    return hashlib.sha256(b"block %d" % height).digest()


def root_of(state: State) -> Hash:
    """Root of a state without changes of its own."""
    return state._base.root


def moved_coins(before: State, after: State) -> tuple[int, int]:
    """What a child changed: sparks held in records, sparks in existence. The law says: the same."""
    held = existing = 0
    for name, record in _changes(after).items():
        old = _record(before, name)
        held += (coins_held(record) if record else 0) - (coins_held(old) if old else 0)
        if isinstance(record, Supply):
            previous = old if isinstance(old, Supply) else Supply()
            existing = record.issued - record.burned - previous.issued + previous.burned
    return held, existing


def explore(
    world: World, start: State, height: int, menu: Mapping[int, Sequence[Move]], last: int
) -> Iterator[tuple[State, int]]:
    """Every reachable node up to height `last` once, breadth first. Asserts the law on every edge."""
    seen: set[Node] = {(root_of(start), height)}
    queue = deque([(start, height)])
    while queue:
        state, height = queue.popleft()
        yield state, height
        played = [world.play(state, height, move) for move in menu.get(height, ())]
        following = [(outcome[0], height) for outcome in played if outcome is not None]
        if height < last:
            following.append((world.next_block(state, height), height + 1))
        for after, at in following:
            held, existing = moved_coins(state, after)
            assert held == existing, f"{held - existing} sparks appeared"
            settled = world.settle(after)
            if (node := (root_of(settled), at)) not in seen:
                seen.add(node)
                queue.append((settled, at))


def _changes(after: State) -> dict[bytes, Record | None]:
    """Records that a state and its parents up to a committed one have changed."""
    changed: dict[bytes, Record | None] = {}
    layer: State | None = after
    while layer is not None:
        changed = {**layer._overlay, **changed}
        layer = layer._parent
    return changed


def _known(after: State) -> dict[bytes, Record | None]:
    return {**after._base._records, **_changes(after)}


def _record(state: State, name: bytes) -> Record | None:
    return state._base.load(RECORDS[name[0]], name)
