"""What a proof is said to prove: every anchor, and what a witness measured."""

from dataclasses import replace
from typing import Any

import pytest

from engram.consensus.chainspec import ONE_WORK_TARGET
from engram.consensus.proof import ProofReport, verify_bundle
from engram.library.proof_fields import record_fields
from engram.library.proof_words import LITTLE_WORK, facts, limits, proves
from engram.nn.growth import Growth
from engram.nn.layers import Output
from engram.nn.tensor import Explicit
from engram.primitives.keys import format_address
from engram.primitives.types import ZERO_HASH
from engram.statemachine.additions import GrowUpdate, Half, SegmentSources
from engram.statemachine.claimterms import ClaimTerms
from engram.statemachine.rounds.records import GroupScore, Round, RoundKind
from tests.support.proof_chain import (
    AUTHOR,
    MODEL_RECORD,
    RECORDS,
    ROUND_RECORD,
    SPEC,
    VERSION_RECORD,
    WITNESS,
    bundle_of,
    mined_line,
    tree_of,
)

TREE = tree_of(*RECORDS)
LINE = mined_line(SPEC, 4, TREE.root, depth=1)


def report(**anchor: Any) -> ProofReport:
    return verify_bundle(bundle_of(LINE, TREE, depth=1), SPEC, LINE[-1].timestamp_ms, **anchor)


def said(checked: ProofReport) -> tuple[str, str]:
    """What is proved and what is not, each as one text."""
    known = facts(checked)
    return "\n".join(proves(known)), "\n".join(limits(known, weights_checked=False))


def test_without_an_anchor() -> None:
    proved, unproved = said(report())
    assert proved.startswith("Nothing yet.")
    assert "takes about 8,190 hash attempts. Give --min-work" in proved
    assert "with 1 block on top of it" in proved
    assert "without an anchor you know of nobody who has" in unproved


def test_a_chain_without_work_is_said_to_be_one() -> None:
    """Nobody is told to ask for work there, with an anchor and without."""
    spec = replace(SPEC, pow="none", genesis_target=ONE_WORK_TARGET, max_target=ONE_WORK_TARGET)
    line = mined_line(spec, 2, TREE.root)
    bundle = bundle_of(line, TREE, spec=spec)
    for checkpoint in (None, line[1].id, line[2].id):
        checked = verify_bundle(bundle, spec, line[-1].timestamp_ms, checkpoint=checkpoint)
        proved, unproved = said(checked)
        assert not facts(checked)["has_work"]
        assert "--min-work" not in proved
        assert ("costs nothing" in proved) is not checked.anchored
        assert "has one history: its blocks carry no work" in unproved
    assert checked.anchored
    assert "carry no work" not in said(report(checkpoint=LINE[3].id))[1]


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


@pytest.mark.parametrize(("work", "little"), [(LITTLE_WORK - 1, True), (LITTLE_WORK, False)])
def test_work_as_the_only_anchor_is_said_to_leave_another_history_possible(work: int, little: bool) -> None:
    _, unproved = said(replace(report(min_work=1), work=work))
    assert "That the chain local has no other history." in unproved
    assert f"cost about {work:,} hash attempts; whoever makes so many again can make another" in unproved
    assert ("So little work is no anchor" in unproved) is little
    for anchored in (report(), report(checkpoint=LINE[3].id), report(checkpoint=LINE[3].id, min_work=1)):
        assert "no other history" not in said(anchored)[1], "no anchor, or a checkpoint beside the work"


def of_round(round_: Round) -> ProofReport:
    """The report about a version that was made by this round."""
    tree = tree_of(MODEL_RECORD, VERSION_RECORD, round_)
    line = mined_line(SPEC, 1, tree.root)
    bundle = bundle_of(line, tree, round_=round_)
    return verify_bundle(bundle, SPEC, line[-1].timestamp_ms, min_work=1)


WITNESS_TEXT = format_address(WITNESS, SPEC.hrp)


def test_what_was_measured_on_witnesses_rows_stands_by_itself() -> None:
    known = facts(report(min_work=1))
    measured = [known[name] for name in ("witness_rows", "witness_loss", "witness_baseline")]
    assert measured == [100, 60, 800]
    assert [known[name] for name in ("opener_rows", "opener_loss", "opener_baseline")] == [100, 40, 700]
    assert known["witnesses"] == [
        {"address": WITNESS_TEXT, "old_classes_only": False, "named_by_opener": True}
    ]
    proved, unproved = said(report(min_work=1))
    assert "100 of these rows came from witnesses and not from the opener" in proved
    assert f"Witnesses who opened a part: {WITNESS_TEXT} (named by the opener)." in proved
    assert "On the opener's own 100 rows" in proved
    assert "the opener named every one of them" in unproved
    assert "no witness opened" not in unproved


