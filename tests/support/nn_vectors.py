"""Writes tests/vectors/nn_*.json: run `python -m tests.support.nn_vectors` from the root.

The files are frozen: a changed vector is a changed protocol. Everything in them is JSON values and lower-case
hex, so that a second implementation can read them without this package.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, get_args

import numpy as np

from engram.nn import fixed
from engram.nn.data import part_bytes, part_commitment
from engram.nn.dtypes import DTYPES, INT8, INT16, INT32
from engram.nn.engine import FAST, Engine
from engram.nn.growth import Growth, Policy, append, growth_macs_per_row, merge_parameters
from engram.nn.layers import (
    ConvRelu,
    ConvRoot,
    ConvSquare,
    DenseRelu,
    DenseRoot,
    DenseSquare,
    HiddenSegment,
    MaxPool,
    Output,
)
from engram.nn.layers.segment import exact_forward, prove_peak
from engram.nn.logits import GATE
from engram.nn.loss import LOSSES, LossKind, loss_rows, score
from engram.nn.network import NetworkSpec, Parameters, SegmentParameters, forward
from engram.nn.parameters import prove_bounds
from engram.nn.seeded import SEEDED, Seeded, expand
from engram.nn.spec import check_spec, macs_per_row
from engram.nn.tensor import tensor_bytes
from engram.primitives.codec import decode, encode, to_json
from engram.primitives.jsonform import from_json
from engram.primitives.types import ZERO_HASH
from engram.statemachine.additions import TrainUpdate
from engram.statemachine.content import blob_id
from engram.statemachine.rules import Rules
from engram.statemachine.scoring import growth_macs, network_macs
from tests.support.nn_convolved import BRANCHED, CONVOLVED, SMALL_MAPS
from tests.support.nn_costed import COSTED, COSTED_GROWTHS
from tests.support.nn_samples import (
    GROWTH,
    LIMITS,
    RELATIVE,
    TWO_LAYERS,
    growth_parameters,
    network_parameters,
    random_features,
)
from tests.support.nn_unions import numbers_of, unions

FOLDER = Path(__file__).resolve().parents[1] / "vectors"
SEED = bytes(range(32))
TOP = 2**30

KINDS: Mapping[int, type[HiddenSegment | Output]] = {
    **{kind.TAG: kind for kind in get_args(HiddenSegment)},
    0: Output,
}
"""Kinds of segments by their number in the files: a hidden one's is its tag, an output segment has no tag."""

SEGMENTS: Mapping[int, tuple[HiddenSegment | Output, ...]] = {
    DenseRelu.TAG: (
        DenseRelu(layer=1, lo=0, hi=4, width=3, shift=3, bits=8, weight_bits=8),
        DenseRelu(layer=1, lo=0, hi=4, width=3, shift=0, bits=16, weight_bits=16),
    ),
    DenseSquare.TAG: (
        DenseSquare(layer=1, lo=0, hi=4, width=3, s1=4, h=8, s2=7, bits=8, weight_bits=8),
        DenseSquare(layer=1, lo=0, hi=4, width=3, s1=0, h=15, s2=15, bits=16, weight_bits=16),
    ),
    ConvRelu.TAG: (
        ConvRelu(1, 0, 24, 3, 4, 4, 3, 2, 1, 2, 9, 8, 8),
        ConvRelu(1, 0, 12, 3, 4, 3, 2, 1, 0, 1, 0, 16, 16),
    ),
    ConvSquare.TAG: (
        ConvSquare(1, 0, 24, 3, 4, 2, 2, 2, 0, 2, 8, 8, 7, 8, 8),
        ConvSquare(1, 0, 12, 3, 4, 2, 3, 1, 2, 1, 0, 15, 15, 16, 16),
    ),
    DenseRoot.TAG: (
        DenseRoot(layer=1, lo=0, hi=4, width=3, shift=1, bits=8, weight_bits=8),
        DenseRoot(layer=1, lo=0, hi=4, width=3, shift=0, bits=1, weight_bits=16),
    ),
    ConvRoot.TAG: (ConvRoot(1, 0, 24, 3, 4, 4, 3, 2, 1, 2, 3, 8, 8),),
    MaxPool.TAG: (
        MaxPool(1, 0, 24, 3, 4, 2, 1, 0, 6, 8, 8),
        MaxPool(1, 0, 24, 3, 4, 3, 2, 2, 0, 16, 16),
    ),
    0: (
        Output(layer=0, lo=0, hi=4, first=0, width=3, shift=2, weight_bits=8),
        Output(layer=0, lo=0, hi=4, first=0, width=3, shift=-16, weight_bits=16),
    ),
}
"""Segments of each kind of layer that have a vector: a new kind needs a line."""

