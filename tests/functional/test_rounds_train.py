"""TRAIN rounds from the opening to the version: who wins, who is paid what, what the model remembers."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from engram.nn.engine import Frozen, NumpyEngine
from engram.nn.fixed import Int64Array
from engram.nn.gemm import FLOATS
from engram.nn.parameters import Parameters
from engram.nn.spec import NetworkSpec
from engram.primitives.keys import PrivateKey
from engram.statemachine.record import u32
from engram.statemachine.records import BadgeKind, NamedWitness, Reputation, ScoreEntry
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.candidates import OwnerGroup
from engram.statemachine.rounds.judging import TABLE_SLACK
from engram.statemachine.rounds.records import RoundStatus
from engram.statemachine.rounds.terms import entry_of
from engram.statemachine.scoring import Scorer
from tests.support.rounds import (
    ALICE,
    BOB,
    CAROL,
    COIN,
    OPENER,
    SMALL_RULES,
    WITNESS,
    Play,
    make_part,
    network,
    train_terms,
)

FULL = (NamedWitness(WITNESS.address, False),)
ENTRY = 20 * COIN // 1_000
"""What a commit burns in the first epoch."""


def baseline_of(play: Play) -> int:
    """Version 0 knows nothing: it loses ln 2 a row, and so do the frequencies of equal classes."""
    return sum(part.old_loss for part in play.round.unseen) - TABLE_SLACK * 8 * len(play.round.unseen)


@dataclass(frozen=True)
class CountingEngine(NumpyEngine):
    """Counts how often it runs a network over rows."""

    runs: list[NetworkSpec] = field(default_factory=list)

    def logits(
        self, spec: NetworkSpec, parameters: Parameters, peaks: Sequence[int], start: Frozen
    ) -> Int64Array:
        self.runs.append(spec)
        return super().logits(spec, parameters, peaks, start)


def test_version_t_runs_once_over_a_part_that_opens_because_it_is_charged_once() -> None:
    play = Play()
    play.ok(play.found())
    engine = CountingEngine("counting", FLOATS)
    play.ledger.scorer = Scorer(engine=engine)
    play.reveal_validation()
    assert len(engine.runs) == 1


def test_the_lowest_share_becomes_the_next_version() -> None:
    play = Play()
    play.ok(play.found())
    play.reveal_validation()
    good, better = network(play.inputs, 4), network(play.inputs, 8)
    for receipt in play.play_epoch((ALICE, good), (BOB, better)):
        play.ok(receipt)
    ended = play.decide()
    assert (ended.status, ended.winner, ended.new_version) == (RoundStatus.DECIDED, BOB.address, 1)

    baseline, sealed = baseline_of(play), play.loss_of(better, ended.unseen)
    assert (ended.best[0].loss, ended.best[0].baseline) == (sealed, baseline)
    version, model = play.version(1), play.model
    assert (version.author, version.parent, version.round) == (BOB.address, play.version(0).root, ended.id)
    assert (version.validation_loss, version.validation_rows) == (play.loss_of(better), 8)
    assert (version.sealed_loss, version.sealed_rows, version.sealed_correct) == (sealed, 8, 8)
    assert (model.head, model.root, model.loss, model.loss_rows) == (1, version.root, sealed, 8)
    assert model.frozen
    assert model.classes_before_growth == 2, "freezing protects the founding classes for ever"
    assert [part.classes for part in model.retention] == [2]
    assert ended.winner_groups[OwnerGroup.OPENER].loss == sealed

    share = 20 * COIN * (baseline - sealed) // baseline
    assert play.maturing(BOB) == share
    assert play.maturing(OPENER) == 20 * COIN - share
    assert play.maturing(ALICE) == 0
    assert play.spent(OPENER) == 20 * COIN
    reputation = play.ledger.state.get(Reputation, play.model_id, BOB.address)
    assert reputation.points == 10**6 * (baseline - sealed) // baseline

    assert play.spent(ALICE) == play.spent(BOB) == COIN + ENTRY
    play.withdraw_all()
    assert play.spent(ALICE) == play.spent(BOB) == ENTRY
    assert play.badges(BOB, 1) == {BadgeKind.PARTICIPATION, BadgeKind.BEST_LOSS}
    assert play.badges(ALICE, 1) == {BadgeKind.PARTICIPATION}
    assert play.badges(OPENER, 1) == {BadgeKind.FOUNDER}


def test_the_ledger_keeps_every_score_of_version_t() -> None:
    play = Play()
    play.found()
    play.reveal_validation()
    weights = network(play.inputs, 8)
    play.play_epoch((ALICE, weights))
    ended = play.decide()
    assert (len(ended.validation_opened), len(ended.unseen)) == (1, 1)
    for part in (*ended.validation_opened, *ended.unseen):
        before = play.ledger.state.get(ScoreEntry, play.model_id, u32(0), part.commitment)
        assert (before.loss, before.rows, part.old) == (part.old_loss, 8, 8)
        assert play.ledger.state.find(ScoreEntry, play.model_id, u32(1), part.commitment) is None


def test_every_epoch_leaves_its_best_and_a_better_one_may_follow() -> None:
    play = Play()
    play.found(terms=train_terms(play.parts, epochs=2))
    play.reveal_validation()
    first, worse, second = network(play.inputs, 3), network(play.inputs, 2), network(play.inputs, 8)
    play.play_epoch((ALICE, first), (CAROL, worse))
    play.play_epoch((BOB, second), epoch=1)
    ended = play.decide()
    assert [result.author for result in ended.results] == [ALICE.address, BOB.address]
    assert [result.loss for result in ended.results] == [play.loss_of(first), play.loss_of(second)]
    assert [best.author for best in ended.best] == [ALICE.address, BOB.address]
    assert ended.winner == BOB.address
    # Each is paid for what it removed from the one before: together, what the winner removed.
    baseline = baseline_of(play)
    alone, last = (play.loss_of(weights, ended.unseen) for weights in (first, second))
    assert play.maturing(ALICE) == 20 * COIN * (baseline - alone) // baseline
    assert play.maturing(BOB) == 20 * COIN * (alone - last) // baseline
    assert play.maturing(CAROL) == 0
    play.withdraw_all()
    assert play.badges(ALICE, 1) == {BadgeKind.PARTICIPATION, BadgeKind.BEST_LOSS}
    assert play.badges(CAROL, 1) == {BadgeKind.PARTICIPATION}
    assert play.spent(BOB) == 20 * COIN // 100, "a later epoch is ten times as dear"


def test_an_author_may_improve_on_its_own_candidate() -> None:
    play = Play()
    play.found(terms=train_terms(play.parts, epochs=2))
    play.reveal_validation()
    first, second = network(play.inputs, 3), network(play.inputs, 8)
    play.play_epoch((ALICE, first))
    play.play_epoch((ALICE, second), epoch=1)
    assert [play.candidate(ALICE, epoch).epoch for epoch in (0, 1)] == [0, 1]
    ended = play.decide()
    whole = 20 * COIN * (baseline_of(play) - play.loss_of(second, ended.unseen)) // baseline_of(play)
    assert ended.winner == ALICE.address
    assert play.maturing(ALICE) in (whole, whole - 1), "two payments, each rounded down"
    play.withdraw_all()
    assert play.spent(ALICE) == sum(entry_of(SMALL_RULES, ended.terms, epoch) for epoch in (0, 1))


def test_an_update_that_improves_nothing_gets_its_bond_back_at_once() -> None:
    play = Play()
    play.found()
    play.reveal_validation()
    receipt = play.play_epoch((ALICE, network(play.inputs, 0, nudge=1)))[0]
    assert (receipt.code, [event.name for event in receipt.events]) == ("", ["no_improvement"])
    assert not play.round.has_candidates
    assert play.spent(ALICE) == ENTRY


def test_the_model_stays_if_nobody_plays_and_nothing_has_to_be_opened() -> None:
    play = Play()
    play.found()
    play.reveal_validation()
    play.at(Phase.WAIT)
    play.ledger.skip_to_tick(play.span(Phase.UPDATE).last + 1)
    assert play.span(Phase.AUDIT).last >= play.tick, "nobody waits for an audit of nothing"
    play.end()
    ended = play.round
    assert (ended.status, ended.new_version, play.model.head) == (RoundStatus.KEPT, 0, 0)
    assert play.spent(OPENER) == 20 * COIN
    assert play.maturing(OPENER) == 20 * COIN
    assert play.model.open_round == bytes(32)


def test_rounds_follow_each_other_until_the_model_freezes() -> None:
    play = Play()
    play.found()
    play.reveal_validation()
    play.play_epoch((ALICE, network(play.inputs, 1)))
    play.decide()
    trained = play.model
    assert (trained.frozen, trained.retention, trained.classes_before_growth) == (False, (), 0)

    play.parts = [make_part(index, parts=4, seed=1) for index in range(4)]
    play.ok(play.open())
    assert (play.round.version, play.round.base) == (1, play.version(1).root)
    play.reveal_validation()
    play.play_epoch((BOB, network(play.inputs, 8)))
    assert play.decide().new_version == 2
    assert play.model.frozen
    play.parts = [make_part(index, parts=4, seed=2) for index in range(4)]
    assert play.refused(OPENER, play.open_payload()) == "model_frozen"


def test_opening_the_next_round_settles_the_last() -> None:
    play = Play()
    play.found()
    play.reveal_validation()
    play.at(Phase.CLOSED)
    last = play.id
    play.parts = [make_part(index, parts=4, seed=1) for index in range(4)]
    receipt = play.ok(play.open())
    assert [event.name for event in receipt.events] == ["round_ended", "round_opened"]
    assert play.id != last
    assert play.model.open_round == play.id


@pytest.mark.parametrize("old_only", [False, True])
def test_the_part_of_a_witness_decides_beside_the_openers(old_only: bool) -> None:
    """In TRAIN all classes are old, so a witness of old classes alone can judge as well."""
    play = Play(parts=5)
    named = (NamedWitness(WITNESS.address, old_only),)
    play.found(terms=train_terms(play.parts[:4], witnesses=named))
    play.seal(WITNESS, play.parts[4])
    assert play.spent(WITNESS) == 20 * COIN, "the bond is as high as the bounty"
    assert (play.round.pot, play.round.witnesses[0].fee) == (19 * COIN, COIN)
    play.reveal_validation()
    weights = network(play.inputs, 8)
    play.play_epoch((ALICE, weights))
    play.witness()
    assert play.round.independent
    assert play.spent(WITNESS) == 0
    assert play.maturing(WITNESS) == COIN
    play.at(Phase.AUDIT)
    play.ok(play.send(OPENER, play.sealed_payload(play.secret(play.round.sealed_drawn[0]))))
    play.score_all()
    ended = play.end()
    assert [part.owner for part in ended.unseen] == [WITNESS.address, OPENER.address]
    rows = [group.rows for group in ended.winner_groups]
    assert rows == ([16, 0] if old_only else [8, 8])
    assert play.version(1).sealed_rows == 16
    assert play.badges(WITNESS, 1) == {BadgeKind.WITNESS}
    best = ended.best[0]
    assert play.maturing(ALICE) == 19 * COIN * (best.baseline - best.loss) // best.baseline
    assert play.maturing(ALICE) + play.maturing(OPENER) == 19 * COIN


def test_the_share_is_what_was_removed_from_the_group_that_gained_the_least() -> None:
    """The witness's rows are harder: a feature lies in some of them."""
    play = Play(parts=5)
    play.found(terms=train_terms(play.parts[:4], witnesses=FULL))
    play.seal(WITNESS, play.parts[4])
    play.reveal_validation()
    weights = network(play.inputs, 5)
    play.play_epoch((ALICE, weights))
    ended = play.decide()
    shares = [(group.loss, group.growth.baseline) for group in ended.winner_groups]
    worst = max(shares, key=lambda share: share[0] / share[1])
    assert (ended.best[0].loss, ended.best[0].baseline) == worst
    assert shares[0] != shares[1]


