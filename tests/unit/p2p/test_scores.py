"""Scores: only what is the peer's fault, only under a proved key, and not for ever."""

from engram.node.clock import FakeClock
from engram.p2p.errors import DuplicatePeer, PeerTimeout, RateExceeded, SlowReader, UnknownMessage
from engram.p2p.scores import FORGET_S, MAX_SCORES, REFUSE_S, PeerScores
from engram.primitives.errors import InvalidHeader, NonCanonical, NotReady

KEY, OTHER = bytes(32), bytes([1]) * 32


def test_the_family_decides_whose_fault_it_is() -> None:
    scores = PeerScores(FakeClock(0))
    for error in (PeerTimeout(), SlowReader(), DuplicatePeer(), NotReady()):
        scores.report("host", KEY, error)
    assert scores.score(KEY) == 0
    for offence in (UnknownMessage(), NonCanonical(), InvalidHeader()):
        fresh = PeerScores(FakeClock(0))
        fresh.report("host", KEY, offence)
        assert (fresh.refusal("host", KEY) is None, fresh.refusal("host", OTHER) is None) == (False, True)


def test_without_a_proved_key_nobody_is_to_blame() -> None:
    scores = PeerScores(FakeClock(0))
    scores.report("host", None, UnknownMessage())
    assert scores.refusal("host", None) is None
    assert scores.refusal("host", KEY) is None


def test_a_lesser_offence_needs_a_second() -> None:
    scores = PeerScores(FakeClock(0))
    scores.report("host", KEY, RateExceeded())
    assert (scores.score(KEY), scores.refusal("host", KEY) is None) == (50, True)
    scores.report("host", KEY, RateExceeded())
    assert (scores.score(KEY), scores.refusal("host", KEY) is None) == (100, False)


def test_refusal_ends_and_scores_are_forgotten() -> None:
    clock = FakeClock(0)
    scores = PeerScores(clock)
    scores.report("host", KEY, UnknownMessage())
    clock.advance(int(REFUSE_S * 1_000) - 1)
    assert scores.refusal("host", KEY) is not None
    clock.advance(1)
    assert scores.refusal("host", KEY) is None
    scores.report("host", KEY, RateExceeded())
    assert scores.refusal("host", KEY) is not None, "a second offence finds the first still on record"
    clock.advance(int(FORGET_S * 1_000))
    assert scores.score(KEY) == 0


def test_the_record_is_bounded() -> None:
    scores = PeerScores(FakeClock(0))
    for number in range(MAX_SCORES + 1):
        scores.report("host", number.to_bytes(32, "big"), UnknownMessage())
    scores.report("host", None, UnknownMessage())
    assert scores.refusal("host", (0).to_bytes(32, "big")) is None
    assert scores.refusal("host", (1).to_bytes(32, "big")) is not None