def test_a_union_is_told_to_be_the_work_of_both() -> None:
    """Whoever has sent it is not taken for its author."""
    source = SegmentSources(Explicit(bytes(32)), Explicit(bytes(32)))
    halves = (Half(WITNESS, 0, 1), Half(MODEL_RECORD.founder, 0, 1))
    growth = Growth(1, (), (Output(0, 0, 4, 2, 1, 0, 8),) * 2, ())
    union = GrowUpdate(growth, (), (source, source), (), halves)
    whole = report(min_work=1)
    proved, _ = said(replace(whole, version=replace(whole.version, added=union)))
    first, second = (format_address(half.author, SPEC.hrp) for half in halves)
    author = format_address(whole.version.author, SPEC.hrp)
    assert f"the union of the growths of {first} and {second}, which {author} has sent" in proved
    assert f"made by {author}" not in proved
    assert f"made by {author}" in said(whole)[0]


def test_a_witness_whom_the_opener_did_not_name() -> None:
    standing = replace(ROUND_RECORD.witnesses[0], named_by_opener=False, old_only=True)
    proved, unproved = said(of_round(replace(ROUND_RECORD, witnesses=(standing,))))
    assert f"{WITNESS_TEXT} (not named by the opener, for old classes only)" in proved
    assert "the opener named every one of them" not in unproved
    assert "the witnesses who opened a part were limited to old classes" in unproved


def test_a_stranger_with_old_classes_makes_no_witness_of_all_classes_independent() -> None:
    named = ROUND_RECORD.witnesses[0]
    stranger = replace(named, author=AUTHOR, named_by_opener=False, old_only=True)
    _, unproved = said(of_round(replace(ROUND_RECORD, witnesses=(stranger, named))))
    assert "the opener named every one of them" in unproved
    independent = replace(named, named_by_opener=False)
    _, unproved = said(of_round(replace(ROUND_RECORD, witnesses=(stranger, independent))))
    assert "the opener named every one of them" not in unproved


def test_rows_of_witnesses_that_do_not_count_by_themselves() -> None:
    together, nothing = replace(ROUND_RECORD.winner_groups[0], rows=200, loss=100), GroupScore()
    proved, _ = said(of_round(replace(ROUND_RECORD, winner_groups=(together, nothing))))
    assert "came from witnesses and not from the opener" not in proved
    assert "the opener's own 100 rows with 100 rows of witnesses that do not count separately" in proved


def test_a_round_without_witnesses_is_said_to_rest_on_the_opener() -> None:
    alone = replace(ROUND_RECORD.winner_groups[0], rows=200, loss=100)
    _, unproved = said(of_round(replace(ROUND_RECORD, witnesses=(), winner_groups=(alone, GroupScore()))))
    assert "no witness opened a part, so the opener knew all rows" in unproved


def test_the_baseline_is_said_by_the_kind_of_the_round() -> None:
    proved, _ = said(report(min_work=1))
    assert "a network that knows only how often each class occurs" in proved
    terms = replace(ROUND_RECORD.terms, kind=int(RoundKind.GROW))
    version = replace(VERSION_RECORD, kind=int(RoundKind.GROW))
    round_ = replace(ROUND_RECORD, terms=terms)
    tree = tree_of(MODEL_RECORD, version, round_)
    line = mined_line(SPEC, 1, tree.root)
    bundle = bundle_of(line, tree, version=version, round_=round_)
    proved, _ = said(verify_bundle(bundle, SPEC, line[-1].timestamp_ms, min_work=1))
    assert "knows of the new classes only how often they occur" in proved


def test_a_founding_version_was_measured_by_nobody() -> None:
    model, version = replace(MODEL_RECORD, head=0), replace(VERSION_RECORD, number=0, round=ZERO_HASH)
    tree = tree_of(model, version)
    line = mined_line(SPEC, 1, tree.root)
    bundle = bundle_of(line, tree, model=model, version=version, round_=None)
    proved, unproved = said(verify_bundle(bundle, SPEC, line[-1].timestamp_ms, min_work=1))
    assert "Nobody has measured version 0" in proved
    assert "no witness opened" not in unproved


def test_a_fork_says_where_it_comes_from() -> None:
    model = replace(MODEL_RECORD, head=0, parent=b"\x09" * 32, parent_version=4)
    version = replace(VERSION_RECORD, number=0, round=ZERO_HASH)
    tree = tree_of(model, version)
    line = mined_line(SPEC, 1, tree.root)
    bundle = bundle_of(line, tree, model=model, version=version, round_=None)
    proved, _ = said(verify_bundle(bundle, SPEC, line[-1].timestamp_ms, min_work=1))
    assert "made as a fork of version 4 of the model 090909090909" in proved
    assert "No round of this model has measured version 0" in proved


def shown_of_model(checked: ProofReport) -> dict[str, Any]:
    """What people read of the model, by the names of the lines."""
    shown = dict(record_fields(facts(checked)))["model"]
    assert isinstance(shown, dict)
    return shown


