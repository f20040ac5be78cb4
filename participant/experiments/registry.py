"""The experiments by name. A module is imported when its experiment is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Final, cast

from engram.participant.experiments.errors import ExperimentUnknown

if TYPE_CHECKING:
    from engram.participant.experiments.plan import Experiment

EXPERIMENTS: Final[Mapping[str, str]] = {
    "adversaries": "The attacks that the paper left for the future, by the share of those who attack.",
    "hospitals": "Six hospitals teach one thyroid model and never show rows to each other.",
    "paper": "The setting of the paper: digits 0 to 5, then 6 to 9, on three mining nodes.",
    "lifelong": "What a model knows after it has learned class after class, without old rows.",
}
"""What each experiment measures; `EXPERIMENT` of the module `NAME/experiment.py` is the experiment itself."""


def experiment_of(name: str) -> Experiment:
    """The experiment of this name. Raises `ExperimentUnknown`."""
    if name not in EXPERIMENTS:
        raise ExperimentUnknown(expected=tuple(EXPERIMENTS), got=name)
    module = import_module(f"engram.participant.experiments.{name}.experiment")
    return cast("Experiment", module.EXPERIMENT)
