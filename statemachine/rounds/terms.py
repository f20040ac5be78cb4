"""Which rounds may be opened: checks of their terms, of the model they are opened on, and of foundings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final

from engram.nn.data import part_size
from engram.nn.evaluate import frozen_size_bytes
from engram.nn.growth import Policy
from engram.nn.loss import LossKind
from engram.nn.network import NetworkSpec
from engram.nn.spec import MAX_SEGMENTS, check_count, check_spec
from engram.primitives.types import U8, U32, Address, Trailing
from engram.statemachine.additions import Sources, Tensors, TrainUpdate, drawn_bytes, seeded_macs
from engram.statemachine.claimterms import ClaimTerms
from engram.statemachine.fees import price_of_macs
from engram.statemachine.parameters import HasParameters
from engram.statemachine.records import GrowthLimits, Members, Model, RetentionPart, Witnesses
from engram.statemachine.rounds.calendar import check_calendar, within
from engram.statemachine.rounds.claims import PROOF_BYTES, ROW_BYTES, audited_rows, chunk_rows
from engram.statemachine.rounds.errors import (
    BondTooLow,
    MemorySpent,
    ModelFrozen,
    ModelNotFrozen,
    NothingToFeed,
    OpeningRestricted,
    StepTooHeavy,
    TermsInvalid,
)
from engram.statemachine.rounds.judging import PPM
from engram.statemachine.rounds.records import RoundKind, RoundTerms
from engram.statemachine.rounds.update import check_tensors, reading_macs
from engram.statemachine.rules import ENVELOPE_BYTES, Rules
from engram.statemachine.scoring import composing_macs, network_macs

MAX_OPENED_PARTS: Final = 256
"""The most parts that the records of a round can list."""

MAX_ACTIVATION_BYTES: Final = 2**28
"""The most memory for the activations of version t on one part, from which growths are scored."""

MAX_OPENED_ROWS: Final = 2**21
"""The most rows of all opened parts together. The loss of a row is below 2^43, so every sum fits 64 bits."""

MAX_WITNESSES: Final = 8
"""The most witnesses of a round, standing ones included; each opens one part."""

ROWS_OF_Z_SQUARED: Final = 2
"""The opener's sealed rows are at least so many times z². No gain is proved by fewer rows than z², so with a
higher z² nobody could win: authors would show their updates for a bounty that is never paid."""

RETENTION_SHARE: Final = 4
"""One part may hold so much of the rows that a model retains, so that it pushes few others out."""

BOND_SCORINGS: Final = 4
"""An author's bond is at least so many times the price of scoring one candidate on everything."""

MAX_AUDITED: Final = 64
"""The most chunks that an audit draws: each of them travels with its proof."""

POTS_OF_A_CLAIM: Final = 2
"""Where authors claim scores, their bond is at least so many times what they can win. Half of it goes to
whoever refutes a claim, who may be the author under another name; so a lie that is found never pays."""

BOND_DISPUTES: Final = 4
"""Where authors claim scores, their bond is at least so many times the price of half a block's MACs."""

_MOST_DELTA_PPM: Final = 10 * PPM


