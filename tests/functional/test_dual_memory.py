"""From examples to the chain: what the fast memory learned is consolidated, proven, and then forgotten."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engram.nn.growth import Policy
from engram.participant.memory.consolidation import Consolidation, Settings
from engram.participant.memory.engines import consolidate
from engram.participant.memory.fast import FastLimits, FastRule
from engram.participant.memory.fast_classes import ClassEntry
from engram.participant.memory.fast_store import FastStore
from engram.participant.memory.head import head_of, whole_network
from engram.participant.memory.reading import reader_of
from engram.participant.memory.recall import Recall
from engram.participant.memory.recall_gate import SummedSides
from engram.participant.memory.slow import SlowMemory
from engram.participant.view import ChainView
from tests.support.fast_disk import KEY
from tests.support.proven_model import LineNode, ProvenModel, trust_of
from tests.support.recalling import NEW, digits_model

MODEL = digits_model()
TEST, LABELS = MODEL.test.features, MODEL.test.labels.astype(np.int64)
IS_NEW = np.isin(LABELS, NEW)
FREE = {8: 300, 9: 7}
"""The participant's own numbers of the two new digits; 7 is another digit on the chain."""


async def test_what_was_learned_fast_is_consolidated_and_forgotten(tmp_path: Path) -> None:
    founded = ProvenModel(MODEL.spec, MODEL.parameters)
    line = founded.line(12)
    slow = SlowMemory(trust_of(), lambda: line.head.timestamp_ms + 10**6)
    await slow.refresh(ChainView(LineNode(line, founded)))
    mine = MODEL.train.of_classes(NEW)
    free = np.array([FREE[label] for label in mine.labels.tolist()])
    with FastStore.open(tmp_path / "fast", KEY, MODEL.reader, FastLimits()) as store:
        recall = Recall(
            store.memory, slow, SummedSides(MODEL.banks, MODEL.statistics), rule=FastRule.NEIGHBOUR
        )
        store.set_entry(300, ClassEntry("eight"))
        store.learn(mine.features[:200], free[:200])
        before = recall.answer(TEST)
        right = np.where(before.fast, before.labels == np.where(LABELS == 8, 300, 7), before.labels == LABELS)
        assert np.mean(right & (before.fast == IS_NEW)) > 0.9

        taken = store.memory.examples()
        store.learn(mine.features[200:203], free[200:203])
        numbered = np.where(taken.labels == 300, 8, 9).astype(np.uint16)
        head, parameters = head_of(MODEL.trunk, MODEL.spec, MODEL.parameters)
        made = consolidate(
            "gate",
            Consolidation(
                head,
                parameters,
                taken.values.astype(np.uint8),
                numbered,
                2,
                Policy.RELATIVE,
                MODEL.banks,
                1,
                statistics=MODEL.statistics,
                settings=Settings(ridge=1e-3),
            ),
        )
        spec, grown = whole_network(MODEL.trunk, *made.applied(head, parameters))
        assert np.array_equal(reader_of(MODEL.trunk, spec, grown).read(taken.rows), taken.values)
        proven = ProvenModel(spec, grown, number=2, height=13)
        assert await slow.refresh(ChainView(LineNode(proven.line(15, on=line), proven)))
        assert store.forget([300, 7], taken.before, {300: 8, 7: 9}) == 200

        after = recall.answer(TEST)
        assert not after.fast.any(), "the three rows that came meanwhile are of classes that the chain knows"
        assert (after.version, store.memory.size) == (2, 3)
        assert np.mean(after.labels == LABELS) > 0.9
        assert store.memory.entry(300) == ClassEntry("eight", 8)
