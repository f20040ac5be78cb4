"""The slow memory: the chain's model, pulled through a node that need not be trusted.

A node gives a proof bundle (`consensus.bundle`). The headers in it are checked here, from genesis on, and so
are the records under the state root that they lead to, what the network is made of, and the bytes of every
tensor. Then the participant answers by itself, in integers, and asks no node.

The most work that was ever verified is remembered. A node with less work is refused, and so is one with as
much but another head, or with an older version on the same chain. After the first time, only the headers
since the block before the version are asked for; if the node does not know that block, or its version is
older, all headers are checked again. So a reorganisation with more work is followed, and nothing else is.

Whatever goes wrong, the last verified version goes on answering, and its age is told with each answer. What
cannot be seen here: a node that keeps new blocks to itself. So the age counts from the last proof.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from engram.consensus.block import BlockHeader
from engram.consensus.bundle import ProofBundle, open_bundle
from engram.consensus.chainspec import ChainSpec
from engram.consensus.compact import bits_to_target, work_of
from engram.consensus.errors import RecordMismatch
from engram.consensus.proof import ProofReport, verify_bundle
from engram.nn.fixed import Int64Array
from engram.nn.network import Parameters, forward, predict
from engram.nn.parameters import Bounds
from engram.node.client import RpcClient
from engram.node.errors import BlockNotFound, NodeUnreachable, RemoteError, StatePruned
from engram.participant.errors import BlobMismatch
from engram.participant.memory.checks import check_features
from engram.participant.memory.errors import OlderVersion, ShorterChain, VersionUnknown
from engram.participant.memory.head import Q16
from engram.participant.memory.trust_point import TrustPoint
from engram.participant.notices import Notice, Report
from engram.participant.view import ChainView
from engram.primitives.errors import ChainError, CodecError
from engram.primitives.types import Hash
from engram.statemachine.errors import LineBroken
from engram.statemachine.records import Model

CONFIRMATIONS: Final = 10
"""Blocks that stand on top of the proven one, if the version is old enough."""
REFRESH_MS: Final = 600_000
"""`follow` asks for a new proof after so many milliseconds even if the node says that nothing is new."""

_MALFORMED: Final = (AttributeError, KeyError, TypeError, ValueError)
"""What reading an answer raises that is not of the expected form."""


@dataclass(frozen=True)
class Trust:
    """What the participant brings, and no node can choose."""

    spec: ChainSpec
    """The chain."""
    model: Hash
    min_work: int
    """The least work, in expected hash attempts, of the proven block and those after it; 0 on a chain without
    work, where whoever is asked is believed.
    """
    confirmations: int = CONFIRMATIONS


@dataclass(frozen=True, eq=False)
class VerifiedVersion:
    """A version whose proof and tensors have all been checked."""

    report: ProofReport
    parameters: Parameters
    bounds: Bounds
    chain_work: int
    """Of all headers from genesis to the node's head."""
    verified_ms: int
    """When the newest proof of it was checked, by the participant's clock."""
    base: BlockHeader | None
    """The block before the one in which the version was made; None if that is genesis."""
    base_work: int
    """The work from genesis to `base`."""

    @property
    def number(self) -> int:
        """The number of the version."""
        return self.report.version.number

    @property
    def point(self) -> TrustPoint:
        """What was verified, without the version itself."""
        report = self.report
        return TrustPoint(
            *(self.number, report.block.id, report.head.id, self.chain_work),
            *(self.base, self.base_work, self.verified_ms),
        )


@dataclass(frozen=True, eq=False)
class SlowAnswers:
    """What the slow memory says about rows."""

    classes: npt.NDArray[np.int64]
    """(n,): classes of the chain."""
    margins: npt.NDArray[np.float64]
    """(n,): the largest logit minus the second largest, in nats; infinite if there is one class."""
    logits: Int64Array
    """(n, classes), Q16 nats."""
    version: int
    age_ms: int
    """How long ago this version was last proven."""


