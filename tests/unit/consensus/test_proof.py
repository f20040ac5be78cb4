"""Proof bundles: a true one is accepted and says what it stands on; every other is refused by name."""

from dataclasses import replace
from typing import Any

import pytest

from engram.consensus.block import BlockHeader
from engram.consensus.bundle import ProofBundle, open_bundle, seal_bundle
from engram.consensus.chainspec import ONE_WORK_TARGET, ChainSpec, Upgrade
from engram.consensus.compact import bits_to_target, work_of
from engram.consensus.errors import (
    BadTarget,
    CheckpointMissing,
    CheckpointNeeded,
    InsufficientWork,
    NoWork,
    PowNotMet,
    ProofDamaged,
    RecordMismatch,
    TimestampAhead,
    TimestampTooOld,
    WrongHeight,
    WrongParent,
    WrongSpec,
)
from engram.consensus.genesis import genesis
from engram.consensus.proof import LEAST_ANCHORING_WORK, Measured, ProofReport, verify_bundle
from engram.consensus.validation import MEDIAN_BLOCKS
from engram.primitives.codec import decode, encode
from engram.primitives.errors import (
    ChainError,
    CodecError,
    InvalidProof,
    MalformedProof,
    SmtProofMismatch,
)
from engram.primitives.hashing import Tag, tagged_hash
from engram.primitives.types import ZERO_HASH
from tests.support import proof_chain
from tests.support.proof_chain import (
    MODEL_RECORD,
    RECORDS,
    ROUND_RECORD,
    SEALED,
    SPEC,
    TENSORS,
    VALIDATION,
    VERSION_RECORD,
    WITNESS,
    WITNESSED,
    bundle_of,
    mined,
    mined_line,
    tree_of,
)

BLOCKS = 14
TREE = tree_of(*RECORDS)
LINE = mined_line(SPEC, BLOCKS, TREE.root)
BUNDLE = bundle_of(LINE, TREE)
RAW = seal_bundle(BUNDLE)
GENESIS = genesis(SPEC).id
IDS = [header.id for header in LINE]


def work(headers: list[BlockHeader]) -> int:
    return sum(work_of(bits_to_target(header.target)) for header in headers)


NOW_MS = LINE[-1].timestamp_ms


def check(
    bundle: ProofBundle, *, spec: ChainSpec = SPEC, checkpoint: bytes | None = None, min_work: int = 0
) -> ProofReport:
    """What the bundle proves to somebody whose clock shows the time of the last block."""
    return verify_bundle(bundle, spec, NOW_MS, checkpoint=checkpoint, min_work=min_work)


def test_a_true_bundle_says_what_it_stands_on() -> None:
    report = check(BUNDLE)
    assert (report.spec, report.genesis) == (SPEC, GENESIS)
    assert (report.block, report.head, report.confirmations) == (LINE[-1], LINE[-1], 0)
    assert (report.work, report.chain_work) == (work(LINE[-1:]), work(LINE))
    assert (report.model, report.version, report.round) == (MODEL_RECORD, VERSION_RECORD, ROUND_RECORD)
    assert report.is_current
    assert report.tensors == TENSORS
    assert (report.validation, report.sealed) == ((VALIDATION,), (WITNESSED, SEALED))
    assert report.witnesses == ROUND_RECORD.witnesses
    assert (report.on_witnesses_rows, report.on_openers_rows) == (
        Measured(rows=100, loss=60, baseline=800),
        Measured(rows=100, loss=40, baseline=700),
    )


def test_a_witness_who_opened_nothing_measured_nothing() -> None:
    absent = replace(ROUND_RECORD, witnesses=(replace(ROUND_RECORD.witnesses[0], opened=False),))
    tree = tree_of(MODEL_RECORD, VERSION_RECORD, absent)
    assert check(bundle_of(mined_line(SPEC, 2, tree.root), tree, round_=absent)).witnesses == ()


