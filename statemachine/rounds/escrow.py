"""What scoring a candidate will cost, and the escrow that pays for all of it. Formulas only.

The transactions that have a candidate scored are sent by others: the opener and auditors open sealed parts,
and anyone asks for retention scores. They must not have to pay for somebody else's network. So the author
pays for all scorings in advance, and what is left of the escrow returns.
"""

from __future__ import annotations

from engram.statemachine.fees import price_of_macs
from engram.statemachine.parameters import HasParameters
from engram.statemachine.records import Model
from engram.statemachine.rounds.records import Round
from engram.statemachine.rounds.update import candidate_macs
from engram.statemachine.rules import Rules
from engram.statemachine.scoring import network_macs


def sealed_macs(rules: Rules, round_: Round, base: HasParameters, proposed: HasParameters) -> int:
    """MACs charged for one sealed part: for the whole network in TRAIN, for the new segments in GROW."""
    return candidate_macs(rules, round_, base.spec, proposed, round_.terms.rows)


def retention_macs(
    rules: Rules, round_: Round, base: HasParameters, proposed: HasParameters, rows: int
) -> int:
    """MACs charged for one retention part with so many rows: for version t and for the new segments."""
    before = network_macs(rules, base, rows, round_.classes)
    return before + candidate_macs(rules, round_, base.spec, proposed, rows)


def scoring_escrow(
    rules: Rules, round_: Round, model: Model, base: HasParameters, proposed: HasParameters
) -> int:
    """Sparks for every scoring that can come: on all sealed parts, auditors' too, and all retention parts."""
    sealed = price_of_macs(rules.fees, sealed_macs(rules, round_, base, proposed))
    retention = sum(
        price_of_macs(rules.fees, retention_macs(rules, round_, base, proposed, part.rows))
        for part in model.retention
    )
    return sealed * (round_.terms.sealed + len(round_.third_party)) + retention