class SlowMemory:
    """The current version of one model. Calls of `refresh` must not overlap."""

    def __init__(self, trust: Trust, clock: Callable[[], int], point: TrustPoint | None = None) -> None:
        """`clock` gives milliseconds since 1970. `point` is what was verified before a restart: a node with
        less work is refused from the beginning.
        """
        self.trust: Final = trust
        self._clock = clock
        self._known: VerifiedVersion | None = None
        self._point = point

    @property
    def known(self) -> VerifiedVersion | None:
        """The version that answers; None before the first one was verified."""
        return self._known

    @property
    def verified(self) -> VerifiedVersion:
        """The version that answers. Raises `VersionUnknown` before the first one was verified."""
        if self._known is None:
            raise VersionUnknown
        return self._known

    @property
    def age_ms(self) -> int:
        """How long ago the version was last proven. Raises `VersionUnknown`."""
        return max(0, self._clock() - self.verified.verified_ms)

    async def refresh(self, view: ChainView) -> bool:
        """Has the node prove the model's current version, and takes it over; whether it is another one.

        What raises has changed nothing: `NodeUnreachable`, `RemoteError` (the node refused), `ShorterChain`,
        `OlderVersion`, `BlobMismatch` (other bytes than were asked for), leaves of `InvalidHeader`,
        `InvalidProof` and `InvalidNetwork`, `CodecError`, `TimestampAhead`, and what else `verify_bundle`
        raises.
        """
        known, point = self._known, self._point
        proof = None if point is None else await self._since(view.client, point)
        if proof is None:
            bundle = await self._asked(view.client, None)
            report = await self._checked(bundle, None)
            proof = _Proof(bundle, report, report.chain_work)
        self._compare(proof, point)
        same = known is not None and known.report.version == proof.report.version
        if same and known is not None:
            parameters, bounds = known.parameters, known.bounds
        else:
            network = proof.report.network
            loaded = await view.network_of(network.root, network.spec, network.segments)
            parameters, bounds = await asyncio.to_thread(loaded.load)
        base, base_work = proof.before_version()
        self._known = VerifiedVersion(
            proof.report, parameters, bounds, proof.work, self._clock(), base, base_work
        )
        self._point = self._known.point
        return not same

    async def follow(self, view: ChainView, report: Report) -> None:
        """Refreshes for ever: at once, when the node says that the model has changed, and every REFRESH_MS.

        It looks at every head of the node. What `refresh` refuses is reported, and the last version goes on
        answering. Raises `NodeUnreachable` when the client gives up; a `PatientClient` waits for its node.
        """
        while True:
            try:
                async with view.client.subscribe("heads") as events:
                    await self._try(view, report)
                    async for _ in events:
                        if await self.outdated(view):
                            await self._try(view, report)
            except NodeUnreachable as error:
                self._tell(error, report)
                await view.client.call("chain_head")

    def answer(self, rows: npt.NDArray[Any]) -> SlowAnswers:
        """The classes of rows (n, inputs), computed here on integers.

        Raises `VersionUnknown`, `FeatureCountMismatch`, `FeaturesNotIntegers`.
        """
        known = self.verified
        spec = known.report.network.spec
        logits = forward(spec, known.parameters, check_features(rows, spec.inputs), known.bounds)
        margins = np.full(len(logits), np.inf)
        if spec.classes > 1:
            top = np.partition(logits, spec.classes - 2, axis=1)
            margins = (top[:, -1] - top[:, -2]) / Q16
        return SlowAnswers(predict(logits), margins, logits, known.number, self.age_ms)

    async def _since(self, client: RpcClient, point: TrustPoint) -> _Proof | None:
        """A proof from the block before the known version on; None if the node has no such proof."""
        if point.base is None:
            return None
        try:
            bundle = await self._asked(client, point.base.id)
        except RemoteError as error:
            if error.code not in (BlockNotFound.code, StatePruned.code):
                raise
            return None
        report = await self._checked(bundle, point.base.id)
        if len(bundle.headers) == 1:
            return None
        before = 0 if bundle.headers[0].height == 1 else point.base_work
        return _Proof(bundle, report, before + report.chain_work)

    async def _asked(self, client: RpcClient, checkpoint: Hash | None) -> ProofBundle:
        trust = self.trust
        try:
            answer = await client.call(
                "model_prove", id=trust.model, checkpoint=checkpoint, confirmations=trust.confirmations
            )
            return open_bundle(bytes.fromhex(answer["bundle"]))
        except (*_MALFORMED, CodecError) as error:
            raise BlobMismatch(f"the node's answer is no proof bundle: {error}") from error

    async def _checked(self, bundle: ProofBundle, checkpoint: Hash | None) -> ProofReport:
        """What a bundle proves about the wanted model."""
        trust, now_ms = self.trust, self._clock()
        # A checkpoint that is the only header proves an old state; its work lies in the blocks before it.
        least = 0 if len(bundle.headers) == 1 and checkpoint is not None else trust.min_work

        def check() -> ProofReport:
            try:
                return verify_bundle(bundle, trust.spec, now_ms, checkpoint=checkpoint, min_work=least)
            except LineBroken as error:
                raise BlobMismatch(f"the proven network cannot be put together: {error}") from error

        report = await asyncio.to_thread(check)
        if report.model.id != trust.model or not report.is_current:
            raise RecordMismatch(
                "the proof is not of the model's current version",
                expected=(trust.model, report.model.head),
                got=(report.model.id, report.version.number),
            )
        if report.confirmations > trust.confirmations:
            raise OlderVersion(
                "the proof is of an older state than was asked for",
                expected=f"{trust.confirmations} blocks or fewer on top",
                got=report.confirmations,
            )
        return report

    def _compare(self, proof: _Proof, point: TrustPoint | None) -> None:
        """Refuses a chain with less work than is known, or with as much and another head; and on the same
        chain an older version.
        """
        if point is None:
            return
        if proof.report.head.id != point.head and proof.work <= point.chain_work:
            raise ShorterChain(expected=f"more than {point.chain_work}", got=proof.work)
        number, block = proof.report.version.number, point.block
        if number < point.version and any(header.id == block for header in proof.bundle.headers):
            raise OlderVersion(expected=point.version, got=number)

    async def outdated(self, view: ChainView) -> bool:
        """Whether the node says that the model has changed, or the proof is old."""
        known = self._known
        if known is None or self.age_ms >= REFRESH_MS:
            return True
        try:
            record = await view.find(Model, self.trust.model)
        except (ChainError, *_MALFORMED):
            return True
        return record is None or record.root != known.report.version.root

    async def _try(self, view: ChainView, report: Report) -> None:
        try:
            if await self.refresh(view):
                number = self.verified.number
                report(Notice(f"version {number} is verified and answers", "version_verified", number=number))
        except NodeUnreachable:
            raise
        except ChainError as error:
            self._tell(error, report)

    def _tell(self, error: ChainError, report: Report) -> None:
        known = self._known
        rest = "no version answers yet"
        if known is not None:
            rest = f"version {known.number}, proven {self.age_ms // 1000} s ago, goes on answering"
        report(Notice(f"{error.message}; {rest}", "version_refused", code=error.code))


@dataclass(frozen=True)
class _Proof:
    """A bundle that was checked, and how much work it shows."""

    bundle: ProofBundle
    report: ProofReport
    work: int
    """From genesis to the bundle's last header."""

    def before_version(self) -> tuple[BlockHeader | None, int]:
        """The header before the block of the version, and the work from genesis to it."""
        wanted = self.report.version.height - 1
        found: BlockHeader | None = None
        work = self.work
        for header in reversed(self.bundle.headers):
            if header.height == wanted:
                found = header
                break
            work -= work_of(bits_to_target(header.target))
        return (found, work) if found is not None else (None, 0)
