"""What scoring a candidate will cost, and the escrow that pays for all of it. Formulas only."""

from __future__ import annotations

from engram.nn.network import NetworkSpec
from engram.statemachine.fees import price_of_macs
from engram.statemachine.records import Model
from engram.statemachine.round_records import Round
from engram.statemachine.rules import Rules
from engram.statemachine.scoring import network_macs
from engram.statemachine.update import candidate_macs


def sealed_macs(rules: Rules, round_: Round, base: NetworkSpec, spec: NetworkSpec) -> int:
    """Charge for one sealed part: the whole network in TRAIN, the new blocks in GROW."""
    return candidate_macs(rules, round_, base, spec, round_.terms.rows)


def retention_macs(rules: Rules, round_: Round, base: NetworkSpec, spec: NetworkSpec, rows: int) -> int:
    """Charge for one retention part of these rows: version t under a null growth, and the new blocks."""
    return network_macs(rules, base, rows, round_.classes) + candidate_macs(rules, round_, base, spec, rows)


def scoring_escrow(rules: Rules, round_: Round, model: Model, base: NetworkSpec, spec: NetworkSpec) -> int:
    """Sparks for every scoring that can come: all sealed parts, third parties' too, and retention parts."""
    sealed = price_of_macs(rules.fees, sealed_macs(rules, round_, base, spec))
    retention = sum(
        price_of_macs(rules.fees, retention_macs(rules, round_, base, spec, part.rows))
        for part in model.retention
    )
    return sealed * (round_.terms.sealed + len(round_.third_party)) + retention
