"""Proof bundles prove that a version of a model stands on a chain of work, without a node or a network.

    bundle   encode(ProofBundle) ‖ tagged_hash(Tag.PROOF, encode(ProofBundle))

The headers lead from genesis, or from a little before a checkpoint that the verifier trusts, to a head; the
records are proven under the state root of that head. The verifier executes no block. It believes a state root
because work was done on top of the chain that leads to it, and the report says how much work that is.

The hash at the end detects accidental damage only, since a forger can compute it too. A forger can also mine
a chain of little work; `min_work` and `checkpoint` protect against that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final, TypeVar

from engram.consensus.block import BlockHeader
from engram.consensus.chainspec import ChainSpec, check_spec, spec_id
from engram.consensus.compact import bits_to_target, work_of
from engram.consensus.difficulty import next_bits
from engram.consensus.errors import (
    CheckpointMissing,
    CheckpointNeeded,
    InsufficientWork,
    ProofDamaged,
    RecordMismatch,
    WrongHeight,
    WrongParent,
)
from engram.consensus.genesis import genesis
from engram.consensus.validation import MEDIAN_BLOCKS, median_time_past, validate_header
from engram.primitives.codec import decode, encode
from engram.primitives.errors import MalformedProof
from engram.primitives.hashing import Tag, tagged_hash
from engram.primitives.smt import SmtProof
from engram.primitives.types import Address, Hash, Size
from engram.statemachine.parameters import explicit_tensors, parameters_root
from engram.statemachine.record import Record
from engram.statemachine.records import Model, Version
from engram.statemachine.registry import parse_record
from engram.statemachine.rounds.records import Round, RoundStatus
from engram.statemachine.state import record_path

MAX_HEADERS: Final = 2**18
"""About 50 MB of headers, which take a minute of scrypt. A longer chain is proven from a checkpoint."""
MAX_BUNDLE_BYTES: Final = 2**26

_HASH_BYTES: Final = 32

R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class ProvenRecord:
    """A leaf of the state tree and its path to the root."""

    value: Annotated[bytes, Size(1, 2**22)]
    proof: SmtProof


@dataclass(frozen=True)
class ProofBundle:
    """What a bundle file holds, before the hash at its end."""

    spec: ChainSpec
    """With no upgrades: the spec id does not cover them, and no check needs them."""
    headers: Annotated[tuple[BlockHeader, ...], Size(1, MAX_HEADERS)]
    """Every header up to the head, either from height 1 on or from `MEDIAN_BLOCKS` headers that end with the
    checkpoint."""
    model: ProvenRecord
    version: ProvenRecord
    round: ProvenRecord | None
    """The round that made the version; None for version 0, which the model was founded with."""


@dataclass(frozen=True)
class ProofReport:
    """What a bundle proves, and on how much work the proof rests."""

    chain: str
    hrp: str
    spec_id: Hash
    genesis: Hash
    since: Hash
    """The block that is taken on trust: genesis or the checkpoint."""
    head: Hash
    """The block after which the records stand in the state."""
    height: int
    timestamp_ms: int
    work: int
    """Work of the headers from `since` on, in digests. Genesis itself is counted, a checkpoint is not."""
    model: Model
    version: Version
    round: Round | None

    @property
    def is_current(self) -> bool:
        """Whether the version was the model's head at this height."""
        return self.version.number == self.model.head

    @property
    def tensors(self) -> tuple[Hash, ...]:
        """Content ids of the version's explicit tensors; downloaded weights can be checked against them."""
        return tuple(dict.fromkeys(explicit_tensors((*self.version.hidden, *self.version.outputs))))

    @property
    def validation(self) -> tuple[Hash, ...]:
        """Commitments of the parts that the version's loss was verified on before the audit."""
        return tuple(part.commitment for part in self.round.validation_opened) if self.round else ()

    @property
    def sealed(self) -> tuple[Hash, ...]:
        """Commitments of the sealed parts, secret until all updates were in, which decided the round."""
        return tuple(part.commitment for part in self.round.sealed_opened) if self.round else ()

    @property
    def auditors(self) -> tuple[Address, ...]:
        """The auditors whose sealed parts were opened, without the opener."""
        if self.round is None:
            return ()
        owners = (part.owner for part in self.round.sealed_opened)
        return tuple(dict.fromkeys(owner for owner in owners if owner != self.round.opener))


def seal_bundle(bundle: ProofBundle) -> bytes:
    """The bytes of a bundle file. Raises `OutOfRange` for more headers or larger records than it can hold."""
    raw = encode(bundle)
    return raw + tagged_hash(Tag.PROOF, raw)


def verify_bundle(raw: bytes, *, checkpoint: Hash | None = None, min_work: int = 0) -> ProofReport:
    """Checks every header and every path, and that the records belong together; returns what is proven.

    `checkpoint`: the id of a block that must stand on the proven chain. Without it the chain must begin at
    the genesis of the bundle's own spec. `min_work`: the least work that is accepted, see `ProofReport.work`.
    No clock is read; the report has the head's timestamp, from which the caller sees how old the head is.

    Raises `ProofDamaged`, `CodecError`, `BadSpec`, leaves of `InvalidHeader`, `CheckpointNeeded`,
    `CheckpointMissing`, `InsufficientWork`, leaves of `InvalidProof`.
    """
    bundle = _opened(raw)
    line = _verified_line(bundle, checkpoint)
    if line.work < min_work:
        raise InsufficientWork(expected=min_work, got=line.work)
    head = bundle.headers[-1]
    model, version, round_ = _proven_records(bundle, head.state_root)
    return ProofReport(
        chain=bundle.spec.name,
        hrp=bundle.spec.hrp,
        spec_id=spec_id(bundle.spec),
        genesis=line.genesis,
        since=line.since,
        head=head.id,
        height=head.height,
        timestamp_ms=head.timestamp_ms,
        work=line.work,
        model=model,
        version=version,
        round=round_,
    )


