"""Checks proof bundles: they prove that a version of a model stands on a chain, without a node or a network.

The headers lead to a block, and the records are proven under the state root of that block. The verifier
executes no block, so it needs a reason to believe this state root. The verifier brings that reason, which is
called an anchor:

- a checkpoint, that is, the id of a block that the verifier trusts. It vouches for its own state root and for
  those of its ancestors, because the hashes of headers lead to them. It vouches for no block after it;
- an amount of work. It counts from the block with the state root on. The work before that block says nothing
  about it: anybody can copy the headers of an honest chain and append a header of their own. Work that
  everybody can do in minutes is no anchor, see `LEAST_ANCHORING_WORK`.

The rules come from the ChainSpec that the verifier brings. A bundle only names its spec: a bundle that
brought the rules could choose rules under which work costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeVar

from engram.consensus.block import BlockHeader
from engram.consensus.bundle import ProofBundle, ProvenRecord
from engram.consensus.chainspec import ChainSpec, has_work, spec_id
from engram.consensus.compact import bits_to_target, work_of
from engram.consensus.difficulty import next_bits
from engram.consensus.errors import (
    CheckpointMissing,
    CheckpointNeeded,
    InsufficientWork,
    NoWork,
    RecordMismatch,
    TimestampAhead,
    WrongHeight,
    WrongParent,
    WrongSpec,
)
from engram.consensus.genesis import genesis
from engram.consensus.validation import MEDIAN_BLOCKS, median_time_past, validate_header
from engram.primitives.errors import MalformedProof
from engram.primitives.types import Address, Hash
from engram.statemachine.additions import Addition, GrowUpdate, explicit_tensors
from engram.statemachine.parameters import Composition, compose_line
from engram.statemachine.record import Record
from engram.statemachine.records import Model, Version
from engram.statemachine.registry import parse_record
from engram.statemachine.rounds.candidates import OwnerGroup
from engram.statemachine.rounds.judging import lower_baseline
from engram.statemachine.rounds.records import Round, RoundKind, RoundStatus, RoundWitness
from engram.statemachine.state import record_path

LEAST_ANCHORING_WORK: Final = 2**40
"""Hash attempts below which work is no anchor, whatever the verifier asked for.

So many are within everybody's reach: machines that are sold for mining compute 10^9 scrypt digests and more a
second, and 10^14 digests of sha256d, so that one of them needs minutes at most for 2^40.
"""
_NO_CHECKPOINT: Final = -1

R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class Measured:
    """What a version lost on the unseen rows of one group of owners, and what the baseline lost there."""

    rows: int = 0
    loss: int = 0
    """Clipped loss, summed over the rows, in Q24 nats."""
    baseline: int = 0
    """The loss of the baseline that the round judged by, see `judging`; also a sum in Q24 nats."""


@dataclass(frozen=True)
class ProofReport:
    """What a bundle proves, and what the proof rests on."""

    spec: ChainSpec
    """The spec that the verifier brought."""
    genesis: Hash
    block: BlockHeader
    """The block after which the records stand in the state."""
    head: BlockHeader
    """The last header of the bundle."""
    work: int
    """Expected digests of the checked headers from `block` on. A forger of `block` has to do this work."""
    chain_work: int
    """Expected digests of all checked headers, including genesis if they begin there."""
    checkpoint: Hash | None
    """The block that the verifier trusts, which stands among the headers; None if no such block was named."""
    vouched: bool
    """Whether the checkpoint is `block` or comes after it."""
    min_work: int
    """The work that the verifier asked for, which `work` reaches; 0 if none was asked for."""
    model: Model
    version: Version
    network: Composition
    """The version's whole network, of which its root commits to every number."""
    round: Round | None

    @property
    def anchored(self) -> bool:
        """Whether the proof rests on something that the verifier brought. If not, it proves nothing."""
        return self.vouched or (self.min_work > 0 and self.work >= LEAST_ANCHORING_WORK)

    @property
    def confirmations(self) -> int:
        """How many blocks stand on top of `block`."""
        return self.head.height - self.block.height

    @property
    def is_current(self) -> bool:
        """Whether the version was the model's current one after `block`."""
        return self.version.number == self.model.head

    @property
    def is_frozen(self) -> bool | None:
        """Whether the version's neurons were fixed for ever; None if the records do not tell.

        They do not of a version of TRAIN that is no longer the current one of a frozen model: any version
        from it on can be the one with which the model froze.
        """
        if self.is_current or not self.model.frozen:
            return self.model.frozen
        return True if self.version.kind == RoundKind.GROW else None

    @property
    def makers(self) -> frozenset[Address]:
        """Who brought the version: its author; of a union also the authors of its halves."""
        added = self.version.added
        halves = added.halves if isinstance(added, GrowUpdate) else ()
        return frozenset({self.version.author, *(half.author for half in halves)})

    @property
    def tensors(self) -> tuple[Hash, ...]:
        """Content ids of the version's explicit tensors."""
        return tuple(dict.fromkeys(explicit_tensors(self.network.segments)))

    @property
    def validation(self) -> tuple[Hash, ...]:
        """Commitments of the parts that the version's loss was verified on before the audit."""
        return tuple(part.commitment for part in self.round.validation_opened) if self.round else ()

    @property
    def sealed(self) -> tuple[Hash, ...]:
        """Commitments of the sealed parts, secret until all updates were in, which decided the round."""
        return tuple(part.commitment for part in self.round.unseen) if self.round else ()

    @property
    def witnesses(self) -> tuple[RoundWitness, ...]:
        """The witnesses who opened their part, in the order in which they sealed."""
        return tuple(witness for witness in self.round.witnesses if witness.opened) if self.round else ()

    @property
    def on_witnesses_rows(self) -> Measured:
        """What was measured on the rows of witnesses by themselves.

        No rows if no witness of all classes opened a part, or if their rows were too few to count by
        themselves. In the second case `on_openers_rows` holds them.
        """
        return self._measured(OwnerGroup.WITNESSES)

    @property
    def on_openers_rows(self) -> Measured:
        """What was measured on the opener's rows, and those of witnesses that did not count by themselves."""
        return self._measured(OwnerGroup.OPENER)

    def _measured(self, place: OwnerGroup) -> Measured:
        if self.round is None:
            return Measured()
        group = self.round.winner_groups[place]
        counted = lower_baseline(group, train=self.round.terms.kind == RoundKind.TRAIN)
        return Measured(group.rows, group.loss, counted.baseline)


