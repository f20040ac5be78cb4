"""Measures what ends a round of two and of 2,000 candidates, and what a commit writes into a large round."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from benchmarks.chain import key
from benchmarks.measure import Row, interleaved
from benchmarks.samples import round_terms
from engram.nn.growth import Policy
from engram.nn.layers import Output
from engram.nn.loss import LossKind
from engram.nn.network import NetworkSpec
from engram.nn.seeded import Seeded
from engram.primitives.types import ZERO_HASH, Address, Hash
from engram.statemachine.additions import SegmentSources, TrainUpdate
from engram.statemachine.context import BlockContext
from engram.statemachine.records import Account, GrowthLimits, Model, Version
from engram.statemachine.rounds.records import (
    Candidate,
    EpochBest,
    EpochResult,
    GroupScore,
    OpenedPart,
    Round,
    RoundKind,
    Tally,
)
from engram.statemachine.rounds.settlement import settle
from engram.statemachine.rules import Rules
from engram.statemachine.scoring import Scorer
from engram.statemachine.state import State, leaf_value
from engram.statemachine.transactions.commit_update import CommitUpdate
from engram.statemachine.upgrades import FROM_GENESIS

ROUND: Final[Hash] = b"\x11" * 32
MODEL: Final[Hash] = b"\x22" * 32
OPENER: Final = key(1).address
ROWS: Final = 100
MOST_COMMIT_BYTES: Final = 2_048
SPEC: Final = NetworkSpec(4, 2, (), (), (Output(0, 0, 4, 0, 2, 0, 8),))
ZEROS: Final = SegmentSources(Seeded(1, bytes(32), 1, (4, 2), ()), Seeded(1, bytes(32), 3, (2,), ()))


class _Nodes(dict[Hash, bytes]):
    """Tree nodes and blobs in memory."""

    def get_node(self, node_hash: Hash) -> bytes:
        return self[node_hash]

    def get_blob(self, blob_id: Hash) -> bytes:
        return self[blob_id]


def rows(quick: bool) -> Iterable[Row]:
    many = 200 if quick else 2_000
    few_state, many_state = _ending(2), _ending(many)
    end = Rules().max_round_ticks
    timed = interleaved(
        lambda: settle(many_state.child(), _context(end), ROUND),
        lambda: settle(few_state.child(), _context(end), ROUND),
        5 if quick else 25,
    )
    yield Row(
        "advance_round_of_2000_candidates_us",
        timed.median_candidate_s * 1e6,
        timed.median_baseline_s * 1e6,
        1 / timed.speed,
        "ratio <= 1.20",
        1 / timed.speed <= 1.20,
    )
    written, record = _commit(256)
    yield Row(
        "commit_state_bytes",
        written,
        record,
        written / record,
        f"<= {MOST_COMMIT_BYTES}; the baseline is the round's record",
        written <= MOST_COMMIT_BYTES,
    )


def _ending(candidates: int) -> State:
    """The state before the end of a round with so many candidates, one of them scored."""
    update = TrainUpdate(SPEC, (), (ZEROS,))
    groups = (GroupScore(ROWS, 10**9, 0, _gain(), _gain()), GroupScore())
    found = [
        Candidate(ROUND, 0, key(1_000 + number).address, 5, b"\x44" * 32, update, 10**9, 10**8, 0)
        for number in range(candidates)
    ]
    winner = replace(found[0], scored=b"\x01", groups=groups, correct=ROWS)
    best = EpochBest(winner.author, 10**9, 4 * 10**9, 5)
    result = EpochResult(winner.author, winner.root, winner.loss, 5)
    part = OpenedPart(b"\x55" * 32, OPENER, ROWS, ROWS, 4 * 10**9, True)
    round_ = replace(
        _round(2),
        results=(result,),
        best=(best,),
        validation_opened=(part,),
        validation_counts=(ROWS // 2, ROWS // 2),
        sealed_drawn=(part.commitment,),
        unseen=(part,),
        unseen_counts=(ROWS // 2, ROWS // 2),
        reveal_ended=100,
        audit_ended=500,
    )
    return _state(round_, winner, *found[1:])


def _gain() -> Tally:
    return Tally(4 * 10**9, 10**7, 0, 10**12)


def _commit(parts: int) -> tuple[int, int]:
    """Bytes of the records that one commit writes into a round of so many parts; and of the round's own."""
    round_ = replace(
        _round(parts),
        reveal_ended=40,
        validation_opened=(OpenedPart(b"\x55" * 32, OPENER, ROWS, ROWS, 4 * 10**9, True),),
    )
    author = key(7).address
    state = _state(round_, Account(author, 10**12, 0)).child()
    CommitUpdate(ROUND, 0, bytes(32)).apply(state, _context(42), author, b"\x66" * 32)
    written = sum(len(value) for value in state.changes().values() if value is not None)
    return written, len(leaf_value(round_))


def _round(parts: int) -> Round:
    terms = round_terms(
        kind=int(RoundKind.TRAIN),
        new_classes=0,
        commitments=tuple(number.to_bytes(32, "big") for number in range(1, parts + 1)),
        rows=ROWS,
        old_rows=0,
        max_update_bytes=4_096,
        max_update_neurons=0,
        max_update_macs=10**6,
    )
    return Round(
        id=ROUND,
        model=MODEL,
        opener=OPENER,
        terms=terms,
        opened=0,
        version=0,
        base=b"\x33" * 32,
        classes=2,
        old_classes=2,
        standing=(),
        bond=10**9,
        pot=10**9,
        results=(EpochResult(),),
        best=(EpochBest(),),
    )


def _state(*records: Round | Candidate | Account) -> State:
    nodes = _Nodes()
    state = State(nodes, ZERO_HASH)
    state.put(_model())
    state.put(_version())
    for record in records:
        state.put(record)
    root, added = state.commit()
    nodes.update(added)
    return State(nodes, root)


def _model() -> Model:
    return Model(
        id=MODEL,
        founder=OPENER,
        policy=int(Policy.STRICT),
        loss_kind=int(LossKind.SOFTMAX_CROSS_ENTROPY),
        threshold_ppm=1,
        retention_epsilon_ppm=0,
        retention_delta_ppm=0,
        lost_cap_ppm=0,
        growth_limits=GrowthLimits(),
        inputs=4,
        classes=2,
        classes_before_growth=0,
        head=0,
        root=b"\x33" * 32,
        frozen=False,
        loss=0,
        loss_rows=0,
        open_round=ROUND,
        rounds=0,
    )


def _version() -> Version:
    return Version(
        *(
            MODEL,
            0,
            ZERO_HASH,
            b"\x33" * 32,
            TrainUpdate(SPEC, (), ()),
            OPENER,
            ZERO_HASH,
            0,
            int(RoundKind.TRAIN),
        ),
        *(0, 0, 0, 0, 0, 0),
    )


def _context(tick: int) -> BlockContext:
    nobody: Address = bytes(20)
    return BlockContext(
        Rules(min_parts=2), 1, tick + 1, tick, 0, ZERO_HASH, nobody, _Nodes(), Scorer(), FROM_GENESIS
    )
