"""Classifiers of scikit-learn as networks: the same classes, and a true account of what the integers cost."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engram.library.errors import LayerUnsupported, NotQuantizable
from engram.library.network import Network
from engram.nn.errors import DimensionOutOfRange, QuantizationOutOfRange
from engram.participant.datasets import load_digits
from engram.participant.errors import DatasetMismatch, FeatureOutOfRange, NotEnoughRows
from engram.participant.tables.errors import MappingMismatch
from engram.participant.tables.mapping import DataMapping

pytest.importorskip("sklearn", reason="the extra sklearn is not installed")

from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, Normalizer, StandardScaler

DIGITS = load_digits().take(np.arange(400))
X, Y = DIGITS.features, DIGITS.labels
NAMES = np.array(["even", "odd"])[Y % 2]


def fitted(model: Any, rows: Any = X, labels: Any = Y) -> Any:
    """A model that has learned as long as a test needs it, which the library may find too short."""
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        return model.fit(rows, labels)


def mlp(*hidden: int, **settings: Any) -> Any:
    return MLPClassifier(hidden, max_iter=40, random_state=1, **settings)


@cache
def layered() -> Any:
    return fitted(mlp(64, 32))


def test_a_network_decides_as_the_model_does() -> None:
    network, fidelity = Network.from_sklearn(layered(), X)
    assert network.inputs == 64
    agreeing = int(np.count_nonzero(np.array(fidelity.labels)[network.predict(X)] == layered().predict(X)))
    gaps = np.abs(network.predict_proba(X) - layered().predict_proba(X))
    assert fidelity.largest_difference == pytest.approx(gaps.max())
    assert fidelity.mean_difference == pytest.approx(gaps.mean())
    assert (fidelity.rows, fidelity.agreeing, fidelity.labels) == (400, agreeing, tuple(range(10)))
    assert fidelity.agreement == agreeing / 400 > 0.99
    assert json.loads(json.dumps(fidelity.to_json()))["agreeing"] == agreeing
    assert f"the same class on {agreeing} of 400 rows ({agreeing / 400:.2%})" in str(fidelity)
    assert network.root.hex()[:12] in repr(network)


def test_fewer_bits_are_told_as_they_are() -> None:
    fine, coarse = (Network.from_sklearn(layered(), X, weight_bits=bits).fidelity for bits in (16, 8))
    assert coarse.mean_difference > 2 * fine.mean_difference
    crude = Network.from_sklearn(layered(), X, weight_bits=8, bits=1).fidelity
    assert crude.mean_difference > 2 * coarse.mean_difference
    wrong = np.count_nonzero(
        Network.from_sklearn(layered(), X, weight_bits=8, bits=1).network.predict(X) != layered().predict(X)
    )
    assert crude.rows - crude.agreeing == wrong > 0


def test_a_scale_is_part_of_the_weights() -> None:
    scale = np.linspace(0.01, 0.1, 64)
    model = fitted(mlp(16), X * scale - 0.5)
    network, fidelity = Network.from_sklearn(model, X, scale=scale, offset=-0.5)
    assert fidelity.mean_difference < 0.002
    assert np.count_nonzero(network.predict(X) == model.predict(X * scale - 0.5)) == fidelity.agreeing >= 390


@pytest.mark.parametrize("scaler", [StandardScaler(), StandardScaler(with_mean=False), MinMaxScaler()])
def test_a_pipeline_is_one_network(scaler: Any) -> None:
    model = fitted(make_pipeline(scaler, "passthrough", mlp(16)))
    network, fidelity = Network.from_sklearn(model, X)
    assert fidelity.agreement >= 0.98
    assert fidelity.mean_difference < 0.002
    assert np.mean(network.predict(X) == model.predict(X)) == fidelity.agreement


@pytest.mark.parametrize(
    "model",
    [mlp(8), mlp(), LogisticRegression()],
    ids=["network", "no hidden layer", "regression"],
)
def test_two_classes_are_two_logits(model: Any) -> None:
    fitted(model, labels=NAMES)
    network, fidelity = Network.from_sklearn(model, X)
    assert (network.classes, fidelity.labels) == (2, ("even", "odd"))
    assert np.array_equal(np.array(fidelity.labels)[network.predict(X)], model.predict(X))
    assert fidelity.largest_difference < 0.03


def test_a_regression_of_many_classes() -> None:
    model = fitted(LogisticRegression(), X / 255)
    network, fidelity = Network.from_sklearn(model, X, scale=1 / 255)
    assert fidelity.largest_difference < 0.001
    assert network.spec.hidden == ()


def test_many_rows_are_spread() -> None:
    _, fidelity = Network.from_sklearn(layered(), np.repeat(X, 20, axis=0))
    assert fidelity.rows == 4096
    assert fidelity.agreement > 0.98


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (mlp, "not fitted"),
        (lambda: "a text", "no fitted classifier"),
        (lambda: fitted(mlp(8, activation="tanh")), "activation='relu'"),
        (lambda: fitted(mlp(8), labels=np.eye(10, dtype=int)[Y]), "one value"),
        (lambda: fitted(RidgeClassifier()), "MLPClassifier or LogisticRegression"),
        (lambda: fitted(make_pipeline(Normalizer(), mlp(8))), "Normalizer"),
        (lambda: fitted(make_pipeline(MinMaxScaler(clip=True), mlp(8))), "MinMaxScaler"),
    ],
)
def test_what_no_chain_expresses_is_named(model: Callable[[], Any], said: str) -> None:
    with pytest.raises(LayerUnsupported) as refusal:
        Network.from_sklearn(model(), X)
    assert said in str(refusal.value)


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(DatasetMismatch):
        Network.from_sklearn(layered(), X[:, 1:])
    with pytest.raises(FeatureOutOfRange):
        Network.from_sklearn(layered(), X / 255)
    with pytest.raises(NotEnoughRows):
        Network.from_sklearn(layered(), X[:0])
    with pytest.raises(LayerUnsupported, match="does not fit what it scales"):
        Network.from_sklearn(layered(), X, scale=np.ones(63))
    settings: tuple[dict[str, Any], ...] = ({"weight_bits": 4}, {"bits": 17}, {"bits": 0})
    for setting in settings:
        with pytest.raises((QuantizationOutOfRange, DimensionOutOfRange)):
            Network.from_sklearn(layered(), X, **setting)


def test_weights_beyond_all_integers() -> None:
    model = fitted(mlp(8))
    model.coefs_[1][0, 0] = 1e12
    with pytest.raises(NotQuantizable, match="output layer"):
        Network.from_sklearn(model, X)
    model.coefs_[0][0, 0] = np.nan
    with pytest.raises(NotQuantizable, match="hidden layer 1"):
        Network.from_sklearn(model, X)


WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
RAW = X / 16 * 40.0 - 7.0
"""The digits as some other instrument would have them: from -7 to 33."""
MAPPING = DataMapping(64, WORDS, (-7.0,), (33.0,))


@pytest.mark.parametrize("by_file", [False, True])
def test_with_a_mapping_raw_values_go_in_and_words_come_out(by_file: bool, tmp_path: Path) -> None:
    """The model has sorted the words, but class k of the network is class k of the mapping."""
    model = fitted(make_pipeline(StandardScaler(), mlp(16)), RAW, np.array(WORDS)[Y])
    MAPPING.save(tmp_path / "mapping.json")
    given = tmp_path / "mapping.json" if by_file else MAPPING
    named, fidelity = Network.from_sklearn(model, RAW, mapping=given)
    agreeing = np.count_nonzero(named.predict(RAW) == model.predict(RAW))
    assert fidelity.agreeing == pytest.approx(agreeing, abs=2)
    assert agreeing >= 390
    assert fidelity.labels == named.names == WORDS
    assert fidelity.mean_difference < 0.01
    place = sorted(WORDS).index("nine")
    assert np.abs(named.predict_proba(RAW)[:, 9] - model.predict_proba(RAW)[:, place]).mean() < 0.01
    spoken = [WORDS[label] for label in Y]
    assert named.evaluate(RAW, spoken).accuracy == np.mean(named.predict(RAW) == spoken) > 0.5
    assert named.network.predict(named.features(RAW[:9])).tolist() == [
        WORDS.index(each) for each in named.predict(RAW[:9])
    ]


def test_ends_of_each_column_and_numbers_of_classes_are_mapped() -> None:
    high = np.linspace(1.0, 9.0, 64)
    raw = X / 16 * high
    mapping = DataMapping(64, WORDS, (0.0,) * 64, tuple(high.tolist()))
    model = fitted(LogisticRegression(), raw / 2 + 1, Y)
    named, fidelity = Network.from_sklearn(model, raw, mapping=mapping, scale=1 / 2, offset=1.0)
    assert fidelity.largest_difference < 0.05
    assert np.mean(named.predict(raw) == np.array(WORDS)[model.predict(raw / 2 + 1)]) > 0.98


def test_a_mapping_that_does_not_fit_the_model_is_named() -> None:
    model = fitted(mlp(4), RAW, np.array(WORDS)[Y])
    with pytest.raises(MappingMismatch, match="no class of the mapping"):
        Network.from_sklearn(model, RAW, mapping=DataMapping(64, WORDS[1:], (-7.0,), (33.0,)))
    with pytest.raises(MappingMismatch, match="first classes"):
        Network.from_sklearn(model, RAW, mapping=DataMapping(64, ("ten", *WORDS), (-7.0,), (33.0,)))
    with pytest.raises(MappingMismatch):
        Network.from_sklearn(model, RAW[:, 1:], mapping=MAPPING)
    with pytest.raises(DatasetMismatch):
        Network.from_sklearn(model, [["a"] * 64], mapping=MAPPING)
