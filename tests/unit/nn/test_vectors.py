"""The frozen vectors, recomputed by the package and by the second implementation from the files alone."""

import json
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from engram.nn.engine import FAST, REFERENCE
from engram.nn.growth import Growth, Policy, grown_spec
from engram.nn.layers import HiddenSegment, Output
from engram.nn.loss import LOSSES
from engram.nn.network import NetworkSpec, Parameters, SegmentParameters, forward
from engram.nn.seeded import SEEDED, Seeded
from engram.primitives.codec import decode, encode, from_json, to_json
from tests.support import networks_oracle, nn_reference
from tests.support.nn_vectors import FOLDER, KINDS, MAKERS, SEEDS, SEGMENTS, replayed
from tests.support.protocol_oracle import dec
from tests.support.source_tree import ROOT


def vectors(name: str) -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = json.loads((FOLDER / f"nn_{name}.json").read_text(encoding="utf-8"))
    return cases


def parameters_of(segments: tuple[HiddenSegment | Output, ...], values: list[dict[str, Any]]) -> Parameters:
    return tuple(
        SegmentParameters(
            np.array(each["weights"], f"int{segment.weight_bits}"), np.array(each["bias"], np.int32)
        )
        for segment, each in zip(segments, values, strict=True)
    )


@pytest.mark.parametrize("name", MAKERS)
def test_the_files_are_what_the_package_makes(name: str) -> None:
    assert vectors(name) == json.loads(json.dumps(MAKERS[name]()))


def test_every_registry_entry_has_a_vector() -> None:
    assert {case["tag"] for case in vectors("layers")} == set(KINDS) == set(SEGMENTS)
    assert {case["source"]["generator"] for case in vectors("seeded")} == set(SEEDED) == set(SEEDS)
    assert {case["kind"] for case in vectors("loss")} == set(LOSSES)


def test_layers_by_the_second_implementation() -> None:
    for case in vectors("layers"):
        segment = from_json(KINDS[case["tag"]], case["segment"])
        (given,) = parameters_of((segment,), case["parameters"])
        for row, expected in zip(case["x"], case["y"], strict=True):
            values = nn_reference.accumulators(segment, given, row)
            if isinstance(segment, Output):
                spec = NetworkSpec(4, 3, (), (), (segment,))
                assert [
                    nn_reference.clipped(y, -(2**30), 2**30) for y in expected
                ] == nn_reference.row_logits(spec, (given,), row)
            else:
                assert [nn_reference.activation(segment, a) for a in values] == expected


def test_forward_passes_by_the_second_implementation() -> None:
    for case in vectors("forward"):
        spec = from_json(NetworkSpec, case["spec"])
        assert decode(NetworkSpec, bytes.fromhex(case["spec_bytes"])) == spec
        parameters = parameters_of((*spec.hidden, *spec.outputs), case["parameters"])
        for row, logits in zip(case["features"], case["logits"], strict=True):
            assert nn_reference.row_logits(spec, parameters, row) == logits


def test_growth_by_the_second_implementation() -> None:
    for case in vectors("growth"):
        spec, growth, grown = (
            from_json(NetworkSpec, case["spec"]),
            from_json(Growth, case["growth"]),
            from_json(NetworkSpec, case["grown"]),
        )
        assert (grown.hidden, grown.outputs) == (spec.hidden + growth.hidden, spec.outputs + growth.outputs)
        old = parameters_of((*spec.hidden, *spec.outputs), case["old_parameters"])
        new = parameters_of((*growth.hidden, *growth.outputs), case["new_parameters"])
        old_hidden, new_hidden = len(spec.hidden), len(growth.hidden)
        whole = old[:old_hidden] + new[:new_hidden] + old[old_hidden:] + new[new_hidden:]
        for row, before, after in zip(case["features"], case["old_logits"], case["logits"], strict=True):
            assert nn_reference.row_logits(spec, old, row) == before
            shift = after[0] - before[0]
            assert [logit + shift for logit in before] == after[: spec.classes]
            assert shift == 0 or case["policy"] == Policy.RELATIVE
            assert nn_reference.row_logits(grown, whole, row) == after


def test_unions_by_the_second_implementation() -> None:
    for case in vectors("union"):
        spec, union = from_json(NetworkSpec, case["spec"]), decode(Growth, bytes.fromhex(case["union_bytes"]))
        halves = [from_json(Growth, case[name]) for name in ("first", "second")]
        assert networks_oracle.united(*(dec(encode(each)) for each in (spec, *halves))) == dec(encode(union))
        one, other = (
            parameters_of((*half.hidden, *half.outputs), case[f"{name}_parameters"])
            for name, half in zip(("first", "second"), halves, strict=True)
        )
        old = parameters_of((*spec.hidden, *spec.outputs), case["old_parameters"])
        count, ends = len(spec.hidden), [len(half.hidden) for half in halves]
        hidden = old[:count] + one[: ends[0]] + other[: ends[1]]
        whole = hidden + old[count:] + one[ends[0] :] + other[ends[1] :]
        grown = grown_spec(spec, union)
        for row, logits in zip(case["features"], case["logits"], strict=True):
            assert nn_reference.row_logits(grown, whole, row) == logits


def test_seeded_tensors_by_the_second_implementation() -> None:
    columns = {2: nn_reference.uniform_ternary, 3: nn_reference.receptive_fields}
    cases = [(from_json(Seeded, case["source"]), case) for case in vectors("seeded") if "array" in case]
    made = [(source, case["array"]) for source, case in cases if source.generator in columns]
    assert {source.generator for source, _ in made} == columns.keys()
    for source, array in made:
        assert array == columns[source.generator](source)


def test_the_reference_engine_replays_the_same_integers() -> None:
    (case,) = vectors("replay")
    assert to_json(decode(NetworkSpec, bytes.fromhex(case["spec_bytes"]))) == case["spec"]
    for engine in (REFERENCE, FAST):
        assert case | replayed(case, engine) == case


@pytest.mark.parametrize(
    "environment",
    [
        {"OPENBLAS_CORETYPE": "Haswell", "OPENBLAS_NUM_THREADS": "1", "PYTHONHASHSEED": "1"},
        {"OPENBLAS_CORETYPE": "Sandybridge", "OPENBLAS_NUM_THREADS": "2", "PYTHONHASHSEED": "2"},
        {"OPENBLAS_CORETYPE": "Nehalem", "OPENBLAS_NUM_THREADS": "3", "NPY_DISABLE_CPU_FEATURES": "X86_V4"},
    ],
    ids=lambda environment: environment["OPENBLAS_CORETYPE"],
)
def test_other_kernels_threads_and_hash_seeds_replay_the_same_integers(environment: dict[str, str]) -> None:
    """OpenBLAS and numpy choose their kernels by processor; here they are made to choose others."""
    code = "import json; from tests.support import nn_vectors as v; print(json.dumps(v.replay()))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == vectors("replay")


def test_extreme_features_fit_the_forward_vectors() -> None:
    """The vectors hold a row of zeros and a row of 255: both ends of every interval."""
    for case in vectors("forward"):
        spec = from_json(NetworkSpec, case["spec"])
        assert case["features"][0] == [0] * spec.inputs
        assert case["features"][1] == [255] * spec.inputs
        parameters = parameters_of((*spec.hidden, *spec.outputs), case["parameters"])
        features = np.array(case["features"], np.uint8)
        assert forward(spec, parameters, features).tolist() == case["logits"]
