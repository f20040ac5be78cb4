"""The signed handshake that begins a session, and the message that gives the reason for its end.

Both sides send a `Hello`, then both send a `BoundAuth`. Each side signs both `Hello`s, its own role and the
channel: the certificate of the TLS connection, or that there is none. A signature is therefore good for these
two keys, these two nonces, this direction and this connection only. An attacker who replays it in another
session, sends it back to its maker, or passes it on to a third node gets nowhere. Nor does one who stands
between two nodes: he has to end the encryption of each himself, and they see two certificates.

With peers below version 3 the message is `Auth`, without the channel. They know no encryption.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import Enum
from typing import Final

from engram.p2p.clock import Deadline, MonotonicClock
from engram.p2p.errors import (
    BadHandshake,
    ChannelMismatch,
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
    BOUND_VERSION,
    OLDEST_VERSION,
    PROTOCOL_VERSION,
    Auth,
    BoundAuth,
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
    """The 32 bytes that the end with this role signs in `Auth`."""
    return tagged_hash(Tag.HANDSHAKE, role.value, encode(dialer), encode(acceptor))


def bound_digest(role: Role, dialer: Hello, acceptor: Hello, channel: bytes | None) -> bytes:
    """The 32 bytes that the end with this role signs in `BoundAuth`; `channel` is that of `Link`."""
    seen = b"\x00" if channel is None else b"\x01" + channel
    return tagged_hash(Tag.HANDSHAKE, role.value, encode(dialer), encode(acceptor), seen)


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
    bad signature, `ChannelMismatch` for one that is good on another connection, `PeerVersionUnsupported` for
    a version that cannot have made an encrypted connection, `PeerDisconnected`, `UnexpectedMessage`,
    `CodecError` and the link's errors.
    """
    await link.send(encode_frame(own))
    remote = await _receive(link)
    if not isinstance(remote, Hello):
        raise UnexpectedMessage(expected="Hello", got=type(remote).__name__)
    check_hello(own, remote)
    if expected_key is not None and remote.node_key != expected_key:
        raise WrongPeer(expected=expected_key, got=remote.node_key)
    version = min(own.version, remote.version)
    if link.channel is not None and version < BOUND_VERSION:
        raise PeerVersionUnsupported(
            "encrypted by somebody who passes on the words of an older node",
            expected=BOUND_VERSION,
            got=remote.version,
        )
    hellos = (own, remote) if role is Role.DIALER else (remote, own)
    await link.send(encode_frame(_proof(role, hellos, version, link.channel, key)))
    _check_proof(await _receive(link), role.other, hellos, version, link.channel, remote.node_key)
    return PeerIdentity(
        node_key=remote.node_key,
        dialer_key=hellos[0].node_key,
        version=version,
        agent=remote.agent,
        head=HeadSummary(remote.height, remote.head, int.from_bytes(remote.total_work, "big")),
    )


def _proof(
    role: Role, hellos: tuple[Hello, Hello], version: int, channel: bytes | None, key: PrivateKey
) -> Auth | BoundAuth:
    """The message by which the end with this role proves its key; the dialler's `Hello` comes first."""
    if version < BOUND_VERSION:
        return Auth(key.sign(handshake_digest(role, *hellos)))
    return BoundAuth(channel, key.sign(bound_digest(role, *hellos, channel)))


def _check_proof(
    proof: Message,
    role: Role,
    hellos: tuple[Hello, Hello],
    version: int,
    channel: bytes | None,
    node_key: bytes,
) -> None:
    """Raises `UnexpectedMessage`, `BadHandshake`; `ChannelMismatch` if the key is proved, but elsewhere."""
    match proof:
        case BoundAuth() if version >= BOUND_VERSION:
            signed, seen = bound_digest(role, *hellos, proof.channel), proof.channel
        case Auth() if version < BOUND_VERSION:
            signed, seen = handshake_digest(role, *hellos), channel
        case _:
            expected = BoundAuth if version >= BOUND_VERSION else Auth
            raise UnexpectedMessage(expected=expected.__name__, got=type(proof).__name__)
    try:
        verify(node_key, signed, proof.signature)
    except InvalidKey as error:
        raise BadHandshake(f"the signature is not good: {error}") from error
    if seen != channel:
        raise ChannelMismatch(expected=channel, got=seen)


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
