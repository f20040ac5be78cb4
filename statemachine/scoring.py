"""Scores of networks on data parts, through a cache that changes no result; and what a score costs.

A score follows from the parameters root, the part, the number of classes, the loss and the engine version,
and from nothing else; activations follow from the root, the part and the engine version. The hash of all
these is the key in the cache. Roots and part ids are hashes of the bytes they stand for, so an entry can
never be stale.

    score key         tagged_hash(Tag.CACHE, 0x01 ‖ engine ‖ root ‖ part ‖ classes ‖ loss)
    activations key   tagged_hash(Tag.CACHE, 0x02 ‖ engine ‖ root ‖ part)        integers: 4 bytes, big-endian
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Final, Protocol

from engram.nn.data import PartData, part_size
from engram.nn.dtypes import IntArray
from engram.nn.engine import ENGINE_VERSION, FAST, Engine, Frozen
from engram.nn.evaluate import joined_network, unstarted
from engram.nn.fixed import Int64Array
from engram.nn.growth import Growth, growth_chunk_rows, growth_macs_per_row, peaks_on
from engram.nn.layers.joining import interval_count, run_count
from engram.nn.logits import GATE
from engram.nn.loss import LossKind, Measure, RowScores, Score
from engram.nn.network import Features, NetworkSpec, Parameters, forward
from engram.nn.parameters import Bounds
from engram.nn.seeded import Seeded, expand, generation_macs
from engram.nn.spec import (
    call_macs,
    chunk_rows,
    component_count,
    gate_calls,
    layer_widths,
    logit_macs,
    macs_per_row,
    setup_macs,
)
from engram.nn.totals import tensor_bytes_of
from engram.primitives.hashing import Tag, hash_object, tagged_hash
from engram.primitives.types import Hash
from engram.statemachine.additions import HasSources, drawn_bytes, seeded_macs
from engram.statemachine.parameters import Composition, GrownNetwork, HasParameters, WholeNetwork
from engram.statemachine.record import u32
from engram.statemachine.rules import LOOKUP_MACS, Rules

AnyNetwork = WholeNetwork | GrownNetwork
LoadedNetwork = tuple[NetworkSpec, Parameters, Bounds]
"""A network ready to be evaluated, in the form of `joined_network`."""


class ScoreCache(Protocol):
    """Where scores and activations may be remembered. It may forget any of them at any time."""

    def get(self, key: Hash) -> RowScores | None:
        """The scores of rows that were put under this key, if they are remembered."""
        ...

    def put(self, key: Hash, scores: RowScores) -> None:
        """Offers scores to be remembered; their `size_bytes` says how much memory they take."""

    def once(self, key: Hash) -> AbstractContextManager[object]:
        """Held while the scores of this key are computed: who comes second waits for who came first."""
        ...

    def get_activations(self, key: Hash) -> Frozen | None:
        """The activations that were put under this key, if they are remembered."""
        ...

    def put_activations(self, key: Hash, activations: Frozen) -> None:
        """Offers activations to be remembered; their `size_bytes` says how much memory they take."""

    def get_composition(self, root: Hash) -> Composition | None:
        """The network that was put under its parameters root, if it is remembered."""
        ...

    def put_composition(self, composition: Composition) -> None:
        """Offers a network, without its numbers, to be remembered under its parameters root."""

    def get_network(self, root: Hash) -> LoadedNetwork | None:
        """The network that was put under this parameters root with its numbers, if it is remembered."""
        ...

    def put_network(self, root: Hash, loaded: LoadedNetwork) -> None:
        """Offers a network with its numbers and the proof of their bounds to be remembered."""

    def get_expansion(self, key: Hash) -> IntArray | None:
        """The seeded tensor that was put under this key, if it is remembered."""
        ...

    def put_expansion(self, key: Hash, array: IntArray) -> None:
        """Offers what a seeded tensor stands for, a read-only array, to be remembered."""


class NoCache:
    """A cache that remembers nothing."""

    def get(self, key: Hash) -> RowScores | None:
        return None

    def put(self, key: Hash, scores: RowScores) -> None:
        return None

    def once(self, key: Hash) -> AbstractContextManager[object]:
        return nullcontext()

    def get_activations(self, key: Hash) -> Frozen | None:
        return None

    def put_activations(self, key: Hash, activations: Frozen) -> None:
        return None

    def get_composition(self, root: Hash) -> Composition | None:
        return None

    def put_composition(self, composition: Composition) -> None:
        return None

    def get_network(self, root: Hash) -> LoadedNetwork | None:
        return None

    def put_network(self, root: Hash, loaded: LoadedNetwork) -> None:
        return None

    def get_expansion(self, key: Hash) -> IntArray | None:
        return None

    def put_expansion(self, key: Hash, array: IntArray) -> None:
        return None


class DataPart:
    """A data part, named by its commitment; its rows are read when they are first needed."""

    __slots__ = ("_load", "_loaded", "activations", "id")

    def __init__(self, part_id: Hash, load: Callable[[], PartData]) -> None:
        self.id: Final = part_id
        self._load = load
        self._loaded: PartData | None = None
        self.activations: Final[dict[Hash, Frozen]] = {}
        """Activations of networks on these rows, by parameters root, for the life of this object."""

    def load(self) -> PartData:
        """The rows. Raises `BadPart`, `LabelOutOfRange`, and `MissingBlob` if this node lacks them."""
        if self._loaded is None:
            self._loaded = self._load()
        return self._loaded


class Scorer:
    """Computes scores. The cache only decides how long that takes."""

    __slots__ = ("_engine", "cache")

    def __init__(self, cache: ScoreCache | None = None, engine: Engine = FAST) -> None:
        self.cache: Final[ScoreCache] = NoCache() if cache is None else cache
        self._engine: Final = engine

    def score_network(
        self, network: AnyNetwork, part: DataPart, classes: int, loss_kind: LossKind, *, keep: bool = False
    ) -> Score:
        """The sums of `network_rows`. Raises what that raises."""
        return self.network_rows(network, part, classes, loss_kind, keep=keep).total

    def score_growth(self, grown: GrownNetwork, part: DataPart, classes: int, loss_kind: LossKind) -> Score:
        """The sums of `growth_rows`. Raises what that raises."""
        return self.growth_rows(grown, part, classes, loss_kind).total

    def network_rows(
        self, network: AnyNetwork, part: DataPart, classes: int, loss_kind: LossKind, *, keep: bool = False
    ) -> RowScores:
        """The scores of a part's rows for so many classes. Classes that the network lacks have logit 0.

        `classes` is at least the network's number of classes. A row with a higher label counts as wrong, and
        its loss has no meaning. With `keep`, the activations go to the cache, because growths of this network
        will be scored on the same part. The caller has checked that they fit into memory. Raises what
        `WholeNetwork.load` and `DataPart.load` raise, and `ShapeMismatch`.
        """

        def run(measure: Measure) -> RowScores:
            if keep:  # then nothing is left to run but the losses
                return self._engine.scores(network.spec, (), (), self._activations(network, part), measure)
            spec, parameters, bounds = self._loaded(network)
            start = unstarted(spec, part.load().features)
            return self._engine.scores(spec, parameters, _peaks(bounds), start, measure)

        return self._rows(network, part, classes, loss_kind, run)

    def growth_rows(
        self, grown: GrownNetwork, part: DataPart, classes: int, loss_kind: LossKind
    ) -> RowScores:
        """The result of `network_rows(grown, …)`, computed from the activations of the network below.

        If these are remembered, it takes only the time of the new segments. If not, they are computed again;
        a block has room for that in either case. Raises what `network_rows` raises, about the parameters of
        the new segments only: the network below has been scored before.
        """

        def run(measure: Measure) -> RowScores:
            added, base = grown.load_growth(), grown.base
            frozen = self._activations(base, part)
            peaks = peaks_on(base.spec, frozen, grown.growth, added)
            return self._engine.scores(grown.spec, added, peaks, frozen, measure)

        return self._rows(grown, part, classes, loss_kind, run)

    def both_rows(
        self, base: WholeNetwork, update: AnyNetwork, rows: PartData, classes: tuple[int, int], kind: LossKind
    ) -> tuple[RowScores, RowScores]:
        """The scores of a network and of an update of it on some rows, for so many classes each.

        They are those of `network_rows` and `growth_rows`, row by row. Nothing about them is remembered.
        Raises what these raise.
        """
        spec, parameters, bounds = self._loaded(base)
        measures = [Measure(kind, rows.labels, count) for count in classes]
        start = unstarted(spec, rows.features)
        if not isinstance(update, GrownNetwork):
            before = self._engine.scores(spec, parameters, _peaks(bounds), start, measures[0])
            spec, parameters, bounds = self._loaded(update)
            return before, self._engine.scores(spec, parameters, _peaks(bounds), start, measures[1])
        found = self._engine.keep(spec, parameters, _peaks(bounds), start)
        frozen = found.counted(len(base.spec.hidden), len(base.spec.outputs))
        added = update.load_growth()
        peaks = peaks_on(base.spec, frozen, update.growth, added)
        before = self._engine.scores(base.spec, (), (), frozen, measures[0])
        return before, self._engine.scores(update.spec, added, peaks, frozen, measures[1])

    def logits(self, network: AnyNetwork, features: Features) -> Int64Array:
        """Logits (n, classes), Q16 nats, of uint8 features (n, inputs).

        Raises what `WholeNetwork.load` raises, and `ShapeMismatch`.
        """
        spec, parameters, bounds = self._loaded(network)
        return forward(spec, parameters, features, bounds, self._engine)

    def _rows(
        self,
        network: AnyNetwork,
        part: DataPart,
        classes: int,
        loss_kind: LossKind,
        run: Callable[[Measure], RowScores],
    ) -> RowScores:
        key = score_key(network.root, part.id, classes, loss_kind)
        known = self.cache.get(key)
        if known is not None:
            return known
        with self.cache.once(key):
            known = self.cache.get(key)
            if known is None:
                known = run(Measure(loss_kind, part.load().labels, classes))
                self.cache.put(key, known)
        return known

    def expand(self, seeded: Seeded) -> IntArray:
        """As `nn.seeded.expand`; what rivals and later growths name again need not be drawn again."""
        if not generation_macs(seeded):
            return expand(seeded)
        key = hash_object(Tag.CACHE, seeded)
        array = self.cache.get_expansion(key)
        if array is None:
            array = expand(seeded)
            self.cache.put_expansion(key, array)
        return array

    def _loaded(self, network: AnyNetwork) -> LoadedNetwork:
        """The numbers of a network. Those of a version are kept: it is scored on many parts."""
        if isinstance(network, GrownNetwork):
            return network.spec, *network.load()
        kept = self.cache.get_network(network.root)
        if kept is None:
            kept = joined_network(network.spec, *network.load())
            self.cache.put_network(network.root, kept)
        return kept

    def _activations(self, network: AnyNetwork, part: DataPart) -> Frozen:
        """The activations, computed at most once for all growths that one transaction scores on the part."""
        if network.root not in part.activations:
            part.activations[network.root] = self._cached_activations(network, part)
        return part.activations[network.root]

    def _cached_activations(self, network: AnyNetwork, part: DataPart) -> Frozen:
        key = activations_key(network.root, part.id)
        kept = self.cache.get_activations(key)
        if kept is None:
            spec, parameters, bounds = self._loaded(network)
            start = unstarted(spec, part.load().features)
            found = self._engine.keep(spec, parameters, _peaks(bounds), start)
            kept = found.counted(len(network.spec.hidden), len(network.spec.outputs))
            self.cache.put_activations(key, kept)
        return kept


def _peaks(bounds: Bounds) -> tuple[int, ...]:
    return (*bounds.hidden, *bounds.outputs)


def score_key(root: Hash, part: Hash, classes: int, loss_kind: LossKind) -> Hash:
    """The key of a score in the cache."""
    return tagged_hash(Tag.CACHE, b"\x01", u32(ENGINE_VERSION), root, part, u32(classes), u32(loss_kind))


def activations_key(root: Hash, part: Hash) -> Hash:
    """The key of a network's activations on a part in the cache."""
    return tagged_hash(Tag.CACHE, b"\x02", u32(ENGINE_VERSION), root, part)