SEEDS: Mapping[int, tuple[Seeded, ...]] = {
    1: (Seeded(1, ZERO_HASH, INT32, (3,)),),
    2: (
        Seeded(2, SEED, INT8, (7, 3)),
        Seeded(2, ZERO_HASH, INT16, (600, 2)),
        Seeded(2, SEED, INT8, (784, 500)),
    ),
    3: (Seeded(3, SEED, INT8, (20, 3), (4, 5, 1, 3)), Seeded(3, SEED, INT8, (784, 40), (28, 28, 6, 18))),
}
"""Seeded tensors of each generator that have a vector: a new generator needs a line."""


def tables() -> list[dict[str, Any]]:
    named = {"exp": fixed.exp_table(), "ln": fixed.ln_table()}
    cases: list[dict[str, Any]] = [
        {
            "table": name,
            "entries": len(table),
            "sha256": hashlib.sha256(table.astype("<i8").tobytes()).hexdigest(),
        }
        for name, table in named.items()
    ]
    d = np.array([0, 1, 63, 64, 65, 1 << 16, (24 << 16) - 1, 24 << 16, 2**31], dtype=np.int64)
    s = np.array([2**32, 2**32 + 1, 2**33 - 1, 2**33, 10 << 32, 2**48 - 1], dtype=np.int64)
    cases.append({"function": "exp_q32", "x": d.tolist(), "y": fixed.exp_q32(d).tolist()})
    cases.append({"function": "ln_q32", "x": s.tolist(), "y": fixed.ln_q32(s).tolist()})
    k = [1, 2, 3, 5, 6, 10, 100, 65_535]
    return [*cases, {"function": "ln_q24", "x": k, "y": [fixed.ln_q24(each) for each in k]}]


def tensors() -> list[dict[str, Any]]:
    cases = []
    for dtype in DTYPES.values():
        info = np.iinfo(dtype)
        array = np.array([[info.min, 1, 2], [3, 4, info.max]], dtype=dtype)
        raw = tensor_bytes(array)
        cases.append(
            {
                "dtype": info.dtype.name,
                "array": array.tolist(),
                "bytes": raw.hex(),
                "id": blob_id(raw).hex(),
            }
        )
    return cases


def seeded() -> list[dict[str, Any]]:
    return [_seeded(source) for sources in SEEDS.values() for source in sources]


def _seeded(source: Seeded) -> dict[str, Any]:
    array = expand(source)
    case = {
        "name": SEEDED[source.generator].name,
        "source": to_json(source),
        "id": blob_id(tensor_bytes(array)).hex(),
    }
    return {**case, "array": array.tolist()} if array.size <= 64 else case


def layers() -> list[dict[str, Any]]:
    return [_layer(tag, segment) for tag, segments in SEGMENTS.items() for segment in segments]


def _layer(tag: int, segment: HiddenSegment | Output) -> dict[str, Any]:
    rng = np.random.default_rng(segment.weight_bits)
    limit = 2 ** (segment.weight_bits - 1) - 1
    shape, columns = segment.parameter_shapes()
    weights = rng.integers(-limit, limit + 1, shape).astype(f"int{segment.weight_bits}")
    bias = np.array([-(2**12), 0, 12_345, 77], dtype=np.int32)[: columns[0]]
    x = random_features(segment.fan_in, 6).astype(np.int64)
    result = exact_forward(segment, x, weights, bias)
    return {
        "kind": type(segment).__name__,
        "tag": tag,
        "segment": to_json(segment),
        "parameters": numbers_of((SegmentParameters(weights, bias),)),
        "peak": prove_peak(segment, weights, bias, 255),
        "x": x.tolist(),
        "y": (segment.scaled(result) if isinstance(segment, Output) else result).tolist(),
    }


def forwards() -> list[dict[str, Any]]:
    shares = (2.0**-12, 2.0**-6, 1.0)
    return [
        _forward(spec, network_parameters(spec, 11, share), share)
        for spec in (TWO_LAYERS, SMALL_MAPS, BRANCHED)
        for share in shares
    ]


