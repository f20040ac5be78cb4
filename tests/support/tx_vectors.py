"""Writes tests/vectors/tx_*.json: run `python -m tests.support.tx_vectors` from the root.

One file a transaction type, each a list of blocks in which the type occurs: the whole state before, the
transactions, their receipts, and every record and blob that they change. A second implementation can replay
them without this package. The files are frozen: a changed vector is a changed protocol.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from engram.nn.data import part_commitment
from engram.nn.tensor import tensor_bytes
from engram.primitives import smt
from engram.primitives.codec import encode, to_json
from engram.primitives.types import Hash
from engram.statemachine.content import Inline, blob_id
from engram.statemachine.records import Maturing, Model, NamedWitness, Supply
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rules import Rules
from engram.statemachine.transaction import Transaction, signing_message
from engram.statemachine.transactions import TX_TYPES, decode_payload
from engram.statemachine.transactions.amend_model import AmendModel
from engram.statemachine.transactions.claim_rewards import ClaimRewards
from engram.statemachine.transactions.fork_model import ForkModel
from engram.statemachine.transactions.infer import Infer
from engram.statemachine.transactions.publish_chunk import PublishChunk
from engram.statemachine.transactions.publish_part import PublishPart
from engram.statemachine.transactions.retire_part import RetirePart
from engram.statemachine.transactions.score_version import ScoreVersion
from engram.statemachine.transactions.transfer import Transfer
from engram.statemachine.transition import TransitionResult
from tests.support import chain_models as models
from tests.support import joint, rounds
from tests.support.claimed_rounds import EVERY_CHUNK, ROWS, ClaimPlay, better, worse_before
from tests.support.ledger import Ledger, key
from tests.support.nn_samples import random_features

FOLDER = Path(__file__).resolve().parents[1] / "vectors"
Case = dict[str, Any]
ALICE, BOB = key(1), key(2)
COINS = 10**10


class RecordingLedger(Ledger):
    """A ledger that keeps a case of every block with transactions in it."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.cases: list[Case] = []

    def block(self, *txs: Transaction) -> TransitionResult:
        before = self._snapshot()
        result = super().block(*txs)
        if txs:
            self.cases.append(before | _outcome(txs, result))
        return result

    def _snapshot(self) -> Case:
        ctx = self.ctx
        held = sorted(self.blobs.items())
        return {
            "block": {
                "chain_id": ctx.chain_id,
                "height": ctx.height,
                "tick": ctx.tick,
                "exponent": ctx.exponent,
                "timestamp_ms": 1_000 * ctx.height,
                "parent": ctx.parent.hex(),
                "miner": ctx.miner.hex(),
            },
            "rules": to_json(ctx.rules),
            "root": self.root.hex(),
            "state": {path.hex(): leaf.hex() for path, leaf in smt.iterate(self.nodes, self.root)},
            "blobs": {name.hex(): raw.hex() for name, raw in held},
        }


def _outcome(txs: tuple[Transaction, ...], result: TransitionResult) -> Case:
    changes = sorted(result.changes.items())
    return {
        "transactions": [_transaction(tx) for tx in txs],
        "receipts": [
            {"bytes": encode(receipt).hex(), "value": to_json(receipt)} for receipt in result.receipts
        ],
        "new_root": result.root.hex(),
        "changes": {path.hex(): None if leaf is None else leaf.hex() for path, leaf in changes},
        "new_blobs": {name.hex(): raw.hex() for name, raw in sorted(result.blobs.items())},
    }


def _transaction(tx: Transaction) -> Case:
    return {
        "type": TX_TYPES[tx.kind].NAME,
        "bytes": encode(tx).hex(),
        "signing_message": signing_message(tx).hex(),
        "txid": tx.id.hex(),
        "payload": to_json(decode_payload(tx)),
    }


def transfer() -> list[Case]:
    ledger = RecordingLedger({ALICE: COINS, BOB: 5})
    ledger.block(ledger.pay(ALICE, Transfer(BOB.address, 12_345)))
    ledger.block(*ledger.pay_each(ALICE, Transfer(b"\xcc" * 20, 1), Transfer(ALICE.address, 7)))
    crowded = RecordingLedger({ALICE: COINS}, rules=Rules(max_block_transactions=3))
    for _ in range(2):
        crowded.block(*crowded.pay_each(ALICE, Transfer(BOB.address, 1), Transfer(BOB.address, 2)))
    crowded.block(crowded.pay(ALICE, Transfer(BOB.address, 3), tip=500))
    return ledger.cases + crowded.cases


def claim_rewards() -> list[Case]:
    ledger = RecordingLedger({ALICE: COINS}, rules=Rules(maturity_blocks=2, subsidy=1_000))
    ledger.miner = ALICE.address
    ledger.skip_to(5)
    ledger.send(ALICE, ClaimRewards(3, 4))
    assert ledger.send(ALICE, ClaimRewards(3, 4)).code == "nothing_to_claim"
    poor = RecordingLedger({}, records=[Maturing(BOB.address, 1, 50_000), Supply(issued=50_000)])
    assert poor.send(BOB, ClaimRewards(1, 1)).fee < 50_000
    return ledger.cases + poor.cases


