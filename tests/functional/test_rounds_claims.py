"""Rounds on models whose authors claim scores: what is claimed counts only if nobody refutes it."""

from dataclasses import replace

import pytest

from engram.nn.layers.dense_relu import DenseRelu
from engram.nn.layers.output import Output
from engram.nn.loss import loss_limit
from engram.nn.network import NetworkSpec
from engram.primitives.errors import Invalid
from engram.statemachine.additions import TrainUpdate
from engram.statemachine.claimterms import ClaimTerms
from engram.statemachine.receipt import Receipt
from engram.statemachine.rounds import disclosure
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.candidates import losable_rows
from engram.statemachine.rounds.claims import (
    DISPUTE_KIND,
    chunk_count,
    chunk_rows,
    claimed_parts,
    recomputing_macs,
    subject_of,
)
from engram.statemachine.rounds.records import Candidate, ClaimStatus, RoundStatus
from engram.statemachine.scoring import network_macs
from engram.statemachine.transactions.confirm_update import ConfirmUpdate
from engram.statemachine.transactions.dispute_claim import DisputeClaim
from tests.support import round_view
from tests.support.claimed_rounds import CLAIMS, EVERY_CHUNK, ROWS, ClaimPlay, better, worse_before
from tests.support.rounds import (
    ALICE,
    BOB,
    CAROL,
    COIN,
    OPENER,
    Play,
    grow_terms,
    growth,
    network,
    train_terms,
)

BOND = 40 * COIN


def wide_network(*, inputs: int, width: int) -> NetworkSpec:
    """One hidden layer of so many neurons, two classes."""
    hidden = DenseRelu(layer=1, lo=0, hi=inputs, width=width, shift=8, bits=8, weight_bits=8)
    output = Output(layer=1, lo=0, hi=width, first=0, width=2, shift=0, weight_bits=8)
    return NetworkSpec(inputs, 2, (), (hidden,), (output,))


def played_until_scores(play: Play) -> None:
    """A founding round in which Alice brings a good network, until candidates are scored."""
    play.ok(play.found())
    play.reveal_validation()
    play.play_epoch((ALICE, network(play.inputs, 8)))
    play.audit()
    play.at(Phase.SCORE)


def claimed(play: ClaimPlay) -> None:
    """As `played_until_scores`; then Alice claims all scores."""
    played_until_scores(play)
    play.score_update(ALICE)


def judged(candidate: Candidate) -> Candidate:
    """A candidate without what differs between models with claims and without."""
    return replace(candidate, round=bytes(32), root=bytes(32), committed=0, claim=None, bond=0)


def without_claims() -> Play:
    """A play with the same parts, on a model of which every node computes the scores."""
    play = Play()
    play.parts = ClaimPlay().parts
    return play


@pytest.fixture
def same_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    """All rounds draw the same parts, whatever the ids of blocks."""
    for module in (disclosure, round_view):
        monkeypatch.setattr(module, "draw_seed", lambda *_: bytes(32))


@pytest.mark.usefixtures("same_draw")
def test_claimed_scores_lead_to_what_computed_ones_lead_to() -> None:
    plain, play = without_claims(), ClaimPlay()
    for one in (plain, play):
        one.ok(one.found(terms=train_terms(one.parts, rows=ROWS, score_window=16, author_bond=BOND)))
        one.reveal_validation()
        one.play_epoch((ALICE, network(one.inputs, 8)), (BOB, network(one.inputs, 1)))
        one.decide(ALICE, BOB)
    assert [judged(play.candidate(who)) for who in (ALICE, BOB)] == [
        judged(plain.candidate(who)) for who in (ALICE, BOB)
    ]
    assert (play.round.status, play.round.winner) == (RoundStatus.DECIDED, ALICE.address)
    assert play.version(1).sealed_loss == plain.version(1).sealed_loss
    assert (play.model.frozen, play.model.claims) == (plain.model.frozen, CLAIMS)
    play.withdraw_all()
    plain.withdraw_all()
    assert play.maturing(ALICE) == plain.maturing(ALICE) > 0
    assert play.spent(ALICE) == plain.spent(ALICE)


