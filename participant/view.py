"""Reads the chain through one node: typed records, networks, parts, and the round's calendar.

The node's answers are decoded by the core's own codec. Tensors and parts are checked against the hash by
which they were asked for, so the node cannot send others; records are taken as the node gives them. Waiting
for a height, a tick or a phase uses the node's head events, never a timer.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, TypeVar

from engram.consensus.chainspec import ChainSpec, load_spec
from engram.nn.data import PartData, parse_part
from engram.nn.network import Parameters
from engram.nn.spec import NetworkSpec
from engram.node.client import RpcClient
from engram.participant.errors import BlobMismatch, RecordMissing, RoundOver
from engram.participant.parts import SaltedPart
from engram.participant.reconnect import watch
from engram.primitives.codec import decode
from engram.primitives.errors import CodecError
from engram.primitives.keys import parse_address
from engram.primitives.types import Address, Hash
from engram.statemachine.additions import Addition, HasSources, explicit_tensors
from engram.statemachine.content import blob_id
from engram.statemachine.errors import LineBroken
from engram.statemachine.parameters import Composition, WholeNetwork, compose_line
from engram.statemachine.record import Record, u32
from engram.statemachine.records import Model, Part, RecentBlock, Version
from engram.statemachine.registry import parse_record
from engram.statemachine.rounds.calendar import Calendar, DueStep, Phase, Span
from engram.statemachine.rounds.draw import draw_parts, draw_seed
from engram.statemachine.rounds.errors import PartPublic
from engram.statemachine.rounds.records import Candidate, Commit, Round, RoundStatus

R = TypeVar("R", bound=Record)

_LISTED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "round": ". `engram round list` (in Python, chain.rounds()) shows the rounds that it holds",
        "model": ". `engram model list` (in Python, chain.models()) shows the models that it holds",
    }
)
"""What to do when a record is missing."""
_CACHED_BLOBS: Final = 256
_CACHED_COMPOSITIONS: Final = 8
_ENDING: Final[Mapping[DueStep | None, str]] = MappingProxyType(
    {
        DueStep.UNATTENDED: "a standing witness of the model has sealed no part",
        DueStep.UNREVEALED: "the opener has not revealed the validation parts",
        DueStep.NO_CANDIDATE: "no update has become a candidate",
        DueStep.WITHHELD: "the opener has not opened the sealed parts",
        DueStep.DECISION: "the time for scoring is over",
    }
)
"""Due steps that end a round, and why."""


async def spec_of(client: RpcClient) -> ChainSpec:
    """Every constant of the chain, as the node has it. Raises `AnswerInvalid` for what is no ChainSpec."""
    told = await client.call("chain_spec")
    with client.understood("chain_spec"):
        return load_spec(json.dumps(told))


class ChainView:
    """Reads one chain through one node."""

    def __init__(self, client: RpcClient) -> None:
        self.client: Final = client
        self._spec: ChainSpec | None = None
        self._blobs: OrderedDict[Hash, bytes] = OrderedDict()
        self._compositions: OrderedDict[Hash, Composition] = OrderedDict()

    async def spec(self) -> ChainSpec:
        """The chain's ChainSpec, which holds its rules; it is asked for once."""
        if self._spec is None:
            self._spec = await spec_of(self.client)
        return self._spec

    async def height(self) -> int:
        """Height of the node's head."""
        return int((await self.client.call("chain_head"))["height"])

    async def tick(self) -> int:
        """Ticks of the round clock after the node's head: what a transaction in the next block will see."""
        return int((await self.client.call("chain_head"))["ticks"])

    async def find(self, cls: type[R], *key_parts: bytes) -> R | None:
        """A record at the node's head; None if there is none. `key_parts`, joined, are the record's key.

        Raises `BlobMismatch` if the node answers with another record.
        """
        raw = await self.client.call("record_get", kind=cls.KIND, key=b"".join(key_parts))
        if raw is None:
            return None
        with self.client.understood("record_get"):
            record = parse_record(bytes.fromhex(raw))
        if not isinstance(record, cls) or record.key != b"".join(key_parts):
            raise BlobMismatch(
                f"the node at {self.client.url} answered with another record",
                expected=cls.__name__,
                got=raw[:64],
            )
        return record

    async def get(self, cls: type[R], *key_parts: bytes) -> R:
        """A record at the node's head. Raises `RecordMissing`, and as `find` does."""
        record = await self.find(cls, *key_parts)
        if record is None:
            kind = cls.__name__.lower()
            raise RecordMissing(
                f"the chain holds no such {kind}, or holds it no more: it was taken back, or the node that "
                f"answers is of another chain{_LISTED.get(kind, '')}",
                got=b"".join(key_parts),
            )
        return record

    async def wait_record(self, cls: type[R], *key_parts: bytes) -> R:
        """Waits until there is such a record at the node's head, and returns it."""
        return await watch(self.client, lambda: self.find(cls, *key_parts), "heads")

    async def head_version(self, model: Model) -> Version:
        """The model's current version."""
        return await self.get(Version, model.id, u32(model.head))

    async def blob(self, identity: Hash) -> bytes:
        """The bytes of a tensor or part, checked against their id.

        Raises `BlobMismatch` if the node sends other bytes, `RemoteError` if it does not have them.
        """
        if identity in self._blobs:
            self._blobs.move_to_end(identity)
            return self._blobs[identity]
        raw = await self.client.blob(identity)
        if blob_id(raw) != identity:
            raise BlobMismatch(
                f"the node at {self.client.url} sent other bytes than it was asked for",
                expected=identity,
                got=blob_id(raw),
            )
        self._blobs[identity] = raw
        while len(self._blobs) > _CACHED_BLOBS:
            self._blobs.popitem(last=False)
        return raw

    async def line(self, version: Version) -> tuple[Addition, ...]:
        """What the version's network is made of. Raises `BlobMismatch` if it does not give the root."""
        raws = await self.client.call("model_line", id=version.model, version=version.number)
        try:
            line = tuple(decode(Addition, bytes.fromhex(raw)) for raw in raws)
            found = line[-1].root if line else None
        except (CodecError, ValueError, TypeError) as error:
            raise BlobMismatch(
                f"the answer of the node at {self.client.url} is no line of additions: {error}"
            ) from error
        if found != version.root:
            raise BlobMismatch(
                f"what the node at {self.client.url} says the network is made of does not give its root",
                expected=version.root,
                got=found,
            )
        return line

    async def composition(self, version: Version) -> Composition:
        """The whole network of a version, without its numbers. Raises as `line` does."""
        if version.root not in self._compositions:
            try:
                self._compositions[version.root] = compose_line(await self.line(version))
            except LineBroken as error:
                raise BlobMismatch(str(error), expected=version.root) from error
            while len(self._compositions) > _CACHED_COMPOSITIONS:
                self._compositions.popitem(last=False)
        return self._compositions[version.root]

    async def head_network(self, model: Model) -> Composition:
        """The whole network of the model's current version, without its numbers."""
        return await self.composition(await self.head_version(model))

    async def network(self, version: Version) -> WholeNetwork:
        """The network of a version, with its numbers. Raises as `line` does."""
        whole = await self.composition(version)
        return await self.network_of(whole.root, whole.spec, whole.segments)

    async def network_of(self, root: Hash, spec: NetworkSpec, sources: Sequence[HasSources]) -> WholeNetwork:
        """The network of these sources. Every tensor that they name is downloaded and checked."""
        return WholeNetwork(root, spec, sources, (await self.tensors(sources)).__getitem__)

    async def tensors(self, sources: Sequence[HasSources]) -> dict[Hash, bytes]:
        """The tensors that these sources name, by content id. Each is downloaded and checked."""
        return {identity: await self.blob(identity) for identity in explicit_tensors(sources)}

    async def parameters(self, version: Version) -> Parameters:
        """The integers of a version; their ranges, and that no sum can overflow, are checked."""
        parameters, _ = (await self.network(version)).load()
        return parameters

    async def part(self, commitment: Hash) -> PartData:
        """The rows of a revealed part."""
        part = await self.get(Part, commitment)
        raw = await self.blob(part.blob)
        return parse_part(raw, rows=part.rows, inputs=part.inputs, classes=part.classes)

    async def check_secret(self, parts: Sequence[SaltedPart]) -> None:
        """Raises `PartPublic` if the bytes of a part are public already, under whatever salt.

        The chain would take such a part for broken when it is opened, and whoever committed to it would lose
        the bond.
        """
        known = await self.client.call("part_bytes", contents=[part.content.hex() for part in parts])
        since = {item["content"]: item["public_since"] for item in known}
        for number, part in enumerate(parts, 1):
            if (tick := since.get(part.content.hex())) is not None:
                raise PartPublic(
                    f"part {number} of {len(parts)} has been public since tick {tick}: everybody knows its "
                    "rows, and the chain would burn your bond for it; choose other rows, or another --seed",
                    expected="a part that was never opened or published",
                    got=tick,
                )

    async def block_id(self, tick: int) -> Hash:
        """Id of the block that made this tick, which must be a recent one. Raises `RecordMissing`."""
        recent = await self.get(RecentBlock, u32(tick % (await self.spec()).rules.tick_ring))
        if recent.tick != tick:
            raise RecordMissing("the chain does not remember this tick", expected=tick, got=recent.tick)
        return recent.block

    async def drawn_parts(self, round_: Round, nonce: Hash) -> tuple[tuple[Hash, ...], tuple[Hash, ...]]:
        """The validation and the sealed parts that the chain has drawn or is going to draw.

        Before the first reveal, the chain itself does not know the draw: it follows from block ids and from
        the opener's secret `nonce`.
        """
        if round_.validation_drawn:
            return round_.validation_drawn, round_.sealed_drawn
        rules = (await self.spec()).rules
        ids = [await self.block_id(tick) for tick in Calendar.of(round_, rules).draw_ticks]
        terms = round_.terms
        return draw_parts(draw_seed(ids, nonce), terms.commitments, terms.validation, terms.sealed)

    async def span(self, round_: Round, phase: Phase, epoch: int = 0) -> Span:
        """First and last tick of a phase of the round; `epoch` matters for COMMIT and UPDATE only."""
        return Calendar.of(round_, (await self.spec()).rules).span(phase, epoch)

    async def candidates(self, round_: Round) -> list[Candidate]:
        """The round's candidates that have not been withdrawn, by epoch and author."""
        hrp = (await self.spec()).hrp
        listed = await self.client.call("round_candidates", id=round_.id)
        with self.client.understood("round_candidates"):
            names = sorted((item["epoch"], parse_address(item["author"], hrp)) for item in listed)
        found = [await self.find(Candidate, round_.id, bytes([epoch]), author) for epoch, author in names]
        return [candidate for candidate in found if candidate is not None]

    async def updates_of(self, round_: Round, author: Address) -> list[Candidate | Commit]:
        """The author's candidates in the round, and the commits that are not revealed, by epoch."""
        found: list[Candidate | Commit] = []
        for epoch in range(round_.terms.epochs):
            key = (round_.id, bytes([epoch]), author)
            update = await self.find(Candidate, *key) or await self.find(Commit, *key)
            found += [update] if update is not None else []
        return found

    async def due(self, round_: Round) -> DueStep | None:
        """The step of the round that the next transaction on it would settle; None if none is due."""
        return Calendar.of(round_, (await self.spec()).rules).due(round_, await self.tick())

    async def wait_height(self, height: int) -> int:
        """Waits until the node's head has at least this height; returns the head's height."""

        async def look() -> int | None:
            head = await self.height()
            return head if head >= height else None

        return await watch(self.client, look, "heads")

    async def wait_tick(self, tick: int) -> int:
        """Waits until a transaction in the next block sees at least this tick; returns what it will see."""

        async def look() -> int | None:
            now = await self.tick()
            return now if now >= tick else None

        return await watch(self.client, look, "heads")

    async def wait_phase(self, round_id: Hash, phase: Phase, epoch: int = 0) -> Round:
        """Waits until the next block belongs to this phase and can hold its transactions; returns the round.

        Raises `RoundOver` if the phase has passed, or as soon as the round has ended or is to end.
        """
        rules = (await self.spec()).rules

        async def look() -> Round | None:
            tick = await self.tick()
            round_ = await self.get(Round, round_id)
            calendar = Calendar.of(round_, rules)
            now, wanted = calendar.at(tick), calendar.span(phase, epoch)
            if round_.status != RoundStatus.OPEN:
                raise RoundOver(f"the round has ended: it is {RoundStatus(round_.status).name.lower()}")
            if (why := _ENDING.get(calendar.due(round_, tick))) is not None:
                raise RoundOver(f"the round is to end: {why}")
            if now.first > wanted.last:
                raise RoundOver(f"the phase {phase.name} is over, the round is in the phase {now.phase.name}")
            return round_ if tick >= wanted.first else None

        return await watch(self.client, look, "heads")
