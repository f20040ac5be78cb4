"""A model's founding: its trunk, its banks, the scale of its logits, and its first classes.

Everything that later growths depend on is fixed here, from rows of the first classes alone. A share of these
rows is held out, to choose by their cross-entropy how many nats one unit of a score is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from engram.nn.growth import Policy
from engram.nn.network import Features, Parameters, forward
from engram.nn.spec import NetworkSpec
from engram.participant.memory import mixtures
from engram.participant.memory.banks import BankRule, Banks
from engram.participant.memory.calibration import FOUNDING_ALPHAS, TEMPERATURES, best_scale, held_out
from engram.participant.memory.checks import Labels
from engram.participant.memory.consolidation import Calibration, Consolidated, Consolidation, Settings
from engram.participant.memory.engines import ENGINES, consolidate
from engram.participant.memory.errors import EngineUnknown, SingleClass
from engram.participant.memory.head import Q16, empty_head
from engram.participant.memory.ridge import Matrix
from engram.participant.memory.statistics import Statistics, added, by_class, make, repeated

DEFAULTS: Final = Settings()


@dataclass(frozen=True, eq=False)
class Founded:
    """A founded head, and what later growths need of it."""

    spec: NetworkSpec
    parameters: Parameters
    calibration: Calibration
    made: Consolidated
    """The founding as a growth of the empty head."""
    statistics: Statistics | None
    """The sums of the founding's rows, if its engine solves for its outputs."""


def found(
    engine: str,
    rule: BankRule,
    values: Features,
    labels: Labels,
    *,
    policy: Policy,
    settings: Settings = DEFAULTS,
    calibration: Calibration | None = None,
    seed: int = 0,
) -> Founded:
    """Founds a head on rows of classes 0, 1, …: trunk values uint8 (n, values), labels (n,).

    Without a `calibration`, held-out rows choose it; that needs two classes. Raises `SingleClass`, and what
    `consolidate` raises.
    """
    if engine not in ENGINES:
        raise EngineUnknown(expected=tuple(ENGINES), got=engine)
    banks, classes = Banks(rule), int(labels.max(initial=0)) + 1
    known = calibration or Calibration()
    draft = Consolidation(
        empty_head(rule.values),
        (),
        values,
        labels,
        classes,
        policy,
        banks,
        0,
        calibration=known,
        settings=settings,
        seed=seed,
    ).checked()
    if engine == "experts" and known.background <= 0:
        draft = replace(draft, calibration=replace(known, background=background(draft)))
    held = held_out(len(labels))
    sums = _sums(draft, held) if ENGINES[engine].solves else None
    if calibration is None:
        if classes < 2:
            raise SingleClass(expected="2 or more", got=classes)
        draft = replace(draft, calibration=_calibrated(engine, draft, held, sums))
    whole = added(sums) if sums else None
    made = consolidate(engine, replace(draft, new_statistics=whole))
    spec, parameters = made.applied(draft.base, ())
    return Founded(spec, parameters, draft.calibration, made, whole)


def _sums(draft: Consolidation, held: npt.NDArray[np.bool_]) -> list[Statistics]:
    """The sums of the rows that are not held out, and of those that are."""
    masks = [mask for mask in (~held, held) if np.any(mask)]
    if not draft.settings.balanced:
        return [make(draft.banks, draft.values[mask], draft.labels[mask], least_rows=1) for mask in masks]
    rows = np.bincount(draft.labels)
    times = np.maximum(1, np.rint(rows.max() / np.maximum(1, rows))).astype(int).tolist()
    parts = [by_class(draft.banks, draft.values[mask], draft.labels[mask], least_rows=1) for mask in masks]
    return [added([repeated(each, times[each.classes[0]]) for each in part]) for part in parts]


def background(given: Consolidation) -> float:
    """The variance of the background of `experts`. Raises `FewerRowsThanComponents`, `ConstantFeatures`."""
    rng, settings = np.random.default_rng([given.seed, given.base.classes]), given.settings
    fitted = [
        mixtures.fit(
            given.values[given.labels == label],
            components=settings.components,
            rank=settings.rank,
            rng=rng,
        )
        for label in given.classes
    ]
    return settings.floor * mixtures.floor_of(fitted)


def _calibrated(
    engine: str, draft: Consolidation, held: npt.NDArray[np.bool_], sums: list[Statistics] | None
) -> Calibration:
    """The calibration with the scale that suits held-out rows best, of a head made from the others."""
    trial = replace(
        draft,
        values=draft.values[~held],
        labels=draft.labels[~held],
        new_statistics=sums[0] if sums else None,
    )
    spec, parameters = consolidate(engine, trial).applied(draft.base, ())
    scores: Matrix = forward(spec, parameters, draft.values[held]) / Q16
    labels, known = draft.labels[held], draft.calibration
    if engine == "experts":
        return replace(known, temperature=best_scale(TEMPERATURES, scores / known.temperature, labels))
    return replace(known, alpha=best_scale(FOUNDING_ALPHAS, scores / known.alpha, labels))
