"""Banks: seeded ternary neurons over the trunk's values, all declared at the founding.

A bank is a dense segment of random weights that nobody learns and nobody sends: everything about it follows
from a `BankRule`, in integers. So owners who never meet add up sums over the same neurons, also over those
that only later growths will bring into the network.

Bank number k of a rule with center c and spread u has these numbers:

- weights W of the rule's generator (`nn.seeded`), whose seed is hash("engram/bank", seed ‖ le32(k));
- biases b_j = ⌊u·(a_j - 131070) / 2^16⌋ - Σ_i c_i·W_ij, where a_j is the sum of the four 16-bit little-endian
  words that begin hash("engram/bank", seed ‖ le32(k) ‖ le32(j)).

The second term moves the zero of every neuron to the middle of the values; the first spreads the zeros around
it, with a standard deviation of 0.58·u.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Final

import numpy as np

from engram.nn.dtypes import INT8
from engram.nn.growth import forward_frozen
from engram.nn.layers import DenseRelu
from engram.nn.network import Features, Parameters, SegmentParameters
from engram.nn.seeded import Seeded, check_seeded, expand
from engram.nn.spec import NetworkSpec
from engram.participant.memory.checks import check_features, check_varied
from engram.participant.memory.errors import BankExhausted
from engram.participant.memory.trunk import TERNARY
from engram.primitives.hashing import Tag, hash_object, tagged_hash
from engram.primitives.types import U8, U16, U32, Hash, Size

FIELDS: Final = 3
"""The generator of ternary receptive fields, for images without a trunk, see `nn.seeded`."""
BITS: Final = 8
"""The bits of a bank neuron."""
SPREAD_GOAL: Final = 32
"""About the standard deviation of an accumulator after its shift."""
ZERO_SPREAD: Final = 1.0
"""The rule's `spread` in standard deviations of an accumulator."""
CHUNK_ROWS: Final = 2_048
_WORDS_MEAN: Final = 131_070


@dataclass(frozen=True)
class BankRule:
    """The declaration of all banks of a model. Its canonical bytes are hashed into `bank_id`."""

    center: Annotated[bytes, Size(1, 65_536)]
    """One byte for each value of the trunk: about its mean."""
    width: U32
    """The neurons of a bank."""
    count: U16
    """The number of banks."""
    generator: U8
    arguments: Annotated[tuple[U32, ...], Size(0, 8)]
    seed: Hash
    shift: U8
    spread: U32

    @property
    def values(self) -> int:
        """The number of values that a neuron reads."""
        return len(self.center)

    @property
    def neurons(self) -> int:
        """The neurons of all banks together."""
        return self.width * self.count

    @cached_property
    def bank_id(self) -> Hash:
        """Names the rule in files of statistics."""
        return hash_object(Tag.BANK, self)

    def segment(self) -> DenseRelu:
        """The segment of one bank, where layer 0 is the trunk's values."""
        return DenseRelu(1, 0, self.values, self.width, self.shift, BITS, 8)

    def weights(self, number: int) -> Seeded:
        """The weights of a bank as a seeded tensor. Raises `BankExhausted`."""
        if not 0 <= number < self.count:
            raise BankExhausted(expected=f"0..{self.count - 1}", got=number)
        seed = tagged_hash(Tag.BANK, self.seed, number.to_bytes(4, "little"))
        return Seeded(self.generator, seed, INT8, (self.values, self.width), self.arguments)

    def parameters(self, number: int) -> SegmentParameters:
        """The numbers of a bank. Raises `BankExhausted`."""
        weights = expand(self.weights(number))
        words = [
            np.frombuffer(self._drawn(number, column), dtype="<u2", count=4) for column in range(self.width)
        ]
        sums = np.stack(words).astype(np.int64).sum(axis=1) - _WORDS_MEAN
        middle = np.frombuffer(self.center, dtype=np.uint8).astype(np.int64) @ weights.astype(np.int64)
        return SegmentParameters(weights, ((self.spread * sums >> 16) - middle).astype(np.int32))

    def _drawn(self, number: int, column: int) -> bytes:
        return tagged_hash(Tag.BANK, self.seed, number.to_bytes(4, "little"), column.to_bytes(4, "little"))


@dataclass(frozen=True, eq=False)
class Banks:
    """A rule and the numbers of all its banks, made once."""

    rule: BankRule

    @cached_property
    def parameters(self) -> Parameters:
        return tuple(self.rule.parameters(number) for number in range(self.rule.count))

    def activations(self, values: Features) -> Features:
        """The neurons of all banks uint8 (n, neurons), by the chain's network, of values uint8 (n, values).

        Raises `FeatureCountMismatch`, `FeaturesNotIntegers`.
        """
        rows = check_features(values, self.rule.values)
        spec = NetworkSpec(self.rule.values, 1, (), (self.rule.segment(),) * self.rule.count, ())
        made = np.empty((len(rows), self.rule.neurons), dtype=np.uint8)
        for begin in range(0, len(rows), CHUNK_ROWS):
            chunk = slice(begin, begin + CHUNK_ROWS)
            made[chunk] = forward_frozen(spec, self.parameters, rows[chunk]).layers[1]
        return made


def declare(
    sample: Features,
    *,
    seed: Hash,
    width: int,
    count: int,
    generator: int = TERNARY,
    arguments: tuple[int, ...] = (),
) -> BankRule:
    """The rule for a trunk whose values on a sample of the founding's rows are uint8 (n, values).

    Raises `FeaturesNotIntegers`, `ConstantFeatures`, and what `check_seeded` raises.
    """
    rows = check_features(sample, sample.shape[-1])
    check_varied(rows)
    center = np.rint(rows.mean(axis=0)).astype(np.uint8).tobytes()
    draft = BankRule(center, width, count, generator, arguments, seed, 0, 0)
    check_seeded(draft.weights(0))
    moved = rows.astype(np.float32) - np.frombuffer(center, dtype=np.uint8)
    spread = max(1.0, float((moved @ expand(draft.weights(0)).astype(np.float32)).std()))
    shift = min(max(round(np.log2(spread / SPREAD_GOAL)), 0), 31)
    return BankRule(center, width, count, generator, arguments, seed, shift, round(spread * ZERO_SPREAD))