def _opened(raw: bytes) -> ProofBundle:
    body, digest = raw[:-_HASH_BYTES], raw[-_HASH_BYTES:]
    if len(raw) <= _HASH_BYTES or tagged_hash(Tag.PROOF, body) != digest:
        raise ProofDamaged
    bundle = decode(ProofBundle, body, max_bytes=MAX_BUNDLE_BYTES)
    check_spec(bundle.spec)
    if bundle.spec.upgrades:
        raise MalformedProof("the spec of a bundle must not list upgrades", got=len(bundle.spec.upgrades))
    return bundle


@dataclass(frozen=True)
class _Line:
    genesis: Hash
    since: Hash
    work: int


def _verified_line(bundle: ProofBundle, checkpoint: Hash | None) -> _Line:
    """Checks that the headers follow each other, and that those after the trusted block carry their work."""
    first = genesis(bundle.spec)
    if bundle.headers[0].parent == first.id:
        start = first.block.header
        ids = _extended(bundle.spec, [start], bundle.headers)
        if checkpoint is not None and checkpoint not in (first.id, *ids):
            raise CheckpointMissing(expected=checkpoint)
        return _Line(first.id, first.id, _work((start, *bundle.headers)))
    if checkpoint is None:
        raise CheckpointNeeded(expected=first.id, got=bundle.headers[0].parent)
    position = _linked_to(bundle.headers, checkpoint)
    trusted, rest = bundle.headers[: position + 1], bundle.headers[position + 1 :]
    if len(trusted) < MEDIAN_BLOCKS:
        raise MalformedProof(
            "too few headers before the checkpoint", expected=MEDIAN_BLOCKS, got=len(trusted)
        )
    _extended(bundle.spec, trusted, rest)
    return _Line(first.id, checkpoint, _work(rest))


def _linked_to(headers: Sequence[BlockHeader], checkpoint: Hash) -> int:
    """Index of the checkpoint's header; the headers before it are its ancestors, as their hashes show."""
    parent: BlockHeader | None = None
    for index, header in enumerate(headers):
        name = header.id
        if parent is not None:
            _check_link(parent, header)
        if name == checkpoint:
            return index
        parent = header
    raise CheckpointMissing(expected=checkpoint)


def _check_link(parent: BlockHeader, header: BlockHeader) -> None:
    if header.height != parent.height + 1:
        raise WrongHeight(expected=parent.height + 1, got=header.height)
    if header.parent != (expected := parent.id):
        raise WrongParent(expected=expected, got=header.parent)


def _extended(spec: ChainSpec, trusted: Sequence[BlockHeader], headers: Sequence[BlockHeader]) -> list[Hash]:
    """Ids of `headers`; each must be valid after those before it. Raises leaves of `InvalidHeader`."""
    recent = list(trusted[-MEDIAN_BLOCKS:])
    ids = []
    for header in headers:
        parent, grandparent = recent[-1], recent[-2] if len(recent) > 1 else None
        median_ms = median_time_past([known.timestamp_ms for known in recent])
        bits = next_bits(spec, parent, grandparent)
        validate_header(spec, header, parent, median_ms, bits, now_ms=header.timestamp_ms)
        recent = [*recent[1 - MEDIAN_BLOCKS :], header]
        ids.append(header.id)
    return ids


def _work(headers: Sequence[BlockHeader]) -> int:
    return sum(work_of(bits_to_target(header.target)) for header in headers)


def _proven_records(bundle: ProofBundle, root: Hash) -> tuple[Model, Version, Round | None]:
    """The records, proven under the head's state root and checked to belong together.

    Raises leaves of `InvalidProof`.
    """
    model = _proven(bundle.model, Model, root)
    version = _proven(bundle.version, Version, root)
    if version.model != model.id:
        raise RecordMismatch("the version belongs to another model", expected=model.id, got=version.model)
    computed = parameters_root(version.spec, version.hidden, version.outputs)
    if computed != version.root:
        raise RecordMismatch(
            "the version's tensors do not give its root", expected=version.root, got=computed
        )
    if version.number == model.head and version.root != model.root:
        raise RecordMismatch(
            "the model's current root is not the version's", expected=model.root, got=version.root
        )
    if version.number == 0:
        if bundle.round is not None:
            raise RecordMismatch("version 0 was made by no round, but there is one", got=version.round)
        return model, version, None
    if bundle.round is None:
        raise RecordMismatch("the round that made the version is missing", expected=version.round)
    round_ = _proven(bundle.round, Round, root)
    _check_round(version, round_)
    return model, version, round_


def _check_round(version: Version, round_: Round) -> None:
    if (round_.id, round_.model) != (version.round, version.model):
        raise RecordMismatch(
            "the round is not the one that the version names", expected=version.round, got=round_.id
        )
    outcome = (round_.status, round_.new_version, round_.winner)
    if outcome != (RoundStatus.DECIDED, version.number, version.author):
        raise RecordMismatch("the round did not make this version", expected=version.number, got=outcome)


def _proven(given: ProvenRecord, cls: type[R], root: Hash) -> R:
    record = parse_record(given.value)
    if not isinstance(record, cls):
        raise RecordMismatch(expected=cls.__name__, got=type(record).__name__)
    given.proof.verify(root, record_path(cls, record.key), given.value)
    return record
