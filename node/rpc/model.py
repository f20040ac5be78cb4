"""RPC methods on models: versions, scores, badges, predictions, proofs; and on revealed data parts."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, TypeVar

from engram.node.rpc.explain import MAX_ROWS, explain, layer_kinds, lineage, predict, summary
from engram.node.rpc.headview import HeadViews
from engram.node.rpc.idlists import listed_ids
from engram.node.rpc.jsonrpc import INVALID_PARAMS, RpcFault, rpc_method
from engram.node.rpc.parameters import ID, IdBytes, ListForm
from engram.node.rpc.proofs import CONFIRMATIONS, build_bundle, bundle_file
from engram.node.rpc.render import Renderer
from engram.node.rpc.results.model import (
    PredictionsResult,
    ProofResult,
    PublicPart,
    VersionResult,
    VersionWithLineage,
)
from engram.node.rpc.results.schemas import Hex
from engram.primitives.codec import encode
from engram.statemachine.loading import composition_of, line_of
from engram.statemachine.record import Record
from engram.statemachine.records import Badge, Model, Part, PartBytes, Reputation, ScoreEntry, Version
from engram.statemachine.rounds.records import RoundKind

R = TypeVar("R", bound=Record)

MAX_CONTENTS: Final = 256
FeatureRows = Annotated[
    list[list[int]],
    ListForm({"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 255}}, 1, MAX_ROWS),
]
ContentIds = Annotated[list[str], ListForm(ID.schema, 0, MAX_CONTENTS)]
"""The most contents in one call of `part_bytes`: a round has at most so many parts."""


@dataclass(frozen=True)
class ModelMethods:
    """Models: versions, scores, badges, predictions and proofs."""

    views: HeadViews
    render: Renderer
    busy: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    """Predictions and proofs run one at a time."""

    @rpc_method(list[Model])
    async def model_list(self) -> list[dict[str, Any]]:
        """Every model of the chain."""
        return await self.views.threads.run(self._list, Model)

    @rpc_method(Model)
    async def model_get(self, id: IdBytes) -> dict[str, Any]:
        """One model: its rules, its current version, its retention parts."""
        return await self.views.threads.run(lambda: self.render.record(self.views.now().state.get(Model, id)))

    @rpc_method(VersionWithLineage)
    async def model_version(
        self, id: IdBytes, version: int | None = None, number: int | None = None
    ) -> dict[str, Any]:
        """A version of a model, by default the current one, with the roots of all versions up to it.

        `layers` are the widths of all layers, the inputs first; `layer_kinds` says of each further one what
        it is made of. `number` is an older name of `version`; a request gives one of them.
        """
        if version is not None and number is not None:
            raise RpcFault(INVALID_PARAMS, "version and number are two names of one parameter: give one")
        return await self.views.threads.run(self._version, id, number if version is None else version)

    @rpc_method(list[VersionResult])
    async def model_versions(self, id: IdBytes) -> list[dict[str, Any]]:
        """All versions of a model, from its founding on, without their lineage."""
        return await self.views.threads.run(self._versions, id)

    @rpc_method(list[ScoreEntry])
    async def model_scores(self, id: IdBytes) -> list[dict[str, Any]]:
        """The ledger: what each version of a model scored on each part."""
        return await self.views.threads.run(self._list, ScoreEntry, id)

    @rpc_method(list[Badge])
    async def model_badges(self, id: IdBytes) -> list[dict[str, Any]]:
        """The badges given for work on a model."""
        return await self.views.threads.run(self._list, Badge, id)

    @rpc_method(list[Reputation])
    async def model_reputation(self, id: IdBytes) -> list[dict[str, Any]]:
        """Who removed how much of a model's sealed loss."""
        return await self.views.threads.run(self._list, Reputation, id)

    @rpc_method(list[Hex])
    async def model_line(self, id: IdBytes, version: int | None = None) -> list[str]:
        """What a version's network is made of: encoded additions, from a whole network to its last growth."""
        return await self.views.threads.run(self._line, id, version)

    @rpc_method(PredictionsResult)
    async def model_predict(
        self, id: IdBytes, rows: FeatureRows, version: int | None = None, explain: bool = False
    ) -> dict[str, Any]:
        """What a version sees in rows of features 0 to 255: classes, probabilities, logits, whose neurons.

        `lineage` lists the groups of neurons: `version` and `author` that made them, and the `classes` that
        came with the version. With `explain`, each prediction has its `parts` in units of 2^-16 nat: what
        each `group`, counted from 0 in `lineage`, adds to the largest `logit` and to its `margin` over the
        class `runner_up`; `neurons_logit` and `neurons_margin` are what of it came through neurons of the
        group, the others being biases and inputs that its outputs read directly. `rest` is no group's:
        `norms` between stages of classes, `rounding`, `clipping`. Parts and rest add up to logit and margin.
        At most 128 rows are explained at once, and rows times groups are at most 16,384.
        """
        async with self.busy:
            return await self.views.slow.run(self._predict, id, rows, version, explain)

    @rpc_method(ProofResult)
    async def model_prove(
        self,
        id: IdBytes,
        version: int | None = None,
        checkpoint: IdBytes | None = None,
        confirmations: int = CONFIRMATIONS,
    ) -> dict[str, Any]:
        """A proof bundle of a version, from genesis or from a block that the verifier trusts."""
        async with self.busy:
            return await self.views.slow.run(
                lambda: bundle_file(build_bundle(self.views.now(), id, version, checkpoint, confirmations))
            )

    @rpc_method(Part)
    async def part_get(self, id: IdBytes) -> dict[str, Any]:
        """A revealed data part; its bytes are the blob that it names."""
        return await self.views.threads.run(lambda: self.render.record(self.views.now().state.get(Part, id)))

    @rpc_method(list[PublicPart])
    async def part_bytes(self, contents: ContentIds) -> list[dict[str, Any]]:
        """Since which tick the bytes of parts are public, whatever their salt; null if they are not.

        `contents` are the ids of the bytes as blobs. They are hashes without a salt: who can guess the rows
        of a part knows it again by its id, so an owner of secret parts asks their own node only.
        """
        asked = listed_ids(contents, MAX_CONTENTS)
        return await self.views.threads.run(self._part_bytes, asked)

    def _part_bytes(self, contents: list[bytes]) -> list[dict[str, Any]]:
        state = self.views.now().state
        known = [(content, state.find(PartBytes, content)) for content in contents]
        return [
            {"content": content.hex(), "public_since": None if record is None else record.tick}
            for content, record in known
        ]

    def _records(self, cls: type[R], model: bytes) -> list[R]:
        view = self.views.now()
        view.state.get(Model, model)
        return list(view.records(cls, model))

    def _list(self, cls: type[Record], model: bytes | None = None) -> list[dict[str, Any]]:
        found = list(self.views.now().records(cls)) if model is None else self._records(cls, model)
        return [self.render.record(record) for record in found]

    def _version(self, model: bytes, number: int | None) -> dict[str, Any]:
        view = self.views.now()
        version = view.version(model, number)
        versions = list(view.records(Version, model))
        later = versions[version.number + 1 :]
        frozen = later[0].kind == RoundKind.GROW if later else view.state.get(Model, model).frozen
        path = [older.root.hex() for older in versions[: version.number + 1]]
        network = composition_of(view.state, self.views.next_block(view), version)
        made = lineage(network, version.number, self.render)
        return {
            **summary(version, network, self.render),
            "layer_kinds": layer_kinds(network),
            "lineage": made,
            "frozen": frozen,
            "path": path,
        }

    def _versions(self, model: bytes) -> list[dict[str, Any]]:
        view = self.views.now()
        ctx = self.views.next_block(view)
        return [
            summary(version, composition_of(view.state, ctx, version), self.render)
            for version in self._records(Version, model)
        ]

    def _line(self, model: bytes, number: int | None) -> list[str]:
        view = self.views.now()
        return [encode(added).hex() for added in line_of(view.state, view.version(model, number))]

    def _predict(
        self, model: bytes, rows: list[list[int]], number: int | None, with_parts: bool
    ) -> dict[str, Any]:
        view = self.views.now()
        version = view.version(model, number)
        ctx = self.views.next_block(view)
        predictions = (explain if with_parts else predict)(view.state, ctx, version, rows)
        network = composition_of(view.state, ctx, version)
        return {
            "version": version.number,
            "classes": network.spec.classes,
            "predictions": predictions,
            "lineage": lineage(network, version.number, self.render),
        }
