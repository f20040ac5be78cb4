"""Results about the peers of a node."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from engram.node.rpc.results.schemas import Code, Hex, Id, Words, also
from engram.p2p.protocol import PeerOrigin

Origin = Annotated[str, Words(tuple(member.value for member in PeerOrigin))]


class PeerResult(TypedDict):
    """An open session with a peer."""

    id: Id
    address: str
    direction: Literal["inbound", "outbound"]
    origin: Origin
    height: int
    """Of the best block that it has shown to have."""
    head: Id
    shown_s: float
    """How long ago it showed that."""
    agent: str
    version: int
    connected_s: float
    round_trip_ms: float | None
    clock_ahead_s: float | None
    sent_bytes: int
    received_bytes: int
    queued_bytes: int
    encrypted: bool


class ErrorResult(TypedDict):
    """An error of the node."""

    code: Code
    message: str
    expected: Any
    got: Any


class TargetResult(TypedDict):
    """An address that the node dials."""

    address: str
    peer: Hex | None
    """The key of the node there, if there is a session."""
    error: ErrorResult | None
    """Why there is none."""
    retry_s: float | None


class BookAddress(TypedDict):
    """An address that the node has heard of."""

    address: str
    table: Literal["tried", "new"]
    seen_s: float
    reached_s: float | None
    dialled_s: float | None
    failures: int
    sources: list[str]


class AddressBookResult(TypedDict):
    """How many addresses of other nodes the node knows."""

    new: int
    """Known by hearsay."""
    tried: int
    """Which have answered."""
    anchors: list[str]
    """Dialled first at the next start."""
    entries: NotRequired[list[BookAddress]]


class BanResult(TypedDict):
    """Whom the node refuses."""

    subject: str
    """A node key, a host, or a network."""
    host: str
    """Where the key misbehaved; the subject itself if it is no key, empty if the operator named a key."""
    since_ms: int
    until_ms: int
    by_operator: bool
    """Whether the operator has banned it; otherwise it has misbehaved."""
    reason: str


@also(BanResult)
class NewBan(TypedDict):
    """A ban, and whom it concerns at once."""

    disconnected: list[Id]
    """The nodes whose sessions were ended."""
    not_dialled: list[str]
    """The named addresses that are not dialled while it holds."""


class UnbanResult(TypedDict):
    """A subject is forgiven."""

    subject: str
    unbanned: bool
    still: str | None
    """The ban of a network that keeps it refused all the same."""


class AddedPeer(TypedDict):
    """An address is dialled from now on."""

    address: str
    ban: BanResult | None
    """The operator's ban that keeps the node from dialling it for now."""


class RemovedPeer(TypedDict):
    """An address is dialled no more."""

    address: str
    removed: bool


@also(PeerResult)
class PeerEvent(TypedDict):
    """A session with a peer has opened or ended."""

    event: Literal["connected", "disconnected"]
    reason: str | None
    """Why it ended."""
