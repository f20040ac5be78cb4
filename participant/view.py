"""The chain as a participant reads it: typed records, networks and parts, every byte checked against its
hash.

A node is asked for records and blobs; what it answers is decoded by the core's own codec, and content is
checked against the id it was asked for. Heights and phases are waited for on the node's head events, never by
time.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, TypeVar

from engram.consensus.chainspec import ChainSpec, load_spec
from engram.nn.data import PartData, parse_part
from engram.nn.network import Parameters
from engram.nn.spec import NetworkSpec
from engram.node.client import RpcClient
from engram.participant.errors import BlobMismatch, RecordMissing, RoundOver
from engram.participant.reconnect import watch
from engram.primitives.types import Hash
from engram.statemachine.content import blob_id
from engram.statemachine.parameters import HasSources, Network, explicit_tensors, parameters_root, sources_of
from engram.statemachine.record import Record, u32
from engram.statemachine.records import Model, Part, Version
from engram.statemachine.registry import parse_record
from engram.statemachine.rounds.calendar import Calendar, Phase, Span
from engram.statemachine.rounds.draw import draw_parts, draw_seed
from engram.statemachine.rounds.records import Round, RoundStatus

R = TypeVar("R", bound=Record)
RoundPredicate = Callable[[Round], bool]

_CACHED_BLOBS: Final = 256


class ChainView:
    """Reads one chain through one node."""

    def __init__(self, client: RpcClient) -> None:
        self.client: Final = client
        self._spec: ChainSpec | None = None
        self._blobs: OrderedDict[Hash, bytes] = OrderedDict()

    async def spec(self) -> ChainSpec:
        """The chain's rules, asked once."""
        if self._spec is None:
            self._spec = load_spec(json.dumps(await self.client.call("chain_spec")))
        return self._spec

    async def height(self) -> int:
        """Height of the node's head."""
        return int((await self.client.call("chain_head"))["height"])

    async def find(self, cls: type[R], *key_parts: bytes) -> R | None:
        """A record at the node's head, or None."""
        raw = await self.client.call("record_get", kind=cls.KIND, key=b"".join(key_parts))
        if raw is None:
            return None
        record = parse_record(bytes.fromhex(raw))
        if not isinstance(record, cls) or record.key != b"".join(key_parts):
            raise BlobMismatch("the node answered with another record", expected=cls.__name__, got=raw[:64])
        return record

    async def get(self, cls: type[R], *key_parts: bytes) -> R:
        """A record at the node's head. Raises `RecordMissing`."""
        record = await self.find(cls, *key_parts)
        if record is None:
            raise RecordMissing(f"the chain has no such {cls.__name__.lower()}", got=b"".join(key_parts))
        return record

    async def wait_record(self, cls: type[R], *key_parts: bytes) -> R:
        """Waits until there is such a record at the node's head."""
        async with self.client.subscribe("heads") as events:
            while (record := await self.find(cls, *key_parts)) is None:
                await anext(events)
        return record

    async def head_version(self, model: Model) -> Version:
        """The model's current version."""
        return await self.get(Version, model.id, u32(model.head))

    async def blob(self, identity: Hash) -> bytes:
        """A tensor or part, checked against its id. Raises `BlobMismatch`, and `RemoteError` where it is
        missing.
        """
        if identity in self._blobs:
            self._blobs.move_to_end(identity)
            return self._blobs[identity]
        raw = await self.client.blob(identity)
        if blob_id(raw) != identity:
            raise BlobMismatch(
                "the node sent other bytes than were asked for", expected=identity, got=blob_id(raw)
            )
        self._blobs[identity] = raw
        while len(self._blobs) > _CACHED_BLOBS:
            self._blobs.popitem(last=False)
        return raw

    async def network(self, version: Version) -> Network:
        """The network of a version, its root recomputed. Raises `BlobMismatch` if the sources do not have
        that root.
        """
        root = parameters_root(version.spec, version.hidden, version.outputs)
        if root != version.root:
            raise BlobMismatch("the version does not have its own root", expected=version.root, got=root)
        return await self.network_of(version.spec, version.hidden, version.outputs)

    async def network_of(
        self, spec: NetworkSpec, hidden: tuple[HasSources, ...], outputs: tuple[HasSources, ...]
    ) -> Network:
        """The network of these sources, every explicit tensor fetched."""
        sources = sources_of(spec, hidden, outputs)
        tensors = {identity: await self.blob(identity) for identity in explicit_tensors((*hidden, *outputs))}
        return Network(sources, tensors.__getitem__)

    async def parameters(self, version: Version) -> Parameters:
        """The integers of a version, ranges and bounds proved."""
        parameters, _ = (await self.network(version)).load()
        return parameters

    async def part(self, commitment: Hash) -> PartData:
        """The rows of a revealed part."""
        part = await self.get(Part, commitment)
        raw = await self.blob(part.blob)
        return parse_part(raw, rows=part.rows, inputs=part.inputs, classes=part.classes)

    async def block_id(self, height: int) -> Hash:
        """Id of the canonical block at this height."""
        header: dict[str, Any] = await self.client.call("chain_header", height=height)
        return bytes.fromhex(header["id"])

    async def drawn_parts(self, round_: Round, nonce: Hash) -> tuple[tuple[Hash, ...], tuple[Hash, ...]]:
        """Validation and sealed parts that the chain will draw, or has drawn; the nonce is the opener's."""
        if round_.validation_drawn:
            return round_.validation_drawn, round_.sealed_drawn
        rules = (await self.spec()).rules
        ids = [await self.block_id(height) for height in Calendar.of(round_, rules).draw_heights]
        terms = round_.terms
        return draw_parts(draw_seed(ids, nonce), terms.commitments, terms.validation, terms.sealed)

    async def span(self, round_: Round, phase: Phase, epoch: int = 0) -> Span:
        """First and last height of a phase of the round."""
        return Calendar.of(round_, (await self.spec()).rules).span(phase, epoch)

    async def reservations(self, span: Span) -> dict[int, tuple[int, int]]:
        """Bytes and MACs that reveals have reserved, by height."""
        entries = await self.client.call(
            "reservation_list", first=span.first, count=span.last - span.first + 1
        )
        return {entry["height"]: (entry["size_bytes"], entry["macs"]) for entry in entries}

    async def closes(self, round_: Round) -> int:
        """Height from which the outcome of the round can be settled."""
        return Calendar.of(round_, (await self.spec()).rules).span(Phase.CLOSED).first

    async def wait_height(self, height: int) -> int:
        """Waits until the node's head is at least this high; the head's height."""

        async def look() -> int | None:
            head = await self.height()
            return head if head >= height else None

        return await watch(self.client, look, "heads")

    async def wait_phase(self, round_id: Hash, phase: Phase, epoch: int = 0) -> Round:
        """Waits until a transaction of this phase would stand in the next block; the round then.

        Raises `RoundOver` if the phase has passed, or as soon as the round has ended.
        """
        rules = (await self.spec()).rules

        async def look() -> Round | None:
            head = await self.height()
            round_ = await self.get(Round, round_id)
            calendar = Calendar.of(round_, rules)
            now, wanted = calendar.at(head + 1), calendar.span(phase, epoch)
            if round_.status != RoundStatus.OPEN or now.first > wanted.last:
                if round_.status != RoundStatus.OPEN:
                    raise RoundOver(f"the round is {RoundStatus(round_.status).name.lower()}")
                raise RoundOver(f"phase {phase.name} is over, the round is in {now.phase.name}")
            return round_ if head + 1 >= wanted.first else None

        return await watch(self.client, look, "heads")

    async def wait_round(self, round_id: Hash, until: RoundPredicate) -> Round:
        """Waits until `until(round)` holds at a head; the round then."""

        async def look() -> Round | None:
            round_ = await self.get(Round, round_id)
            return round_ if until(round_) else None

        return await watch(self.client, look, "heads")
