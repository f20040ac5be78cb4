"""The draw: a seed that no one can steer alone, and the parts that it picks. Integers and hashes only.

    seed = tagged_hash(DRAW, id_1 ‖ … ‖ id_d ‖ nonce): ids of the DRAW blocks in order, the opener's nonce
    word_i = the first 8 bytes, big-endian, of tagged_hash(DRAW, seed ‖ i as 4 bytes, big-endian), i = 0, 1, …
    below(m): the next word w with w < 2^64 - 2^64 mod m gives w mod m; words above are skipped
    sample(n, c): items 0 … n-1; for i = 0 … c-1: swap items i and i + below(n - i); the first c, in order

The seed is made of two halves. The opener committed to the nonce when the round opened, before the block ids
existed; the miners of these blocks do not know the nonce. So neither side can choose which parts are drawn.
An opener who also mines can throw blocks away until the draw suits them, at the price of a block for each
try.

Words in the uneven tail above the largest multiple of m are skipped; so every ordered choice of c items out
of n is equally likely.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from engram.primitives.hashing import Tag, tagged_hash
from engram.primitives.types import Hash
from engram.statemachine.record import u32

_WORD_BYTES: Final = 8
_WORDS: Final = 1 << (8 * _WORD_BYTES)


def nonce_hash(nonce: Hash) -> Hash:
    """The hash by which the opener commits to the nonce when the round opens."""
    return tagged_hash(Tag.NONCE, nonce)


def draw_seed(block_ids: Sequence[Hash], nonce: Hash) -> Hash:
    """The seed of a round: block ids in order of ticks, then the opener's nonce."""
    return tagged_hash(Tag.DRAW, *block_ids, nonce)


def draw_parts(
    seed: Hash, commitments: Sequence[Hash], validation: int, sealed: int
) -> tuple[tuple[Hash, ...], tuple[Hash, ...]]:
    """The validation parts and the sealed parts, in the order drawn; no part is in both."""
    chosen = [commitments[index] for index in sample(seed, len(commitments), validation + sealed)]
    return tuple(chosen[:validation]), tuple(chosen[validation:])


def sample(seed: Hash, population: int, count: int) -> list[int]:
    """`count` distinct indices below `population`; all choices are equally likely if the seed is random."""
    words, moved, drawn = _words(seed), dict[int, int](), list[int]()
    for i in range(count):  # of the items only those are kept that are not in their own place any more
        j = i + _below(words, population - i)
        drawn.append(moved.get(j, j))
        moved[j] = moved.get(i, i)
    return drawn


def rank(seed: Hash, item: Hash) -> Hash:
    """A key that sorts hashes in a random order, which the seed fixes; the lower key comes first."""
    return tagged_hash(Tag.DRAW, seed, item)


def _words(seed: Hash) -> Iterator[int]:
    index = 0
    while True:
        digest = tagged_hash(Tag.DRAW, seed, u32(index))
        yield int.from_bytes(digest[:_WORD_BYTES], "big")
        index += 1


def _below(words: Iterator[int], bound: int) -> int:
    even = _WORDS - _WORDS % bound
    return next(word for word in words if word < even) % bound