def check_has_work(spec: ChainSpec, min_work: int) -> None:
    """Raises `NoWork` if work is asked for on a chain without work, where anybody makes any number of
    blocks for nothing.
    """
    if min_work and not has_work(spec):
        raise NoWork(
            f"blocks of the chain {spec.name} carry no work: name a block that you trust instead",
            got=min_work,
        )


def verify_bundle(
    bundle: ProofBundle,
    spec: ChainSpec,
    now_ms: int,
    *,
    checkpoint: Hash | None = None,
    min_work: int = 0,
) -> ProofReport:
    """Checks every header and every path, and that the records belong together; returns what is proven.

    `spec`: the chain that the verifier means. `now_ms`: the verifier's clock. `checkpoint`: the id of a block
    that the verifier trusts; it must stand among the headers. Without it the headers must begin at height 1.
    `min_work`: the least `ProofReport.work` that is accepted. Whoever gives neither gets a report that is
    not `anchored`.

    Raises `WrongSpec`, `NoWork` if work is asked for on a chain without any, leaves of `InvalidHeader`,
    `TimestampAhead` (`NotReady`), `CheckpointNeeded`, `CheckpointMissing`, `InsufficientWork`, leaves of
    `InvalidProof`.
    """
    if bundle.spec_id != (identity := spec_id(spec)):
        raise WrongSpec(
            f"the proof is about another chain, with the spec_id {bundle.spec_id.hex()}; your ChainSpec, of "
            f"the chain {spec.name}, has {identity.hex()}",
            expected=identity,
            got=bundle.spec_id,
        )
    check_has_work(spec, min_work)
    if bundle.depth >= len(bundle.headers):
        raise MalformedProof(
            "the proven block is not among the headers", expected=len(bundle.headers) - 1, got=bundle.depth
        )
    place = len(bundle.headers) - 1 - bundle.depth
    block, head = bundle.headers[place], bundle.headers[-1]
    if head.timestamp_ms > now_ms + spec.future_limit_ms:
        raise TimestampAhead(expected=now_ms + spec.future_limit_ms, got=head.timestamp_ms)
    line = _checked_line(bundle, spec, now_ms, checkpoint)
    work = _work(bundle.headers[max(place, line.trusted) :])
    if work < min_work:
        raise InsufficientWork(expected=min_work, got=work)
    model, version, round_ = _proven_records(bundle, block.state_root)
    network = _proven_network(bundle.line, version)
    return ProofReport(
        spec=spec,
        genesis=line.genesis,
        block=block,
        head=head,
        work=work,
        chain_work=line.work,
        checkpoint=checkpoint,
        vouched=line.checkpoint >= block.height,
        min_work=min_work,
        model=model,
        version=version,
        network=network,
        round=round_,
    )


@dataclass(frozen=True)
class _Line:
    genesis: Hash
    checkpoint: int
    """Height of the checkpoint; `_NO_CHECKPOINT` if none was named."""
    trusted: int
    """How many headers at the beginning are taken on trust, because they lead to the checkpoint."""
    work: int
    """Work of the headers that were checked, and of genesis if they begin there."""


