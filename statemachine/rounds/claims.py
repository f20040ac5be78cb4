"""Scores that an author claims, instead of every node computing them. Moves no coins.

A model with `ClaimTerms` is too heavy for every node to compute every score. There, the author of an update
claims what version t and the update lose on each row of each part. Every node adds these up, and nobody
computes a row until somebody disputes it: then every node computes the chunk of rows that is named. Before a
claim counts, every node also recomputes chunks that are drawn from blocks after it.

    row      (loss, right) of version t with its own classes, then of the update with those of the round:
             each 4 bytes, little-endian: loss, and 2^31 more if the predicted class is the label
    chunk    `chunk_rows(N)` rows in order; the last one has what is left
    root     the root of the list of chunks of a part
    head     the root of the list of the commitments of parts; it stands before their rows in a transaction

What is claimed stands in the transactions, and so in blocks; the candidate keeps the root for each part.
A part's number says when it opened, and on another branch another part can have it. So a claim names its
parts by the head: no block can hold it as a claim of others. A dispute names its `subject` for the same
reason: what is false on one branch can be true on another, where the challenger would lose a deposit.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Annotated, Final

import numpy as np
import numpy.typing as npt

from engram.nn.data import Labels
from engram.nn.loss import RowScores, loss_limit
from engram.primitives.errors import ListProofMismatch, MalformedProof
from engram.primitives.merkle import ListProof, list_root, prove_item
from engram.primitives.types import U16, ZERO_HASH, Hash, Size
from engram.statemachine.additions import Update
from engram.statemachine.parameters import Composition, HasParameters
from engram.statemachine.records import Model, RetentionPart
from engram.statemachine.rounds.candidates import parts_to_score
from engram.statemachine.rounds.draw import sample
from engram.statemachine.rounds.errors import (
    ChunkNotClaimed,
    ClaimDecided,
    ClaimMalformed,
    ClaimMisplaced,
    OtherClaimDisputed,
    OtherPartsClaimed,
    UpdateTooHeavy,
)
from engram.statemachine.rounds.records import Candidate, Claim, ClaimStatus, OpenedPart, Round
from engram.statemachine.rounds.update import reading_macs, update_macs
from engram.statemachine.rules import Rules
from engram.statemachine.scoring import composing_macs, network_macs

CONFIRM_KIND: Final = 28
DISPUTE_KIND: Final = 29
"""Kinds of the transactions that a model with claims needs: none may be founded before they are in force."""

MAX_CHUNKS: Final = 1_024
"""The most chunks of a part."""
LEAST_CHUNK_ROWS: Final = 8
"""A chunk has at least so many rows, unless its part has fewer: loading the networks costs more than that."""
ROW_BYTES: Final = 8
"""Bytes of a claimed row."""
HEAD_BYTES: Final = 32
"""Bytes before the rows of parts in a transaction: they name the parts."""

ROOT_BYTES: Final = 34
"""Encoded bytes of a root in the record of a candidate."""
PROOF_BYTES: Final = 360
"""The most encoded bytes of a claimed chunk besides its rows: its numbers, and ten hashes of its proof."""

_RIGHT: Final = 2**31
_WORD: Final = np.dtype("<u4")
_MAX_CHUNK_BYTES: Final = ROW_BYTES * 128

ClaimedPart = OpenedPart | RetentionPart
Claims = tuple[RowScores, RowScores]
"""What is claimed of a part: version t, and the update."""


@dataclass(frozen=True)
class ClaimedChunk:
    """A chunk of claimed rows, and the proof that the author has claimed it."""

    part: U16
    """Its part's number among the claimed parts."""
    rows: Annotated[bytes, Size(1, _MAX_CHUNK_BYTES)]
    """The claimed rows."""
    proof: ListProof
    """Its place among the chunks of the part."""

    @property
    def number(self) -> int:
        """Which chunk of the part it is."""
        return self.proof.index


def claimed_parts(round_: Round, model: Model) -> tuple[ClaimedPart, ...]:
    """The parts of which scores are claimed: the validation parts, then `parts_to_score`."""
    return (*round_.validation_opened, *parts_to_score(round_, model))


def rows_of(round_: Round, part: ClaimedPart) -> int:
    """The rows of a part."""
    return part.rows if isinstance(part, RetentionPart) else round_.terms.rows


def name_of(part: ClaimedPart) -> Hash:
    """The commitment of a part."""
    return part.part if isinstance(part, RetentionPart) else part.commitment


def roots_bytes(round_: Round, model: Model) -> int:
    """What the roots of a claim can take in the record of a candidate, in bytes."""
    return ROOT_BYTES * len(claimed_parts(round_, model))


