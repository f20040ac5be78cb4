"""Executes a block while other threads verify its signatures."""

from __future__ import annotations

from collections.abc import Mapping

from engram.consensus.block import Block, BlockHeader
from engram.consensus.chainspec import ChainSpec
from engram.consensus.validation import ExecutedBlock, check_signatures, validate_execution
from engram.node.chain.signatures import SignatureVerifier
from engram.node.storage.store import ChainStore
from engram.primitives.errors import Invalid, NotReady
from engram.primitives.types import Hash
from engram.statemachine.scoring import Scorer
from engram.statemachine.transaction import TxPayload


def execute(
    spec: ChainSpec,
    store: ChainStore,
    parent: BlockHeader,
    block: Block,
    scorer: Scorer,
    verifier: SignatureVerifier,
    checked_body: Mapping[Hash, TxPayload],
) -> ExecutedBlock:
    """Executes a block whose body is checked, but for its signatures, on its parent's state.

    Whichever ends first, a signature that is not good is what is said of the block, so that the verdict does
    not depend on the threads. Raises `MalformedTransaction`, or else what `validate_execution` raises.
    """
    signatures = verifier.begin(block.transactions)
    try:
        executed = validate_execution(spec, store, store, parent, block, scorer, checked_body)
    except (Invalid, NotReady):
        check_signatures(signatures.wait)
        raise
    check_signatures(signatures.wait)
    return executed
