"""Measures the next growth of a model that has grown 10 times and of one that has grown 2,000 times.

Measured is the reveal of one more growth of the same size, from its price to the records that it writes. The
node has the activations of the model on the validation part, because it judged the part when it was opened.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from benchmarks.long_model import AUTHOR, ROWS, RULES, LongModel, long_model
from benchmarks.measure import Row, interleaved, seconds
from engram.statemachine.fees import fee_of
from engram.statemachine.loading import version_network
from engram.statemachine.scoring import Scorer, network_macs
from engram.statemachine.state import leaf_value

FEW: Final = 10
MANY: Final = 2_000
MOST_RATIO: Final = 1.5
MOST_LOAD_S: Final = 10.0


def rows(quick: bool) -> Iterable[Row]:
    many = long_model(100 if quick else MANY)
    few = long_model(FEW)
    fees = [fee_of(RULES.fees, model.reveal.cost(model.state, model.ctx, AUTHOR), 0) for model in (many, few)]
    yield _row("fee_of_the_2000th_growth_sparks", fees[0], fees[1], fees[0] / fees[1])
    timed = interleaved(lambda: _play(many), lambda: _play(few), 5 if quick else 15)
    yield _row(
        "the_2000th_growth_ms",
        timed.median_candidate_s * 1e3,
        timed.median_baseline_s * 1e3,
        1 / timed.speed,
    )
    sizes = [len(leaf_value(model.version)) for model in (many, few)]
    yield _row("version_record_bytes_of_the_2000th", sizes[0], sizes[1], sizes[0] / sizes[1])
    charged = network_macs(RULES, many.network, ROWS)
    room = RULES.max_block_macs // 2
    yield Row(
        "scoring_the_grown_model_gmacs",
        charged / 1e9,
        room / 1e9,
        charged / room,
        "half a block holds it: ratio <= 1.00",
        charged <= room,
    )
    load_s = min(seconds(lambda: _load(many)) for _ in range(2))
    yield Row(
        "load_of_the_grown_model_s", load_s, None, None, f"<= {MOST_LOAD_S:.0f} s", load_s <= MOST_LOAD_S
    )


def _play(model: LongModel) -> None:
    """Prices and applies the reveal, which must be admitted."""
    state = model.state.child()
    model.reveal.cost(model.state, model.ctx, AUTHOR)
    outcome = model.reveal.apply(state, model.ctx, AUTHOR, b"\x66" * 32)
    if not any(event.name == "candidate_admitted" for event in outcome.events):
        raise RuntimeError(f"the growth was not admitted: {outcome}")
    state.changes()


def _load(model: LongModel) -> None:
    """Puts the whole network together from its records, reads it and proves its bounds, with no cache."""
    ctx = replace(model.ctx, scorer=Scorer())
    version_network(model.state, ctx, model.version).load()


def _row(name: str, value: float, baseline: float, ratio: float) -> Row:
    return Row(name, value, baseline, ratio, f"ratio <= {MOST_RATIO:.2f}", ratio <= MOST_RATIO)
