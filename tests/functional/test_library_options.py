"""Options that a program gives: each means what it says, and a wrong one is refused by its name."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import engram
from engram import SyncChain, SyncModel
from engram.library.errors import OptionInvalid, OptionUnused
from engram.library.opening import OpeningOptions
from engram.participant.datasets import Dataset
from engram.participant.gate_odds import usual_epsilon
from tests.support.library_rounds import three_digits, trained

pytestmark = pytest.mark.xdist_group("library_options")


@pytest.fixture(scope="module")
def data() -> Dataset:
    return three_digits()


@pytest.fixture(scope="module")
def chain() -> Iterator[SyncChain]:
    with engram.dev_node() as made:
        yield made


@pytest.fixture(scope="module")
def model(chain: SyncChain, data: Dataset) -> SyncModel:
    """A model that alice has founded and bob has trained."""
    return trained(chain, data)


def test_no_option_is_ignored(chain: SyncChain, model: SyncModel, data: Dataset) -> None:
    """What would have no effect, or means nothing, is refused before anything is sent."""
    X, y, before = data.features, data.labels, chain.account()
    fixed: list[OpeningOptions] = [{"hidden": (8,)}, {"classes": 3}, {"policy": "gated"}, {"members": ()}]
    for given in fixed:
        with pytest.raises(OptionUnused):
            chain.open_round(X, y, model=model.id, **given)
    growth: list[OpeningOptions] = [{"new_classes": 1}, {"neurons": 4}, {"old_rows": 5}]
    for given in growth:
        with pytest.raises(OptionUnused):
            chain.open_round(X, y, **given)
    wrong: list[OpeningOptions] = [{"loss": "l2"}, {"policy": "lax"}, {"growth_limits": {"rows": 1}}]
    for given in (*wrong, OpeningOptions(activation="tanh"), OpeningOptions(verification="no")):
        with pytest.raises(OptionInvalid):
            chain.open_round(X, y, **given)
    with pytest.raises(OptionInvalid):
        chain.round().participate(X, y, trainer="jax")
    with pytest.raises(OptionUnused):
        chain.round().participate(X, y, device="cuda")
    with pytest.raises(TypeError, match="unexpected keyword argument 'width'"):
        chain.open_round(X, y, width=8)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="unexpected keyword argument 'epoch'"):
        chain.round().participate(X, y, epoch=1)  # type: ignore[call-arg]
    assert chain.account() == before


@pytest.mark.parametrize(
    "options",
    [
        {"classes": 0},
        {"classes": 10**9},
        {"classes": 2.5},
        {"classes": True},
        {"hidden": (0,)},
        {"hidden": (10**9,)},
        {"hidden": ("8",)},
        {"hidden": "32"},
        {"hidden": 32},
        {"growth_limits": "classes"},
        {"growth_limits": {"classes": "7"}},
        {"activation": ["relu"]},
        {"members": "bob"},
        {"witnesses": 5},
        {"threshold": True},
        {"wait_for": "2"},
        {"wait_for": -1},
        {"model": 5},
        {"rows": 0},
        {"rows": "40"},
        {"parts": 0},
        {"seed": -1},
        {"seed": 2**64},
        {"epochs": 10**9},
        {"threshold": float("nan")},
        {"threshold": "a"},
        {"epsilon": -1.0},
        {"windows": {"nope": 4}},
        {"windows": {"open": "4"}},
        {"windows": {"open": -5}},
        {"windows": 0},
        {"windows": "8"},
        {"bounty": -1},
        {"author_bond": "0.000000001"},
    ],
    ids=str,
)
def test_an_option_that_no_chain_takes_is_named_before_memory_is_taken(
    chain: SyncChain, data: Dataset, options: dict[str, object]
) -> None:
    """A billion classes asked for 238 GiB; no parts were a division by zero; "32" was read as 3 and 2."""
    (name,) = options
    with pytest.raises(OptionInvalid, match=name):
        chain.open_round(data.features, data.labels, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options",
    [
        {"steps": "300"},
        {"steps": 0},
        {"batch": 0},
        {"learning_rate": "1"},
        {"learning_rate": float("nan")},
        {"neurons": -1},
        {"seed": "a"},
        {"epochs": 0},
        {"patience": -1},
        {"max_bond": "x"},
        {"report": "print"},
    ],
    ids=str,
)
def test_an_author_is_told_which_option_is_wrong(
    chain: SyncChain, model: SyncModel, data: Dataset, options: dict[str, object]
) -> None:
    (name,) = options
    with pytest.raises(OptionInvalid, match=name):
        chain.round().participate(data.features, data.labels, **options)  # type: ignore[arg-type]


def test_an_option_that_is_none_takes_its_default(data: Dataset) -> None:
    """Numbers may be those of numpy; they were refused in a word of the codec."""
    with engram.dev_node(("alice",)) as chain:
        opened = chain.open_round(
            data.features,
            data.labels,
            hidden=np.array([8]),  # type: ignore[arg-type]
            rows=np.int64(30),  # type: ignore[arg-type]
            **dict.fromkeys(("seed", "windows", "members", "bounty", "activation", "classes")),  # type: ignore[arg-type]
        )
        assert (opened.info()["terms"]["rows"], opened.info()["terms"]["bounty"]) == (30, 0)
        assert chain.call("model_version", id=chain.model().id)["layers"] == [64, 8]


def test_what_names_no_model_or_version_is_refused_by_name(chain: SyncChain, model: SyncModel) -> None:
    for act in (chain.model, chain.rounds):
        with pytest.raises(OptionInvalid, match=rf"write \.id behind it: {model.id}"):
            act(model)  # type: ignore[arg-type]
    with pytest.raises(OptionInvalid, match="round is named by its id"):
        chain.round(5)  # type: ignore[arg-type]
    with pytest.raises(OptionInvalid, match="version is named by its number"):
        model.pull("1")  # type: ignore[arg-type]
    with pytest.raises(OptionInvalid, match="64 hexadecimal digits"):
        chain.opened_round(None)  # type: ignore[arg-type]
    with pytest.raises(OptionInvalid, match="address of a node"):
        engram.connect(5)  # type: ignore[arg-type]


def test_a_version_has_one_name_in_every_method(chain: SyncChain, model: SyncModel) -> None:
    """`number` is what `model_version` called it before."""
    for given in ({}, {"version": 1}, {"number": 1}):
        assert chain.call("model_version", id=model.id, **given)["number"] == 1
    assert chain.call("model_version", id=model.id, version=0)["number"] == 0
    with pytest.raises(engram.ChainError, match="two names of one parameter"):
        chain.call("model_version", id=model.id, version=0, number=0)


def test_the_terms_are_those_that_were_asked_for(data: Dataset) -> None:
    asked_for: OpeningOptions = {
        **{"rows": 30, "opener_bond": 12, "author_bond": "2.5", "bounty": 3, "z_squared": 16, "parts": 7},
        "windows": 9,
        **{"hidden": (4,), "policy": "gated", "growth_limits": {"classes": 7}, "lost_cap": 0.5},
    }
    with engram.dev_node(("alice",)) as chain:
        opened = chain.open_round(data.features, data.labels, **asked_for).info()
        found = chain.model().info()
        given = chain.open_round(data.features, data.labels, epsilon=0.03).info()["model"]
        assert chain.model(given).info()["retention_epsilon_ppm"] == 30_000
    assert found["retention_epsilon_ppm"] == usual_epsilon(60, 0, 30), "two parts of 30 rows stay sealed"
    terms, asked = opened["terms"], {"rows": 30, "z_squared": 16, "epochs": 2, "bounty": 3 * 10**8}
    asked |= {"opener_bond": 12 * 10**8, "author_bond": 25 * 10**7}
    asked |= {
        f"{name}_window": 9 for name in ("open", "reveal", "commit", "update", "witness", "audit", "score")
    }
    assert {name: terms[name] for name in asked} == asked
    assert len(terms["commitments"]) == 7
    assert (found["growth_limits"]["classes"], found["lost_cap_ppm"]) == (7, 500_000)
