"""The terms of a round and the founding of a model, drafted from what a person decides. No node, no money."""

from __future__ import annotations

from dataclasses import dataclass, replace

from engram.nn.network import Parameters
from engram.nn.spec import NetworkSpec, neurons
from engram.nn.tensor import Explicit, tensor_bytes
from engram.participant.parts import RoundSecrets
from engram.participant.training.shapes import growth_shape
from engram.primitives.types import Address, Hash
from engram.statemachine.content import blob_id
from engram.statemachine.parameters import BlockSources, ParameterSources, growth_bytes, parameter_bytes
from engram.statemachine.rounds.draw import nonce_hash
from engram.statemachine.rounds.records import RoundKind, RoundTerms
from engram.statemachine.rounds.terms import Founding
from engram.statemachine.rules import ENVELOPE_BYTES, Rules
from engram.statemachine.scoring import growth_macs, network_macs


@dataclass(frozen=True)
class Windows:
    """Lengths of a round's phases, in blocks."""

    open: int
    reveal: int
    commit: int
    update: int
    audit: int
    retention: int
    gap: int

    @classmethod
    def lasting(cls, rules: Rules, block_time_ms: int) -> Windows:
        """Time for people and programs: a minute for each phase, three to train in, where the rules allow."""

        def blocks(seconds: int) -> int:
            wanted = -(-seconds * 1000 // block_time_ms)
            return min(max(wanted, rules.min_window_blocks), rules.max_window_blocks)

        return cls(
            open=blocks(60),
            reveal=blocks(60),
            commit=blocks(180),
            update=blocks(60),
            audit=blocks(60),
            retention=blocks(60),
            gap=rules.min_gap_blocks,
        )

    @classmethod
    def shortest(cls, rules: Rules) -> Windows:
        """The shortest calendar that the rules allow."""
        least = rules.min_window_blocks
        return cls(least, least, least, least, least, least, rules.min_gap_blocks)


@dataclass(frozen=True)
class Caps:
    """The largest update that a round takes."""

    size_bytes: int
    neurons: int
    macs: int
    """On one part."""

    @classmethod
    def for_network(cls, rules: Rules, spec: NetworkSpec, rows: int) -> Caps:
        """Room for another set of parameters of this network."""
        macs = network_macs(rules, ParameterSources(spec, (), ()), rows)
        return cls(_frame(rules, parameter_bytes(spec)), neurons(spec), macs)

    @classmethod
    def for_growth(
        cls,
        rules: Rules,
        spec: NetworkSpec,
        width: int,
        classes: int,
        rows: int,
        reach: int | None = None,
    ) -> Caps:
        """Room for the growth that `growth_shape` gives, and for a network of so many neurons as a column."""
        growth = growth_shape(spec, width, classes, reach)
        size = growth_bytes(spec, growth)
        return cls(_frame(rules, size), width, growth_macs(rules, spec, growth, (), rows))


def _frame(rules: Rules, tensors: int) -> int:
    """Bytes of an update with so many bytes of tensors: its specs and sources take the rest."""
    return min(rules.max_transaction_bytes - ENVELOPE_BYTES, tensors + tensors // 16 + 4096)


def round_terms(
    secrets: RoundSecrets,
    *,
    kind: RoundKind,
    new_classes: int,
    rows: int,
    validation: int,
    sealed: int,
    epochs: int,
    windows: Windows,
    caps: Caps,
    opener_bond: int,
    author_bond: int,
    bounty: int,
    auditors: tuple[Address, ...],
) -> RoundTerms:
    """The terms of a round over the parts of `secrets`."""
    return RoundTerms(
        kind=int(kind),
        new_classes=new_classes,
        commitments=tuple(part.commitment for part in secrets.parts),
        rows=rows,
        validation=validation,
        sealed=sealed,
        epochs=epochs,
        open_window=windows.open,
        reveal_window=windows.reveal,
        commit_window=windows.commit,
        update_window=windows.update,
        audit_window=windows.audit,
        retention_window=windows.retention if kind == RoundKind.GROW else 0,
        gap=windows.gap,
        max_update_bytes=caps.size_bytes,
        max_update_neurons=caps.neurons,
        max_update_macs=caps.macs,
        opener_bond=opener_bond,
        author_bond=author_bond,
        bounty=bounty,
        nonce_hash=nonce_hash(secrets.nonce),
        auditors=auditors,
    )


def explicit_sources(
    hidden: int, parameters: Parameters
) -> tuple[tuple[BlockSources, ...], tuple[BlockSources, ...], tuple[bytes, ...]]:
    """Sources of the first `hidden` blocks and of the rest, and the tensors they name, each once."""
    tensors: dict[Hash, bytes] = {}
    blocks = []
    for given in parameters:
        raws = (tensor_bytes(given.weights), tensor_bytes(given.bias))
        tensors |= {blob_id(raw): raw for raw in raws}
        blocks.append(BlockSources(*(Explicit(blob_id(raw)) for raw in raws)))
    return tuple(blocks[:hidden]), tuple(blocks[hidden:]), tuple(tensors.values())


def founding_of(spec: NetworkSpec, parameters: Parameters, template: Founding) -> Founding:
    """`template`'s rules with this network as version 0."""
    hidden, outputs, tensors = explicit_sources(len(spec.hidden), parameters)
    return replace(template, spec=spec, hidden=hidden, outputs=outputs, tensors=tensors)
