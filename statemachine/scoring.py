"""Scores of networks on data parts, through a cache that changes no result; and what a score costs.

A score is a function of parameters root, part, number of classes, loss and engine version alone; activations
of parameters root, part and engine version. Roots and parts name their bytes: nothing cached is out of date.

    score key         tagged_hash(Tag.CACHE, 0x01 ‖ engine ‖ root ‖ part ‖ classes ‖ loss)
    activations key   tagged_hash(Tag.CACHE, 0x02 ‖ engine ‖ root ‖ part)        integers: 4 bytes, big-endian
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Protocol

from engram.nn.data import PartData, part_size
from engram.nn.evaluate import FrozenActivations, logits_of
from engram.nn.fixed import Int64Array
from engram.nn.gemm import ENGINE_VERSION, FAST, Engine
from engram.nn.growth import (
    Growth,
    forward_frozen,
    forward_growth,
    grown_spec,
    growth_macs_per_row,
    null_growth_logits,
)
from engram.nn.loss import LossKind, Score, score
from engram.nn.network import Features, NetworkSpec, forward
from engram.nn.spec import call_macs, logit_macs, macs_per_row, setup_macs
from engram.primitives.hashing import Tag, tagged_hash
from engram.primitives.types import Hash
from engram.statemachine.parameters import (
    HasParameters,
    HasSources,
    Network,
    growth_bytes,
    parameter_bytes,
    seeded_macs,
)
from engram.statemachine.record import u32
from engram.statemachine.rules import Rules


class ScoreCache(Protocol):
    """What a shell may remember for the scorer. Forgetting is always allowed."""

    def get(self, key: Hash) -> Score | None:
        """The score put under this key."""
        ...

    def put(self, key: Hash, score: Score) -> None:
        """Offers a score."""

    def get_activations(self, key: Hash) -> FrozenActivations | None:
        """The activations put under this key."""
        ...

    def put_activations(self, key: Hash, activations: FrozenActivations) -> None:
        """Offers activations; `size_bytes` says how much memory they take."""


class NoCache:
    """Remembers nothing."""

    def get(self, key: Hash) -> Score | None:
        return None

    def put(self, key: Hash, score: Score) -> None:
        return None

    def get_activations(self, key: Hash) -> FrozenActivations | None:
        return None

    def put_activations(self, key: Hash, activations: FrozenActivations) -> None:
        return None


class DataPart:
    """A data part by its commitment, read when its rows are first needed."""

    __slots__ = ("_load", "_loaded", "activations", "id")

    def __init__(self, part_id: Hash, load: Callable[[], PartData]) -> None:
        self.id: Final = part_id
        self._load = load
        self._loaded: PartData | None = None
        self.activations: Final[dict[Hash, FrozenActivations]] = {}
        """What networks computed on the rows in the life of this object, by parameters root."""

    def load(self) -> PartData:
        """The rows. Raises `BadPart`, `LabelOutOfRange`; `MissingBlob` where this node does not hold them."""
        if self._loaded is None:
            self._loaded = self._load()
        return self._loaded


class Scorer:
    """Computes scores. What a cache holds decides how long it takes and nothing else."""

    __slots__ = ("_cache", "_engine")

    def __init__(self, cache: ScoreCache | None = None, engine: Engine = FAST) -> None:
        self._cache: Final[ScoreCache] = NoCache() if cache is None else cache
        self._engine: Final = engine

    def score_network(
        self, network: Network, part: DataPart, classes: int, loss_kind: LossKind, *, keep: bool = False
    ) -> Score:
        """The score on a part with labels below `classes`; classes that the network lacks have logit 0.

        `keep`: growths of this network will be scored on the same part, so its activations go to the cache;
        the caller has seen that they are few enough to be held in memory. Raises what `Network.load` and
        `DataPart.load` raise; `ShapeMismatch`.
        """

        def logits() -> Int64Array:
            if keep:
                return logits_of(network.spec, self._activations(network, part).sums)
            return self.logits(network, part.load().features)

        return self._score(network, part, classes, loss_kind, logits)

    def score_growth(
        self, base: Network, grown: Network, part: DataPart, classes: int, loss_kind: LossKind
    ) -> Score:
        """`score_network(grown, …)` in the time of the segments that `base` lacks, if its activations are
        kept.

        Where they are not, they are made again: whoever asks is charged for that in any case. Raises as
        `score_network` does, for the new segments' parameters; the base has been scored before.
        """

        def logits() -> Int64Array:
            growth, added = grown.load_growth(base.spec)
            frozen = self._activations(base, part)
            return forward_growth(base.spec, frozen, growth, added, engine=self._engine)

        return self._score(grown, part, classes, loss_kind, logits)

    def logits(self, network: Network, features: Features) -> Int64Array:
        """Logits (n, classes), Q16 nats, of uint8 features (n, inputs). Raises as `load`; `ShapeMismatch`."""
        parameters, bounds = network.load()
        return forward(network.spec, parameters, features, bounds, self._engine)

    def _score(
        self,
        network: Network,
        part: DataPart,
        classes: int,
        loss_kind: LossKind,
        logits: Callable[[], Int64Array],
    ) -> Score:
        key = score_key(network.root, part.id, classes, loss_kind)
        known = self._cache.get(key)
        if known is None:
            grown = null_growth_logits(logits(), max(0, classes - network.spec.classes))
            known = score(loss_kind, grown, part.load().labels)
            self._cache.put(key, known)
        return known

    def _activations(self, network: Network, part: DataPart) -> FrozenActivations:
        """Once for all growths that one transaction scores on the part, cache or not."""
        if network.root not in part.activations:
            part.activations[network.root] = self._cached_activations(network, part)
        return part.activations[network.root]

    def _cached_activations(self, network: Network, part: DataPart) -> FrozenActivations:
        key = activations_key(network.root, part.id)
        kept = self._cache.get_activations(key)
        if kept is None:
            parameters, bounds = network.load()
            kept = forward_frozen(network.spec, parameters, part.load().features, bounds, self._engine)
            self._cache.put_activations(key, kept)
        return kept


def score_key(root: Hash, part: Hash, classes: int, loss_kind: LossKind) -> Hash:
    """Name of a score."""
    return tagged_hash(Tag.CACHE, b"\x01", u32(ENGINE_VERSION), root, part, u32(classes), u32(loss_kind))


def activations_key(root: Hash, part: Hash) -> Hash:
    """Name of all activations of a network on a part."""
    return tagged_hash(Tag.CACHE, b"\x02", u32(ENGINE_VERSION), root, part)


def network_macs(rules: Rules, network: HasParameters, rows: int, classes: int = 0) -> int:
    """Charge for scoring a whole network on one part, from declared shapes alone.

    rows·(macs_per_row + logit_macs of classes beyond the network's) + call_macs of all segments
    + macs_per_loaded_byte·part bytes + loading_macs. Raises as `check_seeded` for a source that has not been
    checked.
    """
    spec = network.spec
    added = max(0, classes - spec.classes)
    work = rows * (macs_per_row(spec) + logit_macs(added, added))
    work += call_macs(spec, len(spec.hidden) + len(spec.outputs), rows)
    return work + rules.macs_per_loaded_byte * part_size(rows, spec.inputs) + loading_macs(rules, network)


def loading_macs(rules: Rules, network: HasParameters) -> int:
    """Charge for reading, making, checking and bounding all parameters of a network.

    macs_per_loaded_byte·tensor bytes + setup_macs of its segments + seeded_macs. Raises as `check_seeded`.
    """
    spec, sources = network.spec, (*network.hidden, *network.outputs)
    setup = setup_macs(len(spec.hidden) + len(spec.outputs)) + seeded_macs(sources)
    return rules.macs_per_loaded_byte * parameter_bytes(spec) + setup


def growth_macs(
    rules: Rules, spec: NetworkSpec, growth: Growth, sources: Iterable[HasSources], rows: int
) -> int:
    """Charge for scoring a growth of `spec` on one part: its own segments only.

    A transaction that brings growths is charged `network_macs` of `spec` on the part besides, once for all of
    them. rows·growth_macs_per_row + call_macs + setup_macs + macs_per_loaded_byte·tensor bytes + seeded_macs,
    all of the growth; `sources` are those of its segments. Raises as `check_seeded`.
    """
    segments = len(growth.hidden) + len(growth.outputs)
    work = rows * growth_macs_per_row(spec, growth) + call_macs(grown_spec(spec, growth), segments, rows)
    setup = setup_macs(segments) + seeded_macs(sources)
    return work + setup + rules.macs_per_loaded_byte * growth_bytes(spec, growth)
