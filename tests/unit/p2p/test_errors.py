"""Every leaf has its code, its family and the reason that the peer is told."""

import pytest

from engram.p2p import errors
from engram.p2p.errors import (
    DisconnectReason,
    Misbehaviour,
    PeerDisconnected,
    PeerUnavailable,
    SessionEnded,
    reason_of,
    weight_of,
)
from engram.primitives.errors import (
    BadSignature,
    ChainError,
    Invalid,
    InvalidBody,
    InvalidHeader,
    InvalidTransaction,
    NonCanonical,
    NotReady,
    StorageError,
)

LEAVES = [
    cls
    for cls in vars(errors).values()
    if isinstance(cls, type) and issubclass(cls, ChainError) and cls.__module__ == errors.__name__
]


def test_codes_are_distinct_and_own() -> None:
    codes = [vars(cls).get("code") for cls in LEAVES]
    assert None not in codes
    assert len(set(codes)) == len(codes) >= 20


@pytest.mark.parametrize("cls", [cls for cls in LEAVES if issubclass(cls, Misbehaviour)])
def test_misbehaviour_counts(cls: type[Misbehaviour]) -> None:
    assert issubclass(cls, Invalid)
    assert 0 < weight_of(cls()) <= errors.MAX_WEIGHT
    assert reason_of(cls()) == cls.reason


@pytest.mark.parametrize("cls", [cls for cls in LEAVES if issubclass(cls, PeerUnavailable)])
def test_being_unavailable_does_not(cls: type[PeerUnavailable]) -> None:
    arguments = {PeerDisconnected: (1,), SessionEnded: (DisconnectReason.DUPLICATE,)}.get(cls, ())
    error = cls(*arguments)
    assert issubclass(cls, NotReady)
    assert weight_of(error) == 0
    assert reason_of(error) is error.reason


@pytest.mark.parametrize(
    ("error", "reason", "weight"),
    [
        (None, DisconnectReason.SHUTDOWN, None),
        (NonCanonical(), DisconnectReason.BAD_FRAME, 100),
        (BadSignature(), DisconnectReason.INVALID_DATA, 100),
        (InvalidHeader(), DisconnectReason.INVALID_DATA, 100),
        (InvalidBody(), DisconnectReason.INVALID_DATA, 100),
        (InvalidTransaction(), DisconnectReason.INVALID_DATA, 100),
        (NotReady(), DisconnectReason.REQUESTED, 0),
        (StorageError(), DisconnectReason.REQUESTED, 0),
    ],
)
def test_families_become_actions_here(
    error: ChainError | None, reason: DisconnectReason, weight: int | None
) -> None:
    assert reason_of(error) is reason
    assert weight is None or weight_of(error or NotReady()) == weight


def test_what_the_peer_says_is_kept_where_it_is_known() -> None:
    assert PeerDisconnected(5).reason is DisconnectReason.DUPLICATE
    assert str(PeerDisconnected(5)) == "The peer ended the session (got duplicate)"
    assert "it refuses this node, and has perhaps banned it" in str(
        PeerDisconnected(DisconnectReason.REFUSED)
    )
    assert PeerDisconnected(4_000).reason is DisconnectReason.REQUESTED
    assert PeerDisconnected(4_000).got == 4_000
    assert PeerDisconnected.reason is DisconnectReason.REQUESTED