def network_macs(rules: Rules, network: HasParameters, rows: int, classes: int = 0) -> int:
    """MACs charged for scoring a whole network on one part, from declared shapes alone.

    rows·(macs_per_row + logit_macs of classes beyond the network's) + call_macs of all segments
    + macs_per_loaded_byte·part bytes + loading_macs. Raises what `check_seeded` raises, for sources that have
    not been checked before.
    """
    spec = network.spec
    added, components = max(0, classes - spec.classes), component_count(spec)
    work = rows * (macs_per_row(spec) + logit_macs(added, added))
    calls = spec.totals.intervals + gate_calls(spec.gates)
    work += call_macs(calls, rows, chunk_rows(sum(layer_widths(spec)), components))
    return work + rules.macs_per_loaded_byte * part_size(rows, spec.inputs) + loading_macs(rules, network)


def loading_macs(rules: Rules, network: HasParameters) -> int:
    """MACs charged for reading, generating and checking all parameters of a network and proving their bounds.

    macs_per_loaded_byte·(tensor bytes - drawn_bytes) + setup_macs of its segments + seeded_macs + line_macs.
    Raises as `check_seeded`.
    """
    totals = network.spec.totals
    setup = setup_macs(totals.runs, totals.segments) + network.seeded_macs + line_macs(network)
    return rules.macs_per_loaded_byte * (totals.parameter_bytes - network.drawn_bytes) + setup