def publish_chunk() -> list[Case]:
    ledger = RecordingLedger({ALICE: COINS, BOB: COINS}, rules=Rules(chunk_bytes=32))
    raw, wrong = bytes(range(40)), b"\x77" * 32
    first, last = (
        PublishChunk(blob_id(raw), 40, index, raw[32 * index : 32 * index + 32]) for index in (0, 1)
    )
    for sender, chunk in ((BOB, first), (ALICE, last), (ALICE, first), (BOB, last)):
        ledger.send(sender, chunk)
    assert ledger.send(ALICE, PublishChunk(wrong, 3, 0, b"abc")).code == "blob_hash_mismatch"
    return ledger.cases


def _model_ledger() -> RecordingLedger:
    samples = models.founded_model(), models.published_part(models.raw_part())
    records = [record for sample in samples for record in sample.records]
    ledger = RecordingLedger({ALICE: COINS}, records=records)
    models.bring(ledger, samples)
    return ledger


def publish_part() -> list[Case]:
    raw = models.raw_part(rows=4, seed=8)
    ledger = RecordingLedger({ALICE: COINS})
    ledger.send(ALICE, PublishPart(4, 12, 3, models.SALT, Inline(raw)))
    assert ledger.send(ALICE, PublishPart(4, 12, 3, models.SALT, Inline(raw))).code == "part_known"
    assert ledger.send(ALICE, PublishPart(4, 12, 2, bytes(32), Inline(raw))).code == "label_out_of_range"
    return ledger.cases


def score_version() -> list[Case]:
    ledger = _model_ledger()
    part = part_commitment(models.SALT, models.raw_part())
    ledger.send(ALICE, ScoreVersion(models.MODEL_ID, 0, part))
    return ledger.cases


def infer() -> list[Case]:
    ledger = _model_ledger()
    question = tensor_bytes(random_features(12, 3))
    ledger.send(ALICE, Infer(models.MODEL_ID, None, question))
    return ledger.cases


@cache
def _played_rounds() -> tuple[Case, ...]:
    """A TRAIN round with a witness and a liar, a GROW round, what founders may do, and a growth of a fork."""
    ledger = RecordingLedger({actor: rounds.PURSE for actor in rounds.ACTORS}, rules=rounds.SMALL_RULES)
    train = rounds.Play(parts=5, ledger=ledger)
    witnesses = (NamedWitness(rounds.WITNESS.address, False),)
    train.ok(train.found(terms=rounds.train_terms(train.parts[:4], witnesses=witnesses)))
    train.seal(rounds.WITNESS, train.parts[4])
    train.reveal_validation()
    train.at(Phase.COMMIT)
    honest, lie = rounds.network(train.inputs, 8), rounds.network(train.inputs, 4)
    claim = train.commit(rounds.ALICE, honest)
    false_claim = train.commit(rounds.BOB, lie, loss=train.loss_of(lie) - 1)
    train.at(Phase.UPDATE)
    train.ok(train.send(rounds.ALICE, train.update_payload(claim, honest)))
    assert train.send(rounds.BOB, train.update_payload(false_claim, lie)).code == "loss_mismatch"
    assert train.decide().new_version == 1
    train.withdraw_all()
    _grow(train, ledger)
    model = ledger.state.get(Model, train.model_id)
    train.ok(train.send(rounds.OPENER, RetirePart(model.id, model.retention[0].part)))
    amended = AmendModel(model.id, (rounds.ALICE.address,), witnesses, 300_000)
    train.ok(train.send(rounds.OPENER, amended))
    forked = train.ok(train.send(rounds.OPENER, ForkModel(model.id, model.head, witnesses=witnesses)))
    fork = forked.events[-1].subject
    train.ok(train.send(rounds.BOB, ForkModel(fork, 0)))
    _grow_fork(fork, ledger)
    return tuple(ledger.cases)


def _grow(train: rounds.Play, ledger: Ledger) -> None:
    grow = rounds.Play(parts=5, ledger=ledger, classes=3)
    grow.model_id = train.model_id
    grow.new_parts()
    grow.ok(grow.open(rounds.grow_terms(grow.parts)))
    grow.reveal_validation()
    for receipt in grow.play_epoch((rounds.ALICE, rounds.growth(grow.inputs, 16))):
        grow.ok(receipt)
    assert grow.decide().new_version == 2
    grow.withdraw_all()


def _grow_fork(fork: Hash, ledger: Ledger) -> None:
    """A growth without new classes of a fork, whose standing witness opens a part; it joins runs."""
    grow = rounds.Play(parts=5, ledger=ledger, classes=3)
    grow.model_id = fork
    grow.seed = 1  # whose next parts are not those of the model that was forked
    grow.new_parts(rows=15)
    grow.ok(grow.open(rounds.grow_terms(grow.parts[:4], new_classes=0, rows=15, old_rows=15)))
    grow.seal(rounds.WITNESS, grow.parts[4])
    grow.reveal_validation()
    for receipt in grow.play_epoch((rounds.BOB, rounds.more_of_class_2(grow.inputs, 16))):
        grow.ok(receipt)
    assert grow.decide().new_version == 1
    grow.withdraw_all()


