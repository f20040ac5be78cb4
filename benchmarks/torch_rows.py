"""Measures what is compared with PyTorch: a program of its own with PyTorch in its path, for `bench_torch`.

It prints rows as JSON, one a line. A processor's rows are of one thread, as a node verifies.
"""

import argparse
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import pairwise
from typing import Any, Final

os.environ.update(dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.measure import Row, interleaved, skipped
from benchmarks.samples import CLASSES, INPUTS, dense, images, random_parameters
from engram.nn.engine import FAST, Engine
from engram.nn.evaluate import unstarted
from engram.nn.growth import Growth, grown_spec, merge_parameters
from engram.nn.layers import DenseRelu, HiddenSegment, Output
from engram.nn.loss import LossKind, Measure
from engram.nn.network import NetworkSpec, Parameters, SegmentParameters
from engram.nn.parameters import prove_bounds
from engram.node.engines.registry import CUDA, ENGINES, TORCH
from engram.node.errors import EngineMissing
from engram.participant.datasets import Dataset
from engram.participant.training import qat
from engram.participant.training.qat import Budget, batches, rate_at

CROSS_ENTROPY: Final = LossKind.SOFTMAX_CROSS_ENTROPY
HIDDEN: Final = 256
LARGE: Final = (4_096, 16_384, 16_384, 1_000)
LARGE_ROWS: Final = 32_768
COMPARED_ROWS: Final = 256
"""Of the large network, so many rows are computed by numpy too: more would take minutes."""
PEAK_TMACS: Final = {"H200": 989.5, "H100": 989.5, "A100": 312.0, "L40S": 366.0, "L4": 121.0, "A10": 125.0}
"""By a part of its name, the int8 multiply-accumulates a second of a card that its maker states, in 10^12."""


def rows(quick: bool) -> Iterator[Row]:
    """Everything that is compared with PyTorch."""
    torch.set_num_threads(1)
    yield from _on_processor(quick)
    yield from _on_card(quick)
    yield from _steps(quick)


def _on_processor(quick: bool) -> Iterator[Row]:
    name = "verify_torch_int8_rows_per_s_vs_torch_float32"
    try:
        engine = ENGINES[TORCH]()
    except EngineMissing as error:
        yield skipped(name, error.message)
        return
    count = 1_000 if quick else 10_000
    rng = np.random.default_rng(1)
    spec = dense(HIDDEN)
    parameters = random_parameters(rng, spec)
    features, labels = images(rng, count), rng.integers(0, CLASSES, count).astype(np.uint16)
    timed = interleaved(
        _verifying(engine, spec, parameters, features, labels),
        _float_verifying(parameters, features, labels, torch.device("cpu"), torch.float32),
        3 if quick else 15,
    )
    yield Row(
        name,
        count / timed.median_candidate_s,
        count / timed.median_baseline_s,
        timed.speed,
        "ratio >= 1.8",
        timed.speed >= 1.8,
    )


def _on_card(quick: bool) -> Iterator[Row]:
    names = (
        "cuda_large_tmacs_per_s_vs_bf16",
        "cuda_large_share_of_int8_peak",
        "cuda_bits_differing",
        "cuda_small_rows_per_s_vs_bf16",
    )
    try:
        engine = ENGINES[CUDA]()
    except EngineMissing as error:
        yield from (skipped(name, error.message) for name in names)
        return
    card = torch.cuda.get_device_name()
    rng = np.random.default_rng(2)
    count, pairs = (1_024, 2) if quick else (LARGE_ROWS, 9)
    spec, parameters = _wide(rng, LARGE)
    features = rng.integers(0, 256, (count, LARGE[0]), dtype=np.uint8)
    labels = rng.integers(0, LARGE[-1], count).astype(np.uint16)
    timed = interleaved(
        _verifying(engine, spec, parameters, features, labels),
        _float_verifying(parameters, features, labels, torch.device("cuda"), torch.bfloat16),
        pairs,
    )
    macs = count * sum(before * after for before, after in pairwise(LARGE)) / 1e12
    done, other = macs / timed.median_candidate_s, macs / timed.median_baseline_s
    yield Row(names[0], done, other, timed.speed, f"ratio >= 1.0 ({card})", timed.speed >= 1.0)
    peak = next((value for part, value in PEAK_TMACS.items() if part in card), None)
    share = None if peak is None else done / peak
    known = f"ratio >= 0.5 ({card})" if peak else f"no peak of {card} is known here"
    yield Row(names[1], done, peak, share, known, None if share is None else share >= 0.5)
    differing = _differing(engine, spec, parameters, features[:COMPARED_ROWS])
    yield Row(names[2], differing, None, None, f"== 0 ({card})", differing == 0)
    small = dense(HIDDEN)
    numbers = random_parameters(rng, small)
    pixels, own = images(rng, 10_000), rng.integers(0, CLASSES, 10_000).astype(np.uint16)
    timed = interleaved(
        _verifying(engine, small, numbers, pixels, own),
        _float_verifying(numbers, pixels, own, torch.device("cuda"), torch.bfloat16),
        pairs,
    )
    rate, base = 10_000 / timed.median_candidate_s, 10_000 / timed.median_baseline_s
    yield Row(names[3], rate, base, timed.speed, f"ratio >= 0.8 ({card})", timed.speed >= 0.8)


def _verifying(
    engine: Engine, spec: NetworkSpec, parameters: Parameters, features: Any, labels: Any
) -> Callable[[], object]:
    """Recomputes a claimed loss. On a card the features lie there already, as kept activations do."""
    bounds = prove_bounds(spec, parameters)
    peaks = (*bounds.hidden, *bounds.outputs)
    measure = Measure(CROSS_ENTROPY, labels, spec.classes)
    nothing = NetworkSpec(spec.inputs, spec.classes, (), (), ())
    start = unstarted(spec, features)
    held = engine.keep(nothing, (), (), start) if engine.name == CUDA else start
    return lambda: engine.scores(spec, parameters, peaks, held, measure)


def _float_verifying(
    parameters: Parameters, features: Any, labels: Any, device: torch.device, dtype: torch.dtype
) -> Callable[[], object]:
    """The loss and the number of right rows of the same network in floats, with nothing rounded."""
    x = (torch.from_numpy(features).to(device, torch.float32) / 255).to(dtype)
    y = torch.from_numpy(labels.astype(np.int64)).to(device)
    layers = [
        (_float(each.weights, device, dtype) / 64, _float(each.bias, device, dtype) / 64)
        for each in parameters
    ]

    def run() -> tuple[float, int]:
        with torch.inference_mode():
            h = x
            for weights, bias in layers[:-1]:
                h = torch.relu(torch.addmm(bias, h, weights))
            z = torch.addmm(layers[-1][1], h, layers[-1][0]).to(torch.float32)
            loss = functional.cross_entropy(z, y, reduction="sum")
            return float(loss), int((z.argmax(dim=1) == y).sum())

    return run


def _float(array: Any, device: torch.device, dtype: torch.dtype) -> Tensor:
    return torch.from_numpy(array.astype(np.float32)).to(device, dtype)


def _differing(engine: Engine, spec: NetworkSpec, parameters: Parameters, features: Any) -> int:
    """Bits of logits that differ from those of numpy."""
    bounds = prove_bounds(spec, parameters)
    network = (spec, parameters, (*bounds.hidden, *bounds.outputs), unstarted(spec, features))
    both = np.bitwise_xor(engine.logits(*network), FAST.logits(*network))
    return int(np.bitwise_count(both).sum())


def _wide(rng: np.random.Generator, sizes: tuple[int, ...]) -> tuple[NetworkSpec, Parameters]:
    hidden: list[HiddenSegment] = []
    numbers = []
    for layer, (before, after) in enumerate(pairwise(sizes), start=1):
        if layer < len(sizes) - 1:
            hidden.append(DenseRelu(layer, 0, before, after, 13, 8, 8))
        weights = np.clip(np.rint(rng.normal(0, 20, (before, after))), -127, 127).astype(np.int8)
        numbers.append(SegmentParameters(weights, rng.integers(-1_000, 1_001, after).astype(np.int32)))
    output = Output(len(sizes) - 2, 0, sizes[-2], 0, sizes[-1], 0, 8)
    return NetworkSpec(sizes[0], sizes[-1], (), tuple(hidden), (output,)), tuple(numbers)


def _steps(quick: bool) -> Iterator[Row]:
    """Steps of training by numpy, against fake quantisation and the fused Adam of PyTorch on one thread."""
    rng = np.random.default_rng(3)
    data = Dataset(images(rng, 2_000), rng.integers(0, CLASSES, 2_000).astype(np.uint16))
    steps, pairs = (20, 1) if quick else (300, 5)
    spec = dense(HIDDEN)
    start = random_parameters(rng, spec)
    yield _step_row("train_steps_per_s_vs_torch_fake_quant", spec, start, (True, True), data, steps, pairs)
    neurons, new = 2_000, 100
    base = NetworkSpec(
        INPUTS,
        CLASSES - 2,
        (),
        (DenseRelu(1, 0, INPUTS, neurons, 9, 8, 8),),
        (Output(1, 0, neurons, 0, CLASSES - 2, 0, 8),),
    )
    growth = Growth(
        2,
        (DenseRelu(1, 0, INPUTS, new, 9, 8, 8),),
        (Output(1, 0, neurons + new, CLASSES - 2, 2, 0, 8),),
        (),
    )
    old = random_parameters(rng, base)
    added = random_parameters(rng, NetworkSpec(INPUTS, CLASSES, (), growth.hidden, growth.outputs))
    whole = merge_parameters(base, old, growth, added)
    learns = (False, True, False, True)
    grown = grown_spec(base, growth)
    yield _step_row("grow_steps_per_s_vs_torch_fake_quant", grown, whole, learns, data, steps, pairs)


def _step_row(
    name: str,
    spec: NetworkSpec,
    start: Parameters,
    learns: tuple[bool, ...],
    data: Dataset,
    steps: int,
    pairs: int,
) -> Row:
    budget = Budget(steps=steps)
    timed = interleaved(
        lambda: qat.fit(spec, start, learns, data, budget, np.random.default_rng(4)),
        lambda: _fake_quantised(spec, start, learns, data, budget, np.random.default_rng(4)),
        pairs,
    )
    own, other = steps / timed.median_candidate_s, steps / timed.median_baseline_s
    return Row(name, own, other, timed.speed, "ratio >= 1.0", timed.speed >= 1.0)


def _fake_quantised(
    spec: NetworkSpec,
    start: Parameters,
    learns: tuple[bool, ...],
    data: Dataset,
    budget: Budget,
    rng: np.random.Generator,
) -> None:
    """The same steps as a user of PyTorch writes them: dense layers side by side, then outputs."""
    weights = [
        torch.from_numpy(each.weights.astype(np.float32)).requires_grad_(on)
        for each, on in _with(start, learns)
    ]
    biases = [
        torch.from_numpy(each.bias.astype(np.float32)).requires_grad_(on) for each, on in _with(start, learns)
    ]
    moving = [each for each in (*weights, *biases) if each.requires_grad]
    adam = torch.optim.AdamW(moving, lr=1.0, eps=1e-12, weight_decay=budget.weight_decay, fused=True)
    for number, index in enumerate(batches(data.labels, spec.classes, budget, rng), start=1):
        x = torch.from_numpy(data.features[index]).to(torch.float32)
        y = torch.from_numpy(data.labels[index].astype(np.int64))
        made = [_neurons(segment, x, weights[at], biases[at]) for at, segment in enumerate(spec.hidden)]
        hidden = made[0] if len(made) == 1 else torch.cat(made, dim=1)
        parts = [
            torch.addmm(biases[at], hidden[:, each.lo : each.hi], _whole(weights[at], -127, 127))
            for at, each in enumerate(spec.outputs, start=len(spec.hidden))
        ]
        logits = (parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)) * 2.0**-16
        loss = functional.cross_entropy(logits, y)
        adam.param_groups[0]["lr"] = rate_at(budget, number)
        adam.zero_grad()
        loss.backward()
        adam.step()
        with torch.no_grad():
            for each in weights:
                if each.requires_grad:
                    each.clamp_(-127, 127)


def _with(start: Parameters, learns: tuple[bool, ...]) -> Iterator[tuple[SegmentParameters, bool]]:
    yield from zip(start, learns, strict=True)


def _neurons(segment: HiddenSegment, x: Tensor, weights: Tensor, bias: Tensor) -> Tensor:
    assert isinstance(segment, DenseRelu), "the networks of these rows have dense layers only"
    with torch.set_grad_enabled(weights.requires_grad):
        sums = torch.addmm(bias, x, _whole(weights, -127, 127))
        return _whole(sums * 2.0**-segment.shift, 0, 255)


def _whole(values: Tensor, lo: int, hi: int) -> Tensor:
    """Rounded and clipped in one kernel, with the gradient of what is not rounded."""
    rounded: Tensor = torch.fake_quantize_per_tensor_affine(values, 1.0, 0, lo, hi)
    return rounded


def main() -> None:
    """Prints the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="do less work")
    for row in rows(parser.parse_args().quick):
        print(json.dumps(asdict(row)), flush=True)


if __name__ == "__main__":
    main()
