"""A network with the mapping of its data takes floats and words, and answers in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engram.library.named import NamedNetwork
from engram.library.network import Network
from engram.nn.layers import Output
from engram.nn.network import NetworkSpec, SegmentParameters
from engram.participant.errors import DatasetMismatch
from engram.participant.tables.errors import LabelUnknown, MappingInvalid, MappingMismatch, ValuesMissing
from engram.participant.tables.mapping import DataMapping

MAPPING = DataMapping(2, ("calm", "storm"), (-1.0, 0.0), (1.0, 10.0), columns=("wind", "rain"))
SPEC = NetworkSpec(2, 2, (), (), (Output(0, 0, 2, 0, 2, 0, 8),))
"""Its second class wins where the first feature lies above the middle of its range."""
NUMBERS = (
    SegmentParameters(np.array([[0, 100], [0, 0]], dtype=np.int8), np.array([12_750, 0], dtype=np.int32)),
)
NETWORK = Network(SPEC, NUMBERS)
X = [[-1.0, 5.0], [0.9, 0.0], [0.1, 10.0], [5.0, 0.0]]
BYTES = [[0, 128], [242, 0], [140, 255], [255, 0]]


@pytest.fixture
def named(tmp_path: Path) -> NamedNetwork:
    MAPPING.save(tmp_path / "weather.mapping.json")
    return NETWORK.with_mapping(tmp_path / "weather.mapping.json")


def test_values_become_the_bytes_of_the_mapping(named: NamedNetwork) -> None:
    assert named.features(X).tolist() == BYTES
    assert named.mapping == MAPPING
    assert named.predict(X).tolist() == ["calm", "storm", "storm", "storm"]
    assert named.predict_proba(X).tolist() == NETWORK.predict_proba(BYTES).tolist()


def test_labels_are_words(named: NamedNetwork) -> None:
    found = named.evaluate(X, ["calm", "storm", "calm", "storm"])
    assert found.confusion.tolist() == [[1, 1], [0, 2]]
    assert [line.split()[0] for line in str(found).splitlines()[2:]] == ["calm", "storm"]
    assert "storm (1 row)" in str(found)
    assert found.to_json()["class_names"] == ["calm", "storm"]
    said = str(named.explain(X)).splitlines()
    assert said[0] == "row 0: class calm"
    assert said[1].endswith("lead over storm")


def test_a_class_that_the_mapping_does_not_know_has_its_number() -> None:
    short = DataMapping(2, ("calm",), (0.0,), (255.0,))
    with pytest.warns(UserWarning, match="the model has 2 classes, and this mapping names 1, so") as told:
        assert NETWORK.with_mapping(short).names == ("calm", "1")
    assert told[0].filename == __file__, "the warning names the line that took the mapping"


@pytest.mark.parametrize("missing", [np.nan, np.inf, None])
def test_missing_values_are_filled_or_refused(missing: float | None) -> None:
    rows: Any = [[missing, 5.0], [0.0, 1.0]]
    with pytest.raises(ValuesMissing):
        NETWORK.with_mapping(MAPPING).predict(rows)
    filled = DataMapping(2, ("calm", "storm"), (-1.0, 0.0), (1.0, 10.0), fill=(1.0, 5.0))
    assert NETWORK.with_mapping(filled).features(rows).tolist() == [[255, 128], [128, 26]]


def test_what_does_not_fit_is_named(named: NamedNetwork, tmp_path: Path) -> None:
    with pytest.raises(LabelUnknown, match="hail"):
        named.evaluate(X, ["calm", "hail", "calm", "storm"])
    with pytest.raises(MappingMismatch):
        named.predict([[1.0, 2.0, 3.0]])
    for text in ([["calm", "storm"]], np.array([["1", None]], dtype=object)):
        with pytest.raises(DatasetMismatch, match="X holds text") as refused:
            named.predict(text)
        assert refused.value.expected == "numbers"
    with pytest.raises(MappingMismatch):
        NETWORK.with_mapping(DataMapping(3, ("calm",), (0.0,), (1.0,)))
    broken = tmp_path / "broken.mapping.json"
    broken.write_text("{}")
    with pytest.raises(MappingInvalid):
        NETWORK.with_mapping(broken)