def chunk_rows(rows: int) -> int:
    """The rows of each chunk but the last, for a part with so many rows."""
    return max(LEAST_CHUNK_ROWS, -(-rows // MAX_CHUNKS))


def chunk_count(rows: int) -> int:
    """The number of chunks of a part with so many rows."""
    return -(-rows // chunk_rows(rows))


def claim_bytes(base: RowScores, own: RowScores) -> bytes:
    """The claimed rows of a part, from what version t and the update lose on them."""
    words = [scores.losses.astype(_WORD) + scores.right * _WORD.type(_RIGHT) for scores in (base, own)]
    return np.stack(words, axis=1).astype(_WORD).tobytes()


def head_of(parts: Sequence[ClaimedPart]) -> bytes:
    """What stands before the claimed rows of these parts in a transaction."""
    return list_root([name_of(part) for part in parts])


def subject_of(round_: Round, candidate: Candidate, part: ClaimedPart) -> Hash:
    """What claimed rows are about: version t, the network of the update, and the part."""
    return list_root([round_.base, candidate.root, name_of(part)])


def read_claims(round_: Round, parts: Sequence[ClaimedPart], raw: bytes) -> tuple[Claims, ...]:
    """What a transaction claims of these parts, in order; `raw` is the head and the rows.

    Raises `ClaimMalformed` unless there are the bytes of exactly their rows, and every loss is one that a row
    can have: other losses would not fit the sums that are kept. Raises `OtherPartsClaimed` if the rows are
    said to be those of other parts.
    """
    rows = [rows_of(round_, part) for part in parts]
    if len(raw) != (expected := HEAD_BYTES + ROW_BYTES * sum(rows)):
        raise ClaimMalformed("the claim has not the bytes of its rows", expected=expected, got=len(raw))
    if (got := raw[:HEAD_BYTES]) != (head := head_of(parts)):
        raise OtherPartsClaimed(expected=head, got=got)
    words = np.frombuffer(raw, _WORD, offset=HEAD_BYTES).reshape(-1, 2)
    losses = (words & _WORD.type(_RIGHT - 1)).astype(np.int32)
    limits = loss_limit(round_.old_classes), loss_limit(round_.classes)
    for column, limit in enumerate(limits):
        if len(losses) and (most := int(losses[:, column].max())) > limit:
            raise ClaimMalformed("no row can lose so much", expected=limit, got=most)
    right: npt.NDArray[np.bool_] = words >= _WORD.type(_RIGHT)
    ends = np.cumsum([0, *rows]).tolist()
    return tuple(
        (RowScores(losses[lo:hi, 0], right[lo:hi, 0]), RowScores(losses[lo:hi, 1], right[lo:hi, 1]))
        for lo, hi in pairwise(ends)
    )


def old_loss(round_: Round, labels: Labels, base: RowScores) -> int:
    """What version t is claimed to lose on those of the rows that have old classes."""
    return int(np.sum(base.losses[labels < round_.old_classes], dtype=np.int64))


def chunks_of(rows: int, raw: bytes) -> list[bytes]:
    """The chunks of a part with so many rows, whose claimed rows are `raw`."""
    size = ROW_BYTES * chunk_rows(rows)
    return [raw[start : start + size] for start in range(0, len(raw), size)]


def claim_root(rows: int, raw: bytes) -> Hash:
    """What the candidate keeps of a claim about one part."""
    return list_root(chunks_of(rows, raw))


def prove_chunk(part: int, rows: int, raw: bytes, number: int) -> ClaimedChunk:
    """One chunk of the claim `raw` about the part with this number, which has so many rows."""
    chunks = chunks_of(rows, raw)
    return ClaimedChunk(part, chunks[number], prove_item(chunks, number))


def with_claims(
    round_: Round, model: Model, claim: Claim, numbers: Sequence[int], raw: bytes, tick: int
) -> Claim:
    """The claim with the claimed rows of the parts with these numbers added, made at this tick.

    `raw` is what a transaction has: the head and the rows.
    The list of roots ends with the last part that has been claimed. Parts before it that have not are zero.
    """
    parts, roots = claimed_parts(round_, model), list(claim.roots)
    roots += [ZERO_HASH] * (1 + max(numbers) - len(roots))
    start = HEAD_BYTES
    for number in numbers:
        rows = rows_of(round_, parts[number])
        roots[number] = claim_root(rows, raw[start : start + ROW_BYTES * rows])
        start += ROW_BYTES * rows
    return replace(claim, roots=tuple(roots), last=tick)


def check_misplaced(model: Model, raw: bytes) -> None:
    """Raises `ClaimMisplaced` if rows are claimed where every node computes them or are missing."""
    if bool(raw) != (model.claims is not None):
        raise ClaimMisplaced(expected="claimed rows" if model.claims else "none", got=len(raw))


def open_claim(candidate: Candidate) -> Claim:
    """The claim of a candidate of which nothing is decided yet. Raises `ClaimMisplaced`, `ClaimDecided`."""
    if candidate.claim is None:
        raise ClaimMisplaced("every node has computed the scores of this update", got=candidate.author)
    if candidate.claim.status != ClaimStatus.OPEN:
        raise ClaimDecided(got=ClaimStatus(candidate.claim.status).name.lower())
    return candidate.claim


def check_chunk(round_: Round, model: Model, claim: Claim, chunk: ClaimedChunk) -> None:
    """Raises `ChunkNotClaimed` unless the author has claimed exactly this chunk."""
    roots = claim.roots
    if chunk.part >= len(roots) or roots[chunk.part] == ZERO_HASH:
        raise ChunkNotClaimed("nothing is claimed of this part", expected=len(roots), got=chunk.part)
    count = chunk_count(rows_of(round_, claimed_parts(round_, model)[chunk.part]))
    if chunk.proof.count != count:
        raise ChunkNotClaimed("the part has another number of chunks", expected=count, got=chunk.proof.count)
    try:
        chunk.proof.verify(roots[chunk.part], chunk.rows)
    except (ListProofMismatch, MalformedProof) as error:
        raise ChunkNotClaimed(str(error), got=chunk.number) from error


def check_subject(round_: Round, model: Model, candidate: Candidate, number: int, subject: Hash) -> None:
    """Raises `OtherClaimDisputed` unless claimed rows of the part with this number are about the subject."""
    expected = subject_of(round_, candidate, claimed_parts(round_, model)[number])
    if subject != expected:
        raise OtherClaimDisputed(expected=expected, got=subject)


def audited_chunks(round_: Round, model: Model, seed: Hash) -> tuple[tuple[int, int], ...]:
    """(part, chunk) of the chunks that the seed draws among all of a whole claim, ascending."""
    assert model.claims is not None, "only a model with claims has candidates with a claim"
    counts = (chunk_count(rows_of(round_, part)) for part in claimed_parts(round_, model))
    first = list(accumulate(counts, initial=0))
    drawn = sorted(sample(seed, first[-1], min(model.claims.audited, first[-1])))
    parts = [bisect(first, place) - 1 for place in drawn]
    return tuple((part, place - first[part]) for part, place in zip(parts, drawn, strict=True))


def recomputing_macs(
    rules: Rules, base: HasParameters, round_: Round, update: Update, parts: Sequence[int], rows: int
) -> int:
    """MACs charged for computing so many claimed rows of parts with `parts` rows each.

    Version t and the update run on these rows, and the whole of each part is read. Raises as `check_seeded`.
    """
    inputs = base.spec.inputs
    reading = sum(reading_macs(rules, inputs, each) for each in parts)
    before = network_macs(rules, base, rows, round_.classes)
    return reading + before + update_macs(rules, base.spec, update, rows)


def audit_macs(rules: Rules, base: HasParameters, round_: Round, model: Model, update: Update) -> int:
    """The most MACs charged for the audit of a claim about this update."""
    parts, rows = audited_rows(model, [round_.terms.rows, *[part.rows for part in model.retention]])
    return recomputing_macs(rules, base, round_, update, parts, rows)


def reveal_macs(rules: Rules, base: Composition, round_: Round, update: Update) -> int:
    """MACs charged for revealing an update with its claimed rows, besides what `composing_macs` says.

    Each validation part is read, and the numbers of the update are checked. Raises as `check_seeded`.
    """
    terms = round_.terms
    reading = terms.validation * reading_macs(rules, base.spec.inputs, terms.rows)
    return reading + update_macs(rules, base.spec, update, 1)


def check_claim_steps(rules: Rules, round_: Round, model: Model, base: Composition, update: Update) -> None:
    """Raises `UpdateTooHeavy` if revealing this update with claimed rows, or the audit of its claim, could
    need more than half of a block.
    """
    for step, macs in (
        ("revealing it with its claim", reveal_macs(rules, base, round_, update) + composing_macs(base)),
        ("the audit of its claim", audit_macs(rules, base, round_, model, update)),
    ):
        if macs > (most := rules.max_block_macs // 2):
            raise UpdateTooHeavy(f"{step} costs too much", expected=most, got=macs)


def audited_rows(model: Model, rows: Sequence[int]) -> tuple[list[int], int]:
    """The rows of each part that an audit can touch, and those that it can draw, at most.

    `rows` are those of the parts of the round and of the retention parts.
    """
    assert model.claims is not None, "only a model with claims has audits"
    largest = max(rows)
    return [largest] * model.claims.audited, model.claims.audited * min(largest, chunk_rows(largest))


def span(round_: Round, part: ClaimedPart, chunk: int) -> slice:
    """The rows of a chunk of a part."""
    rows = rows_of(round_, part)
    size = chunk_rows(rows)
    return slice(size * chunk, min(rows, size * (chunk + 1)))
