"""Published parts, scores on request and predictions in receipts."""

from dataclasses import replace

import numpy as np
import pytest

from engram.nn.data import part_commitment
from engram.nn.network import forward
from engram.nn.tensor import tensor_bytes
from engram.primitives.errors import Invalid
from engram.primitives.types import ZERO_HASH, Hash
from engram.statemachine import errors
from engram.statemachine.additions import TrainUpdate, explicit_tensors
from engram.statemachine.content import Inline, Stored, blob_id
from engram.statemachine.parameters import Composition
from engram.statemachine.receipt import Event
from engram.statemachine.record import u32
from engram.statemachine.records import Blob, Part, ScoreEntry, Version
from engram.statemachine.scoring import NoCache, Scorer, network_macs
from engram.statemachine.transactions.infer import Infer
from engram.statemachine.transactions.publish_part import PublishPart
from engram.statemachine.transactions.score_version import ScoreVersion
from tests.support import chain_models as models
from tests.support.ledger import Ledger, key
from tests.support.nn_samples import (
    TWO_LAYERS,
    network_parameters,
    random_features,
)

ALICE = key(1)
PLAIN = TrainUpdate(TWO_LAYERS, (), ())
RAW = models.raw_part()
PART = part_commitment(models.SALT, RAW)


@pytest.fixture
def ledger() -> Ledger:
    return models.model_ledger(RAW)


def test_a_version_is_scored_on_a_published_part(ledger: Ledger) -> None:
    receipt = ledger.send(ALICE, ScoreVersion(models.MODEL_ID, 0, PART))
    wanted = models.expected_score()
    entry = ledger.state.get(ScoreEntry, models.MODEL_ID, u32(0), PART)
    assert (entry.loss, entry.correct, entry.rows) == (wanted.loss, wanted.correct, 20)
    values = (0, wanted.loss, wanted.correct, 20)
    assert receipt.events == (Event("version_scored", models.MODEL_ID, values, (PART.hex(),)),)
    assert receipt.macs == network_macs(ledger.rules, PLAIN, 20, 3)


def refusal(ledger: Ledger, payload: ScoreVersion | Infer | PublishPart) -> str:
    with pytest.raises(Invalid) as caught:
        ledger.execution().add(ledger.pay(ALICE, payload, max_fee=10**9))
    return caught.value.code


def test_a_score_is_written_once(ledger: Ledger) -> None:
    ledger.send(ALICE, ScoreVersion(models.MODEL_ID, 0, PART))
    assert refusal(ledger, ScoreVersion(models.MODEL_ID, 0, PART)) == "score_known"


def test_scores_of_what_is_not_there(ledger: Ledger) -> None:
    assert refusal(ledger, ScoreVersion(bytes(32), 0, PART)) == "missing_version"
    assert refusal(ledger, ScoreVersion(models.MODEL_ID, 1, PART)) == "missing_version"
    assert refusal(ledger, ScoreVersion(models.MODEL_ID, 0, bytes(32))) == "missing_part"


def test_a_part_of_another_width(ledger: Ledger) -> None:
    raw = models.raw_part(inputs=11)
    ledger.send(ALICE, PublishPart(20, 11, 3, models.SALT, Inline(raw)))
    narrow = part_commitment(models.SALT, raw)
    assert refusal(ledger, ScoreVersion(models.MODEL_ID, 0, narrow)) == "shape_mismatch"


def test_a_pruned_tensor_is_no_verdict(ledger: Ledger) -> None:
    del ledger.blobs[explicit_tensors(models.sources(network_parameters(TWO_LAYERS)))[0]]
    with pytest.raises(errors.MissingBlob):
        ledger.send(ALICE, ScoreVersion(models.MODEL_ID, 0, PART))


def question(rows: int = 2, inputs: int = 12) -> bytes:
    return tensor_bytes(random_features(inputs, rows))


def test_a_prediction_stands_in_the_receipt(ledger: Ledger) -> None:
    receipt = ledger.send(ALICE, Infer(models.MODEL_ID, None, question()))
    logits = forward(TWO_LAYERS, network_parameters(TWO_LAYERS), random_features(12, 2))
    assert receipt.events == tuple(
        Event("prediction", models.MODEL_ID, (0, row, int(np.argmax(values)), *values.tolist()))
        for row, values in enumerate(logits)
    )
    assert receipt.macs == network_macs(ledger.rules, PLAIN, 2) + 6 * 2**14


def test_an_answer_pays_for_its_room_in_the_receipt(ledger: Ledger) -> None:
    """Every node keeps it: 64 rows of three classes are 192 logits, as much as 24 records."""
    payload = Infer(models.MODEL_ID, None, question(rows=64))
    cost = payload.cost(ledger.state, ledger.ctx, ALICE.address)
    assert cost.records == 24
    assert cost.macs == network_macs(ledger.rules, PLAIN, 64) + 192 * 2**14


def test_a_version_answers_from_the_block_after_its_own_on(ledger: Ledger) -> None:
    version = ledger.state.get(Version, models.MODEL_ID, u32(0))
    state = ledger.state.child()
    for payload in (Infer(models.MODEL_ID, None, question()), ScoreVersion(models.MODEL_ID, 0, PART)):
        state.put(replace(version, height=ledger.ctx.height))
        with pytest.raises(errors.BlobNotUsable):
            payload.cost(state, ledger.ctx, ALICE.address)
        state.put(replace(version, height=ledger.ctx.height - 1))
        payload.cost(state, ledger.ctx, ALICE.address)


