"""Rounds, candidates and models made by hand, for tests of the rules that look at nothing else.

The round has two old classes and, in GROW, one new class. The opener opens its parts under the zero address,
the witness under `WITNESS_NAME`; every part has eight rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from engram.primitives.types import Address
from engram.statemachine.records import GrowthLimits, Model, RetentionPart
from engram.statemachine.rounds.records import (
    Candidate,
    EpochBest,
    EpochResult,
    GroupScore,
    OpenedPart,
    Round,
    RoundKind,
    RoundWitness,
    Tally,
)
from tests.support.rounds import grow_terms, make_part, network, train_terms

PARTS = [make_part(index, parts=4) for index in range(4)]
UPDATE = network(6, 1).update
WITNESS_NAME: Address = b"\x77" * 20


def opened(loss: int, *, owner: Address = bytes(20), old: int = 8, name: int = 0) -> OpenedPart:
    """An opened part with this loss of version t on its old rows."""
    return OpenedPart(bytes([name]) * 32, owner, old, old, loss, True)


def a_round(
    *,
    validation: int = 1_000_000,
    unseen: Sequence[OpenedPart] = (),
    counts: tuple[int, ...] = (),
    epochs: int = 3,
    kind: RoundKind = RoundKind.TRAIN,
    witnesses: Sequence[RoundWitness] = (),
) -> Round:
    """A round that has come to SCORE; without parts of its own, one unseen part of the opener's."""
    grows = kind is RoundKind.GROW
    terms = grow_terms(PARTS, epochs=epochs, rows=8) if grows else train_terms(PARTS, epochs=epochs)
    return Round(
        bytes(32),
        bytes(32),
        bytes(20),
        terms,
        opened=1,
        version=0,
        base=bytes(32),
        classes=3 if grows else 2,
        old_classes=2,
        standing=(),
        witnesses=tuple(witnesses),
        validation_opened=(opened(validation),),
        validation_counts=(3, 3, 2) if grows else (4, 4),
        unseen=tuple(unseen) or (opened(1_000_000),),
        unseen_counts=counts or ((3, 3, 2) if grows else (4, 4)),
        results=(EpochResult(),) * epochs,
        best=(EpochBest(),) * epochs,
    )


def a_group(
    loss: int,
    baseline: int,
    *,
    rows: int = 8,
    forgotten: int = 0,
    gained: int = 100,
    lost: int = 0,
    squares: int = 1,
    frequencies: Tally | None = None,
) -> GroupScore:
    """What was shown on the rows of one group; without more, a gain far beyond chance."""
    growth = Tally(baseline, gained, lost, squares)
    return GroupScore(rows, loss, forgotten, growth, frequencies or replace(growth, baseline=baseline + 1))


def a_candidate(
    name: int = 1,
    epoch: int = 0,
    *groups: GroupScore,
    loss: int = 5,
    committed: int = 10,
    scored: bytes = b"\x01",
) -> Candidate:
    """A candidate of the author with this name; groups that are not given have no rows."""
    padded = (*groups, GroupScore(), GroupScore())[:2]
    return Candidate(
        round=bytes(32),
        epoch=epoch,
        author=bytes([name]) * 20,
        committed=committed,
        root=bytes(32),
        update=replace(UPDATE, tensors=()),
        loss=loss,
        bond=7,
        sent_tensor_bytes=0,
        scored=scored,
        groups=padded,
    )


def a_share(name: int, loss: int, baseline: int = 1_000, committed: int = 10) -> EpochBest:
    """The share loss / baseline of the author with this name."""
    return EpochBest(bytes([name]) * 20, loss, baseline, committed)


def a_witness(*, old_only: bool = False, named_by_opener: bool = False, bond: int = 0) -> RoundWitness:
    """A witness who has opened a part, unless a bond is still held."""
    return RoundWitness(WITNESS_NAME, old_only, named_by_opener, bytes(32), bond, 0, opened=not bond)


def a_model(
    *retention: RetentionPart, epsilon: int = 20_000, delta: int = 250_000, threshold: int = 500_000
) -> Model:
    """A frozen model of two classes."""
    zero = bytes(32)
    return Model(
        id=zero,
        founder=bytes(20),
        policy=0,
        loss_kind=1,
        threshold_ppm=threshold,
        retention_epsilon_ppm=epsilon,
        retention_delta_ppm=delta,
        lost_cap_ppm=200_000,
        growth_limits=GrowthLimits(),
        inputs=6,
        classes=2,
        classes_before_growth=0,
        head=0,
        root=zero,
        frozen=True,
        loss=0,
        loss_rows=0,
        open_round=zero,
        rounds=0,
        retention=retention,
    )


MODEL = a_model()
