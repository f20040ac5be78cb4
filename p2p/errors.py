"""What can go wrong with a peer, the reason that is sent when a session ends, and how much an error counts.

This is the one place of p2p that decides whom an error counts against: `Invalid` against the peer, `NotReady`
against nobody.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from engram.primitives.errors import ChainError, CodecError, Invalid, InvalidInput, NotReady


class DisconnectReason(IntEnum):
    """Why a session ended: the number that `Disconnect` carries."""

    REQUESTED = 0
    """The operator asked for it."""
    SHUTDOWN = 1
    WRONG_CHAIN = 2
    WRONG_VERSION = 3
    SELF_CONNECTION = 4
    DUPLICATE = 5
    TOO_MANY_PEERS = 6
    REFUSED = 7
    """The peer misbehaved lately or is banned, and is not spoken to for a while."""
    BAD_FRAME = 8
    """Too large, empty, not binary, an unknown tag, or not the canonical bytes of a message."""
    UNEXPECTED_MESSAGE = 9
    """A message that may not be sent now: it belongs to another phase, or answers no open request."""
    BAD_HANDSHAKE = 10
    BAD_REPLY = 11
    """An answer that does not fit its request."""
    RATE_EXCEEDED = 12
    INVALID_DATA = 13
    """A block, header or transaction that no honest peer passes on."""
    TIMEOUT = 14
    SLOW_READER = 15
    CONNECTION_LOST = 16
    """Never sent: the connection ended without a `Disconnect`."""
    OTHER_CHANNEL = 17
    """The peer proved its key on another connection than this one: somebody stands between the two."""


class Misbehaviour(Invalid):
    """The peer broke a rule of the peer protocol."""

    reason: DisconnectReason = DisconnectReason.UNEXPECTED_MESSAGE


class PeerUnavailable(NotReady):
    """This peer cannot be used now, though it did nothing wrong."""

    reason: DisconnectReason = DisconnectReason.REQUESTED


class FrameTooLarge(Misbehaviour):
    """The frame is larger than its message may be, or too large before the handshake is complete."""

    reason = DisconnectReason.BAD_FRAME


class MalformedFrame(Misbehaviour):
    """The frame is empty, is not binary, or breaks the WebSocket protocol."""

    reason = DisconnectReason.BAD_FRAME


class UnknownMessage(Misbehaviour):
    """No message has this tag."""

    reason = DisconnectReason.BAD_FRAME


class UnexpectedMessage(Misbehaviour):
    """The message is not allowed in this phase of the session."""


class UnsolicitedReply(Misbehaviour):
    """The answer belongs to no open request."""


class WrongReply(Misbehaviour):
    """The answer does not fit what was asked."""

    reason = DisconnectReason.BAD_REPLY


class RateExceeded(Misbehaviour):
    """The peer keeps sending this message faster than its rate allows."""

    reason = DisconnectReason.RATE_EXCEEDED


class TooManyRequests(Misbehaviour):
    """The peer has more unanswered requests than a session allows."""

    reason = DisconnectReason.RATE_EXCEEDED


class BadHandshake(Misbehaviour):
    """The handshake's signature does not bind this key to this session."""

    reason = DisconnectReason.BAD_HANDSHAKE


class ChannelMismatch(PeerUnavailable):
    """The peer signed for another connection than this one: somebody stands between the two nodes.

    The peer's signature is good, and an honest one signs so, too. So nobody is blamed.
    """

    reason = DisconnectReason.OTHER_CHANNEL


class PeerOnOtherChain(PeerUnavailable):
    """The peer follows another chain."""

    reason = DisconnectReason.WRONG_CHAIN


class PeerVersionUnsupported(PeerUnavailable):
    """The peer speaks no version of the peer protocol that this node speaks."""

    reason = DisconnectReason.WRONG_VERSION


class WrongPeer(PeerUnavailable):
    """The node that answers at this address has another key than the address names."""


class SelfConnection(PeerUnavailable):
    """The address leads back to this node."""

    reason = DisconnectReason.SELF_CONNECTION


class DuplicatePeer(PeerUnavailable):
    """There is already a session with this peer."""

    reason = DisconnectReason.DUPLICATE


class TooManyPeers(PeerUnavailable):
    """This node has no place left for another inbound session."""

    reason = DisconnectReason.TOO_MANY_PEERS


class PeerRefused(PeerUnavailable):
    """The peer misbehaved lately and is not let in yet."""

    reason = DisconnectReason.REFUSED


class PeerBanned(PeerUnavailable):
    """The operator of this node has banned the peer."""

    reason = DisconnectReason.REFUSED


class PeerTimeout(PeerUnavailable):
    """The peer did not answer in time."""

    reason = DisconnectReason.TIMEOUT


class SlowReader(PeerUnavailable):
    """The peer does not read what it is sent."""

    reason = DisconnectReason.SLOW_READER


class LinkClosed(PeerUnavailable):
    """The connection is closed."""

    reason = DisconnectReason.CONNECTION_LOST


class DialFailed(PeerUnavailable):
    """No connection to this address could be made."""

    reason = DisconnectReason.CONNECTION_LOST


_MEANT = {
    DisconnectReason.REFUSED: "it refuses this node, and has perhaps banned it",
    DisconnectReason.TOO_MANY_PEERS: "it has no place for another peer",
}
"""What an operator should know of some reasons that a peer tells."""


class PeerDisconnected(PeerUnavailable):
    """The peer ended the session."""

    def __init__(self, sent: int) -> None:
        known = sent in DisconnectReason.__members__.values()
        if known:
            self.reason = DisconnectReason(sent)
        got = self.reason.name.lower() if known else sent
        meant = _MEANT.get(self.reason) if known else None
        super().__init__("" if meant is None else f"The peer ended the session: {meant}", got=got)


class SessionEnded(PeerUnavailable):
    """The session is over."""

    def __init__(self, reason: DisconnectReason) -> None:
        self.reason = reason
        super().__init__(got=reason.name.lower())


class BadPeerAddress(InvalidInput):
    """A peer's address is HOST:PORT, or NODEKEY@HOST:PORT with 64 hex digits of its key."""


class ListenFailed(InvalidInput):
    """The address to listen on cannot be used: choose another p2p port, or stop what uses it."""


MAX_WEIGHT: Final = 100
"""The score at which a peer is refused. Anything that no honest peer does has this weight at once."""


def reason_of(error: ChainError | None) -> DisconnectReason:
    """The reason to send when `error` ends a session; None means that this node is stopping."""
    match error:
        case None:
            return DisconnectReason.SHUTDOWN
        case Misbehaviour() | PeerUnavailable():
            return error.reason
        case CodecError():
            return DisconnectReason.BAD_FRAME
        case Invalid():
            return DisconnectReason.INVALID_DATA
        case _:
            return DisconnectReason.REQUESTED


def weight_of(error: ChainError) -> int:
    """What `error` adds to the score of the peer that caused it; 0 unless its family is `Invalid`."""
    match error:
        case RateExceeded() | TooManyRequests():
            return MAX_WEIGHT // 2
        case Invalid():
            return MAX_WEIGHT
        case _:
            return 0


def gravest(failures: BaseExceptionGroup[ChainError]) -> ChainError:
    """The error that counts among several: an `Invalid` one if any, as the rest may follow from it."""
    leaves = list(_leafs(failures))
    return next((leaf for leaf in leaves if isinstance(leaf, Invalid)), leaves[0])


def _leafs(failures: BaseExceptionGroup[ChainError]) -> list[ChainError]:
    found: list[ChainError] = []
    for error in failures.exceptions:
        found += _leafs(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