def test_a_version_can_be_named(ledger: Ledger) -> None:
    head = ledger.send(ALICE, Infer(models.MODEL_ID, None, question()))
    assert ledger.send(ALICE, Infer(models.MODEL_ID, 0, question())).events == head.events
    assert refusal(ledger, Infer(models.MODEL_ID, 1, question())) == "missing_version"
    assert refusal(ledger, Infer(bytes(32), None, question())) == "missing_model"


@pytest.mark.parametrize(
    ("features", "code"),
    [
        (b"\x04", "bad_tensor"),
        (tensor_bytes(np.zeros((2, 12), dtype=np.int8)), "shape_mismatch"),
        (tensor_bytes(np.zeros(12, dtype=np.uint8)), "shape_mismatch"),
        (question(inputs=11), "shape_mismatch"),
        (question(rows=65), "too_many_rows"),
    ],
)
def test_questions_that_cannot_be_asked(ledger: Ledger, features: bytes, code: str) -> None:
    assert refusal(ledger, Infer(models.MODEL_ID, None, features)) == code


class NothingPutTogether(NoCache):
    """Fails where a network is looked for."""

    def get_composition(self, root: Hash) -> Composition | None:
        raise AssertionError("a question that no block holds has a network put together")


def test_rows_of_another_width_are_refused_before_the_network_is_put_together(ledger: Ledger) -> None:
    ledger.scorer = Scorer(NothingPutTogether())
    assert refusal(ledger, Infer(models.MODEL_ID, None, question(inputs=11))) == "shape_mismatch"


def test_an_answer_has_a_limit(ledger: Ledger) -> None:
    ledger.rules = replace(ledger.rules, max_infer_values=5)
    assert refusal(ledger, Infer(models.MODEL_ID, None, question())) == "too_many_rows"


def test_an_inline_part(ledger: Ledger) -> None:
    raw = models.raw_part(seed=9)
    result = ledger.block(ledger.pay(ALICE, PublishPart(20, 12, 3, models.SALT, Inline(raw))))
    name = part_commitment(models.SALT, raw)
    assert result.blobs == {blob_id(raw): raw}
    part = ledger.state.get(Part, name)
    assert part == Part(name, blob_id(raw), 20, 12, 3, ALICE.address, ZERO_HASH, 1)
    expires = ledger.rules.upload_expiry_ticks
    assert ledger.state.get(Blob, blob_id(raw)) == Blob(blob_id(raw), len(raw), 1, expires, 1)


def test_an_uploaded_part_holds_its_blob() -> None:
    raw = models.raw_part(seed=9)
    ledger = Ledger({ALICE: 10**10}, records=[Blob(blob_id(raw), len(raw), 0, 100, 0)])
    ledger.blobs[blob_id(raw)] = raw
    result = ledger.block(ledger.pay(ALICE, PublishPart(20, 12, 3, models.SALT, Stored(blob_id(raw)))))
    assert result.blobs == {}
    assert ledger.state.get(Blob, blob_id(raw)).refs == 1


def test_the_same_rows_under_another_salt_are_another_part(ledger: Ledger) -> None:
    ledger.send(ALICE, PublishPart(20, 12, 3, b"\x01" * 32, Inline(RAW)))
    assert ledger.state.get(Blob, blob_id(RAW)).refs == 2


def test_a_part_published_twice_fails(ledger: Ledger) -> None:
    assert ledger.send(ALICE, PublishPart(20, 12, 3, models.SALT, Inline(RAW))).code == "part_known"


def test_a_label_out_of_range_fails(ledger: Ledger) -> None:
    receipt = ledger.send(ALICE, PublishPart(20, 12, 2, b"\x01" * 32, Inline(RAW)))
    assert receipt.code == "label_out_of_range"


def test_inline_bytes_that_name_other_rows_and_inputs_fail(ledger: Ledger) -> None:
    swapped = RAW[4:8] + RAW[:4] + RAW[8:]
    receipt = ledger.send(ALICE, PublishPart(20, 12, 3, bytes(32), Inline(swapped)))
    assert (receipt.code, ledger.state.find(Blob, blob_id(swapped))) == ("bad_part", None)


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (PublishPart(0, 12, 3, bytes(32), Inline(RAW)), "dimension_out_of_range"),
        (PublishPart(2**32 - 1, 12, 3, bytes(32), Inline(RAW)), "dimension_out_of_range"),
        (PublishPart(20, 0, 3, bytes(32), Inline(RAW)), "dimension_out_of_range"),
        (PublishPart(20, 2**32 - 1, 3, bytes(32), Inline(RAW)), "dimension_out_of_range"),
        (PublishPart(20, 12, 0, bytes(32), Inline(RAW)), "dimension_out_of_range"),
        (PublishPart(20, 12, 2**16 - 1, bytes(32), Inline(RAW)), "dimension_out_of_range"),
        (PublishPart(21, 12, 3, bytes(32), Inline(RAW)), "bad_part"),
        (PublishPart(20, 12, 3, bytes(32), Inline(RAW + b"\x00")), "bad_part"),
        (PublishPart(20, 12, 3, bytes(32), Stored(b"\x01" * 32)), "unknown_blob"),
    ],
)
def test_parts_that_cannot_be(ledger: Ledger, payload: PublishPart, code: str) -> None:
    assert refusal(ledger, payload) == code


def test_bytes_of_the_right_size_and_a_wrong_header_fail(ledger: Ledger) -> None:
    swapped = RAW[4:8] + RAW[:4] + RAW[8:]
    assert ledger.send(ALICE, PublishPart(20, 12, 3, bytes(32), Inline(swapped))).code == "bad_part"
