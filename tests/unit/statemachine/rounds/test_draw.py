"""The draw: against its formula written a second time, and for fairness over all ordered choices."""

import hashlib
from collections import Counter
from itertools import permutations

import pytest

from engram.statemachine.rounds import draw
from engram.statemachine.rounds.draw import draw_parts, draw_seed, nonce_hash, rank, sample


def tagged(tag: str, *chunks: bytes) -> bytes:
    """Tagged SHA-256, written out once more."""
    prefix = hashlib.sha256(tag.encode()).digest()
    return hashlib.sha256(prefix + prefix + b"".join(chunks)).digest()


def sample_again(seed: bytes, population: int, count: int) -> list[int]:
    """The algorithm of the module's docstring with a list that shrinks instead of a swap."""
    items, word = list(range(population)), 0
    for i in range(count):
        bound = population - i
        while True:
            value = int.from_bytes(tagged("engram/draw", seed, word.to_bytes(4, "big"))[:8], "big")
            word += 1
            if value < 2**64 - 2**64 % bound:
                break
        j = i + value % bound
        items[i], items[j] = items[j], items[i]
    return items[:count]


def test_the_seed_and_the_nonce() -> None:
    blocks, nonce = [b"\1" * 32, b"\2" * 32], b"\3" * 32
    assert draw_seed(blocks, nonce) == tagged("engram/draw", *blocks, nonce)
    assert nonce_hash(nonce) == tagged("engram/nonce", nonce)
    assert rank(b"\4" * 32, b"\5" * 32) == tagged("engram/draw", b"\4" * 32, b"\5" * 32)


@pytest.mark.parametrize(("population", "count"), [(2, 2), (7, 3), (256, 256), (1, 1)])
def test_the_sample_follows_its_formula(population: int, count: int) -> None:
    for number in range(20):
        seed = bytes([number]) * 32
        assert sample(seed, population, count) == sample_again(seed, population, count)


def test_a_sample_takes_no_longer_from_more_items() -> None:
    """Whoever sends what is refused chooses how many chunks a node draws from, and pays nothing."""
    drawn = sample(bytes(32), 10**15, 64)
    assert len(set(drawn)) == 64
    assert all(0 <= item < 10**15 for item in drawn)


def test_uneven_words_are_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """2^64 mod 3 = 1: the word 2^64 - 1 is one too many."""
    words = iter([2**64 - 1, 2**64 - 2, 5, 0])
    monkeypatch.setattr(draw, "_words", lambda _: words)
    assert sample(bytes(32), 3, 1) == [(2**64 - 2) % 3]
    assert next(words) == 5


def test_every_ordered_choice_is_equally_likely() -> None:
    """Chi-square over the 12 ordered pairs of 4: 11 degrees of freedom, 31.3 at 0.001. Fixed seeds."""
    trials = 6_000
    counts = Counter(tuple(sample(tagged("test", n.to_bytes(4, "big")), 4, 2)) for n in range(trials))
    assert set(counts) == set(permutations(range(4), 2))
    expected = trials // 12
    assert sum((count - expected) ** 2 for count in counts.values()) < 31.3 * expected


def test_validation_and_sealed_parts_are_disjoint() -> None:
    commitments = [bytes([index]) * 32 for index in range(9)]
    validation, sealed = draw_parts(b"\7" * 32, commitments, 3, 4)
    assert (len(validation), len(sealed)) == (3, 4)
    assert len({*validation, *sealed}) == 7
    chosen = sample_again(b"\7" * 32, 9, 7)
    assert [*validation, *sealed] == [commitments[index] for index in chosen]
