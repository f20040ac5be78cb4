"""What a proof is said to prove: every anchor, and what a witness measured."""

from dataclasses import replace

import pytest

from engram.consensus.chainspec import ONE_WORK_TARGET, spec_id
from engram.consensus.proof import LEAST_ANCHORING_WORK, ProofReport, verify_bundle
from engram.library.proof_facts import facts
from engram.library.proof_fields import record_fields
from engram.nn.growth import Growth
from engram.nn.layers import Output
from engram.nn.tensor import Explicit
from engram.primitives.keys import format_address
from engram.primitives.types import ZERO_HASH
from engram.statemachine.additions import GrowUpdate, Half, SegmentSources
from engram.statemachine.claimterms import ClaimTerms
from engram.statemachine.rounds.records import GroupScore, RoundKind
from tests.support.proof_chain import (
    AUTHOR,
    MODEL_RECORD,
    ROUND_RECORD,
    SPEC,
    VERSION_RECORD,
    WITNESS,
    bundle_of,
    mined_line,
    tree_of,
)
from tests.support.proof_reports import LINE, TREE, WITNESS_TEXT, of_round, report, said, shown_of_model


def test_without_an_anchor() -> None:
    proved, unproved = said(report())
    assert "anybody could have made it" in proved
    assert "with 1 block on top of it takes about 8,190 hash attempts. So little work is no anchor" in proved
    assert "Give --checkpoint with the id of a block that you trust." in proved
    assert "--min-work" not in proved, "no amount that this file has is an anchor"
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
    assert "anybody could have made it" in proved
    assert f"Your checkpoint {LINE[2].id.hex()} comes before that block, so it does not vouch" in proved
    assert "Ask whomever you trust whether that block, or a later one, is on the chain" in proved
    assert "do not copy its id from here" in proved
    assert "Give --checkpoint" not in proved


def test_anchored_by_a_checkpoint() -> None:
    proved, unproved = said(report(checkpoint=LINE[3].id))
    spec = f"of the chain local (spec_id {spec_id(SPEC).hex()})"
    block = f"block {LINE[3].id.hex()} at height 3 {spec}"
    assert proved.startswith(f"Your checkpoint is {block}. If it is genuine, its id fixes the state")
    assert "you rely on whoever told you the checkpoint" in unproved
    later, _ = said(report(checkpoint=LINE[4].id))
    assert later.startswith(f"Your checkpoint {LINE[4].id.hex()} comes after {block}. If the checkpoint is")


def worked(min_work: int = 5_000, work: int = LEAST_ANCHORING_WORK) -> ProofReport:
    """The report of a verifier who asked for work and found so much of it."""
    return replace(report(min_work=min_work), work=work)


def test_anchored_by_work() -> None:
    proved, unproved = said(worked())
    assert f"took about {LEAST_ANCHORING_WORK:,} hash attempts; you asked for at least 5,000" in proved
    assert "you rely on the miners who did the work" in unproved


def test_work_as_the_only_anchor_is_said_to_leave_another_history_possible() -> None:
    _, unproved = said(worked())
    assert "That the chain local has no other history." in unproved
    attempts = f"{LEAST_ANCHORING_WORK:,} hash attempts; whoever makes so many again can make another"
    assert f"cost about {attempts}" in unproved
    for anchored in (report(), report(checkpoint=LINE[3].id), report(checkpoint=LINE[3].id, min_work=1)):
        assert "no other history" not in said(anchored)[1], "no anchor, or a checkpoint beside the work"


