"""Reads fitted classifiers of scikit-learn: dense networks with ReLUs, and logistic regressions."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.utils.validation import check_is_fitted

from engram.library.errors import LayerUnsupported
from engram.library.float_layers import FloatModel, Floats, FloatStack
from engram.nn.evaluate import Features


def read_sklearn(model: Any, scale: npt.ArrayLike, offset: npt.ArrayLike) -> FloatModel:
    """The layers of a fitted classifier, which takes features·scale + offset. Raises `LayerUnsupported`."""
    try:
        check_is_fitted(model)
    except (NotFittedError, TypeError) as error:
        raise LayerUnsupported(f"the model is no fitted classifier: {error}", got=_name(model)) from error
    steps = [each for _, each in model.steps] if isinstance(model, Pipeline) else [model]
    stack = FloatStack((int(model.n_features_in_),))
    stack.scaled("scale and offset", scale, offset)
    for step in steps[:-1]:
        _scale(stack, step)
    classifier = steps[-1]
    if isinstance(classifier, MLPClassifier):
        _network(stack, classifier)
    elif isinstance(classifier, LogisticRegression):
        _regression(stack, classifier)
    else:
        raise LayerUnsupported(
            "no network of a chain expresses this classifier",
            expected="MLPClassifier or LogisticRegression",
            got=_name(classifier),
        )
    factor, term = np.asarray(scale, np.float64), np.asarray(offset, np.float64)

    def probabilities(rows: Features) -> Floats:
        found: Floats = model.predict_proba(rows * factor + term)
        return found

    labels = tuple(np.asarray(classifier.classes_).tolist())
    return FloatModel(int(model.n_features_in_), stack.finished(), labels, probabilities)


def _scale(stack: FloatStack, step: Any) -> None:
    """A step of a pipeline before its classifier."""
    if step is None or step == "passthrough":
        return
    if isinstance(step, MinMaxScaler) and not step.clip:
        stack.scaled(_name(step), step.scale_, step.min_)
    elif isinstance(step, StandardScaler):
        # It also keeps what it does not apply.
        scale = 1 / step.scale_ if step.with_std else np.ones(stack.shape)
        mean = step.mean_ if step.with_mean else np.zeros(stack.shape)
        stack.scaled(_name(step), scale, -mean * scale)
    else:
        raise LayerUnsupported(
            "no weights express this step of the pipeline",
            expected="StandardScaler, or MinMaxScaler without clip",
            got=_name(step),
        )


def _network(stack: FloatStack, model: MLPClassifier) -> None:
    if len(model.coefs_) > 1 and model.activation != "relu":
        raise LayerUnsupported(
            "a chain has no such activation: train with activation='relu'",
            expected="relu",
            got=model.activation,
        )
    for number, (weights, bias) in enumerate(zip(model.coefs_, model.intercepts_, strict=True), start=1):
        stack.dense(f"layer {number}", weights, bias)
        if number < len(model.coefs_):
            stack.relu(f"layer {number}")
    if model.out_activation_ == "logistic":
        stack.binary("the output")


def _regression(stack: FloatStack, model: LogisticRegression) -> None:
    if len(model.classes_) > 2 and (model.solver == "liblinear" or _one_against_rest(model)):
        raise LayerUnsupported(
            "its classes are learned one against the rest, which is no softmax: use the solver lbfgs",
            got=model.solver,
        )
    stack.dense("the regression", model.coef_.T, model.intercept_)
    if len(model.coef_) == 1:
        stack.binary("the regression")


def _one_against_rest(model: LogisticRegression) -> bool:
    # Newer releases do not know the setting any more.
    return getattr(model, "multi_class", None) == "ovr"


def _name(model: Any) -> str:
    return type(model).__name__
