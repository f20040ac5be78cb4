#!/usr/bin/env python3
"""Records tests/vectors/consensus_chain_50.json, fifty blocks of a real chain, and consensus_genesis.json.

Run from the repository root: .venv/bin/python scripts/record_chain.py

The blocks come from the real builder, with real proof of work and every kind of transaction: transfers, a
tensor that arrives in chunks, a model founded with it, a TRAIN round of two epochs with the part of a witness
and a liar, a GROW round, updates that are scored and withdrawn, other scores, inferences and claims, and what
founders may do between rounds. Run it again only after a deliberate change of the rules: tests hold later
code to these bytes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from engram.consensus import chainspec
from engram.consensus.block import Block
from engram.consensus.chainspec import Allocation, ChainSpec, chain_id, dump_spec, local, spec_id
from engram.consensus.genesis import genesis
from engram.nn.data import part_bytes
from engram.nn.growth import Policy
from engram.nn.layers import DenseRelu, Output
from engram.nn.loss import LossKind
from engram.nn.network import NetworkSpec
from engram.nn.seeded import Seeded
from engram.nn.tensor import Explicit, tensor_bytes
from engram.primitives.codec import encode
from engram.primitives.hashing import Tag, tagged_hash
from engram.primitives.types import Hash
from engram.statemachine.additions import SegmentSources
from engram.statemachine.content import Inline, blob_id
from engram.statemachine.receipt import Status
from engram.statemachine.records import NamedWitness
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.records import RoundStatus
from engram.statemachine.rounds.terms import Founding
from engram.statemachine.transaction import TxPayload
from engram.statemachine.transactions import TX_TYPES
from engram.statemachine.transactions.amend_model import AmendModel
from engram.statemachine.transactions.claim_rewards import ClaimRewards
from engram.statemachine.transactions.fork_model import ForkModel
from engram.statemachine.transactions.infer import Infer
from engram.statemachine.transactions.open_round import OpenRound
from engram.statemachine.transactions.publish_chunk import PublishChunk
from engram.statemachine.transactions.publish_part import PublishPart
from engram.statemachine.transactions.retire_part import RetirePart
from engram.statemachine.transactions.score_version import ScoreVersion
from engram.statemachine.transactions.transfer import Transfer
from tests.support.chain_ledger import MINERS, ChainLedger, Errand
from tests.support.memory_chain import GENESIS_MS, MemoryChain, key
from tests.support.rounds import (
    ACTORS,
    ALICE,
    BOB,
    CAROL,
    COIN,
    OPENER,
    SMALL_RULES,
    WITNESS,
    Play,
    SecretPart,
    grow_terms,
    growth,
    make_part,
    network,
    train_terms,
)

HEIGHT = 50
CHAIN_PATH = Path("tests/vectors/consensus_chain_50.json")
GENESIS_PATH = Path("tests/vectors/consensus_genesis.json")
CHUNK_BYTES = 4_096
INPUTS, NEURONS, CLASSES = 64, 160, 3
ROWS = 96
"""Large enough that the linear algebra library spreads the products over threads."""

CLERK, DAVE = key(101), key(102)


def recorded_spec() -> ChainSpec:
    """The local preset with the rules of small rounds, chunks of 4 KiB and a target that takes 64 digests."""
    owners = (*ACTORS, CLERK, DAVE, *MINERS)
    spec = local(tuple(Allocation(owner.address, 1_000 * COIN) for owner in owners), GENESIS_MS)
    rules = replace(SMALL_RULES, chunk_bytes=CHUNK_BYTES, max_blob_bytes=256 * CHUNK_BYTES)
    return replace(spec, name="recorded", rules=rules, genesis_target=spec.max_target)


class Story:
    """What happens in the fifty blocks."""

    def __init__(self) -> None:
        rng = np.random.default_rng(20)
        self.chain = MemoryChain(recorded_spec())
        self.tensor = tensor_bytes(rng.integers(-60, 61, (INPUTS, NEURONS), dtype=np.int8))
        labels = (np.arange(ROWS) % CLASSES).astype(np.uint16)
        features = rng.integers(0, 256, (ROWS, INPUTS), dtype=np.uint8)
        self.part = SecretPart(bytes(range(32)), part_bytes(features, labels))
        self.rows = tensor_bytes(features[:2])
        self.outputs = tensor_bytes(rng.integers(-90, 91, (NEURONS, CLASSES), dtype=np.int8))
        self.ledger = ChainLedger(self.chain, self.errands())

    def errands(self) -> Iterator[Errand]:
        """What others do in blocks in which nothing of a round happens."""
        chunks = [self.tensor[at : at + CHUNK_BYTES] for at in range(0, len(self.tensor), CHUNK_BYTES)]
        for index in (1, 0, *range(2, len(chunks))):
            chunk = PublishChunk(blob_id(self.tensor), len(self.tensor), index, chunks[index])
            yield CLERK, lambda chunk=chunk: chunk  # type: ignore[misc]  # mypy cannot infer the default
        yield CLERK, self.found_wide
        yield CLERK, lambda: PublishPart(ROWS, INPUTS, CLASSES, self.part.salt, Inline(self.part.raw))
        yield DAVE, lambda: ScoreVersion(self.wide_model(), 0, self.part.commitment)
        yield DAVE, lambda: Infer(self.wide_model(), None, self.rows)
        yield MINERS[0], lambda: ClaimRewards(0, self.chain.height)
        yield DAVE, lambda: Transfer(MINERS[1].address, 3 * COIN)
        while True:
            yield DAVE, lambda: Transfer(CLERK.address, 1 + self.chain.height)

    def found_wide(self) -> TxPayload:
        """Founds a model whose hidden weights were uploaded and whose biases come from a generator."""
        spec = NetworkSpec(
            INPUTS,
            CLASSES,
            (),
            (DenseRelu(1, 0, INPUTS, NEURONS, 6, 8, 8),),
            (Output(1, 0, NEURONS, 0, CLASSES, -2, 8),),
        )
        zeros = (Seeded(1, bytes(32), 3, (NEURONS,)), Seeded(1, bytes(32), 3, (CLASSES,)))
        founding = Founding(
            spec,
            (SegmentSources(Explicit(blob_id(self.tensor)), zeros[0]),),
            (SegmentSources(Explicit(blob_id(self.outputs)), zeros[1]),),
            policy=int(Policy.GATED),
            loss_kind=int(LossKind.SOFTMAX_CROSS_ENTROPY),
            threshold_ppm=900_000,
            tensors=(self.outputs,),
        )
        parts = [make_part(index, parts=INPUTS - 2, classes=CLASSES) for index in range(2)]
        return OpenRound(train_terms(parts, max_update_macs=40_000_000, bounty=0), founding=founding)

    def wide_model(self) -> Hash:
        """Id of the model that the clerk founded."""
        txs = (tx for block in self.chain.blocks for tx in block.transactions)
        founding = next(tx for tx in txs if (tx.sender, tx.kind) == (CLERK.public_key, OpenRound.KIND))
        return tagged_hash(Tag.MODEL, founding.id)

    def tell(self) -> list[Block]:
        """Plays the story; returns the blocks after genesis."""
        train = Play(ledger=self.ledger)
        third = make_part(7, parts=4, seed=9)
        train.parts.append(third)
        terms = train_terms(train.parts[:4], epochs=2, witnesses=(NamedWitness(WITNESS.address, False),))
        train.ok(train.found(terms=terms))
        train.seal(WITNESS, third)
        train.reveal_validation()
        good, better, best = (network(train.inputs, gain) for gain in (4, 8, 12))
        for receipt in train.play_epoch((ALICE, good), (BOB, better)):
            train.ok(receipt)
        train.at(Phase.COMMIT, 1)
        honest = train.commit(ALICE, best, 1)
        lie = train.commit(CAROL, best, 1, loss=train.loss_of(best) - 1)
        train.at(Phase.UPDATE, 1)
        train.ok(train.send(ALICE, train.update_payload(honest, best)))
        assert train.send(CAROL, train.update_payload(lie, best)).status == Status.FAILED
        assert train.decide().status == RoundStatus.DECIDED
        train.withdraw_all()
        self._grow(train)
        model = train.model
        train.ok(train.send(OPENER, RetirePart(model.id, model.retention[0].part)))
        amended, forked = (
            AmendModel(model.id, (ALICE.address,), (), 300_000),
            ForkModel(model.id, model.head),
        )
        for receipt in train.send_all([(OPENER, amended), (DAVE, forked)]):
            train.ok(receipt)
        while self.chain.height < HEIGHT:
            self.ledger.block()
        return self.chain.blocks[1:]

    def _grow(self, train: Play) -> None:
        grow = Play(ledger=self.ledger, classes=3)
        grow.model_id = train.model_id
        grow.new_parts()
        grow.ok(grow.open(grow_terms(grow.parts)))
        grow.reveal_validation()
        for receipt in grow.play_epoch((BOB, growth(grow.inputs, 12))):
            grow.ok(receipt)
        assert grow.decide().status == RoundStatus.DECIDED
        grow.withdraw_all()


def record_genesis() -> None:
    """Writes the spec, the ids and the genesis header of every preset."""
    allocations = (Allocation(bytes(range(20)), COIN),)
    presets = (
        chainspec.main(),
        chainspec.test(),
        chainspec.consortium(allocations, GENESIS_MS),
        chainspec.cluster(allocations, GENESIS_MS),
        local(allocations, GENESIS_MS),
    )
    vector = {
        "about": "Made by scripts/record_chain.py: the presets, their spec ids and their genesis headers.",
        "presets": [
            {
                "spec": json.loads(dump_spec(spec)),
                "spec_id": spec_id(spec).hex(),
                "chain_id": chain_id(spec),
                "header": encode(made.block.header).hex(),
                "block_id": made.id.hex(),
            }
            for spec in presets
            for made in (genesis(spec),)
        ],
    }
    GENESIS_PATH.write_text(json.dumps(vector, indent=1) + "\n")
    print(f"{GENESIS_PATH}: {len(presets)} presets")


def record_story() -> None:
    """Writes the fifty blocks."""
    story = Story()
    blocks = story.tell()
    kinds = {tx.kind for block in blocks for tx in block.transactions}
    assert kinds == TX_TYPES.keys(), f"the story lacks {sorted(TX_TYPES.keys() - kinds)}"
    assert len(blocks) == HEIGHT, f"the story takes {len(blocks)} blocks"
    vector = {
        "about": "Made by scripts/record_chain.py. A replay must give every root in these headers.",
        "spec": json.loads(dump_spec(story.chain.spec)),
        "genesis": story.chain.blocks[0].header.id.hex(),
        "blocks": [
            {"id": header.id.hex(), "state_root": header.state_root.hex(), "raw": encode(block).hex()}
            for block in blocks
            for header in (block.header,)
        ],
    }
    CHAIN_PATH.write_text(json.dumps(vector, indent=1) + "\n")
    transactions = sum(len(block.transactions) for block in blocks)
    print(f"{CHAIN_PATH}: {len(blocks)} blocks, {transactions} transactions")


if __name__ == "__main__":
    record_genesis()
    record_story()
