"""Explains to people what a version predicts for some rows, and who made its neurons. No part of consensus.

Logits are the same integers that the chain computes. Probabilities are floats that are made from them here,
for display only.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from engram.nn.contributions import Contributions, contributions
from engram.nn.dtypes import UINT8
from engram.nn.spec import layer_widths, macs_per_row, neurons
from engram.nn.tensor import tensor_array
from engram.node.errors import FeaturesInvalid
from engram.node.rpc.render import Renderer
from engram.statemachine.context import BlockContext
from engram.statemachine.loading import composed_network, composition_of, version_network
from engram.statemachine.parameters import Composition
from engram.statemachine.records import Version
from engram.statemachine.state import State

if TYPE_CHECKING:
    from engram.nn.network import Features

_CAPITAL: Final = re.compile("(?<!^)([A-Z])")
MAX_ROWS: Final = 1_000
MAX_FEATURES: Final = 4 * 1024 * 1024
MAX_EXPLAINED: Final = 128
"""The most rows of one call that are explained: that takes more time than a prediction, and more bytes."""
MAX_PARTS: Final = 16_384
"""The most parts of one call: so many rows times groups."""
_Q16: Final = 65_536


def predict(
    state: State, ctx: BlockContext, version: Version, rows: Sequence[object]
) -> list[dict[str, Any]]:
    """For each row: the predicted class, its probability, and all logits in units of 2^-16 nat.

    It is CPU work: call it in a worker thread. Raises `FeaturesInvalid` for rows that do not fit the model,
    `MissingBlob` if this node lacks the version's tensors.
    """
    network = version_network(state, ctx, version)
    answers = ctx.scorer.logits(network, features_of(rows, network.spec.inputs)).tolist()
    return [explained(logits) for logits in answers]


def explain(
    state: State, ctx: BlockContext, version: Version, rows: Sequence[object]
) -> list[dict[str, Any]]:
    """As `predict`, and for each row the parts of its largest logit and of that logit's lead over the next.

    `nn.contributions` says what the parts are; the groups are those of `lineage`, in the same order. Raises
    what `predict` raises, and `FeaturesInvalid` for more rows than a call may explain.
    """
    composition = composition_of(state, ctx, version)
    groups, owners = composition.groups(version.number)
    most = max(1, min(MAX_EXPLAINED, MAX_PARTS // len(groups)))
    if len(rows) > most:
        raise FeaturesInvalid("too many rows to explain at once", expected=f"1..{most}", got=len(rows))
    answers = predict(state, ctx, version, rows)
    network = composed_network(ctx, composition)
    parameters, bounds = network.load()
    features = features_of(rows, network.spec.inputs)
    found = contributions(network.spec, parameters, features, owners, bounds)
    return [{**answer, **parts} for answer, parts in zip(answers, parts_of(found), strict=True)]


def parts_of(found: Contributions) -> Iterator[dict[str, Any]]:
    """The parts of each row in units of 2^-16 nat, for people and their programs.

    `parts` names only groups that add something. All of `parts` and `rest` add up to the logit of the
    predicted class, and to `margin`, its lead over the class `runner_up`; these are null if there is one
    class alone.
    """
    rest = {"norms": found.norms, "rounding": found.rounding, "clipping": found.clipping}
    columns = [found.ranked, found.logits, found.parts, found.neurons, *rest.values()]
    by_row = zip(*(each.tolist() for each in columns), strict=True)
    for classes, logits, parts, through_neurons, *others in by_row:
        yield {
            "runner_up": classes[1] if len(classes) > 1 else None,
            "margin": _lead(logits),
            "parts": [
                {
                    "group": group,
                    "logit": of_logits[0],
                    "margin": _lead(of_logits),
                    "neurons_logit": through[0],
                    "neurons_margin": _lead(through),
                }
                for group, (of_logits, through) in enumerate(
                    zip(zip(*parts, strict=True), zip(*through_neurons, strict=True), strict=True)
                )
                if any(of_logits) or any(through)
            ],
            "rest": {
                name: {"logit": values[0], "margin": _lead(values)}
                for name, values in zip(rest, others, strict=True)
            },
        }


def _lead(ranks: Sequence[int]) -> int | None:
    """What the first has more than the second; None if there is no second."""
    return ranks[0] - ranks[1] if len(ranks) > 1 else None


def features_of(rows: Sequence[object], inputs: int) -> Features:
    """Rows of whole numbers from 0 to 255 as an array. Raises `FeaturesInvalid`."""
    return cast("Features", tensor_array(_tensor_of(rows, inputs)))


def explained(logits: Sequence[int]) -> dict[str, Any]:
    """The predicted class of a row, its probability, and all logits in units of 2^-16 nat."""
    chances = probabilities(logits)
    label = logits.index(max(logits))
    return {"class": label, "probability": chances[label], "logits": list(logits)}


def probabilities(logits: Sequence[int]) -> list[float]:
    """The softmax of logits, which are given in units of 2^-16 nat."""
    best = max(logits)
    weights = [math.exp((logit - best) / _Q16) for logit in logits]
    total = sum(weights)
    return [weight / total for weight in weights]


def lineage(network: Composition, version: int, render: Renderer) -> list[dict[str, Any]]:
    """How many hidden neurons of a version each author made, and in which version, oldest first.

    An author who added only outputs is listed with 0 neurons. `classes` are those that came with the version.
    """
    return [
        {
            "neurons": group.neurons,
            "version": group.version,
            "author": render.address(group.author),
            "classes": list(group.classes),
        }
        for group in network.groups(version)[0]
    ]


def summary(version: Version, network: Composition, render: Renderer) -> dict[str, Any]:
    """A version, with classes, neurons, layers, growths, segments, bytes and cost per row of its network."""
    spec = network.spec
    return {
        **render.record(version),
        "classes": spec.classes,
        "neurons": neurons(spec),
        "layers": list(layer_widths(spec)),
        "growths": network.steps,
        "segments": spec.totals.segments,
        "parameter_bytes": spec.totals.parameter_bytes,
        "macs_per_row": macs_per_row(spec),
    }


def layer_kinds(network: Composition) -> list[list[str]]:
    """Which kinds of segments each hidden layer has, such as `conv_relu` or `dense_relu`, from layer 1 on."""
    kinds: list[set[str]] = [set() for _ in layer_widths(network.spec)[1:]]
    for segment in network.spec.hidden:
        kinds[segment.layer - 1].add(_CAPITAL.sub(r"_\1", type(segment).__name__).lower())
    return [sorted(each) for each in kinds]


def _tensor_of(rows: Sequence[object], inputs: int) -> bytes:
    """The canonical bytes of the rows as a uint8 tensor of shape (rows, inputs). Raises `FeaturesInvalid`."""
    most = min(MAX_ROWS, MAX_FEATURES // inputs)
    if not 1 <= len(rows) <= most:
        raise FeaturesInvalid("wrong number of rows", expected=f"1..{most}", got=len(rows))
    sizes = b"".join(size.to_bytes(4, "little") for size in (len(rows), inputs))
    return bytes([UINT8, 2]) + sizes + b"".join(_row(index, row, inputs) for index, row in enumerate(rows))


def _row(index: int, row: object, inputs: int) -> bytes:
    if not isinstance(row, list) or len(row) != inputs:
        got = len(row) if isinstance(row, list) else type(row).__name__
        raise FeaturesInvalid(
            f"row {index} does not have as many values as the model has inputs", expected=inputs, got=got
        )
    if not all(type(value) is int and 0 <= value <= 255 for value in row):
        raise FeaturesInvalid(
            f"row {index} holds a value that is not a whole number from 0 to 255", expected="0..255"
        )
    return bytes(row)
