"""Which rounds may be opened: checks of their terms, of the model they are opened on, and of foundings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from engram.nn.data import part_size
from engram.nn.evaluate import frozen_size_bytes
from engram.nn.growth import Policy
from engram.nn.loss import LossKind
from engram.nn.network import NetworkSpec
from engram.nn.spec import check_count, check_spec
from engram.primitives.types import U8, U32, Address
from engram.statemachine.parameters import HasParameters
from engram.statemachine.records import Model, Openers
from engram.statemachine.rounds.calendar import check_calendar, within
from engram.statemachine.rounds.errors import (
    BondTooLow,
    LossAboveThreshold,
    ModelFrozen,
    ModelNotFrozen,
    OpeningRestricted,
    StepTooHeavy,
    TermsInvalid,
)
from engram.statemachine.rounds.ranking import PPM, is_at_threshold
from engram.statemachine.rounds.records import RoundKind, RoundTerms
from engram.statemachine.rounds.rewards import minimum_opener_bond
from engram.statemachine.rounds.update import Sources, Tensors, check_tensors
from engram.statemachine.rules import ENVELOPE_BYTES, Rules
from engram.statemachine.scoring import network_macs

MAX_OPENED_PARTS: Final = 256
"""The most parts that the records of a round can list."""

MAX_ACTIVATION_BYTES: Final = 2**28
"""The most memory for the activations of version t on one part, from which growths are scored."""

MAX_OPENED_ROWS: Final = 2**21
"""The most rows of all opened parts together. The loss of a row is below 2^43, so every sum fits 64 bits."""

_MOST_DELTA_PPM: Final = 10 * PPM


@dataclass(frozen=True)
class Founding:
    """A new model: its version 0, and the rules that no later round can change."""

    spec: NetworkSpec
    hidden: Sources
    outputs: Sources
    policy: U8
    """A `Policy`: what growth may do to the logits of old classes."""
    openers: U8
    """An `Openers`: who may open rounds on the model."""
    loss_kind: U8
    threshold_ppm: U32
    """τ: 1 to 10^6."""
    retention_epsilon_ppm: U32 = 20_000
    """ε: 0 to 10^6."""
    retention_delta_ppm: U32 = 250_000
    """δ: 0 to 10^7."""
    tensors: Tensors = ()
    """Bytes that travel with the founding; every one is named by a source."""


def check_founding(rules: Rules, founding: Founding) -> None:
    """Refuses a founding that the rules do not allow; reads no tensor.

    Raises `TermsInvalid`, `TensorRepeated`, and what `check_spec` raises.
    """
    _choice("policy", founding.policy, tuple(Policy))
    _choice("openers", founding.openers, tuple(Openers))
    _choice("loss", founding.loss_kind, tuple(LossKind))
    within("threshold", founding.threshold_ppm, 1, PPM)
    within("epsilon", founding.retention_epsilon_ppm, 0, PPM)
    within("delta", founding.retention_delta_ppm, 0, _MOST_DELTA_PPM)
    check_spec(founding.spec, rules.networks)
    check_tensors((*founding.hidden, *founding.outputs), founding.tensors)


def check_terms(rules: Rules, terms: RoundTerms) -> None:
    """Refuses terms that are wrong for every model. Raises `TermsInvalid`, `BondTooLow`, `StepTooHeavy`."""
    _choice("kind", terms.kind, tuple(RoundKind))
    if terms.kind == RoundKind.TRAIN:
        within("new classes in TRAIN", terms.new_classes, 0, 0)
        within("retention window in TRAIN", terms.retention_window, 0, 0)
    check_calendar(terms, rules)
    _check_parts(rules, terms)
    _check_caps(rules, terms)
    if terms.author_bond < (least := rules.min_author_bond):
        raise BondTooLow("an author's bond is below its minimum", expected=least, got=terms.author_bond)
    if len(set(terms.auditors)) != len(terms.auditors):
        raise TermsInvalid("an auditor is named twice", got=len(terms.auditors))
    within("auditors", len(terms.auditors), 0, rules.max_third_party_parts)


def check_opening(
    rules: Rules, terms: RoundTerms, model: Model, head: HasParameters, opener: Address
) -> None:
    """Refuses a round that this opener may not open on this model; `head` is its current version.

    Raises `OpeningRestricted`, `ModelFrozen`, `ModelNotFrozen`, `LossAboveThreshold`, `TermsInvalid`,
    `StepTooHeavy`, `DimensionOutOfRange`.
    """
    if model.openers == Openers.FOUNDER and opener != model.founder:
        raise OpeningRestricted(expected=model.founder, got=opener)
    if opener in terms.auditors:
        raise TermsInvalid("the opener cannot be an auditor of the round", got=opener)
    _check_kind(terms, model)
    classes = model.classes + terms.new_classes
    check_count("classes", classes, rules.networks.max_classes)
    within("bytes of a part", part_size(terms.rows, head.spec.inputs), 1, rules.max_blob_bytes)
    if model.retention:
        within("retention window", terms.retention_window, rules.min_window_ticks, rules.max_window_ticks)
    _check_steps(rules, terms, model, head)


def check_opener_bond(rules: Rules, terms: RoundTerms, model: Model | None, height: int) -> None:
    """Raises `BondTooLow` if the opener's bond is below the minimum, which doubles with each recent abort."""
    least = minimum_opener_bond(rules, model, height)
    if terms.opener_bond < least:
        raise BondTooLow("the opener's bond is below its minimum", expected=least, got=terms.opener_bond)


