"""What a node spends on each transaction: a chain is read from a stopped node and judged by a new one."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from engram.consensus.block import Block
from engram.consensus.chainspec import ChainSpec, spec_id
from engram.consensus.context import block_context
from engram.consensus.genesis import genesis
from engram.node.chain.importer import Importer, ImportStatus
from engram.node.chain.recovery import open_chain
from engram.node.chain.signatures import SignatureVerifier
from engram.node.chain.verification import VerificationCache
from engram.node.engines.choosing import engine_for
from engram.node.engines.registry import NUMPY
from engram.node.storage.store import BlockRef, ChainStore, open_store
from engram.statemachine.scoring import Scorer
from engram.statemachine.state import State
from engram.statemachine.transactions import TX_TYPES
from engram.statemachine.transition import BlockExecution


@dataclass(frozen=True)
class Judged:
    """One transaction, judged by a node that has kept up with the chain and has not seen it before."""

    height: int
    name: str
    """The type of the transaction."""
    seconds: float
    """Processor time to check its signature and to apply it."""


def replay(node: Path, spec: ChainSpec, scratch: Path, engine: str = NUMPY) -> list[Judged]:
    """Judges every block of the best chain in a node's data directory, in order, in the folder `scratch`.

    `engine` names what evaluates networks. The node must have stopped. Raises what `open_store` and
    `engine_for` raise.
    """
    evaluator = engine_for(engine)
    first = genesis(spec)
    source = open_store(node, spec_id(spec), first.id)
    store = open_store(scratch, spec_id(spec), first.id)
    verifier = SignatureVerifier(threads=1)
    try:
        importer = Importer(spec, store, Scorer(VerificationCache(), evaluator), verifier)
        head = open_chain(spec, first, store, importer).head
        scorer, found = Scorer(VerificationCache(), evaluator), list[Judged]()
        for _, name in source.canonical(1):
            ref = source.find_ref(name)
            assert ref is not None, "the store has a reference of each block of its best chain"
            block = source.get_block(ref)
            found += _timed(spec, store, scorer, head, block)
            head = _imported(importer, block, head)
    finally:
        verifier.close()
        store.close()
        source.close()
    return found


def _timed(
    spec: ChainSpec, store: ChainStore, scorer: Scorer, parent: BlockRef, block: Block
) -> list[Judged]:
    state = State(store, parent.state_root)
    ctx = block_context(spec, parent.header, state, block.header.miner, store, scorer)
    execution, found = BlockExecution(state, ctx), []
    for tx in block.transactions:
        begin = time.process_time()
        execution.add(tx)
        seconds = time.process_time() - begin
        found.append(Judged(block.header.height, TX_TYPES[tx.kind].NAME, seconds))
    return found


def _imported(importer: Importer, block: Block, head: BlockRef) -> BlockRef:
    imported = importer.import_block(block, head, block.header.timestamp_ms)
    extended = imported.answer.outcome is ImportStatus.EXTENDED
    assert extended, "the best chain of a node is valid for every other node"
    return imported.head
