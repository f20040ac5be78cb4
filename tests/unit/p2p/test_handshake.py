"""What a handshake signs, and the checks of `Hello`. The dialogue itself is in tests/functional."""

import asyncio
import random
from dataclasses import fields, replace
from typing import Any

import pytest

from engram.node.clock import FakeClock
from engram.p2p.errors import (
    LinkClosed,
    PeerOnOtherChain,
    PeerUnavailable,
    PeerVersionUnsupported,
    SelfConnection,
)
from engram.p2p.handshake import Role, check_hello, handshake_digest, own_hello, part
from engram.p2p.link import PeerAddress
from engram.p2p.messages import PROTOCOL_VERSION, Hello
from engram.p2p.protocol import HeadSummary, Identity
from tests.support.p2p_samples import HELLO, HELLO_OF_GENESIS, some_hash


def changed(value: Any) -> Any:
    """Another value of the same type and size."""
    match value:
        case int():
            return value + 1
        case bytes():
            return bytes([value[0] ^ 1]) + value[1:]
        case _:
            return f"{value}!"


@pytest.mark.parametrize("name", [field.name for field in fields(Hello)])
def test_every_field_of_both_hellos_is_signed(name: str) -> None:
    other = replace(HELLO, **{name: changed(getattr(HELLO, name))})
    digests = {
        handshake_digest(Role.DIALER, HELLO, HELLO_OF_GENESIS),
        handshake_digest(Role.DIALER, other, HELLO_OF_GENESIS),
        handshake_digest(Role.DIALER, HELLO_OF_GENESIS, other),
        handshake_digest(Role.DIALER, HELLO_OF_GENESIS, HELLO),
        handshake_digest(Role.ACCEPTOR, HELLO, HELLO_OF_GENESIS),
        handshake_digest(Role.ACCEPTOR, other, HELLO_OF_GENESIS),
    }
    assert len(digests) == 6


def test_a_role_has_an_opposite() -> None:
    assert [role.other.other for role in Role] == list(Role)
    assert Role.DIALER.other is Role.ACCEPTOR


def test_every_session_has_its_own_nonce() -> None:
    head = HeadSummary(3, some_hash(1), 2**255)
    identity, rng = Identity(7, some_hash(0), "engram/1"), random.Random(1)
    first, second = (own_hello(identity, head, some_hash(2), rng) for _ in range(2))
    assert first.nonce != second.nonce
    assert replace(first, nonce=second.nonce) == second
    assert (first.version, first.height, first.head) == (PROTOCOL_VERSION, 3, head.head)
    assert int.from_bytes(first.total_work, "big") == 2**255


def test_hello_is_checked_against_ones_own() -> None:
    own = replace(HELLO, node_key=some_hash(50))
    check_hello(own, HELLO)
    check_hello(own, replace(HELLO, version=2**16 - 1, height=0, agent=""))
    refused: tuple[tuple[type[PeerUnavailable], Hello], ...] = (
        (PeerVersionUnsupported, replace(HELLO, version=0)),
        (PeerOnOtherChain, replace(HELLO, chain_id=8)),
        (PeerOnOtherChain, replace(HELLO, genesis=bytes(32))),
        (SelfConnection, own),
    )
    for error, remote in refused:
        with pytest.raises(error):
            check_hello(own, remote)


class Deaf:
    """A link whose other side takes nothing."""

    remote = PeerAddress("deaf", 1)
    channel = None

    def __init__(self) -> None:
        self.aborted = False

    @property
    def remote_host(self) -> str:
        return self.remote.host

    async def send(self, frame: bytes) -> None:
        await asyncio.Event().wait()

    async def receive(self) -> bytes:
        raise LinkClosed

    def open_up(self) -> None:
        raise AssertionError("the handshake is not over")

    async def close(self) -> None:
        raise AssertionError("nothing was sent yet")

    def abort(self) -> None:
        self.aborted = True


async def test_parting_from_a_peer_that_takes_nothing_ends_in_time() -> None:
    clock, link = FakeClock(0), Deaf()
    leaving = asyncio.create_task(part(link, None, clock, 2.0))
    await asyncio.sleep(0)
    clock.advance(1_999)
    await asyncio.sleep(0)
    assert not link.aborted
    clock.advance(1)
    await leaving
    assert link.aborted