def test_without_an_anchor_nothing_is_proved() -> None:
    assert not check(BUNDLE).anchored
    asked = check(BUNDLE, min_work=1)
    assert not asked.anchored, "so little work is no anchor"
    assert not replace(asked, work=LEAST_ANCHORING_WORK - 1).anchored
    assert replace(asked, work=LEAST_ANCHORING_WORK).anchored
    assert not replace(check(BUNDLE), work=LEAST_ANCHORING_WORK).anchored, "nobody asked for it"
    assert check(BUNDLE, checkpoint=IDS[-1]).anchored


def test_the_bytes_are_canonical() -> None:
    assert decode(ProofBundle, RAW[:-32]) == BUNDLE
    assert RAW[-32:] == tagged_hash(Tag.PROOF, RAW[:-32])


def test_one_byte_changed_anywhere_is_an_accident() -> None:
    for index in range(len(RAW)):
        with pytest.raises(ProofDamaged):
            open_bundle(RAW[:index] + bytes([RAW[index] ^ 1]) + RAW[index + 1 :])


@pytest.mark.parametrize("raw", [b"", RAW[:31], RAW[-32:], RAW[:-1], RAW + b"\x00", b"\x89PNG" * 20])
def test_other_bytes_are_no_bundle(raw: bytes) -> None:
    with pytest.raises(ProofDamaged):
        open_bundle(raw)


def test_one_byte_changed_by_a_forger_who_mends_the_hash() -> None:
    """Every byte of headers and records is bound by a hash or by work; every third and the head's."""
    body = RAW[:-32]
    accepted = []
    head_end = body.index(encode(LINE[-1])) + len(encode(LINE[-1]))
    for index in sorted({*range(0, len(body), 3), *range(head_end - len(encode(LINE[-1])), head_end)}):
        forged = body[:index] + bytes([body[index] ^ 1]) + body[index + 1 :]
        try:
            verify_bundle(open_bundle(forged + tagged_hash(Tag.PROOF, forged)), SPEC, NOW_MS)
        except ChainError:
            continue
        accepted.append(index)
    assert accepted == []


BURIED = mined_line(SPEC, BLOCKS, TREE.root, depth=3)


def test_work_counts_from_the_proven_block_on_and_is_asked_for_exactly() -> None:
    bundle = bundle_of(BURIED, TREE, depth=3)
    report = check(bundle, min_work=work(BURIED[-4:]))
    assert (report.block, report.head, report.confirmations) == (BURIED[-4], BURIED[-1], 3)
    assert (report.work, report.chain_work) == (work(BURIED[-4:]), work(BURIED))
    with pytest.raises(InsufficientWork) as refusal:
        check(bundle, min_work=report.work + 1)
    assert (refusal.value.expected, refusal.value.got) == (report.work + 1, report.work)


def test_nobody_can_ask_for_work_on_a_chain_without_any() -> None:
    spec = replace(SPEC, pow="none", genesis_target=ONE_WORK_TARGET, max_target=ONE_WORK_TARGET)
    headers = mined_line(spec, BLOCKS, TREE.root)
    bundle = bundle_of(headers, TREE, spec=spec)
    trusted = verify_bundle(bundle, spec, headers[-1].timestamp_ms, checkpoint=headers[-1].id)
    assert trusted.anchored
    assert trusted.work == 1
    with pytest.raises(NoWork) as refusal:
        verify_bundle(bundle, spec, headers[-1].timestamp_ms, checkpoint=headers[-1].id, min_work=1)
    assert refusal.value.code == "no_work"


@pytest.mark.parametrize("depth", [BLOCKS, BLOCKS + 1, 2**32 - 1])
def test_the_proven_block_is_among_the_headers(depth: int) -> None:
    with pytest.raises(MalformedProof):
        check(replace(BUNDLE, depth=depth))


@pytest.mark.parametrize(("height", "vouched"), [(0, False), (10, False), (11, True), (12, True), (14, True)])
def test_a_checkpoint_vouches_for_its_own_state_and_those_before_it(height: int, vouched: bool) -> None:
    report = check(bundle_of(BURIED, TREE, depth=3), checkpoint=BURIED[height].id)
    assert (report.checkpoint, report.vouched, report.anchored) == (BURIED[height].id, vouched, vouched)


