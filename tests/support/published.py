"""What a verifier is given of rounds on a `Ledger`: mined headers that lead to its state, and bundles of it.

A forger has all public headers and may mine others upon them, over any state; nothing but the verifier's
anchors tells the two apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from engram.consensus import proof
from engram.consensus.block import BlockHeader
from engram.consensus.bundle import ProofBundle, open_bundle, seal_bundle
from engram.consensus.chainspec import ChainSpec
from engram.consensus.compact import bits_to_target, work_of
from engram.consensus.genesis import genesis
from engram.library.proof_facts import facts
from engram.library.proof_words import anchor_words, limits, statements
from engram.node.rpc.headview import HeadView
from engram.node.rpc.proofs import build_bundle
from engram.node.storage.schema import Verdict
from engram.node.storage.store import BlockRef
from engram.primitives.errors import ChainError
from engram.primitives.types import Hash
from engram.statemachine.record import Record
from engram.statemachine.state import State
from tests.support.proof_chain import SPEC as SAMPLE
from tests.support.proof_chain import mined
from tests.support.rounds import Play
from tests.support.smt_reference import Nodes

_TARGET: Final = (1 << 248).to_bytes(32, "big")
SPEC: Final[ChainSpec] = replace(SAMPLE, genesis_target=_TARGET, max_target=(1 << 254).to_bytes(32, "big"))
"""The chain that the verifier means: 256 digests a block on schedule, and less after a long silence."""
YEAR_MS: Final = 365 * 86_400_000
"""Digests a second of the verifier's machine, for the words alone."""


@dataclass(frozen=True)
class Published:
    """A line of headers from genesis on, and the nodes of the states to which they lead."""

    spec: ChainSpec
    line: tuple[BlockHeader, ...]
    nodes: Nodes

    @property
    def head(self) -> BlockHeader:
        return self.line[-1]

    def work(self, headers: int) -> int:
        """Expected digests of so many of the last headers."""
        return sum(work_of(bits_to_target(header.target)) for header in self.line[-headers:])

    def cut(self, height: int) -> Published:
        """The same line up to a height."""
        return replace(self, line=self.line[: height + 1])

    def mine(self, root: Hash, nodes: Mapping[Hash, bytes], blocks: int, **first: object) -> Published:
        """Valid headers on top, all of which claim this state; the first one has these fields."""
        line = list(self.line)
        for number in range(blocks):
            fields = first if number == 0 else {}
            line.append(mined(self.spec, line, **{"state_root": root, **fields}))
        return Published(self.spec, tuple(line), Nodes({**self.nodes, **nodes}))

    def bundle(
        self, model: Hash, number: int | None = None, *, checkpoint: Hash | None = None, depth: int = 2
    ) -> ProofBundle:
        """What a node whose best chain this is gives out about a version."""
        refs = [BlockRef(header.id, header, 0, Verdict.VALID) for header in self.line]
        store = _Store({ref.id: ref for ref in refs}, [ref.id for ref in refs], self.nodes)
        state = State(self.nodes, self.head.state_root)
        view = HeadView(self.spec, store, refs[-1], state)  # type: ignore[arg-type]  # as far as it is read
        return build_bundle(view, model, number, checkpoint, depth)


@dataclass(frozen=True)
class _Store:
    """The part of a node's store from which bundles are built."""

    refs: Mapping[Hash, BlockRef]
    ids: Sequence[Hash]
    nodes: Nodes

    def get_node(self, node_hash: Hash) -> bytes:
        return self.nodes[node_hash]

    def require_state(self, height: int) -> None:
        """It keeps the states that are asked for."""

    def find_ref(self, block: Hash) -> BlockRef | None:
        return self.refs.get(block)

    def parent_of(self, ref: BlockRef) -> BlockRef:
        return self.refs[ref.parent]

    def canonical_id(self, height: int) -> Hash | None:
        return self.ids[height] if height < len(self.ids) else None


def published(play: Play, spec: ChainSpec = SPEC) -> Published:
    """The chain of the ledger with three blocks on top; only its last blocks name its states."""
    start = Published(spec, (genesis(spec).block.header,), Nodes())
    line = start.mine(start.head.state_root, {}, play.ledger.height - 1)
    return line.mine(play.ledger.root, play.ledger.nodes, 4)


def rewritten(play: Play, *records: Record) -> tuple[Hash, Nodes]:
    """The ledger's state with these records put into it, which no transaction has made; root and nodes."""
    state = play.ledger.state
    for record in records:
        state.put(record)
    root, nodes = state.commit()
    return root, Nodes({**play.ledger.nodes, **nodes})


@dataclass(frozen=True)
class Told:
    """What `engram verify` tells of a bundle."""

    code: str
    """Why it is refused; empty if it is not."""
    facts: dict[str, Any]
    proved: str
    unproved: str

    @property
    def accepted(self) -> bool:
        return not self.code and bool(self.facts["accepted"])

    @property
    def measured(self) -> dict[str, int]:
        """Rows and loss by side."""
        names = ("witness_rows", "witness_loss", "opener_rows", "opener_loss")
        return {name: self.facts[name] for name in names}


def told(
    bundle: ProofBundle,
    spec: ChainSpec = SPEC,
    *,
    late_ms: int = YEAR_MS,
    checkpoint: Hash | None = None,
    min_work: int = 0,
) -> Told:
    """What the file says to a verifier whose clock shows so much later than the chain's genesis."""
    now_ms = spec.genesis_time_ms + late_ms
    file = seal_bundle(bundle)
    try:
        report = proof.verify_bundle(
            open_bundle(file), spec, now_ms, checkpoint=checkpoint, min_work=min_work
        )
    except ChainError as error:
        return Told(error.code, {}, "", "")
    known = facts(report)
    said = (
        "\n".join([*anchor_words(known), *statements(known)]),
        "\n".join(limits(known, weights_checked=False)),
    )
    return Told("", known, *said)
