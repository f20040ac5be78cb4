"""Measures what deflating saves of published MNIST rows, on disk and between peers, and what it costs."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.bench_blocks import float32_ps_per_mac
from benchmarks.chain import FilledChain, easy_spec, key
from benchmarks.measure import Row, seconds, skipped
from engram.consensus.chainspec import main
from engram.consensus.genesis import genesis
from engram.nn.data import part_bytes
from engram.node.storage.batches import BLOB_PERCENT
from engram.node.storage.schema import CONTENT
from engram.participant.datasets import load_mnist_folder
from engram.participant.errors import DatasetNotFound
from engram.primitives.codec import encode
from engram.primitives.packing import SAMPLE, SLICE_BYTES, pack
from engram.statemachine.content import Inline, blob_id
from engram.statemachine.rules import Rules
from engram.statemachine.transactions.publish_part import PublishPart

ROWS: Final = 500
BESIDE: Final = Path(__file__).resolve().parents[2] / "shared" / "data" / "mnist"
"""The folder in which MNIST is looked for if ENGRAM_DATA names none."""
RATIO, READ = "mnist_rows_deflated_bytes", "mnist_rows_read_ns_per_byte"


def rows(quick: bool) -> Iterable[Row]:
    yield _packing(3 if quick else 9)
    folder = Path(os.environ.get("ENGRAM_DATA") or BESIDE)
    try:
        data = load_mnist_folder(folder).train
    except DatasetNotFound as error:
        yield from (skipped(name, f"no MNIST: {error.message}") for name in (RATIO, READ))
        return
    labels = data.labels[:ROWS].astype(np.uint16)
    yield from _published(part_bytes(data.features[:ROWS], labels), data.inputs, 3 if quick else 30)


def _packing(runs: int) -> Row:
    """Deflating all that a full block of the main preset brings, twice: for its record and for its blobs.

    Random bytes take longest: zlib tries all of them and gains nothing. So that it tries, they are zero where
    a sample of them is taken.
    """
    spec = main()
    size = spec.rules.max_body_bytes
    mixed = bytearray(np.random.default_rng(1).bytes(size))
    step = (size - SLICE_BYTES) // (SAMPLE - 1)
    for at in range(SAMPLE):
        mixed[at * step : at * step + SLICE_BYTES] = bytes(SLICE_BYTES)
    raw = bytes(mixed)
    took_s = 2 * min(seconds(lambda: pack(raw, most_percent=BLOB_PERCENT)) for _ in range(runs))
    copied_s = min(seconds(lambda: bytearray(raw)) for _ in range(runs))
    share = took_s / (spec.block_time_ms / 1_000)
    return Row("pack_full_block_s", took_s, copied_s, share, "<= 0.02 of the block time", share <= 0.02)


def _published(raw: bytes, inputs: int, runs: int) -> Iterable[Row]:
    """A real part in a real block: its record goes to the block files and to peers, its rows to LevelDB."""
    owner = key(1)
    spec = easy_spec(owner)
    with tempfile.TemporaryDirectory(prefix="engram-bench-") as folder:
        chain = FilledChain(Path(folder), spec, genesis(spec))
        with closing(chain):
            chain.extend(chain.pay(owner, PublishPart(ROWS, inputs, 10, bytes(32), Inline(raw))))
            plain = len(encode(chain.store.get_block(chain.head)))
            record = chain.store.body_location(chain.head).size_bytes
            kept = len(chain.store.database.get(CONTENT + blob_id(raw)) or b"")
            ratio = max(record / plain, kept / len(raw))
            yield Row(RATIO, record, plain, ratio, "ratio <= 0.35, block and blob", ratio <= 0.35)
            took_s = min(seconds(lambda: chain.store.get_blob(blob_id(raw))) for _ in range(runs))
    charged_ns = Rules().macs_per_loaded_byte * float32_ps_per_mac() / 1e3
    value = took_s / len(raw) * 1e9
    yield Row(READ, value, charged_ns, value / charged_ns, "<= 2 of the charge", value / charged_ns <= 2)
