"""A small round played by the library: one account founds a model of three digits, another trains it."""

from __future__ import annotations

from typing import Unpack

import engram
from engram import SyncChain, SyncModel
from engram.library.opening import OpeningOptions
from engram.library.rounds import Played
from engram.library.sync import SyncRound
from engram.participant.datasets import Dataset


def three_digits() -> Dataset:
    return engram.load_data("digits").of_classes(range(3))


def founded(chain: SyncChain, data: Dataset, **options: Unpack[OpeningOptions]) -> SyncRound:
    """The chain's account founds a model with half of the rows."""
    half = data.rows // 2
    small: OpeningOptions = {"hidden": (8,), "rows": 40, "epochs": 1, **options}
    return chain.open_round(data.features[:half], data.labels[:half], **small)


def taught(chain: SyncChain, opened: SyncRound, data: Dataset) -> Played:
    """The chain's account plays the round as an author with the other half."""
    half = data.rows // 2
    return chain.round(opened.id).participate(data.features[half:], data.labels[half:], steps=200)


def trained(chain: SyncChain, data: Dataset) -> SyncModel:
    """A model that the chain's account has founded and bob has trained."""
    opened = founded(chain, data)
    with opened.running():
        taught(chain.using("bob"), opened, data)
    return chain.model()