def test_anyone_may_pay_for_the_scores_of_anyone_part_by_part() -> None:
    play = Play(parts=5)
    play.found(terms=train_terms(play.parts[:4], sealed=2, witnesses=FULL))
    play.seal(WITNESS, play.parts[4])
    play.reveal_validation()
    play.play_epoch((ALICE, network(play.inputs, 8)), (BOB, network(play.inputs, 7)))
    play.audit()
    play.at(Phase.SCORE)
    payload = play.score_payload(ALICE)
    assert payload.parts == (0, 1, 2)
    play.ok(play.send(CAROL, replace(payload, parts=(1,))))
    assert play.best() is None
    play.ok(play.send(BOB, replace(payload, parts=(0, 2))))
    assert play.best() == ALICE.address
    split = play.candidate(ALICE)
    play.score_update(BOB, sender=CAROL)
    assert play.candidate(BOB).scored == split.scored == b"\7"
    assert play.best() == ALICE.address, "the lower share stays"
    assert play.fees[ALICE.address] < play.fees[CAROL.address], "she paid for no score"


@pytest.mark.parametrize("sender", [ALICE, CAROL])
def test_a_bond_returns_to_the_author_whoever_withdraws(sender: PrivateKey) -> None:
    play = Play()
    play.found()
    play.reveal_validation()
    play.play_epoch((ALICE, network(play.inputs, 8)))
    play.decide()
    receipt = play.withdraw(ALICE, sender=sender)
    assert receipt.events[-1].name == "bond_returned"
    assert play.spent(ALICE) == ENTRY
    assert play.spent(CAROL) == 0