def _checked_line(bundle: ProofBundle, spec: ChainSpec, now_ms: int, checkpoint: Hash | None) -> _Line:
    """Checks that the headers follow each other, and that those after the trusted block carry their work."""
    first = genesis(spec)
    headers = bundle.headers
    if headers[0].parent == first.id:
        start = first.block.header
        _extend(spec, [start], headers, now_ms)
        height = _NO_CHECKPOINT if checkpoint is None else _found((start, *headers), checkpoint).height
        return _Line(first.id, height, 0, _work((start, *headers)))
    if checkpoint is None:
        raise CheckpointNeeded()
    for parent, header in pairwise(headers):
        _check_link(parent, header)
    trusted = 1 + headers.index(_found(headers, checkpoint))
    rest = headers[trusted:]
    if rest and trusted < MEDIAN_BLOCKS:
        raise MalformedProof("too few headers before the checkpoint", expected=MEDIAN_BLOCKS, got=trusted)
    _extend(spec, headers[:trusted], rest, now_ms)
    return _Line(first.id, headers[trusted - 1].height, trusted, _work(rest))


def _found(headers: Sequence[BlockHeader], checkpoint: Hash) -> BlockHeader:
    """The checkpoint's header. Raises `CheckpointMissing` if it is not among these."""
    for header in headers:
        if header.id == checkpoint:
            return header
    raise CheckpointMissing(expected=checkpoint)


def _check_link(parent: BlockHeader, header: BlockHeader) -> None:
    if header.height != parent.height + 1:
        raise WrongHeight(expected=parent.height + 1, got=header.height)
    if header.parent != (expected := parent.id):
        raise WrongParent(expected=expected, got=header.parent)


def _extend(
    spec: ChainSpec, trusted: Sequence[BlockHeader], headers: Sequence[BlockHeader], now_ms: int
) -> None:
    """Checks that each of `headers` is valid after those before it.

    Raises leaves of `InvalidHeader`, `TimestampAhead`.
    """
    recent = list(trusted[-MEDIAN_BLOCKS:])
    for header in headers:
        parent, grandparent = recent[-1], recent[-2] if len(recent) > 1 else None
        median_ms = median_time_past([known.timestamp_ms for known in recent])
        bits = next_bits(spec, parent, grandparent)
        validate_header(spec, header, parent, median_ms, bits, now_ms)
        recent = [*recent[1 - MEDIAN_BLOCKS :], header]


def _work(headers: Sequence[BlockHeader]) -> int:
    return sum(work_of(bits_to_target(header.target)) for header in headers)


def _proven_records(bundle: ProofBundle, root: Hash) -> tuple[Model, Version, Round | None]:
    """The records, proven under a state root and checked to belong together.

    Raises leaves of `InvalidProof`.
    """
    model = _proven(bundle.model, Model, root)
    version = _proven(bundle.version, Version, root)
    if version.model != model.id:
        raise RecordMismatch("the version belongs to another model", expected=model.id, got=version.model)
    if version.number == model.head and version.root != model.root:
        raise RecordMismatch(
            "the model's current root is not the version's", expected=model.root, got=version.root
        )
    return model, version, _proven_round(bundle, version, root)


def _proven_network(line: Sequence[Addition], version: Version) -> Composition:
    """The network of a proven version. Raises `RecordMismatch`, `LineBroken`."""
    if (computed := line[-1].root) != version.root:
        raise RecordMismatch(
            "what the network is said to be made of does not give the version's root",
            expected=version.root,
            got=computed,
        )
    return compose_line(line)


def _proven_round(bundle: ProofBundle, version: Version, root: Hash) -> Round | None:
    if version.number == 0:
        if bundle.round is not None:
            raise RecordMismatch("version 0 was made by no round, but there is one", got=version.round)
        return None
    if bundle.round is None:
        raise RecordMismatch("the round that made the version is missing", expected=version.round)
    round_ = _proven(bundle.round, Round, root)
    if (round_.id, round_.model) != (version.round, version.model):
        raise RecordMismatch(
            "the round is not the one that the version names", expected=version.round, got=round_.id
        )
    outcome = (round_.status, round_.new_version, round_.winner)
    if outcome != (RoundStatus.DECIDED, version.number, version.author):
        raise RecordMismatch("the round did not make this version", expected=version.number, got=outcome)
    groups = round_.winner_groups
    measured = (sum(group.rows for group in groups), sum(group.loss for group in groups))
    if len(groups) != len(OwnerGroup) or measured != (version.sealed_rows, version.sealed_loss):
        raise RecordMismatch(
            "the losses in the round are not those of the version",
            expected=(version.sealed_rows, version.sealed_loss),
            got=measured,
        )
    return round_


def _proven(given: ProvenRecord, cls: type[R], root: Hash) -> R:
    record = parse_record(given.value)
    if not isinstance(record, cls):
        raise RecordMismatch(expected=cls.__name__, got=type(record).__name__)
    given.proof.verify(root, record_path(cls, record.key), given.value)
    return record