def _forward(spec: NetworkSpec, parameters: Parameters, share: float) -> dict[str, Any]:
    features = random_features(spec.inputs, 6)
    bounds = prove_bounds(spec, parameters)
    return {
        "case": f"parameters within 2^{int(np.log2(share))} of the bounds",
        "spec": to_json(spec),
        "spec_bytes": encode(spec).hex(),
        "parameters": numbers_of(parameters),
        "bounds": {"hidden": bounds.hidden, "outputs": bounds.outputs},
        "macs_per_row": macs_per_row(spec),
        "features": features.tolist(),
        "logits": forward(spec, parameters, features).tolist(),
    }


def growth() -> list[dict[str, Any]]:
    first = network_parameters(TWO_LAYERS, 11)
    relative, (spec, parameters) = _growth(TWO_LAYERS, first, RELATIVE, Policy.RELATIVE, 2.0**-14)
    again = replace(RELATIVE, outputs=_later(RELATIVE.outputs), components=(GATE, 5, 6, 5))
    return [
        _growth(TWO_LAYERS, first, GROWTH, Policy.STRICT)[0],
        relative,
        _growth(spec, parameters, again, Policy.RELATIVE, 2.0**-6)[0],
    ]


def _later(outputs: Sequence[Output]) -> tuple[Output, ...]:
    """The outputs, four components further on."""
    return tuple(replace(output, first=output.first + 4) for output in outputs)


def _growth(
    spec: NetworkSpec, old: Parameters, growth: Growth, policy: Policy, share: float = 2.0**-12
) -> tuple[dict[str, Any], tuple[NetworkSpec, Parameters]]:
    """The case of a growth, and the grown network with its parameters."""
    grown = append(spec, growth, policy=policy, limits=LIMITS, capacity_from=spec.classes - 2)
    new = growth_parameters(spec, growth, 12, share)
    whole = merge_parameters(spec, old, growth, new)
    features = random_features(spec.inputs, 6)
    case = {
        "policy": int(policy),
        "spec": to_json(spec),
        "growth": to_json(growth),
        "growth_bytes": encode(growth).hex(),
        "grown": to_json(grown),
        "grown_bytes": encode(grown).hex(),
        "growth_macs_per_row": growth_macs_per_row(spec, growth),
        "old_parameters": numbers_of(old),
        "new_parameters": numbers_of(new),
        "features": features.tolist(),
        "old_logits": forward(spec, old, features).tolist(),
        "logits": forward(grown, whole, features).tolist(),
    }
    return case, (grown, whole)


def costs() -> list[dict[str, Any]]:
    cases = [_cost(spec, rows) for spec in (COSTED, CONVOLVED, BRANCHED) for rows in (50, 3_000)]
    gated = [_cost(TWO_LAYERS, rows, RELATIVE) for rows in (50, 3_000)]
    return cases + gated + [_cost(COSTED, rows, growth) for growth in COSTED_GROWTHS for rows in (50, 3_000)]


def _cost(spec: NetworkSpec, rows: int, growth: Growth | None = None) -> dict[str, Any]:
    """Of a network, or of a growth of it; the charges are those of the state machine's default rules."""
    rules = Rules()
    check_spec(spec, rules.networks)
    shown: dict[str, Any] = {"spec_bytes": encode(spec).hex(), "rows": rows, "classes": spec.classes + 1}
    if growth is None:
        whole = TrainUpdate(spec, (), ())
        return shown | {
            "runs": spec.totals.runs,
            "network_macs": network_macs(rules, whole, rows, spec.classes + 1),
        }
    policy = Policy.RELATIVE if GATE in growth.components else Policy.GATED
    grown = append(spec, growth, policy=policy, limits=replace(rules.networks, max_macs_per_row=2**40))
    return shown | {
        "growth_bytes": encode(growth).hex(),
        "grown_bytes": encode(grown).hex(),
        "runs": grown.totals.runs,
        "network_macs": network_macs(rules, TrainUpdate(grown, (), ()), rows, spec.classes + 1),
        "growth_macs": growth_macs(rules, spec, growth, (), rows),
    }


