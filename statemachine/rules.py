"""The constants of the state machine: every number that a transaction may depend on, in one record.

The ChainSpec holds one `Rules`, and the spec id commits to it. `check_rules` says which rules a chain can run
under; the constants at the top are bounds that follow from the widths of records and messages.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from engram.nn.spec import MAX_GROWN_SEGMENTS, NetworkLimits
from engram.primitives.types import U8, U16, U32, U64
from engram.statemachine.errors import BadRules

MAX_ISSUED: Final = 2**63
"""All sparks ever issued, by genesis and by subsidies, stay below this, so sums of amounts fit 64 bits."""

MAX_ROWS: Final = 2**17
"""The most rows of a part. A null growth adds less than 2^38 + 2^28 to a row's loss, so sums fit 64 bits."""

MAX_BODY_BYTES: Final = 2**25
"""Half of what `codec.decode` accepts."""

MAX_BLOCK_MACS: Final = 2**54
"""With this bound an author's bond fits 64 bits, even at one spark for each MAC.

It pays four times for at most 256 unseen and 16 retention parts, each with at most half the MACs of a block.
"""

MAX_EXPONENT: Final = 200
"""At this base exponent a block costs more than all coins there are."""

LOOKUP_MACS: Final = 2**20
"""MACs charged for looking up one record, where the sender chooses the number of lookups.

So many multiply-accumulates take about as long as the lookup.
"""

MAX_INFER_VALUES: Final = 2**16 - 3
"""The most logits of an answer: an event has 2^16 values, and the first three are version, row and class."""

ENVELOPE_BYTES: Final = 1_024
"""Bytes allowed for the rest of a transaction, besides the content that it brings."""


_ANY: Final = 2**64 - 1
"""Upper bound of a rule that only its type bounds."""


@dataclass(frozen=True)
class Fees:
    """Price of a transaction: bytes, multiply-accumulates, new state. All in sparks (10^-8 coin)."""

    floor: U64 = 10_240
    """The least any transaction is charged. A block full by count costs as much as one full of bytes."""
    per_byte: U64 = 10
    """Sparks for each byte of the encoded transaction."""
    macs_per_spark: U64 = 476
    """Multiply-accumulates for one spark: the most with which a block full of MACs costs at least as much as
    one full of bytes. It costs less than 2 % more."""
    per_record: U64 = 500
    """Sparks for each state record that the transaction may create."""


@dataclass(frozen=True)
class Rules:
    """Every constant of the state transition. Windows are counted in ticks, money in sparks."""

    fees: Fees = field(default_factory=Fees)
    networks: NetworkLimits = field(default_factory=NetworkLimits)
    max_transaction_bytes: U32 = 512 * 1024
    max_body_bytes: U32 = 4 * 1024 * 1024
    max_block_transactions: U32 = 4_096
    max_block_macs: U64 = 20_000_000_000
    macs_per_loaded_byte: U32 = 128
    """MACs charged for reading, hashing and checking one byte of a tensor or part."""
    tick_exponent: U8 = 12
    """The highest base exponent at which a block ticks."""
    max_exponent: U8 = 200
    """The highest base exponent."""
    tick_patience_blocks: U32 = 100
    """A block that leaves enough room ticks at any exponent, if it is the last of so many without a tick."""
    subsidy: U64 = 50 * 10**8
    halving_blocks: U32 = 210_000
    maturity_blocks: U32 = 20
    """A reward can be claimed so many blocks after the block that gave it."""
    chunk_bytes: U32 = 256 * 1024
    """Every chunk of an upload but the last has exactly this size."""
    max_blob_bytes: U32 = 64 * 1024 * 1024
    upload_expiry_ticks: U32 = 200
    """Life of an unfinished upload, and of a blob that no record names."""
    upload_deposit: U64 = 10**7
    """Sparks held for each unfinished upload; burned if it expires."""
    tick_ring: U32 = 4096
    """Of how many recent ticks the state remembers the block's id for draws."""
    draw_ticks: U16 = 6
    """Ticks after the phase OPEN whose block ids enter the seed of the draw."""
    min_gap_ticks: U16 = 6
    min_window_ticks: U16 = 6
    max_window_ticks: U32 = 2_000
    max_round_ticks: U32 = 10_000
    """The most ticks from `open_round` to CLOSED; meanwhile no other round can be opened on the model."""
    max_epochs: U8 = 32
    max_parts: U16 = 256
    min_parts: U16 = 6
    """The fewest parts of an opener, n."""
    min_validation: U8 = 1
    """The fewest validation parts, k."""
    min_sealed: U8 = 2
    """The fewest sealed parts, s."""
    min_sealed_rows: U32 = 48
    """The fewest rows of the opener's sealed parts together."""
    min_witness_rows: U32 = 40
    """With fewer rows, witnesses form no group of their own."""
    min_old_rows: U32 = 20
    """The fewest unseen rows of old classes in a GROW round."""
    min_z_squared: U16 = 9
    """The least z²: how far above chance a gain must be."""
    max_retention_parts: U8 = 16
    max_retention_rows: U32 = 40_000
    """The most rows of all retention parts of a model."""
    min_retention_rows: U32 = 100
    min_opener_bond: U64 = 10 * 10**8
    opener_bond_ppm: U32 = 500_000
    """The opener's bond is at least this part of the bounty, in millionths."""
    min_author_bond: U64 = 10**8
    min_witness_bond: U64 = 10**8
    """The least bond of a witness. It is at least 1 and is held until the part opens, so a bond that is still
    held marks a part that is still closed."""
    witness_bond_ppm: U32 = 1_000_000
    """A witness's bond is at least this part of the bounty, in millionths."""
    min_entry: U64 = 10**6
    """The least that a commit burns."""
    max_infer_rows: U16 = 64
    max_infer_values: U16 = 4_096
    """Logits that one inference may write into its receipt."""


