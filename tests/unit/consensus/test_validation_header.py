"""Header rules, one violation at a time, and that proof of work is computed once, after everything cheap."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from engram.consensus import validation
from engram.consensus.block import BlockHeader
from engram.consensus.compact import bits_to_target
from engram.consensus.errors import (
    BadTarget,
    PowNotMet,
    TimestampAhead,
    TimestampTooOld,
    WrongHeight,
    WrongParent,
    WrongVersion,
)
from engram.consensus.pow import meets_target, pow_digest
from engram.consensus.validation import median_time_past, validate_header
from engram.primitives.codec import encode
from engram.primitives.errors import ChainError, InvalidHeader, NotReady
from tests.support.memory_chain import MemoryChain, easy_spec, search

SPEC = easy_spec([])


@pytest.fixture
def digests(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Every header whose proof-of-work digest was computed by validation."""
    computed: list[bytes] = []

    def counting(name: str, header: bytes) -> bytes:
        computed.append(header)
        return pow_digest(name, header)

    monkeypatch.setattr(validation, "pow_digest", counting)
    return computed


@pytest.fixture
def chain() -> MemoryChain:
    chain = MemoryChain(SPEC)
    for _ in range(12):
        chain.mine()
    return chain


def resealed(header: BlockHeader) -> BlockHeader:
    """The header with a nonce that meets its target."""
    return replace(header, nonce=search(SPEC, header))


def unworthy(header: BlockHeader) -> BlockHeader:
    """The header with a nonce that does not meet its target."""
    target = bits_to_target(header.target)
    candidates = (replace(header, nonce=nonce.to_bytes(8, "big")) for nonce in range(1000))
    return next(each for each in candidates if not meets_target(pow_digest(SPEC.pow, encode(each)), target))


def check(chain: MemoryChain, header: BlockHeader, now_ms: int | None = None) -> None:
    now_ms = header.timestamp_ms if now_ms is None else now_ms
    validate_header(SPEC, header, chain.tip, chain.median_time_ms(), chain.next_bits(), now_ms)


def test_a_good_header_costs_one_digest(chain: MemoryChain, digests: list[bytes]) -> None:
    check(chain, resealed(chain.template().header))
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda header: replace(header, version=0), WrongVersion),
        (lambda header: replace(header, version=2), WrongVersion),
        (lambda header: replace(header, height=header.height - 1), WrongHeight),
        (lambda header: replace(header, height=header.height + 1), WrongHeight),
        (lambda header: replace(header, parent=bytes(32)), WrongParent),
        (lambda header: replace(header, timestamp_ms=0), TimestampTooOld),
        (lambda header: replace(header, target=header.target - 1), BadTarget),
        (lambda header: replace(header, target=header.target + 1), BadTarget),
        (lambda header: replace(header, target=0), BadTarget),
    ],
)
def test_cheap_faults_cost_no_digest(
    chain: MemoryChain,
    digests: list[bytes],
    change: Callable[[BlockHeader], BlockHeader],
    error: type[ChainError],
) -> None:
    with pytest.raises(error) as caught:
        check(chain, change(chain.template().header))
    assert isinstance(caught.value, InvalidHeader)
    assert digests == []


def test_parent_is_named_in_full(chain: MemoryChain) -> None:
    with pytest.raises(WrongParent) as caught:
        check(chain, replace(chain.template().header, parent=b"\x01" * 32))
    assert (caught.value.expected, caught.value.got) == (chain.tip.id, b"\x01" * 32)


def test_a_timestamp_exceeds_the_median(chain: MemoryChain) -> None:
    median = chain.median_time_ms()
    check(chain, resealed(replace(chain.template().header, timestamp_ms=median + 1)))
    with pytest.raises(TimestampTooOld) as caught:
        check(chain, resealed(replace(chain.template().header, timestamp_ms=median)))
    assert (caught.value.expected, caught.value.got) == (median + 1, median)


def test_a_digest_above_the_target_is_refused_after_one_try(chain: MemoryChain, digests: list[bytes]) -> None:
    with pytest.raises(PowNotMet) as caught:
        check(chain, unworthy(chain.template().header))
    assert caught.value.code == "pow_not_met"
    assert len(digests) == 1


def test_ahead_of_the_clock_is_no_verdict(chain: MemoryChain) -> None:
    header = resealed(chain.template().header)
    limit = header.timestamp_ms - SPEC.future_limit_ms
    check(chain, header, now_ms=limit)
    with pytest.raises(TimestampAhead) as caught:
        check(chain, header, now_ms=limit - 1)
    assert isinstance(caught.value, NotReady)
    assert (caught.value.expected, caught.value.got) == (header.timestamp_ms - 1, header.timestamp_ms)


def test_what_is_parked_has_proved_its_work(chain: MemoryChain) -> None:
    with pytest.raises(PowNotMet):
        check(chain, unworthy(chain.template().header), now_ms=0)


@pytest.mark.parametrize(
    ("timestamps", "median"),
    [([5], 5), ([5, 9], 9), ([9, 5, 7], 7), ([3, 1, 2, 4], 3), (list(range(11)), 5), ([7] * 10 + [0], 7)],
)
def test_median(timestamps: list[int], median: int) -> None:
    assert median_time_past(timestamps) == median


def test_only_eleven_blocks_count(chain: MemoryChain) -> None:
    times = [block.header.timestamp_ms for block in chain.blocks]
    assert len(times) == 13
    assert chain.median_time_ms() == sorted(times[2:])[5]
