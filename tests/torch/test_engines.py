"""Engines by PyTorch give the integers of numpy's, bit for bit: on a processor and on a card.

Two engines of three run everywhere. One is PyTorch on this machine's processor. One is the path of a graphics
card on this processor: padded operands, many rows at a time, requantisation in one pass. The third is a card,
and the tests with it are skipped where there is none.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram.nn.engine import FAST, REFERENCE, Engine
from engram.nn.evaluate import unstarted
from engram.nn.growth import Growth, Policy, grown_spec, merge_parameters, prove_growth
from engram.nn.layers import ConvRelu, ConvRoot, DenseRelu, HiddenSegment, MaxPool, Output
from engram.nn.loss import LossKind, Measure
from engram.nn.network import Features, NetworkSpec, Parameters, SegmentParameters, forward
from engram.nn.parameters import prove_bounds
from engram.nn.selfcheck import first_wrong
from engram.node.engines import registry
from engram.node.engines.choosing import choose
from engram.node.engines.registry import ENGINES
from engram.node.errors import EngineInexact, EngineMissing
from engram.primitives.codec import from_json
from tests.support.nn_samples import (
    BESIDE,
    GROWTH,
    RELATIVE,
    TWO_LAYERS,
    growth_parameters,
    network_parameters,
    networks,
    random_features,
)
from tests.support.nn_vectors import FOLDER, replayed
from tests.support.replay_chain import replay
from tests.unit.nn import test_layer_kinds as sliding

torch = pytest.importorskip("torch", reason="PyTorch is not here: `make test-torch` brings it")
devices = pytest.importorskip("engram.node.engines.torch_device")
engines = pytest.importorskip("engram.node.engines.torch_engine")

CHAIN = json.loads((FOLDER / "consensus_chain_50.json").read_text(encoding="utf-8"))
NAMES = ("torch", "as a card computes", "cuda")
SEEDS = st.integers(0, 2**32 - 1)
SHARES = st.sampled_from((1.0, 2.0**-5, 2.0**-7, 2.0**-12, 2.0**-18))


def engine_of(name: str) -> Engine:
    """One of `NAMES`; skips the test where this machine has no such engine."""
    if name == "cuda":
        if not torch.cuda.is_available():
            pytest.skip("this machine has no graphics card, so nothing was computed on one")
        return ENGINES["cuda"]()
    if not registry.has_int8_instructions():
        pytest.skip("this processor has no instructions for int8, so PyTorch computes nothing here")
    device = devices.processor()
    if name == "as a card computes":
        device = replace(device, multiple=16, least_rows=32, chunk_values=2**14, fused=devices.requantised)
    made: Engine = engines.TorchEngine(name, device)
    return made


@pytest.fixture(params=NAMES)
def engine(request: pytest.FixtureRequest) -> Engine:
    return engine_of(request.param)


def agree(engine: Engine, spec: NetworkSpec, parameters: Parameters, features: Features) -> None:
    """Logits, kept values and all losses are those of the reference."""
    bounds = prove_bounds(spec, parameters)
    network = (spec, parameters, (*bounds.hidden, *bounds.outputs))
    start = unstarted(spec, features)
    assert np.array_equal(engine.logits(*network, start), REFERENCE.logits(*network, start))
    mine, right = (each.keep(*network, start).on_host() for each in (engine, REFERENCE))
    for one, other in zip((*mine.layers, mine.sums), (*right.layers, right.sums), strict=True):
        assert one.dtype == other.dtype
        assert np.array_equal(one, other)
    labels = (np.arange(len(features)) % (spec.classes + 2)).astype(np.uint16)
    for kind in LossKind:
        measure = Measure(kind, labels, spec.classes + 1)
        found, wanted = (each.scores(*network, start, measure) for each in (engine, REFERENCE))
        assert found.losses.dtype == wanted.losses.dtype
        assert np.array_equal(found.losses, wanted.losses)
        assert np.array_equal(found.right, wanted.right)


def test_the_self_check_finds_nothing(engine: Engine) -> None:
    assert first_wrong(engine) is None


@pytest.mark.parametrize("name", NAMES)
@given(networks(), SEEDS, SHARES)
def test_random_networks(name: str, spec: NetworkSpec, seed: int, share: float) -> None:
    parameters = network_parameters(spec, seed, share)
    agree(engine_of(name), spec, parameters, random_features(spec.inputs, 5, seed))


@pytest.mark.parametrize("name", NAMES)
@given(networks(), SEEDS)
def test_extreme_networks(name: str, spec: NetworkSpec, seed: int) -> None:
    """Signs at random, magnitudes at the limit of what the bounds allow, features of 0 and 255."""
    parameters = tuple(
        SegmentParameters(
            (np.sign(given_.weights) * np.abs(given_.weights).max()).astype(given_.weights.dtype), given_.bias
        )
        for given_ in network_parameters(spec, seed, 1.0)
    )
    features = np.where(random_features(spec.inputs, 6, seed) < 128, 0, 255).astype(np.uint8)
    agree(engine_of(name), spec, parameters, features)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("inputs", [7, 64, 4_096])
def test_products_of_the_largest_operands(engine: Engine, bits: int, sign: int, inputs: int) -> None:
    """Every weight at its limit, as many as int32 allows, biases up to the limit of the peak."""
    weight = 127 if bits == 8 else min(32_767, (2**31 - 1) // (2 * 255 * inputs))
    room = 2**31 - 1 - 255 * weight * inputs
    shift = 9 if bits == 8 else 16
    hidden = DenseRelu(1, 0, inputs, 33, shift, 8, bits)
    output = Output(1, 0, 33, 0, 5, -3, bits)
    dtype = np.dtype(f"int{bits}")
    first = SegmentParameters(
        np.full((inputs, 33), sign * weight, dtype),
        np.full(33, -sign * (room - (1 << shift)) // 3, np.int32),
    )
    last = SegmentParameters(np.full((33, 5), -sign * weight, dtype), np.arange(5, dtype=np.int32))
    spec = NetworkSpec(inputs, 5, (), (hidden,), (output,))
    features = np.full((40, inputs), 255, np.uint8)
    features[::2], features[1::4] = 0, np.arange(inputs) % 256
    agree(engine, spec, (first, last), features)


@pytest.mark.parametrize("width", [1, 15, 16, 17])
def test_more_operands_than_one_product_runs_over(engine: Engine, width: int) -> None:
    inputs = 2**16 + 5
    hidden = DenseRelu(1, 0, inputs, width, 14, 8, 8)
    spec = NetworkSpec(inputs, 2, (), (hidden,), (Output(1, 0, width, 0, 2, 0, 8),))
    agree(engine, spec, network_parameters(spec, 3, 1.0), random_features(inputs, 3))


def test_maps_of_every_kind_with_wide_values(engine: Engine) -> None:
    """Values of 16 bits through convolutions with many and with few maps a group, and through pooling."""
    side = 6
    hidden: tuple[HiddenSegment, ...] = (
        ConvRelu(1, 0, 2 * side * side, side, side, 4, 3, 1, 1, 1, 2, 16, 16),
        ConvRelu(2, 0, 4 * side * side, side, side, 16, 3, 2, 1, 2, 12, 16, 8),
        ConvRoot(2, 0, 4 * side * side, side, side, 4, 2, 2, 0, 4, 9, 8, 16),
        MaxPool(2, 0, 4 * side * side, side, side, 3, 3, 2, 5, 12, 16),
    )
    width = sum(segment.width for segment in hidden[1:])
    spec = NetworkSpec(2 * side * side, 3, (), hidden, (Output(2, 0, width, 0, 3, 4, 16),))
    for share in (1.0, 2.0**-8):
        agree(engine, spec, network_parameters(spec, 5, share), random_features(spec.inputs, 21))


def test_no_rows_and_one_row(engine: Engine) -> None:
    parameters = network_parameters(TWO_LAYERS)
    for rows in (0, 1):
        agree(engine, TWO_LAYERS, parameters, random_features(TWO_LAYERS.inputs, 2)[:rows])


@pytest.mark.parametrize("growth", [GROWTH, RELATIVE, BESIDE], ids=["strict", "gate", "beside"])
def test_growths_on_kept_values_of_any_engine(engine: Engine, growth: Growth) -> None:
    """All candidates share kept values; those of numpy will do as well, and the other way round."""
    old = network_parameters(TWO_LAYERS)
    bounds = prove_bounds(TWO_LAYERS, old)
    features = random_features(TWO_LAYERS.inputs, 50)
    network = (TWO_LAYERS, old, (*bounds.hidden, *bounds.outputs), unstarted(TWO_LAYERS, features))
    kept = {each: each.keep(*network) for each in (engine, FAST)}
    assert kept[engine].size_bytes == kept[FAST].size_bytes
    assert (kept[engine].widths, kept[engine].rows) == (kept[FAST].widths, 50)
    grown = grown_spec(TWO_LAYERS, growth)
    for seed in (1, 2):
        new = growth_parameters(TWO_LAYERS, growth, seed)
        proved = prove_growth(TWO_LAYERS, growth, new)
        peaks = (*proved.hidden, *proved.outputs)
        whole = forward(grown, merge_parameters(TWO_LAYERS, old, growth, new), features, engine=REFERENCE)
        for one in (engine, FAST):
            for other in (engine, FAST):
                assert np.array_equal(one.logits(grown, new, peaks, kept[other]), whole)


def test_the_vectors(engine: Engine) -> None:
    for case in json.loads((FOLDER / "nn_forward.json").read_text(encoding="utf-8")):
        spec = from_json(NetworkSpec, case["spec"])
        parameters = numbers_of((*spec.hidden, *spec.outputs), case["parameters"])
        features = np.array(case["features"], dtype=np.uint8)
        assert forward(spec, parameters, features, engine=engine).tolist() == case["logits"]
    for case in json.loads((FOLDER / "nn_growth.json").read_text(encoding="utf-8")):
        spec, growth = from_json(NetworkSpec, case["spec"]), from_json(Growth, case["growth"])
        old = numbers_of((*spec.hidden, *spec.outputs), case["old_parameters"])
        new = numbers_of((*growth.hidden, *growth.outputs), case["new_parameters"])
        features = np.array(case["features"], dtype=np.uint8)
        whole = merge_parameters(spec, old, growth, new)
        assert forward(spec, old, features, engine=engine).tolist() == case["old_logits"]
        found = forward(grown_spec(spec, growth), whole, features, engine=engine)
        assert found.tolist() == case["logits"], Policy(case["policy"]).name
    (case,) = json.loads((FOLDER / "nn_replay.json").read_text(encoding="utf-8"))
    assert case | replayed(case, engine) == case


def numbers_of(segments: Sequence[HiddenSegment | Output], values: list[dict[str, Any]]) -> Parameters:
    return tuple(
        SegmentParameters(
            np.array(each["weights"], f"int{segment.weight_bits}"), np.array(each["bias"], np.int32)
        )
        for segment, each in zip(segments, values, strict=True)
    )


def test_the_recorded_chain(engine: Engine) -> None:
    found = [executed.result.root.hex() for executed in replay(CHAIN, engine).executed]
    assert found == [entry["state_root"] for entry in CHAIN["blocks"]]


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_change_nothing(engine: Engine, threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        agree(engine, TWO_LAYERS, network_parameters(TWO_LAYERS, 4), random_features(12, 3_000))
        assert first_wrong(engine) is None
    finally:
        torch.set_num_threads(before)


def test_a_kind_without_a_product_of_its_own_runs_by_numpy(engine: Engine) -> None:
    numbers, features = sliding.parameters(), sliding.rows(50)
    found = forward(sliding.SPEC, numbers, features, engine=engine)
    assert found.tolist() == [sliding.by_hand(row, numbers) for row in features.tolist()]


def test_parameters_are_prepared_once_and_dropped_with_their_arrays(engine: Engine) -> None:
    parameters = network_parameters(TWO_LAYERS)
    features = random_features(TWO_LAYERS.inputs, 20)
    forward(TWO_LAYERS, parameters, features, engine=engine)
    prepared = engine._prepared  # type: ignore[attr-defined]
    held = {id(prepared[each][2]) for each in parameters}
    forward(TWO_LAYERS, parameters, features, engine=engine)
    assert {id(prepared[each][2]) for each in parameters} == held
    del parameters
    assert len(prepared) == 0


def test_numpy_computes_what_a_card_has_no_memory_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    engine = engine_of("as a card computes")

    def full(*operands: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch, "_int_mm", full)
    agree(engine, TWO_LAYERS, network_parameters(TWO_LAYERS), random_features(12, 9))
    assert {record.levelname for record in caplog.records} == {"WARNING"}
    assert all("as a card computes" in record.getMessage() for record in caplog.records)


def test_steps_run_one_after_the_other_where_no_kernel_can_be_made(caplog: pytest.LogCaptureFixture) -> None:
    def failing(*operands: Any) -> Any:
        raise RuntimeError("Failed to find C compiler")

    device = replace(devices.processor(), fused=devices.Fusing(failing))
    engine = engines.TorchEngine("torch", device)
    assert first_wrong(engine) is None
    (record,) = caplog.records
    assert "C compiler" in record.getMessage()


def test_a_wrong_bit_disqualifies_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """One element of one kind of product is off by one, as a faulty unit of a processor may compute it."""
    engine = engine_of("torch")
    exact = torch._int_mm

    def faulty(x: Any, weights: Any) -> Any:
        found = exact(x, weights)
        if found.numel():
            found[-1, -1] += 1
        return found

    monkeypatch.setattr(torch, "_int_mm", faulty)
    for name in list(ENGINES):
        monkeypatch.delitem(ENGINES, name)
    monkeypatch.setitem(ENGINES, "torch", lambda: engine)
    monkeypatch.setitem(ENGINES, "numpy", lambda: FAST)
    chosen = choose()
    assert chosen.engine is FAST
    assert list(chosen.wrong) == ["torch"]
    with pytest.raises(EngineInexact):
        choose("torch")


def test_auto_weighs_torch_where_the_processor_can() -> None:
    if not registry.has_int8_instructions():
        pytest.skip("this processor has no instructions for int8, so PyTorch computes nothing here")
    chosen = choose()
    assert set(chosen.race_ms) >= {"torch", "numpy"}
    assert chosen.wrong == {}
    assert choose("torch").engine.name == "torch"


def test_the_card_is_missed_by_name_and_passed_over_by_auto(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a graphics card")
    assert "cuda" in choose().absent
    with pytest.raises(EngineMissing) as refused:
        choose("cuda")
    assert "driver" in refused.value.message
