"""What scoring a candidate will cost, and the escrow that pays for all of it. Formulas only."""

from __future__ import annotations

from engram.statemachine.fees import price_of_macs
from engram.statemachine.parameters import HasParameters
from engram.statemachine.records import Model
from engram.statemachine.rounds.records import Round
from engram.statemachine.rounds.update import candidate_macs
from engram.statemachine.rules import Rules
from engram.statemachine.scoring import network_macs


def sealed_macs(rules: Rules, round_: Round, base: HasParameters, proposed: HasParameters) -> int:
    """Charge for one sealed part: the whole network in TRAIN, the new segments in GROW."""
    return candidate_macs(rules, round_, base.spec, proposed, round_.terms.rows)


def retention_macs(
    rules: Rules, round_: Round, base: HasParameters, proposed: HasParameters, rows: int
) -> int:
    """Charge for one retention part of these rows: version t under a null growth, and the new segments."""
    before = network_macs(rules, base, rows, round_.classes)
    return before + candidate_macs(rules, round_, base.spec, proposed, rows)


def scoring_escrow(
    rules: Rules, round_: Round, model: Model, base: HasParameters, proposed: HasParameters
) -> int:
    """Sparks for every scoring that can come: all sealed parts, third parties' too, and retention parts."""
    sealed = price_of_macs(rules.fees, sealed_macs(rules, round_, base, proposed))
    retention = sum(
        price_of_macs(rules.fees, retention_macs(rules, round_, base, proposed, part.rows))
        for part in model.retention
    )
    return sealed * (round_.terms.sealed + len(round_.third_party)) + retention
