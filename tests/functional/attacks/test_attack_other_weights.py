"""A proof says what it stands on: weights and predictions of another network do not go with it.

The proof of Alice's version 1 is true. A forger delivers another network of the same shape with it: that of a
rival who lost, the one with which the model was founded, or Alice's own with a few numbers changed.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from engram.consensus.bundle import seal_bundle
from engram.consensus.chainspec import dump_spec
from engram.nn.data import parse_part
from engram.nn.dtypes import IntArray
from engram.nn.tensor import Explicit, tensor_array
from engram.participant import export
from engram.statemachine.content import blob_id
from tests.support.attacks import fails
from tests.support.cli import Shell
from tests.support.published import SPEC, Published, published
from tests.support.rounds import ALICE, BOB, Play, Weights, make_part, network

GAINS = {ALICE: 8, BOB: 2}
ROWS = 6
Arrays = dict[str, IntArray]


@cache
def played() -> tuple[Play, Published]:
    """Alice's version 1, whose rival was Bob."""
    play = Play()
    play.ok(play.found())
    play.reveal_validation()
    play.play_epoch(*((author, network(play.inputs, gain)) for author, gain in GAINS.items()))
    play.decide()
    assert play.version(1).author == ALICE.address
    return play, published(play)


def arrays(weights: Weights) -> Arrays:
    """A network as `engram model pull` writes it."""
    content = {blob_id(raw): tensor_array(raw) for raw in weights.tensors}
    found: Arrays = {}
    for name, sources in (("hidden", weights.hidden), ("output", weights.outputs)):
        for number, source in enumerate(sources):
            assert isinstance(source.weights, Explicit)
            assert isinstance(source.bias, Explicit)
            found[f"{name}_{number}_weights"] = content[source.weights.tensor]
            found[f"{name}_{number}_bias"] = content[source.bias.tensor]
    return found


def of_author(gain: int) -> Arrays:
    return arrays(network(played()[0].inputs, gain))


def the_rivals() -> Arrays:
    return of_author(GAINS[BOB])


def the_founding() -> Arrays:
    return of_author(0)


def classes_exchanged() -> Arrays:
    own = of_author(GAINS[ALICE])
    turned = {name: own[name][..., ::-1].copy() for name in ("output_0_weights", "output_0_bias")}
    return {**own, **turned}


def one_number() -> Arrays:
    own = of_author(GAINS[ALICE])
    bias = own["hidden_0_bias"].copy()
    bias[0] += 1
    return {**own, "hidden_0_bias": bias}


def one_class_always() -> Arrays:
    """A back door: whatever the row is, the answer is class 1."""
    own = of_author(GAINS[ALICE])
    bias = own["output_0_bias"].copy()
    bias[1] += 2**20
    return {**own, "output_0_bias": bias}


class Delivery:
    """The files that somebody hands over, and the verifier's own."""

    def __init__(self, folder: Path) -> None:
        play, real = played()
        self.trusted = real.head.id.hex()
        self.shell = Shell(folder / "no-node", {})
        names = ("chain.json", "model.proof", "rows.npz", "model.npz")
        self.chain, self.proof, self.rows, self.model = (folder / name for name in names)
        self.chain.write_text(dump_spec(SPEC), "utf-8")
        self.proof.write_bytes(seal_bundle(real.bundle(play.model_id)))
        fresh = parse_part(
            make_part(99, parts=4, rows=ROWS, seed=9).raw, rows=ROWS, inputs=play.inputs, classes=2
        )
        self.labels = [int(label) for label in fresh.labels]
        np.savez(self.rows, features=fresh.features, labels=fresh.labels)

    @property
    def anchored(self) -> tuple[str, ...]:
        return "--chain", str(self.chain), "--checkpoint", self.trusted

    @property
    def predicting(self) -> tuple[str, ...]:
        predict = "--model", str(self.model), "--predict", str(self.rows), "--rows", str(ROWS)
        return "verify", str(self.proof), *self.anchored, *predict

    @property
    def attesting(self) -> tuple[str, ...]:
        return "model", "attest", str(self.model), "--proof", str(self.proof), *self.anchored

    def deliver(self, made: Arrays) -> None:
        np.savez(self.model, **made)  # type: ignore[arg-type]  # arrays by name


def weights_of_another_network(folder: Path, forge: Callable[[], Arrays]) -> None:
    """The true file gives the true predictions; the other one gives none, and no statement about it."""
    given = Delivery(folder)
    given.deliver(of_author(GAINS[ALICE]))
    said = given.shell.json(*given.predicting)
    assert said["weights_checked"]
    assert [row["class"] for row in said["predictions"]] == given.labels, (
        "version 1 has learned the two classes"
    )

    given.deliver(forge())
    (given.model.with_suffix(".json")).write_text('{"root": "' + said["root"] + '"}', "utf-8")
    assert given.shell.error(*given.predicting) == (65, "weights_mismatch")
    assert given.shell.error(*given.attesting) == (65, "weights_mismatch")
    assert not list(folder.glob("*.intoto.json")), "nothing is attested"


FORGERIES = [the_rivals, the_founding, classes_exchanged, one_number, one_class_always]


@pytest.mark.parametrize("forge", FORGERIES)
def test_weights_of_another_network(forge: Callable[[], Arrays], tmp_path: Path) -> None:
    weights_of_another_network(tmp_path, forge)


@pytest.mark.parametrize("forge", [the_rivals, one_class_always])
def test_where_the_shape_of_a_file_is_enough(
    forge: Callable[[], Arrays], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "check_weights", lambda *_: None)
    fails(lambda: weights_of_another_network(tmp_path, forge))
