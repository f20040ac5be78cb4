"""What a proof is said to prove: every anchor, and what an auditor measured."""

from dataclasses import replace
from typing import Any

import pytest

from engram.commands.support.proof_words import digests_per_s, duration, facts, limits, proves
from engram.consensus.proof import ProofReport, verify_bundle
from engram.primitives.keys import format_address
from engram.primitives.types import ZERO_HASH
from tests.support.proof_chain import (
    AUDITOR,
    MODEL_RECORD,
    RECORDS,
    SPEC,
    VERSION_RECORD,
    bundle_of,
    mined_line,
    tree_of,
)

RATE = 100.0
TREE = tree_of(*RECORDS)
LINE = mined_line(SPEC, 4, TREE.root, depth=1)


def report(**anchor: Any) -> ProofReport:
    return verify_bundle(bundle_of(LINE, TREE, depth=1), SPEC, LINE[-1].timestamp_ms, **anchor)


def said(checked: ProofReport) -> tuple[str, str]:
    """What is proved and what is not, each as one text."""
    known = facts(checked, RATE)
    return "\n".join(proves(known, RATE)), "\n".join(limits(known, weights_checked=False))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "less than a second"),
        (1, "about 1 second"),
        (59, "about 59 seconds"),
        (200, "about 3 minutes"),
        (7_300, "about 2 hours"),
        (400_000, "about 5 days"),
        (3e11, "about 9,506 years"),
    ],
)
def test_rough_lengths_of_time(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_digests_are_counted_for_a_while() -> None:
    ticks = iter([0.0, 0.0, 0.1, 0.25])
    assert digests_per_s("sha256d", lambda: next(ticks)) == 2 / 0.25


def test_without_an_anchor() -> None:
    proved, unproved = said(report())
    assert proved.startswith("Nothing yet.")
    assert "takes about 8,190 hash attempts: about 1 minute on one core of this machine" in proved
    assert "with 1 block on top of it" in proved
    assert "without an anchor you know of nobody who has" in unproved


def test_a_checkpoint_before_the_block_is_no_anchor() -> None:
    proved, _ = said(report(checkpoint=LINE[2].id))
    assert proved.startswith("Nothing yet.")
    assert "comes before that block, so it does not vouch for it" in proved


def test_anchored_by_a_checkpoint() -> None:
    proved, unproved = said(report(checkpoint=LINE[3].id))
    assert proved.startswith(f"Your checkpoint is block {LINE[3].id.hex()[:12]} of the chain local")
    assert "you rely on whoever told you the checkpoint" in unproved
    assert said(report(checkpoint=LINE[4].id))[0].startswith("Your checkpoint comes after block")


def test_anchored_by_work() -> None:
    proved, unproved = said(report(min_work=5_000))
    assert "took about 8,190 hash attempts; you asked for at least 5,000" in proved
    assert "you rely on the miners who did the work" in unproved


def test_what_the_auditors_measured_stands_by_itself() -> None:
    checked = report(min_work=1)
    known = facts(checked, RATE)
    assert (known["independent_loss"], known["independent_rows"], known["independent_correct"]) == (
        60,
        100,
        92,
    )
    auditor = format_address(AUDITOR, SPEC.hrp)
    proved, unproved = said(checked)
    assert f"100 rows came from auditors ({auditor}) and not from the opener" in proved
    assert "it got 92.00 % right" in proved
    assert "no auditor's part" not in unproved


def test_a_founding_version_was_measured_by_nobody() -> None:
    model, version = replace(MODEL_RECORD, head=0), replace(VERSION_RECORD, number=0, round=ZERO_HASH)
    tree = tree_of(model, version)
    line = mined_line(SPEC, 1, tree.root)
    bundle = bundle_of(line, tree, model=model, version=version, round_=None, scores=())
    proved, unproved = said(verify_bundle(bundle, SPEC, line[-1].timestamp_ms, min_work=1))
    assert "Nobody has measured version 0" in proved
    assert "no auditor's part" not in unproved
