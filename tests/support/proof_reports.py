"""Reports about the proof of `proof_chain`, and what is said of them."""

from __future__ import annotations

from typing import Any, Final

from engram.consensus.proof import ProofReport, verify_bundle
from engram.library.proof_facts import facts
from engram.library.proof_fields import record_fields
from engram.library.proof_words import anchor_words, limits, statements
from engram.primitives.keys import format_address
from engram.statemachine.rounds.records import Round
from tests.support.proof_chain import (
    MODEL_RECORD,
    RECORDS,
    SPEC,
    VERSION_RECORD,
    WITNESS,
    bundle_of,
    mined_line,
    tree_of,
)

WITNESS_TEXT: Final = format_address(WITNESS, SPEC.hrp)
TREE: Final = tree_of(*RECORDS)
LINE: Final = mined_line(SPEC, 4, TREE.root, depth=1)


def report(**anchor: Any) -> ProofReport:
    """The report of a verifier with this anchor."""
    return verify_bundle(bundle_of(LINE, TREE, depth=1), SPEC, LINE[-1].timestamp_ms, **anchor)


def said(checked: ProofReport) -> tuple[str, str]:
    """What is proved and what is not, each as one text."""
    known = facts(checked)
    return "\n".join([*anchor_words(known), *statements(known)]), "\n".join(
        limits(known, weights_checked=False)
    )


def of_round(round_: Round) -> ProofReport:
    """The report about a version that was made by this round."""
    tree = tree_of(MODEL_RECORD, VERSION_RECORD, round_)
    line = mined_line(SPEC, 1, tree.root)
    bundle = bundle_of(line, tree, round_=round_)
    return verify_bundle(bundle, SPEC, line[-1].timestamp_ms, min_work=1)


def shown_of_model(checked: ProofReport) -> dict[str, Any]:
    """What people read of the model, by the names of the lines."""
    shown = dict(record_fields(facts(checked)))["model"]
    assert isinstance(shown, dict)
    return shown
