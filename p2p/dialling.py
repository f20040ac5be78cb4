"""One outbound connection: made, talked over, and what it teaches the address book."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from engram.p2p.addressbook import AddressBook
from engram.p2p.clock import Deadline, MonotonicClock
from engram.p2p.errors import (
    DialFailed,
    DisconnectReason,
    PeerDisconnected,
    PeerOnOtherChain,
    SelfConnection,
)
from engram.p2p.link import Link, PeerAddress, Transport
from engram.p2p.protocol import PeerOrigin
from engram.p2p.scores import PeerPolicy, PeerRefusal
from engram.p2p.session import Session
from engram.primitives.errors import ChainError


@dataclass(eq=False)
class Dial:
    """An address that is dialled, and what came of it last."""

    address: PeerAddress
    origin: PeerOrigin
    node_key: bytes | None = None
    """The key of the node that answered there last."""
    host: str | None = None
    """The IP address that was reached last; another than the address has if that is a name."""
    answered: bool = False
    """Whether the last dial led to a node of this chain."""
    session: Session | None = None
    error: ChainError | None = None
    """Why the last dial or session ended."""


class Dialler:
    """Dials, and tells the book who answers."""

    def __init__(
        self,
        transport: Transport,
        book: AddressBook,
        policy: PeerPolicy,
        clock: MonotonicClock,
        dial_s: float,
        converse: Callable[[Link, Dial], Awaitable[ChainError]],
    ) -> None:
        """`converse` runs a link from its handshake to its end, and calls `met` once the peer is known."""
        self._transport = transport
        self._book = book
        self._policy = policy
        self._clock = clock
        self._dial_s = dial_s
        self._converse = converse

    async def dial(self, attempt: Dial) -> ChainError:
        """Dials once and returns why the session, or the attempt to have one, ended."""
        attempt.answered = False
        self._book.dialled(attempt.address)
        try:
            error = await self._converse(await self._connect(attempt.address), attempt)
        except DialFailed as failed:
            error = failed
            if attempt.origin is PeerOrigin.NAMED:  # of the others, many are mere hearsay
                self._policy.not_reached(attempt.address, failed)
        finally:
            attempt.session = None
        if isinstance(error, SelfConnection | PeerOnOtherChain):
            self._book.forget(attempt.address)
        elif not attempt.answered or _had_no_place(error):
            self._book.failed(attempt.address)
        attempt.error = error
        return error

    def met(self, attempt: Dial, session: Session) -> None:
        """The handshake has proved that a node of this chain answers."""
        attempt.answered = True
        attempt.session = session
        self._book.reached(PeerAddress(session.remote_host, attempt.address.port))

    def refusal(self, attempt: Dial) -> PeerRefusal | None:
        """Why not to dial this address, which tells a host and perhaps a key."""
        return for_dial(self._policy.refusal(attempt.address.host, attempt.address.node_key), attempt)

    def refusal_by_answer(self, attempt: Dial, left_s: float) -> PeerRefusal | None:
        """Why not to speak with who answered there last, for so many seconds at most: by then it may be
        somebody else.
        """
        refusal = self._policy.refusal(attempt.host or attempt.address.host, attempt.node_key)
        refusal = for_dial(refusal, attempt)
        return refusal and replace(refusal, lasts_s=min(refusal.lasts_s, left_s))

    def not_dialled(self, address: PeerAddress, refusal: PeerRefusal) -> None:
        """A named address is not dialled for a while."""
        self._policy.not_reached(address, refusal.error)

    async def _connect(self, address: PeerAddress) -> Link:
        try:
            async with Deadline(self._clock, self._dial_s):
                return await self._transport.dial(address)
        except TimeoutError:
            raise DialFailed(f"no connection to {address} in {self._dial_s:g} s") from None


def for_dial(refusal: PeerRefusal | None, attempt: Dial | None) -> PeerRefusal | None:
    """What of a refusal holds for a dial, or for an inbound link (None)."""
    named = attempt is not None and attempt.origin is PeerOrigin.NAMED
    return None if named and refusal is not None and refusal.for_others else refusal


def _had_no_place(error: ChainError) -> bool:
    return isinstance(error, PeerDisconnected) and error.reason is DisconnectReason.TOO_MANY_PEERS