def test_reveal_ends_with_the_last_part_and_commits_begin_in_the_next_tick() -> None:
    play = Play()
    play.found(terms=train_terms(play.parts, validation=2, reveal_window=9))
    play.at(Phase.REVEAL)
    begun = play.tick
    drawn = play.drawn_parts()[0]
    play.ok(play.send(OPENER, play.part_payload(drawn[0])))
    assert play.span(Phase.REVEAL).last == begun + 8, "one part is still owed"
    play.ok(play.send(OPENER, play.part_payload(drawn[1])))
    assert play.span(Phase.REVEAL).last == begun + 1
    assert play.tick == play.span(Phase.COMMIT).first == begun + 2
    play.commit(ALICE, network(play.inputs, 8))


def test_the_audits_end_when_all_is_open() -> None:
    play = Play(parts=6)
    named = tuple(NamedWitness(who.address, False) for who in (WITNESS, CAROL))
    terms = train_terms(play.parts[:4], sealed=2, witnesses=named, witness_window=9, audit_window=9)
    play.found(terms=terms)
    play.seal(WITNESS, play.parts[4])
    play.seal(CAROL, play.parts[5])
    play.reveal_validation()
    play.play_epoch((ALICE, network(play.inputs, 8)))
    play.at(Phase.AUDIT_WITNESSES)
    begun = play.tick
    payload = play.sealed_payload(play.secret(play.round.sealed_drawn[0]))
    play.ok(play.send(WITNESS, play.sealed_payload(play.parts[4])))
    assert play.refused(OPENER, payload) == "wrong_phase"
    play.ok(play.send(CAROL, play.sealed_payload(play.parts[5])))
    assert (play.tick, play.span(Phase.AUDIT).first) == (begun + 2, begun + 2)
    play.ok(play.send(OPENER, payload))
    assert play.span(Phase.AUDIT).last == begun + 10
    play.ok(play.send(OPENER, play.sealed_payload(play.secret(play.round.sealed_drawn[1]))))
    assert play.tick == play.span(Phase.SCORE).first == begun + 4
    play.score_update(ALICE)
    assert play.end().status == RoundStatus.DECIDED
