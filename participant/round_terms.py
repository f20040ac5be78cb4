"""The terms of a round as numbers: lengths of its phases, the largest update that it accepts, and the record.

Nothing is sent and no node is asked here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from engram.nn.dtypes import INT8
from engram.nn.layers import HiddenSegment
from engram.nn.seeded import Seeded, generation_macs
from engram.nn.spec import NetworkSpec, neurons
from engram.nn.totals import tensor_bytes_of
from engram.participant.parts import RoundSecrets
from engram.participant.training.shapes import Reach, growth_shape
from engram.primitives.types import ZERO_HASH
from engram.statemachine.additions import TrainUpdate
from engram.statemachine.records import NamedWitness
from engram.statemachine.rounds.draw import nonce_hash
from engram.statemachine.rounds.records import RoundKind, RoundTerms
from engram.statemachine.rules import ENVELOPE_BYTES, Rules
from engram.statemachine.scoring import growth_macs, network_macs

RECEPTIVE_FIELDS: Final = 3
"""The generator whose tensors are charged the most."""


@dataclass(frozen=True)
class RoundWindows:
    """Lengths of a round's phases, in ticks."""

    open: int
    reveal: int
    commit: int
    update: int
    witness: int
    audit: int
    score: int
    gap: int

    @classmethod
    def lasting(cls, rules: Rules, block_time_ms: int) -> RoundWindows:
        """About a minute for each phase, three for commit and the shortest gap, as the rules allow."""

        def ticks(seconds: int) -> int:
            wanted = -(-seconds * 1000 // block_time_ms)
            return min(max(wanted, rules.min_window_ticks), rules.max_window_ticks)

        return cls(
            open=ticks(60),
            reveal=ticks(60),
            commit=ticks(180),
            update=ticks(60),
            witness=ticks(60),
            audit=ticks(60),
            score=ticks(60),
            gap=rules.min_gap_ticks,
        )

    @classmethod
    def shortest(cls, rules: Rules) -> RoundWindows:
        """The shortest calendar that the rules allow."""
        least = rules.min_window_ticks
        return cls(*(least,) * 7, rules.min_gap_ticks)


@dataclass(frozen=True)
class Caps:
    """The largest update that a round accepts."""

    size_bytes: int
    neurons: int
    macs: int
    """Multiply-accumulates to score the update on one part."""

    @classmethod
    def for_network(cls, rules: Rules, spec: NetworkSpec, rows: int) -> Caps:
        """Room for new parameters of the whole network `spec`, scored on parts of `rows` rows.

        Any of its tensors may travel or be drawn from a seed.
        """
        macs = network_macs(rules, TrainUpdate(spec, (), ()), rows) + _drawing_macs(spec.hidden)
        return cls(_frame(rules, spec.totals.parameter_bytes), neurons(spec), macs)

    @classmethod
    def for_growth(
        cls,
        rules: Rules,
        spec: NetworkSpec,
        width: int,
        classes: int,
        rows: int,
        reach: Reach,
        *,
        unions: bool = False,
    ) -> Caps:
        """Room for a growth by `width` neurons and `classes` classes, as `growth_shape` wires it.

        With `unions`, it may take twice as many MACs, which the union of two such growths needs.
        """
        growth = growth_shape(spec, width, classes, reach)
        size = sum(map(tensor_bytes_of, (*growth.hidden, *growth.outputs)))
        macs = growth_macs(rules, spec, growth, (), rows) + _drawing_macs(growth.hidden)
        macs *= 1 + unions
        return cls(_frame(rules, size), width, macs)


def _drawing_macs(segments: Sequence[HiddenSegment]) -> int:
    """The most that is charged for drawing the weights of these segments, where they are matrices."""
    shapes = (segment.parameter_shapes()[0] for segment in segments)
    drawn = (
        Seeded(RECEPTIVE_FIELDS, ZERO_HASH, INT8, shape, (shape[0], 1, 1, 1))
        for shape in shapes
        if len(shape) == 2
    )
    return sum(map(generation_macs, drawn))


def _frame(rules: Rules, tensors: int) -> int:
    """Bytes for an update with `tensors` bytes of tensors: a sixteenth and 4 KiB more, for other fields."""
    return min(rules.max_transaction_bytes - ENVELOPE_BYTES, tensors + tensors // 16 + 4096)


def round_terms(
    secrets: RoundSecrets,
    *,
    kind: RoundKind,
    new_classes: int,
    rows: int,
    old_rows: int,
    validation: int,
    sealed: int,
    epochs: int,
    windows: RoundWindows,
    caps: Caps,
    opener_bond: int,
    author_bond: int,
    bounty: int,
    witness_fee: int,
    z_squared: int,
    witnesses: tuple[NamedWitness, ...],
) -> RoundTerms:
    """The terms of a round whose parts are those of `secrets`; amounts in sparks."""
    return RoundTerms(
        kind=int(kind),
        new_classes=new_classes,
        commitments=tuple(part.commitment for part in secrets.parts),
        rows=rows,
        old_rows=old_rows,
        validation=validation,
        sealed=sealed,
        epochs=epochs,
        open_window=windows.open,
        reveal_window=windows.reveal,
        commit_window=windows.commit,
        update_window=windows.update,
        witness_window=windows.witness,
        audit_window=windows.audit,
        score_window=windows.score,
        gap=windows.gap,
        max_update_bytes=caps.size_bytes,
        max_update_neurons=caps.neurons,
        max_update_macs=caps.macs,
        opener_bond=opener_bond,
        author_bond=author_bond,
        bounty=bounty,
        witness_fee=witness_fee,
        z_squared=z_squared,
        nonce_hash=nonce_hash(secrets.nonce),
        witnesses=witnesses,
    )