def check_share(step: str, rules: Rules, macs: int) -> None:
    """Refuses a step of a round that needs more than half of a block's MACs. Raises `StepTooHeavy`.

    A block that holds no other transaction is light then, so no step of a round can stop the round clock.
    """
    if macs > (most := rules.max_block_macs // 2):
        raise StepTooHeavy(f"{step} costs more than half of a block's MACs", expected=most, got=macs)


def _check_parts(rules: Rules, terms: RoundTerms) -> None:
    count = len(terms.commitments)
    within("parts", count, 2, rules.max_parts)
    if len(set(terms.commitments)) != count:
        raise TermsInvalid("a commitment is in the list twice", got=count)
    within("rows", terms.rows, 1, rules.networks.max_rows)
    within("validation parts", terms.validation, 1, count - 1)
    within("sealed parts", terms.sealed, 1, count - terms.validation)
    opened = terms.validation + terms.sealed + len(terms.auditors)
    within("parts to open", opened, 2, MAX_OPENED_PARTS)
    within("rows to open", opened * terms.rows, 2, MAX_OPENED_ROWS)


def _check_caps(rules: Rules, terms: RoundTerms) -> None:
    most_bytes = rules.max_transaction_bytes - ENVELOPE_BYTES
    within("bytes of an update", terms.max_update_bytes, 1, most_bytes)
    within("neurons of an update", terms.max_update_neurons, 0, rules.networks.max_neurons)
    _check_reveal(rules, terms, 0)


def _check_reveal(rules: Rules, terms: RoundTerms, base_macs: int) -> None:
    """Checks a reveal; `base_macs` are its MACs for each part besides those of the update."""
    reveal = terms.validation * (base_macs + terms.max_update_macs)
    check_share("an update on all validation parts", rules, reveal)


def _check_kind(terms: RoundTerms, model: Model) -> None:
    if terms.kind == RoundKind.TRAIN:
        if model.frozen:
            raise ModelFrozen(got=model.id)
        return
    if not model.frozen:
        raise ModelNotFrozen(got=model.id)
    if terms.new_classes and not is_at_threshold(model, model.classes, model.loss, model.loss_rows):
        raise LossAboveThreshold(got=model.loss)


def _check_steps(rules: Rules, terms: RoundTerms, model: Model, head: HasParameters) -> None:
    """Checks that the heaviest steps of the round fit into half a block, whatever candidates will come.

    These are an update on all validation parts, every candidate on one sealed part, and one candidate on one
    retention part, each together with version t. The activations of version t on one part must also fit into
    memory.
    """
    classes = model.classes + terms.new_classes
    base = network_macs(rules, head, terms.rows, classes)
    if terms.kind == RoundKind.GROW:
        _check_reveal(rules, terms, base)
    sealed = base + rules.max_candidates * terms.max_update_macs
    check_share("scoring all candidates on a sealed part", rules, sealed)
    for part in model.retention:
        update = terms.max_update_macs * -(-max(part.rows, terms.rows) // terms.rows)
        scoring = network_macs(rules, head, part.rows, classes) + update
        check_share("scoring a candidate on a retention part", rules, scoring)
    rows = max([terms.rows, *[part.rows for part in model.retention]])
    if (kept := frozen_size_bytes(head.spec, rows)) > MAX_ACTIVATION_BYTES:
        raise StepTooHeavy(
            "the activations on one part take too many bytes", expected=MAX_ACTIVATION_BYTES, got=kept
        )


def _choice(name: str, value: int, known: tuple[int, ...]) -> None:
    if value not in known:
        raise TermsInvalid(f"there is no such {name}", expected=known, got=value)