@dataclass(frozen=True)
class Founding:
    """A new model: its version 0, and the rules that no later round can change."""

    spec: NetworkSpec
    hidden: Sources
    outputs: Sources
    policy: U8
    """A `Policy`: what growth may do to the logits of old classes."""
    loss_kind: U8
    threshold_ppm: U32
    """τ: 1 to 10^6."""
    retention_epsilon_ppm: U32 = 20_000
    """ε: 0 to 10^6."""
    retention_delta_ppm: U32 = 250_000
    """δ: 0 to 10^7."""
    lost_cap_ppm: U32 = 200_000
    """The most that all growths together may lose of old rows before the founder raises it: 0 to 10^6."""
    members: Members = ()
    """Who may open GROW rounds beside the founder."""
    witnesses: Witnesses = ()
    """Standing witnesses."""
    growth_limits: GrowthLimits = field(default_factory=GrowthLimits)
    """The most that one growth may append, so that no member can fill the model up."""
    tensors: Tensors = ()
    """Bytes that travel with the founding; every one is named by a source."""
    claims: Annotated[ClaimTerms | None, Trailing()] = None
    """If authors shall claim the scores of their updates, how claims are verified."""

    @property
    def whole(self) -> TrainUpdate:
        """What version 0 adds: a whole network."""
        return TrainUpdate(self.spec, self.hidden, self.outputs, self.tensors)

    @property
    def steps(self) -> int:
        """The growths that must be looked up to put it together: none."""
        return 0

    @property
    def seeded_macs(self) -> int:
        """MACs charged for generating its seeded tensors. Raises as `check_seeded`."""
        return seeded_macs((*self.hidden, *self.outputs))

    @property
    def drawn_bytes(self) -> int:
        """Bytes of its tensors that are drawn and not read."""
        return drawn_bytes((*self.hidden, *self.outputs))