def losses() -> list[dict[str, Any]]:
    rows = [[0, 0, 0], [TOP, -TOP, 0], [-TOP, TOP, TOP], [1, 0, -1], [70_000, 131_072, -5], [24 << 16, 0, 1]]
    logits, labels = np.array(rows, dtype=np.int64), np.array([2, 1, 0, 0, 1, 0], dtype=np.uint16)
    return [
        {
            "kind": kind,
            "name": function.__name__,
            "logits": rows,
            "labels": labels.tolist(),
            "rows": loss_rows(kind, logits, labels).tolist(),
            "score": to_json(score(kind, logits, labels)),
        }
        for kind, function in LOSSES.items()
    ]


def parts() -> list[dict[str, Any]]:
    features, labels = random_features(3, 4), np.array([0, 1, 2, 300], dtype=np.uint16)
    raw = part_bytes(features, labels)
    return [
        {
            "features": features.tolist(),
            "labels": labels.tolist(),
            "bytes": raw.hex(),
            "salt": SEED.hex(),
            "commitment": part_commitment(SEED, raw).hex(),
        }
    ]


REPLAYED: Final = NetworkSpec(
    784,
    10,
    (),
    (DenseRelu(1, 0, 784, 256, 4, 8, 8), DenseSquare(1, 0, 784, 64, 8, 12, 13, 8, 8)),
    (Output(1, 0, 320, 0, 10, 5, 16),),
)
REPLAYED_PARAMETERS: Final = (
    (Seeded(3, SEED, INT8, (784, 256), (28, 28, 6, 18)), 1, (-1000, 16)),
    (Seeded(2, SEED, INT8, (784, 64)), 101, (0, 0)),
    (Seeded(2, ZERO_HASH, INT16, (320, 10)), 321, (0, 1)),
)
"""Of each segment: the seeded weights, a factor for all of them; the first bias, the step to the next one."""


def replay() -> list[dict[str, Any]]:
    parameters = [
        {"weights": {"source": to_json(source), "times": times}, "bias": {"first": first, "step": step}}
        for source, times, (first, step) in REPLAYED_PARAMETERS
    ]
    made: dict[str, Any] = {
        "spec": to_json(REPLAYED),
        "spec_bytes": encode(REPLAYED).hex(),
        "parameters": parameters,
        "features": {"shake_256": SEED.hex(), "rows": 300},
        "labels": {"times": 7, "classes": 10},
    }
    return [made | replayed(made, FAST)]


def replayed(made: Mapping[str, Any], engine: Engine) -> dict[str, Any]:
    """Digest and loss of the network of real size that an entry of `nn_replay` describes."""
    spec = decode(NetworkSpec, bytes.fromhex(made["spec_bytes"]))
    parameters = tuple(_made(each) for each in made["parameters"])
    rows = made["features"]["rows"]
    pixels = hashlib.shake_256(bytes.fromhex(made["features"]["shake_256"])).digest(rows * spec.inputs)
    features = np.frombuffer(pixels, dtype=np.uint8).reshape(rows, spec.inputs)
    labels = (np.arange(rows) * made["labels"]["times"] % made["labels"]["classes"]).astype(np.uint16)
    logits = forward(spec, parameters, features, engine=engine)
    digest = hashlib.sha256(logits.astype("<i8").tobytes()).hexdigest()
    return {"logits_sha256": digest, "score": to_json(score(LossKind.SOFTMAX_CROSS_ENTROPY, logits, labels))}


def _made(parameters: Mapping[str, Any]) -> SegmentParameters:
    weights, bias = parameters["weights"], parameters["bias"]
    drawn = expand(from_json(Seeded, weights["source"]))
    width = drawn.shape[1]
    column = np.arange(width, dtype=np.int32) * bias["step"] + bias["first"]
    return SegmentParameters(drawn * drawn.dtype.type(weights["times"]), column.astype(np.int32))


MAKERS: Mapping[str, Callable[[], list[dict[str, Any]]]] = {
    "fixed": tables,
    "tensor": tensors,
    "seeded": seeded,
    "layers": layers,
    "forward": forwards,
    "growth": growth,
    "union": unions,
    "costs": costs,
    "loss": losses,
    "part": parts,
    "replay": replay,
}


def main() -> None:
    for name, make in MAKERS.items():
        text = json.dumps(make(), indent=None, ensure_ascii=False).replace("}, {", "},\n {") + "\n"
        (FOLDER / f"nn_{name}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