def line_macs(network: HasParameters) -> int:
    """MACs charged for putting a network together: a lookup of the version that made each growth."""
    return LOOKUP_MACS * network.steps


def composing_macs(network: HasParameters) -> int:
    """MACs charged where a network is put together and none of its numbers are read.

    line_macs, and as much again for each segment: whoever puts a network together decodes them all.
    `loading_macs` need not say this, because what it charges for preparing a segment is more.
    """
    return line_macs(network) + LOOKUP_MACS * network.spec.totals.segments


def growth_macs(
    rules: Rules, spec: NetworkSpec, growth: Growth, sources: Sequence[HasSources], rows: int
) -> int:
    """MACs charged for scoring a growth of `spec` on one part: for the new segments only.

    rows·growth_macs_per_row + call_macs + setup_macs + macs_per_loaded_byte·(tensor bytes - drawn_bytes)
    + seeded_macs, all of the growth; `sources` are those of its segments. Raises as `check_seeded`. A block
    has room for `network_macs` of `spec` on the part as well: a node that no longer remembers the
    activations of the old network must compute them again.
    """
    segments, runs = (*growth.hidden, *growth.outputs), run_count((), growth.hidden)
    runs += run_count((), growth.outputs)
    calls = interval_count((), growth.hidden) + interval_count((), growth.outputs)
    calls += gate_calls(spec.gates + growth.components.count(GATE))
    work = rows * growth_macs_per_row(spec, growth)
    work += call_macs(calls, rows, growth_chunk_rows(spec, growth))
    setup = setup_macs(runs, len(segments)) + seeded_macs(sources)
    read_bytes = sum(map(tensor_bytes_of, segments)) - drawn_bytes(sources)
    return work + setup + rules.macs_per_loaded_byte * read_bytes