def test_a_checkpoint_of_another_chain_is_missed() -> None:
    with pytest.raises(CheckpointMissing):
        check(BUNDLE, checkpoint=b"\x77" * 32)


def shortened(checkpoint: int, *, before: int = MEDIAN_BLOCKS - 1) -> ProofBundle:
    """The bundle that begins `before` headers before the checkpoint's height."""
    return bundle_of(LINE, TREE, first=checkpoint - before)


def test_a_bundle_may_begin_at_a_checkpoint() -> None:
    report = check(shortened(12), checkpoint=IDS[12])
    assert (report.genesis, report.checkpoint, report.vouched) == (GENESIS, IDS[12], False)
    assert (report.work, report.chain_work) == (work(LINE[14:]), work(LINE[13:]))
    assert report.version == VERSION_RECORD
    assert check(shortened(12), checkpoint=IDS[12], min_work=1).min_work == 1


def test_a_trusted_block_alone_proves_its_state() -> None:
    report = check(bundle_of(LINE, TREE, first=BLOCKS), checkpoint=IDS[-1])
    assert (report.work, report.chain_work, report.anchored) == (0, 0, True)


def test_a_bundle_that_begins_later_proves_nothing_by_itself() -> None:
    with pytest.raises(CheckpointNeeded) as refusal:
        check(shortened(12))
    assert (refusal.value.expected, refusal.value.got) == (None, None), (
        "an id here would be taken for one to trust"
    )


def test_a_bundle_that_begins_later_must_hold_the_checkpoint() -> None:
    with pytest.raises(CheckpointMissing):
        check(shortened(12), checkpoint=IDS[1])


def test_the_difficulty_after_a_checkpoint_needs_the_headers_before_it() -> None:
    with pytest.raises(MalformedProof):
        check(shortened(12, before=MEDIAN_BLOCKS - 2), checkpoint=IDS[12])


def test_headers_before_a_checkpoint_are_linked() -> None:
    others = mined_line(SPEC, 4, b"\x55" * 32)
    headers = (*LINE[2:4], others[4], *LINE[5:])
    with pytest.raises(WrongParent):
        check(replace(BUNDLE, headers=headers), checkpoint=IDS[12])
    headers = (*LINE[2:4], *LINE[5:])
    with pytest.raises(WrongHeight):
        check(replace(BUNDLE, headers=headers), checkpoint=IDS[12])


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"height": BLOCKS + 1}, WrongHeight),
        ({"parent": IDS[3]}, WrongParent),
        ({"timestamp_ms": LINE[8].timestamp_ms}, TimestampTooOld),
        ({"target": 0x207FFFFF}, BadTarget),
    ],
)
def test_a_header_that_breaks_a_rule(fields: dict[str, object], error: type[ChainError]) -> None:
    head = mined(SPEC, LINE[:-1], state_root=TREE.root, **fields)
    with pytest.raises(error):
        check(replace(BUNDLE, headers=(*LINE[1:-1], head)))


def test_a_header_without_work() -> None:
    idle = replace(LINE[-1], nonce=b"\xff" * 8)
    with pytest.raises(PowNotMet):
        check(replace(BUNDLE, headers=(*LINE[1:-1], idle)))


def test_records_must_stand_under_the_head() -> None:
    other = tree_of(MODEL_RECORD, VERSION_RECORD, replace(ROUND_RECORD, pot=1))
    for name in ("model", "version", "round"):
        record = {"model": MODEL_RECORD, "version": VERSION_RECORD, "round": replace(ROUND_RECORD, pot=1)}[
            name
        ]
        forged = replace(BUNDLE, **{name: other.proven(record)})  # type: ignore[arg-type]  # by name
        with pytest.raises(SmtProofMismatch):
            check(forged)


