"""The verification cache keeps what was computed, forgets the oldest first, and is safe between threads."""

import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from engram.nn.dtypes import INT8, INT32
from engram.nn.evaluate import FrozenActivations
from engram.nn.layers import DenseRelu, Output
from engram.nn.loss import RowScores
from engram.nn.network import NetworkSpec
from engram.nn.seeded import Seeded
from engram.nn.spec import parameter_shapes
from engram.node.chain.verification import VerificationCache
from engram.node.storage.lru import ByteLru
from engram.primitives.codec import decode, encode
from engram.primitives.types import ZERO_HASH
from engram.statemachine.additions import SegmentSources, TrainUpdate, addition
from engram.statemachine.parameters import compose


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


def activations(rows: int) -> FrozenActivations:
    features = np.zeros((rows, 4), dtype=np.uint8)
    return FrozenActivations(
        0, 0, (features, np.zeros((rows, 10), dtype=np.uint8)), np.zeros((rows, 2), dtype=np.int64)
    )


def test_the_least_recently_used_goes_first() -> None:
    lru: ByteLru[bytes] = ByteLru(30, len)
    for number in range(3):
        lru.put(key(number), bytes(10))
    assert lru.get(key(0)) == bytes(10)
    lru.put(key(3), bytes(10))
    assert [lru.get(key(number)) is not None for number in range(4)] == [True, False, True, True]
    assert (lru.size_bytes, len(lru)) == (30, 3)


def test_a_value_beyond_the_bound_is_not_kept_and_drives_nothing_out() -> None:
    lru: ByteLru[bytes] = ByteLru(30, len)
    lru.put(key(1), bytes(30))
    lru.put(key(2), bytes(31))
    assert lru.get(key(1)) is not None
    assert lru.get(key(2)) is None


def test_the_same_key_is_counted_once() -> None:
    lru: ByteLru[bytes] = ByteLru(30, len)
    for _ in range(5):
        lru.put(key(1), bytes(10))
    assert lru.size_bytes == 10


def test_scores_and_activations_have_bounds_of_their_own() -> None:
    cache = VerificationCache(activations_bytes=activations(10).size_bytes + 10 * 4)
    scores = RowScores(np.arange(10, dtype=np.int32), np.ones(10, dtype=np.bool_))
    cache.put(key(1), scores)
    cache.put_activations(key(1), activations(10))
    assert cache.get(key(1)) is scores
    assert cache.get_activations(key(1)) is not None
    cache.put_activations(key(2), activations(10))
    assert cache.get_activations(key(1)) is None
    assert cache.get(key(1)) is scores
    assert cache.get(key(9)) is None
    assert cache.size_bytes > activations(10).size_bytes


def test_activations_count_with_the_rows_that_they_hold() -> None:
    wide = FrozenActivations(0, 0, (np.zeros((10, 50_000), dtype=np.uint8),), np.zeros((10, 1), np.int64))
    cache = VerificationCache(activations_bytes=600_000)
    cache.put_activations(key(1), wide)
    assert cache.size_bytes >= wide.layers[0].nbytes
    cache.put_activations(key(2), wide)
    assert cache.get_activations(key(1)) is None, "two parts of half a megabyte exceed the bound"


def test_drawn_tensors_have_a_bound_of_their_own() -> None:
    cache = VerificationCache(expansions_bytes=3_000)
    first, second = np.zeros((100, 20), dtype=np.int8), np.ones((100, 20), dtype=np.int8)
    cache.put_expansion(key(1), first)
    assert cache.get_expansion(key(1)) is first
    cache.put_expansion(key(2), second)
    assert (cache.get_expansion(key(1)), cache.get_expansion(key(2))) == (None, second)
    cache.put_expansion(key(3), np.zeros((100, 31), dtype=np.int8))
    assert cache.get_expansion(key(3)) is None, "it exceeds the bound by itself"
    assert cache.size_bytes >= second.nbytes


def many_segments(number: int) -> TrainUpdate:
    """A whole network of 200 segments whose tensors need no bytes."""
    hidden = tuple(DenseRelu(1, 0, 700, 300 + at, 0, 8, 8) for at in range(100))
    outputs = tuple(Output(1, at, 300 + number, 0, 600, 0, 8) for at in range(100))
    spec = NetworkSpec(700, 600, (), hidden, outputs)
    made = [
        SegmentSources(Seeded(1, bytes(32), INT8, weights), Seeded(1, bytes(32), INT32, bias))
        for weights, bias in parameter_shapes(spec)
    ]
    return TrainUpdate(spec, tuple(made[:100]), tuple(made[100:]))


def test_networks_count_with_what_their_segments_take() -> None:
    """Networks that share nothing, as whoever fills the cache would choose them."""
    raws = [encode(many_segments(number)) for number in range(3)]
    # What decoding prepares once in a process belongs to no network.
    compose(None, addition(ZERO_HASH, bytes(20), decode(TrainUpdate, raws[0])))
    tracemalloc.start()
    try:
        cache = VerificationCache()
        for number, raw in enumerate(raws):
            update = decode(TrainUpdate, raw)
            cache.put_composition(compose(None, addition(ZERO_HASH, bytes([number]) * 20, update)))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken <= cache.size_bytes


@dataclass(frozen=True)
class Weighed:
    size: int


def test_threads_leave_the_count_right() -> None:
    lru: ByteLru[Weighed] = ByteLru(500, lambda value: value.size)

    def work(seed: int) -> None:
        for step in range(2_000):
            number = (seed * 7919 + step * 104_729) % 97
            lru.put(key(number), Weighed(1 + number % 13))
            lru.get(key(number % 31))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = [value for number in range(97) if (value := lru.get(key(number))) is not None]
    assert lru.size_bytes == sum(value.size for value in kept) <= 500


def test_a_score_is_computed_by_one_thread_while_others_wait_for_it() -> None:
    cache, computed, entered = VerificationCache(), list[int](), threading.Event()
    scores = RowScores(np.zeros(3, np.int32), np.ones(3, np.bool_))

    def ask() -> RowScores | None:
        entered.set()
        with cache.once(key(1)):
            if cache.get(key(1)) is None:
                computed.append(threading.get_ident())
                cache.put(key(1), scores)
            return cache.get(key(1))

    with ThreadPoolExecutor(2) as pool:
        with cache.once(key(1)):
            waiting = [pool.submit(ask) for _ in range(2)]
            entered.wait()
            with cache.once(key(2)):
                assert not computed, "this thread still computes the score; another score is free"
        assert [each.result() for each in waiting] == [scores, scores]
    assert len(computed) == 1