@pytest.mark.parametrize("asked", [0, 1, 1_000])
def test_little_work_is_no_anchor_whatever_the_verifier_asks_for(asked: int) -> None:
    little = worked(asked, LEAST_ANCHORING_WORK - 1)
    known, (proved, _) = facts(little), said(little)
    assert (known["verdict"], known["accepted"]) == ("consistent, not anchored", False)
    assert f"less than {LEAST_ANCHORING_WORK:,} (2^40) attempts cost one machine" in proved
    assert (f"You asked for {asked:,}." in proved) is (asked > 0)
    enough = worked(asked)
    assert facts(enough)["accepted"] is (asked > 0), "with so much work, it is the verifier who has to ask"
    assert ("or --min-work with more" in said(enough)[0]) is (asked == 0)
    assert facts(replace(little, vouched=True))["accepted"], "a checkpoint needs no work"


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
    assert "no witness opened a part, so all rows that decided were the opener's" in unproved
    assert "the opener knew their own from the beginning" in unproved


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
    for word in ("witness", "opener", "round"):
        assert word not in unproved, "there was none"
    assert "whether it may decide about people" in unproved


def test_a_fork_says_where_it_comes_from() -> None:
    model = replace(MODEL_RECORD, head=0, parent=b"\x09" * 32, parent_version=4)
    version = replace(VERSION_RECORD, number=0, round=ZERO_HASH)
    tree = tree_of(model, version)
    line = mined_line(SPEC, 1, tree.root)
    bundle = bundle_of(line, tree, model=model, version=version, round_=None)
    proved, _ = said(verify_bundle(bundle, SPEC, line[-1].timestamp_ms, min_work=1))
    assert "made as a fork of version 4 of the model 090909090909" in proved
    assert "No round of this model has measured version 0" in proved


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
    checked = report(checkpoint=LINE[3].id)
    words = "every node computes every score"
    assert words in str(record_fields(facts(checked)))
    assert "In its round, on 200 rows" in said(checked)[0]
    assert "claimed" not in "".join(said(checked))
    claimed = replace(checked, model=replace(checked.model, claims=ClaimTerms(window=30, audited=4)))
    proved, unproved = said(claimed)
    chunks = 3 * 13  # a part has 100 rows, in chunks of 8
    assert facts(claimed)["claims"] == {"window": 30, "audited": 4, "chunks": chunks}
    assert "Its author claimed that in its round, on 200 rows" in proved
    assert "and that it got 95.00 % right. Every node computed 4 of the 39 chunks of this claim" in proved
    assert "nobody proved it false within 30 ticks" in proved
    assert "its mean loss" not in proved.partition("Its author claimed")[2].partition("nats")[2], "no number"
    assert proved.count("its claimed mean loss was") == 2, "of the witnesses' rows, and of the opener's"
    assert "Not every node computed them: they are right if one honest watcher" in unproved
    assert "one honest miner" in unproved
    assert words not in str(record_fields(facts(claimed)))
    growth = replace(claimed, version=replace(claimed.version, kind=int(RoundKind.GROW)))
    assert "4 chunks of it, out of 39 of the round's rows and those of older rows" in said(growth)[0]
    every = replace(checked, model=replace(checked.model, claims=ClaimTerms(window=30, audited=200)))
    assert "computed 39 of the 39 chunks" in said(every)[0]
    founded = replace(claimed, version=replace(claimed.version, number=0), round=None)
    assert facts(founded)["claims"] == {"window": 30, "audited": 4, "chunks": None}
    assert "author claimed" not in "".join(said(founded)), "nobody has measured version 0"


def test_what_a_reader_may_not_conclude_is_said_of_every_round() -> None:
    _, unproved = said(report(checkpoint=LINE[3].id))
    assert "the opener and each witness knew their own from the beginning" in unproved
    assert "as well on your rows, or on each single class" in unproved
    assert "whether the rows of its round were good ones" in unproved
    assert "whether it may decide about people" in unproved


def test_a_frozen_version_is_not_said_to_answer_for_ever_alike() -> None:
    proved, _ = said(report(checkpoint=LINE[3].id))
    assert "Their answers may differ from its answers: under the policy strict" in proved
    assert "one growth may get wrong up to 2 % of the rows of old classes" in proved
    known = facts(report())
    assert (known["policy"], known["retention_epsilon_ppm"]) == ("strict", 20_000)