OTHER = b"\x66" * 32
STRANGE_STATES: dict[str, dict[str, Any]] = {
    "version of another model": {"version": replace(VERSION_RECORD, model=OTHER)},
    "root that is not of the tensors": {"version": replace(VERSION_RECORD, root=OTHER)},
    "model with another current root": {"model": replace(MODEL_RECORD, root=OTHER)},
    "round of another model": {"round_": replace(ROUND_RECORD, model=OTHER)},
    "another round": {"round_": replace(ROUND_RECORD, id=OTHER)},
    "round that kept the model": {"round_": replace(ROUND_RECORD, status=2)},
    "round that made another version": {"round_": replace(ROUND_RECORD, new_version=2)},
    "round that another author won": {"round_": replace(ROUND_RECORD, winner=WITNESS)},
    "round with another loss": {"version": replace(VERSION_RECORD, sealed_loss=99)},
    "round with other rows": {"version": replace(VERSION_RECORD, sealed_rows=100)},
    "round without losses": {"round_": replace(ROUND_RECORD, winner_groups=())},
    "round left out": {"round_": None},
    "founding version with a round": {"version": replace(VERSION_RECORD, number=0)},
}


@pytest.mark.parametrize("case", STRANGE_STATES)
def test_records_must_belong_together(case: str) -> None:
    """A state that no execution reaches, mined all the same: no proof of it is accepted."""
    honest: dict[str, Any] = {"model": MODEL_RECORD, "version": VERSION_RECORD, "round_": ROUND_RECORD}
    records = honest | STRANGE_STATES[case]
    tree = tree_of(*(record for record in records.values() if record is not None))
    line = mined_line(SPEC, 2, tree.root)
    with pytest.raises(RecordMismatch):
        check(bundle_of(line, tree, **records))


def test_records_of_other_kinds_are_refused() -> None:
    with pytest.raises(RecordMismatch):
        check(replace(BUNDLE, model=BUNDLE.version))


def test_an_older_version_is_proven_as_such() -> None:
    model = replace(MODEL_RECORD, head=2, root=OTHER)
    tree = tree_of(model, VERSION_RECORD, ROUND_RECORD)
    report = check(bundle_of(mined_line(SPEC, 2, tree.root), tree, model=model))
    assert not report.is_current


def test_the_founding_version_needs_no_round() -> None:
    model = replace(MODEL_RECORD, head=0)
    version = replace(VERSION_RECORD, number=0, round=ZERO_HASH)
    tree = tree_of(model, version)
    line = mined_line(SPEC, 2, tree.root)
    report = check(bundle_of(line, tree, model=model, version=version, round_=None))
    assert (report.round, report.validation, report.sealed, report.witnesses) == (None, (), (), ())
    assert (report.on_witnesses_rows, report.on_openers_rows) == (Measured(), Measured())


def test_the_rules_are_those_of_the_verifier() -> None:
    with pytest.raises(WrongSpec) as refusal:
        check(BUNDLE, spec=replace(SPEC, name="other"))
    assert refusal.value.code == "wrong_spec"


def test_upgrades_do_not_change_the_chain() -> None:
    assert check(BUNDLE, spec=replace(SPEC, upgrades=(Upgrade(1, 0),))).head == LINE[-1]


def test_a_head_from_the_future_is_refused() -> None:
    latest = NOW_MS - SPEC.future_limit_ms
    assert verify_bundle(BUNDLE, SPEC, latest).head == LINE[-1]
    for bundle, checkpoint in ((BUNDLE, None), (bundle_of(LINE, TREE, first=BLOCKS), IDS[-1])):
        with pytest.raises(TimestampAhead) as refusal:
            verify_bundle(bundle, SPEC, latest - 1, checkpoint=checkpoint)
        assert refusal.value.code == "timestamp_ahead"


@pytest.mark.parametrize("value", [b"\x00", b"\xff\x90", b"\x09\xc0"])
def test_a_value_that_is_no_record(value: bytes) -> None:
    with pytest.raises((CodecError, InvalidProof)):
        check(replace(BUNDLE, model=replace(BUNDLE.model, value=value)))


def test_the_samples_are_worked_for() -> None:
    assert work(LINE) == (BLOCKS + 1) * work_of(int.from_bytes(proof_chain.TARGET, "big"))