def subsidy_at(rules: Rules, height: int) -> int:
    """New sparks that the block at this height issues: halved every `halving_blocks`, 0 for genesis."""
    return rules.subsidy >> min(height // rules.halving_blocks, 64) if height else 0


def total_subsidy(rules: Rules) -> int:
    """Every spark that subsidies will ever issue."""
    halvings = range(rules.subsidy.bit_length())
    return sum((rules.subsidy >> n) * rules.halving_blocks for n in halvings) - rules.subsidy


def check_rules(rules: Rules) -> None:
    """Refuses rules under which a block could not be judged or a record not stored. Raises `BadRules`."""
    for name, value, low, high in bounds(rules):
        if not low <= value <= high:
            raise BadRules(f"{name} is out of bounds", expected=f"{low}..{high}", got=value)


def bounds(rules: Rules) -> tuple[tuple[str, int, int, int], ...]:
    """(name, value, least, most) of every rule that is bounded by more than its type.

    Most upper bounds are those of the records, receipts and payloads that must hold the values.
    """
    most_chunk = rules.max_transaction_bytes - ENVELOPE_BYTES
    draw_to_reveal = rules.draw_ticks + rules.min_gap_ticks + rules.min_window_ticks
    return (
        ("fees.macs_per_spark", rules.fees.macs_per_spark, 1, _ANY),
        ("networks.max_segments", rules.networks.max_segments, 1, MAX_GROWN_SEGMENTS),
        ("networks.max_rows", rules.networks.max_rows, 1, MAX_ROWS),
        ("max_transaction_bytes", rules.max_transaction_bytes, 2 * ENVELOPE_BYTES, 2**20),
        ("max_body_bytes", rules.max_body_bytes, rules.max_transaction_bytes, MAX_BODY_BYTES),
        ("max_block_transactions", rules.max_block_transactions, 1, _ANY),
        ("max_block_macs", rules.max_block_macs, LOOKUP_MACS, MAX_BLOCK_MACS),
        ("tick_exponent", rules.tick_exponent, 0, rules.max_exponent),
        ("max_exponent", rules.max_exponent, 0, MAX_EXPONENT),
        ("tick_patience_blocks", rules.tick_patience_blocks, 1, _ANY),
        ("halving_blocks", rules.halving_blocks, 1, _ANY),
        ("total subsidy", total_subsidy(rules), 0, MAX_ISSUED - 1),
        ("chunk_bytes", rules.chunk_bytes, 1, most_chunk),
        ("max_blob_bytes", rules.max_blob_bytes, 1, 256 * rules.chunk_bytes),
        ("upload_expiry_ticks", rules.upload_expiry_ticks, 2, _ANY),
        ("tick_ring", rules.tick_ring, draw_to_reveal, _ANY),
        ("draw_ticks", rules.draw_ticks, 1, rules.tick_ring),
        ("min_window_ticks", rules.min_window_ticks, 1, rules.max_window_ticks),
        ("max_epochs", rules.max_epochs, 1, 32),
        ("max_parts", rules.max_parts, rules.min_parts, 256),
        ("min_parts", rules.min_parts, 2, 256),
        ("min_validation", rules.min_validation, 1, rules.min_parts - 1),
        ("min_sealed", rules.min_sealed, 1, rules.min_parts - rules.min_validation),
        ("min_z_squared", rules.min_z_squared, 1, _ANY),
        ("max_retention_parts", rules.max_retention_parts, 1, 16),
        ("max_retention_rows", rules.max_retention_rows, 4, _ANY),
        ("min_witness_bond", rules.min_witness_bond, 1, _ANY),
        ("max_infer_rows", rules.max_infer_rows, 1, 1_024),
        ("max_infer_values", rules.max_infer_values, 0, MAX_INFER_VALUES),
    )