def check_founding(rules: Rules, founding: Founding) -> None:
    """Refuses a founding that the rules do not allow; reads no tensor.

    Raises `TermsInvalid`, `TensorRepeated`, and what `check_spec` raises.
    """
    _choice("policy", founding.policy, tuple(Policy))
    _choice("loss", founding.loss_kind, tuple(LossKind))
    within("threshold", founding.threshold_ppm, 1, PPM)
    within("epsilon", founding.retention_epsilon_ppm, 0, PPM)
    within("delta", founding.retention_delta_ppm, 0, _MOST_DELTA_PPM)
    within("lost rows of all growths", founding.lost_cap_ppm, 0, PPM)
    within("segments of a growth", founding.growth_limits.segments, 1, 2 * MAX_SEGMENTS)
    within("MACs a row of a growth", founding.growth_limits.macs_per_row, 1, 2**64 - 1)
    if founding.claims is not None:
        least = rules.draw_ticks + rules.min_window_ticks
        within("ticks of a claim's window", founding.claims.window, least, rules.max_window_ticks // 2)
        within("chunks of an audit", founding.claims.audited, 1, MAX_AUDITED)
    check_names("member", founding.members)
    check_names("witness", [witness.address for witness in founding.witnesses])
    check_spec(founding.spec, rules.networks)
    check_tensors((*founding.hidden, *founding.outputs), founding.tensors)


def check_terms(rules: Rules, terms: RoundTerms) -> None:
    """Refuses terms that are wrong for every model. Raises `TermsInvalid`, `BondTooLow`, `StepTooHeavy`."""
    _choice("kind", terms.kind, tuple(RoundKind))
    if terms.kind == RoundKind.TRAIN:
        within("new classes in TRAIN", terms.new_classes, 0, 0)
        within("promised old rows in TRAIN", terms.old_rows, 0, 0)
    check_calendar(terms, rules)
    _check_parts(rules, terms)
    _check_caps(rules, terms)
    _check_bonds(rules, terms)
    most = max(rules.min_z_squared, terms.sealed * terms.rows // ROWS_OF_Z_SQUARED)
    within("z squared", terms.z_squared, rules.min_z_squared, most)


def check_opening(
    rules: Rules, terms: RoundTerms, model: Model, head: HasParameters, opener: Address
) -> None:
    """Refuses a round that this opener may not open on this model; `head` is its current version.

    Raises `OpeningRestricted`, `ModelFrozen`, `ModelNotFrozen`, `NothingToFeed`, `MemorySpent`,
    `TermsInvalid`, `BondTooLow`, `StepTooHeavy`, `DimensionOutOfRange`.
    """
    may_open = (model.founder, *(model.members if terms.kind == RoundKind.GROW else ()))
    if opener not in may_open:
        raise OpeningRestricted(expected=may_open, got=opener)
    _check_witnesses(rules, terms, model, opener)
    _check_kind(terms, model)
    classes = model.classes + terms.new_classes
    check_count("classes", classes, rules.networks.max_classes)
    within("new classes of a growth", terms.new_classes, 0, model.growth_limits.classes)
    within("bytes of a part", part_size(terms.rows, model.inputs), 1, rules.max_blob_bytes)
    if terms.kind == RoundKind.GROW:
        within("neurons of an update", terms.max_update_neurons, 0, model.growth_limits.neurons)
        _check_promise(rules, terms, model)
    _check_steps(rules, terms, model, head)


def entry_of(rules: Rules, terms: RoundTerms, epoch: int) -> int:
    """Sparks that a commit burns: a thousandth of the bounty, in later epochs a hundredth.

    In later epochs there is more to copy, so it costs more to try.
    """
    return max(rules.min_entry, terms.bounty // (100 if epoch else 1_000))


def witness_bond(rules: Rules, terms: RoundTerms) -> int:
    """Sparks that a witness holds from the seal of their part until it opens."""
    return max(rules.min_witness_bond, terms.bounty * rules.witness_bond_ppm // PPM)


def least_opener_bond(rules: Rules, bounty: int) -> int:
    """The smallest bond of an opener, in sparks."""
    return max(rules.min_opener_bond, bounty * rules.opener_bond_ppm // PPM)


def least_claim_bond(rules: Rules, terms: RoundTerms, carried: int) -> int:
    """The smallest bond of an author who claims scores, in sparks; `carried` is what the model carries.

    Half of it is at least the pot, so no lie pays, and twice the price of the heaviest dispute that the rules
    allow, so that nobody loses by refuting one.
    """
    dispute = price_of_macs(rules.fees, rules.max_block_macs // 2)
    return max(rules.min_author_bond, POTS_OF_A_CLAIM * (terms.bounty + carried), BOND_DISPUTES * dispute)


def least_author_bond(
    rules: Rules, terms: RoundTerms, head: HasParameters, classes: int, retention: Sequence[RetentionPart]
) -> int:
    """The smallest bond of an author, in sparks: four times the price of scoring a candidate on everything.

    So nobody saves anything by leaving an update unscored. `head` is version t, `classes` are all classes of
    the round, `retention` the model's retention parts; the scoring counts for eight witnesses.
    """
    scorings = [(terms.rows, terms.sealed + MAX_WITNESSES)]
    if terms.kind == RoundKind.GROW:
        scorings += [(part.rows, 1) for part in retention]
    price = sum(
        count * price_of_macs(rules.fees, scoring_cap(rules, terms, head, classes, rows))
        for rows, count in scorings
    )
    return max(rules.min_author_bond, BOND_SCORINGS * price)


def scoring_cap(rules: Rules, terms: RoundTerms, head: HasParameters, classes: int, rows: int) -> int:
    """The most MACs charged for scoring a candidate on a part with so many rows, together with version t.

    On a part of the round max_update_macs bounds those of the update. On a retention part with more rows they
    are more, but no update is admitted whose scoring takes more than half of a block.
    """
    update = terms.max_update_macs * -(-max(rows, terms.rows) // terms.rows)
    most = network_macs(rules, head, rows, classes) + update
    return most if rows <= terms.rows else min(most, rules.max_block_macs // 2)


def check_share(step: str, rules: Rules, macs: int) -> None:
    """Refuses a step of a round that needs more than half of a block's MACs. Raises `StepTooHeavy`.

    A block that holds no other transaction is light then, so no step of a round can stop the round clock.
    """
    if macs > (most := rules.max_block_macs // 2):
        raise StepTooHeavy(f"{step} costs more than half of a block's MACs", expected=most, got=macs)


def _check_parts(rules: Rules, terms: RoundTerms) -> None:
    count = len(terms.commitments)
    within("parts", count, rules.min_parts, rules.max_parts)
    if len(set(terms.commitments)) != count:
        raise TermsInvalid("a commitment is in the list twice", got=count)
    most_rows = min(rules.networks.max_rows, rules.max_retention_rows // RETENTION_SHARE)
    within("rows", terms.rows, 1, most_rows)
    within("validation parts", terms.validation, rules.min_validation, count - 1)
    within("sealed parts", terms.sealed, rules.min_sealed, count - terms.validation)
    opened = terms.validation + terms.sealed + MAX_WITNESSES
    within("parts to open, with those of eight witnesses", opened, 2, MAX_OPENED_PARTS)
    within("rows to open", opened * terms.rows, 2, MAX_OPENED_ROWS)
    within("sealed rows of the opener", terms.sealed * terms.rows, rules.min_sealed_rows, MAX_OPENED_ROWS)
    within("rows of old classes in a part", terms.old_rows, 0, terms.rows)


def _check_bonds(rules: Rules, terms: RoundTerms) -> None:
    if terms.author_bond < (least := rules.min_author_bond):
        raise BondTooLow("an author's bond is below its minimum", expected=least, got=terms.author_bond)
    if terms.opener_bond < (least := least_opener_bond(rules, terms.bounty)):
        raise BondTooLow("the opener's bond is below its minimum", expected=least, got=terms.opener_bond)


def check_names(role: str, addresses: Sequence[Address]) -> None:
    """Raises `TermsInvalid` if an address is in the list twice."""
    if len(set(addresses)) != len(addresses):
        raise TermsInvalid(f"a {role} is named twice", got=len(addresses))


def _check_witnesses(rules: Rules, terms: RoundTerms, model: Model, opener: Address) -> None:
    """The standing witnesses and those of the terms together: each named once, and not the opener."""
    names = [witness.address for witness in (*model.witnesses, *terms.witnesses)]
    check_names("witness", names)
    if opener in names:
        raise TermsInvalid("the opener cannot be a witness of the round", got=opener)
    within("witnesses", len(names), 0, MAX_WITNESSES)
    within("fees of the witnesses", len(names) * terms.witness_fee, 0, terms.bounty // 2)
    if full := sum(not witness.old_only for witness in model.witnesses):
        within("rows of the standing witnesses", full * terms.rows, rules.min_witness_rows, MAX_OPENED_ROWS)


def _check_promise(rules: Rules, terms: RoundTerms, model: Model) -> None:
    """The opener and the standing witnesses must promise enough unseen rows of old classes."""
    promised = terms.sealed * terms.old_rows
    promised += sum(terms.rows if witness.old_only else terms.old_rows for witness in model.witnesses)
    within("promised rows of old classes", promised, rules.min_old_rows, MAX_OPENED_ROWS)


def _check_caps(rules: Rules, terms: RoundTerms) -> None:
    most_bytes = rules.max_transaction_bytes - ENVELOPE_BYTES
    within("bytes of an update", terms.max_update_bytes, 1, most_bytes)
    within("neurons of an update", terms.max_update_neurons, 0, rules.networks.max_neurons)


def _check_reveal(rules: Rules, terms: RoundTerms, base_macs: int) -> None:
    """Checks a reveal; `base_macs` is the room for version t on each part besides the update."""
    reveal = terms.validation * (base_macs + terms.max_update_macs)
    check_share("an update on all validation parts", rules, reveal)


def _check_kind(terms: RoundTerms, model: Model) -> None:
    if terms.kind == RoundKind.TRAIN:
        if model.frozen:
            raise ModelFrozen(got=model.id)
        return
    if not model.frozen:
        raise ModelNotFrozen(got=model.id)
    if terms.new_classes and model.loss_function is not LossKind.SOFTMAX_CROSS_ENTROPY:
        raise TermsInvalid("new classes need softmax cross-entropy", got=model.loss_function.name.lower())
    policy, taught = model.growth_policy, model.classes_before_growth != model.classes
    if not terms.new_classes and (policy is Policy.RELATIVE or (policy is Policy.STRICT and not taught)):
        raise NothingToFeed(got=model.id)
    if model.lost_ppm >= model.lost_cap_ppm:
        raise MemorySpent(expected=model.lost_cap_ppm, got=model.lost_ppm)


def _check_steps(rules: Rules, terms: RoundTerms, model: Model, head: HasParameters) -> None:
    """Checks that the heaviest steps of the round fit into half a block, whatever candidates will come.

    These are an update on all validation parts, and a candidate on one unseen or retention part, each
    together with version t. The activations of version t on one part must also fit into memory. And an
    author's bond must be worth four times the scoring of one candidate on everything, so that it pays for
    whoever shows that the claim was empty.
    """
    classes = model.classes + terms.new_classes
    if model.claims is not None:
        _check_claims(rules, terms, model, head, model.claims)
        return
    is_growth = terms.kind == RoundKind.GROW
    _check_reveal(rules, terms, network_macs(rules, head, terms.rows, classes) if is_growth else 0)
    scoring = scoring_cap(rules, terms, head, classes, terms.rows)
    check_share("scoring a candidate on a part", rules, scoring)
    retention = model.retention if is_growth else ()
    for part in retention:
        scoring = network_macs(rules, head, part.rows, classes) + terms.max_update_macs
        check_share("scoring a candidate on a retention part", rules, scoring)
    least = least_author_bond(rules, terms, head, classes, retention)
    if terms.author_bond < least:
        raise BondTooLow(
            "an author's bond is below the price of scoring", expected=least, got=terms.author_bond
        )
    _check_activations("one part", head, max([terms.rows, *[part.rows for part in retention]]))


def _check_activations(where: str, head: HasParameters, rows: int) -> None:
    if (kept := frozen_size_bytes(head.spec, rows)) > MAX_ACTIVATION_BYTES:
        raise StepTooHeavy(
            f"the activations on {where} take too many bytes", expected=MAX_ACTIVATION_BYTES, got=kept
        )


def _check_claims(
    rules: Rules, terms: RoundTerms, model: Model, head: HasParameters, claims: ClaimTerms
) -> None:
    """Checks that claims can be made, refuted and audited, where authors claim the scores of their updates.

    The time for scoring leaves room for the window after the first claims, and after it for unions. What is
    claimed of a part fits into one transaction, of all validation parts beside the update, and so do the
    chunks of an audit. Reading the validation parts, and audits of version t, fit into half a block; with an
    update they are checked when it is revealed.
    """
    least = claims.window + 2 * rules.min_window_ticks
    within("ticks for scoring, with the window of claims", terms.score_window, least, rules.tick_ring)
    most_bytes = rules.max_transaction_bytes - ENVELOPE_BYTES
    rows = [terms.rows, *[part.rows for part in model.retention]]
    revealed = terms.max_update_bytes + ROW_BYTES * terms.rows * terms.validation
    within("bytes of an update with its claimed rows", revealed, 1, most_bytes)
    within("bytes of the claimed rows of a part", ROW_BYTES * max(rows), 1, most_bytes)
    chunks = claims.audited * (ROW_BYTES * chunk_rows(max(rows)) + PROOF_BYTES)
    within("bytes of the chunks of an audit", chunks, 1, most_bytes)
    macs = terms.validation * reading_macs(rules, model.inputs, terms.rows) + composing_macs(head)
    check_share("reading all validation parts", rules, macs)
    parts, audited = audited_rows(model, rows)
    macs = sum(reading_macs(rules, model.inputs, each) for each in parts)
    macs += network_macs(rules, head, audited, model.classes + terms.new_classes)
    check_share("auditing version t", rules, macs)
    _check_activations("the rows of an audit", head, audited)
    if terms.author_bond < (least := least_claim_bond(rules, terms, model.carried)):
        raise BondTooLow(
            "an author's bond is below what a lie can win or cost others",
            expected=least,
            got=terms.author_bond,
        )


def _choice(name: str, value: int, known: tuple[int, ...]) -> None:
    if value not in known:
        raise TermsInvalid(f"there is no such {name}", expected=known, got=value)