@pytest.mark.usefixtures("same_draw")
def test_a_growth_is_judged_by_claims_as_by_nodes() -> None:
    plain, play = without_claims(), ClaimPlay()
    for one in (plain, play):
        terms = train_terms(one.parts, rows=ROWS, score_window=16, author_bond=BOND)
        one.freeze(terms=terms)
        one.new_parts(rows=ROWS)
        one.ok(one.open(grow_terms(one.parts, rows=ROWS, score_window=16, author_bond=BOND)))
        one.reveal_validation()
        one.play_epoch((BOB, growth(one.inputs, 8)))
        one.decide(BOB)
    theirs, mine = plain.candidate(BOB), play.candidate(BOB)
    assert judged(mine) == judged(theirs)
    assert mine.groups[0].rows == ROWS
    assert mine.claim is not None
    assert mine.claim.status == ClaimStatus.CONFIRMED
    rules = play.ledger.rules
    assert losable_rows(rules, play.round, mine) == losable_rows(rules, plain.round, theirs) != (0, 0)
    assert mine.claim.old_loss == sum(part.old_loss for part in plain.round.unseen) > 0
    assert (play.model.head, play.model.lost_ppm) == (plain.model.head, plain.model.lost_ppm)


def refuted(play: ClaimPlay, receipt: Receipt, challenger_gains: int) -> None:
    """The claim of Alice is refuted: half of the bond went to whoever showed it, nothing of it is left."""
    candidate = play.candidate(ALICE)
    assert candidate.claim is not None
    assert (candidate.claim.status, candidate.bond) == (ClaimStatus.REFUTED, 0)
    (event,) = [event for event in receipt.events if event.name == "claim_refuted"]
    assert event.values[-1] == challenger_gains == BOND // 2


def test_a_lie_about_one_row_costs_the_bond() -> None:
    play = ClaimPlay()
    play.lies[ALICE.address, 1] = better(row=17)
    claimed(play)
    before = play.account(BOB).balance
    receipt = play.ok(play.send(BOB, play.dispute_payload(ALICE, part=1, number=2)))
    refuted(play, receipt, play.account(BOB).balance - before + receipt.fee)
    play.pass_window(ALICE)
    assert play.refused(CAROL, play.dispute_payload(ALICE, part=1, number=2)) == "claim_decided"
    assert play.end().status == RoundStatus.KEPT
    assert (play.model.head, play.maturing(ALICE)) == (0, 0)
    play.withdraw(ALICE)
    assert play.spent(ALICE) == BOND + 2 * COIN // 100
    assert play.maturing(OPENER) == 20 * COIN


def test_a_lie_about_version_t_is_one_too() -> None:
    play = ClaimPlay()
    play.lies[ALICE.address, 1] = worse_before(row=0)
    claimed(play)
    assert play.refused(BOB, replace(play.dispute_payload(ALICE, 1, 0), epoch=1)) == "missing_candidate"
    play.ok(play.send(BOB, play.dispute_payload(ALICE, part=1, number=0)))
    assert play.end().status == RoundStatus.KEPT


