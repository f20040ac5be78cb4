"""A model whose network is real, on mined lines of headers, and a client whose node serves such a line."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from engram.consensus.block import BlockHeader
from engram.consensus.genesis import genesis
from engram.nn.network import Parameters
from engram.nn.spec import NetworkSpec
from engram.nn.tensor import Explicit, tensor_bytes
from engram.node.client import RpcClient
from engram.node.errors import BlockNotFound, RemoteError
from engram.node.rpc.proofs import bundle_file
from engram.participant.memory.slow import Trust
from engram.primitives.types import ZERO_HASH, Hash
from engram.statemachine.additions import SegmentSources, TrainUpdate, parameters_root
from engram.statemachine.content import blob_id
from tests.support.proof_chain import (
    AUTHOR,
    MODEL,
    MODEL_RECORD,
    ROUND_RECORD,
    VERSION_RECORD,
    mined,
    tree_of,
)
from tests.support.published import SPEC, Published

VERSION_HEIGHT: Final = VERSION_RECORD.height


class ProvenModel:
    """The records of a network on a chain, and the bytes of its tensors."""

    def __init__(
        self, spec: NetworkSpec, parameters: Parameters, number: int = 1, height: int = VERSION_HEIGHT
    ) -> None:
        """With another `number` and `height` it is another version of the same parameters."""
        sources = []
        self.blobs: dict[Hash, bytes] = {}
        for segment in parameters:
            raws = [tensor_bytes(array) for array in (segment.weights, segment.bias)]
            self.blobs |= {blob_id(raw): raw for raw in raws}
            sources.append(SegmentSources(*(Explicit(blob_id(raw)) for raw in raws)))
        hidden = len(spec.hidden)
        update = TrainUpdate(spec, tuple(sources[:hidden]), tuple(sources[hidden:]))
        root = parameters_root(VERSION_RECORD.parent, AUTHOR, update)
        model = replace(MODEL_RECORD, inputs=spec.inputs, classes=spec.classes, root=root, head=number)
        version = replace(VERSION_RECORD, root=root, added=update, number=number, height=height)
        self.height = height
        self.tree = tree_of(model, version, replace(ROUND_RECORD, new_version=number))

    def line(self, blocks: int, *, later_ms: int = 0, on: Published | None = None) -> Published:
        """Mined headers of this state, up to height `blocks`; with other `later_ms` it is another line."""
        line: list[BlockHeader] = [*on.line] if on is not None else [genesis(SPEC).block.header]
        while len(line) <= blocks:
            height = len(line)
            root = self.tree.root if height >= self.height else ZERO_HASH
            time_ms = line[-1].timestamp_ms + SPEC.block_time_ms + later_ms
            line.append(mined(SPEC, line, state_root=root, timestamp_ms=time_ms))
        return Published(SPEC, tuple(line), self.tree.nodes)


class LineNode(RpcClient):
    """A client whose node has this line as its best chain, and these tensors."""

    def __init__(self, line: Published, model: ProvenModel) -> None:
        super().__init__("http://nobody")
        self.line = line
        self.model = model
        self.asked: list[Hash | None] = []
        """The checkpoints that were asked for."""
        self.answer: Any = None
        """What it answers instead of the truth."""

    async def call(self, method: str, **params: Any) -> Any:
        assert method == "model_prove"
        checkpoint = params["checkpoint"]
        self.asked.append(checkpoint)
        if self.answer is not None:
            return self.answer
        try:
            bundle = self.line.bundle(params["id"], checkpoint=checkpoint, depth=params["confirmations"])
        except BlockNotFound as error:
            raise RemoteError(str(error), code=error.code) from error
        return bundle_file(bundle)

    async def blob(self, identity: bytes) -> bytes:
        return self.model.blobs[identity]


def trust_of(min_work: int = 1) -> Trust:
    """The trust of a participant who means these lines."""
    return Trust(SPEC, MODEL, min_work)