@cache
def _joint_round() -> tuple[Case, ...]:
    """A GROW round of two epochs, whose second rung is the union of two growths."""
    ledger = RecordingLedger({actor: rounds.PURSE for actor in rounds.ACTORS}, rules=rounds.SMALL_RULES)
    play = joint.both_alone(joint.two_epochs(rounds.Play(ledger=ledger)))
    united = joint.union_of(play, statistics=models.SALT)
    play.ok(joint.send_union(play, rounds.CAROL, united))
    assert play.decide().new_version == 2
    play.withdraw_all()
    return tuple(ledger.cases)


@cache
def _claimed_rounds() -> tuple[Case, ...]:
    """Two rounds on models whose authors claim scores: a claim that holds, and two that are refuted."""
    ledger = RecordingLedger({actor: rounds.PURSE for actor in rounds.ACTORS}, rules=rounds.SMALL_RULES)
    play = ClaimPlay(ledger=ledger)
    play.lies[rounds.BOB.address, 1] = better(row=3)
    play.ok(play.found())
    play.reveal_validation()
    play.play_epoch(
        (rounds.ALICE, rounds.network(play.inputs, 8)), (rounds.BOB, rounds.network(play.inputs, 4))
    )
    play.audit()
    play.at(Phase.SCORE)
    play.score_update(rounds.ALICE)
    play.score_update(rounds.BOB)
    assert play.send(rounds.CAROL, play.dispute_payload(rounds.ALICE, 1, 2)).code == "claim_holds"
    play.ok(play.send(rounds.CAROL, play.dispute_payload(rounds.BOB, 1, 0)))
    play.confirm(rounds.ALICE)
    assert play.end().new_version == 1
    play.withdraw_all()
    audited = ClaimPlay(ledger=ledger, claims=EVERY_CHUNK)
    audited.lies[rounds.BOB.address, 0] = worse_before(row=23)
    audited.seed = 1
    audited.new_parts(classes=2, rows=ROWS)
    audited.ok(audited.found())
    audited.reveal_validation()
    audited.play_epoch((rounds.BOB, rounds.network(audited.inputs, 8)))
    audited.audit()
    audited.at(Phase.SCORE)
    audited.score_update(rounds.BOB)
    audited.confirm(rounds.BOB, sender=rounds.CAROL)
    audited.end()
    return tuple(ledger.cases)


def _of_claims(name: str) -> list[Case]:
    return [case for case in _claimed_rounds() if name in {tx["type"] for tx in case["transactions"]}]


def _and_claims(name: str) -> Callable[[], list[Case]]:
    """As `_and_a_union`, and before the last two the first such block of the rounds with claims."""

    def cases() -> list[Case]:
        found = _and_a_union(name)()
        return found[:-2] + _of_claims(name)[:1] + found[-2:]

    return cases


def _of_rounds(name: str) -> Callable[[], list[Case]]:
    """Of the played rounds' blocks that hold this type: the first, the first in which it failed, the last."""

    def cases() -> list[Case]:
        found = [case for case in _played_rounds() if name in {tx["type"] for tx in case["transactions"]}]
        failed = [case for case in found[1:-1] if any(each["value"]["code"] for each in case["receipts"])]
        return found[:1] + failed[:1] + found[1:][-1:]

    return cases


def _and_a_union(name: str) -> Callable[[], list[Case]]:
    """As `_of_rounds`, and the last such block of the joint round: that of the union, or of its end."""

    def cases() -> list[Case]:
        found = [case for case in _joint_round() if name in {tx["type"] for tx in case["transactions"]}]
        return _of_rounds(name)() + found[-1:]

    return cases


MAKERS: dict[str, Callable[[], list[Case]]] = {
    "transfer": transfer,
    "claim_rewards": claim_rewards,
    "publish_chunk": publish_chunk,
    "publish_part": publish_part,
    "score_version": score_version,
    "infer": infer,
    "open_round": _of_rounds("open_round"),
    "seal_part": _of_rounds("seal_part"),
    "reveal_part": _of_rounds("reveal_part"),
    "commit_update": _of_rounds("commit_update"),
    "reveal_update": _and_claims("reveal_update"),
    "reveal_sealed": _of_rounds("reveal_sealed"),
    "score_update": _and_claims("score_update"),
    "advance_round": _and_a_union("advance_round"),
    "withdraw": _of_rounds("withdraw"),
    "amend_model": _of_rounds("amend_model"),
    "retire_part": _of_rounds("retire_part"),
    "fork_model": _of_rounds("fork_model"),
    "confirm_update": lambda: _of_claims("confirm_update"),
    "dispute_claim": lambda: _of_claims("dispute_claim"),
}


def main() -> None:
    for name, make in MAKERS.items():
        text = json.dumps(make(), indent=1, ensure_ascii=False)
        (FOLDER / f"tx_{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