def test_a_lie_about_the_validation_part_can_be_disputed_once_scores_are_due() -> None:
    play = ClaimPlay()
    play.lies[ALICE.address, 0] = better(row=9)
    played_until_scores(play)
    receipt = play.ok(play.send(CAROL, play.dispute_payload(ALICE, part=0, number=1)))
    refuted(play, receipt, BOND // 2)
    assert play.refused(ALICE, play.score_payload(ALICE)) == "claim_decided"


def test_a_sum_that_is_not_the_committed_loss_needs_no_dispute() -> None:
    play = ClaimPlay()
    play.ok(play.found())
    play.reveal_validation()
    play.at(Phase.COMMIT)
    claim = play.claim(ALICE, network(play.inputs, 8))
    lower = play.claim(ALICE, network(play.inputs, 8), loss=claim.loss - 1)
    play.ok(play.send(ALICE, play.commit_payload(lower)))
    play.at(Phase.UPDATE)
    receipt = play.send(ALICE, play.update_payload(lower, network(play.inputs, 8)))
    assert (receipt.code, play.spent(ALICE)) == ("loss_mismatch", BOND + 2 * COIN // 100)


def test_who_disputes_the_truth_pays_for_it() -> None:
    play = ClaimPlay()
    claimed(play)
    spent = play.spent(BOB)
    for _ in range(3):
        receipt = play.send(BOB, play.dispute_payload(ALICE, part=1, number=0))
        assert receipt.code == "claim_holds"
    assert play.spent(BOB) - spent == 3 * play.ledger.rules.min_author_bond
    play.confirm(ALICE)
    assert play.end().status == RoundStatus.DECIDED


def test_an_audit_refutes_what_nobody_has_disputed() -> None:
    play = ClaimPlay(claims=EVERY_CHUNK)
    play.lies[ALICE.address, 1] = better(row=ROWS - 1)
    claimed(play)
    before = play.account(BOB).balance
    receipt = play.confirm(ALICE, sender=BOB)
    refuted(play, receipt, play.account(BOB).balance - before + receipt.fee)
    assert play.end().status == RoundStatus.KEPT


def test_the_audit_draws_each_chunk_of_all_parts_once() -> None:
    play = ClaimPlay(claims=EVERY_CHUNK)
    claimed(play)
    play.pass_window(ALICE)
    chunks = range(chunk_count(ROWS))
    assert (chunk_rows(ROWS), len(chunks)) == (8, 3)
    assert play.drawn(ALICE) == tuple((part, chunk) for part in (0, 1) for chunk in chunks)
    few = ClaimPlay()
    claimed(few)
    few.pass_window(ALICE)
    assert len(set(few.drawn(ALICE))) == CLAIMS.audited


def test_a_claim_counts_only_once_its_window_has_passed() -> None:
    play = ClaimPlay()
    claimed(play)
    claim = play.candidate(ALICE).claim
    assert claim is not None
    play.ledger.skip_to_tick(claim.last + CLAIMS.window - 1)
    early = ConfirmUpdate(play.id, 0, ALICE.address, (play.chunk(ALICE, 1, 0),))
    assert play.refused(ALICE, early) == "window_open"
    assert play.best() is None
    play.confirm(ALICE)
    assert play.best() == ALICE.address
    assert play.refused(BOB, play.dispute_payload(ALICE, part=1, number=0)) == "claim_decided"


def test_what_is_not_claimed_in_time_is_lost_with_the_bond() -> None:
    play = ClaimPlay()
    played_until_scores(play)
    early = ConfirmUpdate(play.id, 0, ALICE.address, (play.chunk(ALICE, 0, 0),))
    assert play.refused(ALICE, early) == "claim_unfinished"
    play.ledger.skip_to_tick(play.span(Phase.SCORE).last)
    play.score_update(ALICE)
    assert play.end().status == RoundStatus.KEPT
    play.withdraw(ALICE)
    assert play.spent(ALICE) >= BOND


def test_only_the_author_claims() -> None:
    play = ClaimPlay()
    played_until_scores(play)
    payload = play.score_payload(ALICE)
    assert play.refused(BOB, payload) == "not_the_author"
    play.ok(play.send(ALICE, payload))
    assert play.refused(ALICE, payload) == "part_scored"


@pytest.mark.parametrize("change", [b"", bytes(8)])
def test_a_claim_has_the_bytes_of_its_rows(change: bytes) -> None:
    play = ClaimPlay()
    played_until_scores(play)
    payload = play.score_payload(ALICE)
    broken = replace(payload, claimed=payload.claimed + change if change else payload.claimed[:-1])
    assert play.refused(ALICE, broken) == "claim_malformed"
    limit = loss_limit(2)
    most, head, rest = limit.to_bytes(4, "little") * 2, payload.claimed[:32], payload.claimed[40:]
    play.ok(play.fork().send(ALICE, replace(payload, claimed=head + most + rest)))
    for far in ((limit + 1).to_bytes(4, "little") + bytes(4), bytes(4) + b"\xff" * 4):
        beyond = replace(payload, claimed=head + far + rest)
        assert play.refused(ALICE, beyond) == "claim_malformed"


def test_claims_stand_where_they_belong_and_nowhere_else() -> None:
    play, plain = ClaimPlay(), without_claims()
    played_until_scores(play)
    assert play.refused(ALICE, replace(play.score_payload(ALICE), claimed=b"")) == "claim_misplaced"
    plain.ok(plain.found(terms=train_terms(plain.parts, rows=ROWS)))
    plain.reveal_validation()
    plain.at(Phase.COMMIT)
    weights = network(plain.inputs, 8)
    claim = plain.commit(ALICE, weights)
    plain.at(Phase.UPDATE)
    payload = plain.update_payload(claim, weights)
    assert plain.refused(ALICE, replace(payload, claimed=bytes(8 * ROWS))) == "claim_misplaced"
    plain.ok(plain.send(ALICE, payload))
    plain.audit()
    plain.at(Phase.SCORE)
    score = plain.score_payload(ALICE)
    assert plain.refused(ALICE, replace(score, claimed=bytes(8 * ROWS))) == "claim_misplaced"
    chunk = play.chunk(ALICE, 0, 0)
    for decided in (
        DisputeClaim(plain.id, 0, ALICE.address, bytes(32), chunk),
        ConfirmUpdate(plain.id, 0, ALICE.address, (chunk,)),
    ):
        assert plain.refused(ALICE, decided) == "claim_misplaced"


def test_a_disputed_chunk_is_one_that_was_claimed() -> None:
    play = ClaimPlay()
    claimed(play)
    true = play.dispute_payload(ALICE, part=1, number=1)
    other = play.chunk(ALICE, 1, 2)
    for chunk in (
        replace(true.chunk, rows=other.rows),
        replace(true.chunk, part=0),
        replace(true.chunk, part=2),
        replace(true.chunk, proof=replace(true.chunk.proof, index=3)),
        replace(true.chunk, proof=replace(true.chunk.proof, count=4)),
        replace(true.chunk, proof=replace(true.chunk.proof, siblings=())),
    ):
        assert play.refused(BOB, replace(true, chunk=chunk)) == "chunk_not_claimed"


def test_a_dispute_names_version_update_and_part() -> None:
    play = ClaimPlay()
    claimed(play)
    true, parts = play.dispute_payload(ALICE, part=1, number=1), claimed_parts(play.round, play.model)
    candidate, nothing = play.candidate(ALICE), bytes(32)
    for subject in (
        nothing,
        subject_of(play.round, candidate, parts[0]),
        subject_of(play.round, replace(candidate, root=nothing), parts[1]),
        subject_of(replace(play.round, base=nothing), candidate, parts[1]),
    ):
        assert play.refused(BOB, replace(true, subject=subject)) == "other_claim_disputed"
    assert play.send(BOB, true).code == "claim_holds"


def test_an_audit_takes_the_chunks_that_are_drawn_and_no_others() -> None:
    play = ClaimPlay()
    claimed(play)
    play.pass_window(ALICE)
    payload, drawn = play.confirm_payload(ALICE), play.drawn(ALICE)
    spare = next((part, n) for part in (0, 1) for n in range(3) if (part, n) not in drawn)
    for chunks in (
        payload.chunks[:1],
        payload.chunks[::-1],
        (*payload.chunks, play.chunk(ALICE, *spare)),
        (payload.chunks[0], play.chunk(ALICE, *spare)),
    ):
        assert play.refused(ALICE, replace(payload, chunks=chunks)) == "audit_mismatch"
    lied = replace(payload.chunks[0], rows=bytes(len(payload.chunks[0].rows)))
    assert play.refused(ALICE, replace(payload, chunks=(lied, *payload.chunks[1:]))) == "chunk_not_claimed"


def test_everyone_computes_a_chunk_of_a_claim_and_not_the_whole() -> None:
    """A part of 10,000 rows has 1,000 chunks; a dispute is charged for 10 rows and the loading."""
    play = ClaimPlay()
    claimed(play)
    rules, update = play.ledger.rules, play.candidate(ALICE).update
    assert isinstance(update, TrainUpdate)
    wide = replace(update, spec=wide_network(inputs=784, width=4_096))
    chunk = recomputing_macs(rules, wide, play.round, wide, [10_000], chunk_rows(10_000))
    whole = 2 * network_macs(rules, wide, 10_000, 2)
    assert chunk_count(10_000) == 1_000
    assert 40 * chunk < whole
    cost = play.dispute_payload(ALICE, 1, 0).cost(play.ledger.state, play.ledger.ctx, BOB.address)
    assert (cost.funds, cost.records) == (rules.min_author_bond, 1)


def founding_refused(play: ClaimPlay, claims: ClaimTerms = CLAIMS, **terms: object) -> str:
    with pytest.raises(Invalid) as caught:
        play.found(terms=play.terms(**terms), claims=claims)
    return caught.value.code


def test_terms_leave_room_for_claims_and_make_lies_dear() -> None:
    play = ClaimPlay()
    assert founding_refused(play, author_bond=BOND - 1) == "bond_too_low"
    assert founding_refused(play, score_window=CLAIMS.window + 1) == "terms_invalid"
    assert founding_refused(play, ClaimTerms(2, 2)) == "terms_invalid"
    assert founding_refused(play, ClaimTerms(4, 0)) == "terms_invalid"
    assert founding_refused(play, ClaimTerms(4, 65)) == "terms_invalid"
    assert founding_refused(play, ClaimTerms(1_001, 2), score_window=2_000) == "terms_invalid"
    most = play.ledger.rules.max_transaction_bytes - 1_024
    assert founding_refused(play, max_update_bytes=most) == "terms_invalid"
    assert play.ledger.height == 0
    play.ok(play.found(terms=play.terms(score_window=CLAIMS.window + 2)))


def test_no_model_has_claims_before_they_can_be_disputed() -> None:
    play = ClaimPlay()
    play.ledger.active = tuple((kind, first) for kind, first in play.ledger.active if kind != DISPUTE_KIND)
    assert founding_refused(play) == "not_activated"


def test_a_fork_keeps_the_claims_of_its_parent() -> None:
    play = ClaimPlay()
    claimed(play)
    play.confirm(ALICE)
    play.end()
    assert play.model.claims == CLAIMS
