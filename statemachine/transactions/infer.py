"""Infer: asks for a prediction. Every node computes it, and the block's header commits to the receipt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Final, cast

from engram.nn.dtypes import UINT8
from engram.nn.errors import ShapeMismatch
from engram.nn.network import Features, predict
from engram.nn.tensor import dtype_code, tensor_array
from engram.primitives.types import U32, Address, Hash, Size
from engram.statemachine.context import BlockContext
from engram.statemachine.errors import TooManyRows
from engram.statemachine.loading import check_version_usable, composition_of, version_network
from engram.statemachine.receipt import Event
from engram.statemachine.record import u32
from engram.statemachine.records import Model, Version
from engram.statemachine.rules import Rules
from engram.statemachine.scoring import network_macs
from engram.statemachine.state import State
from engram.statemachine.transaction import Cost, Outcome

ANSWER_MACS: Final = 2**14
"""MACs charged for writing one logit into a receipt; so many take about the same time."""

ANSWERS_PER_RECORD: Final = 8
"""So many logits are charged as one record, because every node must keep the receipt."""


@dataclass(frozen=True)
class Infer:
    """Asks for the prediction of a version of a model on some rows."""

    KIND: ClassVar[int] = 6
    NAME: ClassVar[str] = "infer"
    model: Hash
    version: U32 | None
    """Number of the version. None means the model's head at the time when the transaction is included."""
    features: Annotated[bytes, Size(1, 2**20)]
    """Canonical bytes of a uint8 tensor (rows, inputs)."""

    def check(self, rules: Rules) -> None:
        """Raises `BadTensor`, `ShapeMismatch`, `TooManyRows`."""
        rows = len(self._rows())
        if rows > rules.max_infer_rows:
            raise TooManyRows(expected=rules.max_infer_rows, got=rows)

    def cost(self, state: State, ctx: BlockContext, sender: Address) -> Cost:
        """The MACs of a full forward pass and of the answer, and the answer's room in the receipt.

        Raises `MissingRecord`, `ShapeMismatch`, `TooManyRows`, `BlobNotUsable`.
        """
        version = self._version(state)
        rows, inputs = self._rows().shape
        if inputs != (expected := state.get(Model, self.model).inputs):
            raise ShapeMismatch("the rows and the model differ in inputs", expected=expected, got=inputs)
        network = composition_of(state, ctx, version)
        if (values := rows * network.spec.classes) > ctx.rules.max_infer_values:
            most = ctx.rules.max_infer_values
            raise TooManyRows("the answer has too many logits for a receipt", expected=most, got=values)
        check_version_usable(ctx, version)
        macs = network_macs(ctx.rules, network, rows) + ANSWER_MACS * values
        return Cost(macs=macs, records=-(-values // ANSWERS_PER_RECORD))

    def apply(self, state: State, ctx: BlockContext, sender: Address, txid: Hash) -> Outcome:
        """Gives one event for each row: version, row, predicted class, then the logits in Q16 nats.

        Raises what `cost` raises, and `MissingBlob`.
        """
        version = self._version(state)
        logits = ctx.scorer.logits(version_network(state, ctx, version), self._rows())
        answers = zip(predict(logits).tolist(), logits.tolist(), strict=True)
        return Outcome(
            tuple(
                Event("prediction", self.model, (version.number, row, label, *values))
                for row, (label, values) in enumerate(answers)
            )
        )

    def _rows(self) -> Features:
        array = tensor_array(self.features)
        if dtype_code(array.dtype) != UINT8 or array.ndim != 2:
            raise ShapeMismatch(
                "features are not uint8 rows", expected=("uint8", 2), got=(str(array.dtype), array.ndim)
            )
        return cast("Features", array)

    def _version(self, state: State) -> Version:
        number = state.get(Model, self.model).head if self.version is None else self.version
        return state.get(Version, self.model, u32(number))
