"""Whose neurons made a prediction, in Python: parts that add up, of networks from files and from nowhere."""

from __future__ import annotations

import numpy as np
import pytest

from engram.library.explanation import SHOWN_GROUPS, SHOWN_ROWS, Ancestry, parts_lines
from engram.library.network import Network
from engram.nn.layers import Output
from engram.nn.network import NetworkSpec, SegmentParameters
from engram.participant.errors import DatasetMismatch
from tests.support.library_networks import AUTHOR, grown, plain
from tests.support.nn_samples import GROWTH, RELATIVE, TWO_LAYERS, random_features

FEATURES = random_features(TWO_LAYERS.inputs, 30)


@pytest.mark.parametrize("network", [plain(), grown(GROWTH), grown(RELATIVE)])
def test_parts_add_up_to_the_logits_and_their_leads(network: Network) -> None:
    found = network.explain(FEATURES)
    logits = np.sort(network.logits(FEATURES), axis=1)
    assert np.array_equal(found.predicted, network.predict(FEATURES))
    assert np.array_equal(found.logit, logits[:, -1])
    assert np.array_equal(found.margin, logits[:, -1] - logits[:, -2])
    assert np.array_equal(found.logit_parts.sum(axis=1) + found.logit_rest, found.logit)
    assert np.array_equal(found.margin_parts.sum(axis=1) + found.margin_rest, found.margin)
    assert (found.runner_up != found.predicted).all()
    assert len(found) == len(FEATURES)
    assert found.logit_parts.shape == (len(FEATURES), len(network.line))


def test_groups_are_named_by_version_author_and_classes() -> None:
    founding, growth = grown().explain(FEATURES).groups
    assert founding.classes == (0, 1, 2)
    assert growth == Ancestry(1, 9, AUTHOR.hex(), (3, 4))
    assert [each.author for each in plain().explain(FEATURES).groups] == [None]
    assert str(Ancestry(3, 9, "alice", (4,))) == "version 3 by alice (class 4)"
    assert str(Ancestry(3, 9, None)) == "version 3 by nobody (no new class)"


def test_it_reads_as_a_table_for_each_row() -> None:
    network = grown()
    said = str(network.explain(FEATURES)).splitlines()
    best, second = np.sort(network.logits(FEATURES[:1])[0])[:-3:-1]
    assert said[0] == f"row 0: class {network.predict(FEATURES[:1])[0]}"
    assert said[1].split()[:3] == ["whose", "neurons", "logit"]
    together = next(line for line in said if line.startswith("together")).split()
    assert together == ["together", f"{best / 65_536:+.3f}", f"{(best - second) / 65_536:+.3f}"]
    assert said[-1] == f"… and {len(FEATURES) - SHOWN_ROWS} more rows"
    assert "more rows" not in str(network.explain(FEATURES[:2]))


def test_of_many_groups_those_that_matter_most_are_written_out() -> None:
    parts = [{"group": at, "logit": 1 << 16, "margin": at << 16} for at in range(SHOWN_GROUPS + 3)]
    rest = {"norms": {"logit": 0, "margin": 0}, "rounding": {"logit": 7 << 16, "margin": 0}}
    names = [f"group {at}" for at in range(SHOWN_GROUPS + 3)]
    said = parts_lines({"runner_up": 1, "parts": parts, "rest": rest}, names, lambda label: f"«{label}»")
    assert said[0].split() == ["whose", "neurons", "logit", "lead", "over", "«1»"]
    assert [line.split()[1] for line in said[1 : SHOWN_GROUPS + 1]] == [str(at) for at in range(3, 11)]
    assert said[-3].split() == ["3", "others", "+3.000", "+3.000"]
    assert said[-2].split() == ["rounding", "+7.000", "+0.000"]
    assert said[-1].split() == ["together", "+18.000", "+55.000"]


def test_a_network_of_one_class_leads_over_nobody() -> None:
    spec = NetworkSpec(2, 1, (), (), (Output(0, 0, 2, 0, 1, 0, 8),))
    numbers = (SegmentParameters(np.array([[1], [2]], dtype=np.int8), np.array([7], dtype=np.int32)),)
    found = Network(spec, numbers).explain([[10, 20]])
    assert (found.logit.tolist(), found.margin.tolist(), found.margin_parts.tolist()) == ([57], [0], [[0]])
    assert "lead" not in str(found)


def test_no_rows_and_wrong_rows() -> None:
    found = grown().explain(FEATURES[:0])
    assert (len(found), found.margin_parts.shape, str(found)) == (0, (0, 2), "")
    with pytest.raises(DatasetMismatch):
        grown().explain(FEATURES[:, 1:])
