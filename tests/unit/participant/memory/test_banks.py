"""Banks: everything follows from the rule, in integers."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from engram.nn.errors import BadSeededTensor
from engram.nn.seeded import expand
from engram.participant.memory.banks import FIELDS, BankRule, Banks, declare
from engram.participant.memory.errors import BankExhausted, ConstantFeatures, FeatureCountMismatch
from engram.primitives.codec import decode, encode

RULE = BankRule(bytes([3, 200, 7, 128]), 5, 2, 2, (), bytes(32), 4, 1_000)


def tagged(*chunks: bytes) -> bytes:
    domain = hashlib.sha256(b"engram/bank").digest() * 2
    return hashlib.sha256(domain + b"".join(chunks)).digest()


def test_the_numbers_of_a_bank_follow_the_written_rule() -> None:
    number = (1).to_bytes(4, "little")
    seeded = RULE.weights(1)
    assert seeded.seed == tagged(bytes(32), number)
    weights, bias = expand(seeded).astype(int), RULE.parameters(1).bias
    for column in range(5):
        drawn = tagged(bytes(32), number, column.to_bytes(4, "little"))
        words = sum(int.from_bytes(drawn[at : at + 2], "little") for at in range(0, 8, 2))
        middle = sum(c * w for c, w in zip(RULE.center, weights[:, column].tolist(), strict=True))
        assert bias[column] == 1_000 * (words - 131_070) // 2**16 - middle


def test_activations_are_clipped_shifted_sums() -> None:
    values = np.random.default_rng(3).integers(0, 256, (50, 4)).astype(np.uint8)
    expected = []
    for number in range(2):
        given = RULE.parameters(number)
        sums = values.astype(int) @ given.weights.astype(int) + given.bias
        expected.append(np.clip((sums + 8) >> 4, 0, 255))
    assert np.array_equal(Banks(RULE).activations(values), np.concatenate(expected, axis=1))


def test_the_id_names_every_field() -> None:
    others = [
        replace(RULE, center=bytes(4)),
        replace(RULE, width=6),
        replace(RULE, count=3),
        replace(RULE, seed=bytes([1] * 32)),
        replace(RULE, shift=5),
        replace(RULE, spread=1),
    ]
    assert len({rule.bank_id for rule in (RULE, *others)}) == 7
    assert decode(BankRule, encode(RULE)).bank_id == RULE.bank_id


def test_there_is_no_bank_beyond_the_declared_ones() -> None:
    for number in (-1, 2):
        with pytest.raises(BankExhausted):
            RULE.parameters(number)


def test_a_declaration_fits_the_shift_to_the_sample() -> None:
    rows = np.random.default_rng(1).integers(0, 256, (300, 64)).astype(np.uint8)
    rule = declare(rows, seed=bytes(32), width=40, count=3)
    values = Banks(rule).activations(rows).astype(float)
    assert rule.neurons == 120
    assert 0.2 < (values == 0).mean() < 0.8
    assert (values == 255).mean() < 0.01


def test_a_declaration_of_fields_needs_an_image() -> None:
    rows = np.random.default_rng(1).integers(0, 256, (30, 64)).astype(np.uint8)
    rule = declare(rows, seed=bytes(32), width=8, count=1, generator=FIELDS, arguments=(8, 8, 2, 5))
    assert Banks(rule).activations(rows).shape == (30, 8)
    with pytest.raises(BadSeededTensor):
        declare(rows, seed=bytes(32), width=8, count=1, generator=FIELDS, arguments=(8, 9, 2, 5))


def test_constant_rows_and_other_widths_are_refused() -> None:
    with pytest.raises(ConstantFeatures):
        declare(np.zeros((9, 64), np.uint8), seed=bytes(32), width=8, count=1)
    with pytest.raises(FeatureCountMismatch):
        Banks(RULE).activations(np.zeros((1, 5), np.uint8))