@pytest.mark.parametrize("opener", [AUTHOR, MODEL_RECORD.founder, WITNESS])
def test_who_is_one_key_with_whom_is_said(opener: bytes) -> None:
    checked = of_round(replace(ROUND_RECORD, opener=opener))
    known, (proved, _) = facts(checked), said(checked)
    shown = shown_of_model(checked)["one key"]
    assert known["opener_is_author"] is (opener == AUTHOR)
    assert known["founder_is_opener"] is (opener == MODEL_RECORD.founder)
    assert not known["founder_is_author"]
    assert ("a self-graded claim" in proved) is ("a self-graded claim" in shown) is (opener == AUTHOR)
    key, author = format_address(opener, SPEC.hrp), format_address(AUTHOR, SPEC.hrp)
    assert ("The opener's key has also founded the model." in proved) is (opener == MODEL_RECORD.founder)
    two = f"The opener of its round, {key}, and its author, {author}, are two keys."
    assert (two in proved) is (opener != AUTHOR)
    assert (shown == "none: founder, opener and author are three keys") is (opener == WITNESS)


def test_a_founder_who_grades_themselves_is_said_to_be_all_three() -> None:
    alone = replace(of_round(ROUND_RECORD), model=replace(MODEL_RECORD, founder=AUTHOR))
    alone = replace(alone, round=replace(ROUND_RECORD, opener=AUTHOR))
    proved, _ = said(alone)
    key = format_address(AUTHOR, SPEC.hrp)
    assert f"its author are one key, {key}, so this is a self-graded claim" in proved
    assert "The opener's key has also founded the model." in proved
    shown = shown_of_model(alone)["one key"]
    assert shown == "the opener and the author, and the founder: a self-graded claim"


def test_the_author_of_a_half_counts_as_an_author() -> None:
    """A union that somebody else has sent is graded by itself all the same."""
    source = SegmentSources(Explicit(bytes(32)), Explicit(bytes(32)))
    growth = Growth(1, (), (Output(0, 0, 4, 2, 1, 0, 8),) * 2, ())
    halves = (Half(WITNESS, 0, 1), Half(MODEL_RECORD.founder, 0, 1))
    whole = report(min_work=1)
    union = replace(whole.version, added=GrowUpdate(growth, (), (source, source), (), halves))
    known = facts(replace(whole, version=union))
    assert whole.round is not None
    assert whole.round.opener == MODEL_RECORD.founder
    assert known["opener_is_author"]
    assert known["founder_is_author"]
    assert "and the author of one of its halves are one key" in said(replace(whole, version=union))[0]
    assert not facts(whole)["opener_is_author"]


def test_a_version_that_no_round_has_made_is_graded_by_nobody() -> None:
    alone = replace(report(min_work=1), round=None)
    known = facts(alone)
    assert (known["opener_is_author"], known["founder_is_opener"]) == (None, None)
    assert "one key" not in shown_of_model(alone)


@pytest.mark.parametrize(
    ("model_frozen", "head", "kind", "frozen"),
    [
        (True, 1, RoundKind.TRAIN, True),
        (False, 1, RoundKind.TRAIN, False),
        (False, 2, RoundKind.TRAIN, False),
        (True, 2, RoundKind.GROW, True),
        (True, 2, RoundKind.TRAIN, None),
    ],
)
def test_whether_the_version_is_frozen_is_said(
    model_frozen: bool, head: int, kind: RoundKind, frozen: bool | None
) -> None:
    """Once a model is frozen its versions only grow, so that an older one is known by its kind alone."""
    whole = report(min_work=1)
    assert whole.version.number == 1
    checked = replace(
        whole,
        model=replace(MODEL_RECORD, frozen=model_frozen, head=head),
        version=replace(whole.version, kind=int(kind)),
    )
    known, (proved, unproved) = facts(checked), said(checked)
    assert known["frozen"] is frozen
    shown = shown_of_model(checked)["frozen"]
    assert shown.startswith({True: "yes", False: "no", None: "this proof"}[frozen])
    assert ("The version was frozen" in proved) is (frozen is True)
    assert ("The version was not frozen" in proved) is (frozen is False)
    assert ("Whether version 1 was frozen" in unproved) is (frozen is None)


def test_what_was_claimed_is_not_said_to_have_been_computed() -> None:
    checked = report()
    words = "every node computes every score"
    assert words in str(record_fields(facts(checked)))
    assert "claimed row by row" not in said(checked)[1]
    claimed = replace(checked, model=replace(checked.model, claims=ClaimTerms(window=30, audited=4)))
    unproved = said(claimed)[1]
    assert "Not every node computed this: it was claimed row by row" in unproved
    assert "could be disputed for 30 ticks, and 4 chunks of rows" in unproved
    assert "one honest watcher" in unproved
    assert "one honest miner" in unproved
    assert words not in str(record_fields(facts(claimed)))
    founded = replace(claimed, version=replace(claimed.version, number=0))
    assert "claimed row by row" not in said(founded)[1], "nobody has measured version 0"
