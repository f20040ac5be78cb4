"""The signed handshake that begins a session, and the message that gives the reason for its end.

Both sides send a `Hello`, then both send an `Auth`. Each side signs both `Hello`s and its own role. A
signature is therefore good for these two keys, these two nonces and this direction only. An attacker who
replays it in another session, sends it back to its maker, or passes it on to a third node gets nowhere.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import Enum
from typing import Final

from engram.p2p.clock import Deadline, MonotonicClock
from engram.p2p.errors import (
    BadHandshake,
    LinkClosed,
    PeerDisconnected,
    PeerOnOtherChain,
    PeerVersionUnsupported,
    SelfConnection,
    UnexpectedMessage,
    WrongPeer,
    reason_of,
)
from engram.p2p.link import Link
from engram.p2p.messages import (
    OLDEST_VERSION,
    PROTOCOL_VERSION,
    Auth,
    Disconnect,
    Hello,
    Message,
    MessagePhase,
    decode_frame,
    encode_frame,
)
from engram.p2p.protocol import HeadSummary, Identity
from engram.primitives.codec import encode
from engram.primitives.errors import ChainError, InvalidKey
from engram.primitives.hashing import Tag, tagged_hash
from engram.primitives.keys import PrivateKey, verify

NONCE_BYTES: Final = 32


class Role(Enum):
    """Which end of the connection a node is; the byte is part of what is signed."""

    DIALER = b"\x00"
    ACCEPTOR = b"\x01"

    @property
    def other(self) -> Role:
        """The opposite end."""
        return Role.ACCEPTOR if self is Role.DIALER else Role.DIALER


@dataclass(frozen=True)
class PeerIdentity:
    """What a complete handshake has proved about the peer, and what the peer said about itself."""

    node_key: bytes
    dialer_key: bytes
    """Key of the node that dialled. If two nodes dial each other, it decides which session stays."""
    version: int
    """The newest version that both sides speak."""
    agent: str
    head: HeadSummary


def handshake_digest(role: Role, dialer: Hello, acceptor: Hello) -> bytes:
    """The 32 bytes that the end with this role signs."""
    return tagged_hash(Tag.HANDSHAKE, role.value, encode(dialer), encode(acceptor))


def own_hello(
    identity: Identity,
    head: HeadSummary,
    node_key: bytes,
    rng: random.Random,
    version: int = PROTOCOL_VERSION,
) -> Hello:
    """This node's `Hello` for one session, with a fresh nonce from `rng`."""
    return Hello(
        version=version,
        chain_id=identity.chain_id,
        genesis=identity.genesis,
        node_key=node_key,
        nonce=rng.randbytes(NONCE_BYTES),
        height=head.height,
        head=head.head,
        total_work=head.total_work.to_bytes(32, "big"),
        agent=identity.agent,
    )


def check_hello(own: Hello, remote: Hello) -> None:
    """Raises `PeerVersionUnsupported`, `PeerOnOtherChain`, `SelfConnection`; `BadHandshake` for an agent that
    cannot be printed.
    """
    if remote.version < OLDEST_VERSION:
        raise PeerVersionUnsupported(expected=OLDEST_VERSION, got=remote.version)
    if remote.chain_id != own.chain_id:
        raise PeerOnOtherChain(expected=own.chain_id, got=remote.chain_id)
    if remote.genesis != own.genesis:
        raise PeerOnOtherChain(
            "the peer starts from another genesis", expected=own.genesis, got=remote.genesis
        )
    if remote.node_key == own.node_key:
        raise SelfConnection
    if not (remote.agent.isascii() and remote.agent.isprintable()):
        raise BadHandshake("the agent is not printable ASCII")


async def shake_hands(
    link: Link, role: Role, own: Hello, key: PrivateKey, expected_key: bytes | None = None
) -> PeerIdentity:
    """Runs the handshake on a fresh link and returns who the peer is. The caller limits its time.

    Raises what `check_hello` raises, `WrongPeer` for a key other than `expected_key`, `BadHandshake` for a
    bad signature, `PeerDisconnected`, `UnexpectedMessage`, `CodecError` and the link's errors.
    """
    await link.send(encode_frame(own))
    remote = await _receive(link)
    if not isinstance(remote, Hello):
        raise UnexpectedMessage(expected="Hello", got=type(remote).__name__)
    check_hello(own, remote)
    if expected_key is not None and remote.node_key != expected_key:
        raise WrongPeer(expected=expected_key, got=remote.node_key)
    dialer, acceptor = (own, remote) if role is Role.DIALER else (remote, own)
    await link.send(encode_frame(Auth(key.sign(handshake_digest(role, dialer, acceptor)))))
    auth = await _receive(link)
    if not isinstance(auth, Auth):
        raise UnexpectedMessage(expected="Auth", got=type(auth).__name__)
    try:
        verify(remote.node_key, handshake_digest(role.other, dialer, acceptor), auth.signature)
    except InvalidKey as error:
        raise BadHandshake(f"the signature is not good: {error}") from error
    return PeerIdentity(
        node_key=remote.node_key,
        dialer_key=dialer.node_key,
        version=min(own.version, remote.version),
        agent=remote.agent,
        head=HeadSummary(remote.height, remote.head, int.from_bytes(remote.total_work, "big")),
    )


async def _receive(link: Link) -> Message:
    message = decode_frame(await link.receive(), MessagePhase.HANDSHAKE)
    if isinstance(message, Disconnect):
        raise PeerDisconnected(message.reason)
    return message


async def part(link: Link, error: ChainError | None, clock: MonotonicClock, close_s: float) -> None:
    """Tells the peer why the session ends, if the link is still open, and closes the link. Never raises."""
    try:
        async with Deadline(clock, close_s):
            if not isinstance(error, LinkClosed | PeerDisconnected):
                await link.send(encode_frame(Disconnect(int(reason_of(error)))))
            await link.close()
    except (LinkClosed, TimeoutError):
        link.abort()
