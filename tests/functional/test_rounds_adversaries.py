"""Every way to cheat that the rounds know of, and the one function that stands in each way.

A scenario plays the attack and asserts what it got: code, coins, version. With its guard taken away by a
mutation, the same scenario must fail; so no scenario holds by accident.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from engram.nn.growth import Growth
from engram.primitives.types import ZERO_HASH, Address, Hash
from engram.statemachine.additions import TrainUpdate, parameters_root
from engram.statemachine.content import Inline
from engram.statemachine.records import NamedWitness
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.records import Candidate, Commit, EpochBest, Round, RoundStatus, Tally
from engram.statemachine.state import State
from engram.statemachine.transactions.publish_part import PublishPart
from tests.support.growing import growing
from tests.support.rounds import (
    ALICE,
    BOB,
    CAROL,
    COIN,
    OPENER,
    WITNESS,
    Play,
    SecretPart,
    Weights,
    block,
    column,
    distinct,
    forgetful,
    growth,
    make_part,
    network,
    train_terms,
)

ENTRY = 20 * COIN // 1_000
REVEAL = "engram.statemachine.transactions.reveal_update"
SEAL = "engram.statemachine.transactions.seal_part"
LEADING = "engram.statemachine.rounds.leading"


def training(**terms: object) -> Play:
    play = Play()
    play.ok(play.found(terms=train_terms(play.parts, **terms)))
    play.reveal_validation()
    play.at(Phase.COMMIT)
    return play


def liar() -> None:
    """Claims one unit less than its loss."""
    play = training()
    weights = network(play.inputs, 4)
    claim = play.commit(ALICE, weights, loss=play.loss_of(weights) - 1)
    play.at(Phase.UPDATE)
    receipt = play.send(ALICE, play.update_payload(claim, weights))
    assert (receipt.status, receipt.code) == (1, "loss_mismatch")
    assert play.spent(ALICE) == COIN + ENTRY
    assert (play.round.pot, play.round.has_candidates) == (20 * COIN, False)
    assert play.end().status == RoundStatus.KEPT


def copycat_of_a_reveal() -> None:
    """Resends another's reveal from the mempool as its own."""
    play = training()
    weights = network(play.inputs, 8)
    claim = play.commit(ALICE, weights)
    play.at(Phase.UPDATE)
    assert play.refused(BOB, play.update_payload(claim, weights)) == "commit_missing"
    assert (play.spent(BOB), play.round.has_candidates) == (0, False)


def copycat_of_a_commit() -> None:
    """Commits to the digest it saw, and opens it as its own once it has been opened."""
    play = training()
    weights = network(play.inputs, 8)
    payload = play.commit_payload(play.claim(ALICE, weights))
    for receipt in play.send_all([(ALICE, payload), (BOB, payload)]):
        play.ok(receipt)
    play.at(Phase.UPDATE)
    reveal = play.update_payload(play.claim(ALICE, weights), weights)
    play.ok(play.send(ALICE, reveal))
    assert play.refused(BOB, reveal) == "commit_mismatch"
    play.decide()
    play.withdraw(BOB, sender=ALICE)
    assert play.spent(BOB) == COIN + ENTRY
    assert play.version(1).author == ALICE.address
    assert play.maturing(BOB) == 0


def copycat_of_an_epoch() -> None:
    """Takes the best of an epoch, nudges one bias both ways under two names, and wins nothing."""
    play = training(epochs=2)
    original = network(play.inputs, 8)
    copies = [network(play.inputs, 8, nudge=nudge) for nudge in (-1, 1)]
    play.play_epoch((ALICE, original))
    play.play_epoch((BOB, copies[0]), (CAROL, copies[1]), epoch=1)
    ended = play.decide()
    first = play.loss_of(original, ended.unseen)
    assert min(play.loss_of(copy, ended.unseen) for copy in copies) < first, "one copy is better by luck"
    assert (ended.winner, play.version(1).sealed_loss) == (ALICE.address, first)
    assert play.maturing(BOB) == play.maturing(CAROL) == 0


def leaker() -> None:
    """Trains on the revealed rows alone: leads there, fails the sealed parts, and loses its bond."""
    play = training()
    leaked, honest = network(play.inputs, 16, feature=play.leaking_feature()), network(play.inputs, 6)
    for receipt in play.play_epoch((ALICE, leaked), (BOB, honest)):
        play.ok(receipt)
    ended = play.decide()
    assert ended.results[0].author == ALICE.address, "it leads on the validation parts"
    assert ended.winner == BOB.address
    play.withdraw(ALICE, sender=BOB)
    assert play.spent(ALICE) == COIN + ENTRY
    assert play.badges(ALICE, 1) == set()


def lone_leaker() -> None:
    """The same with nobody else to win: the model stays."""
    play = training()
    play.play_epoch((ALICE, network(play.inputs, 16, feature=play.leaking_feature())))
    assert play.decide().status == RoundStatus.KEPT
    assert (play.model.head, play.maturing(ALICE)) == (0, 0)


def forger_of_the_base() -> None:
    """Commits to a growth of a network in which one frozen weight is another."""
    play = growing()
    weights, base = growth(play.inputs, 8), play.version(1)
    changed, _ = block(column(play.inputs, 0, weight=2), [0])
    assert isinstance(base.added, TrainUpdate)
    forged = parameters_root(ZERO_HASH, ALICE.address, replace(base.added, hidden=(changed,)))
    assert parameters_root(ZERO_HASH, ALICE.address, base.added) == base.root
    claim = play.commit(BOB, weights, base=forged)
    play.at(Phase.UPDATE)
    receipt = play.send(BOB, play.update_payload(claim, weights))
    assert receipt.code == "base_mismatch"
    assert play.spent(BOB) == COIN + ENTRY
    assert play.end().status == RoundStatus.KEPT
    assert play.version(1).root == play.model.root == base.root


def forger_of_a_block() -> None:
    """Sends a block that adds to the weights between frozen neurons and an old class."""
    play = growing()
    shape = growth(play.inputs, 8)
    hidden, hidden_tensors = block(column(play.inputs, 1), [0])
    outputs, output_tensors = block([[1], [8]], [-1024])
    assert isinstance(shape.spec, Growth)
    output = replace(shape.spec.outputs[0], lo=0, hi=2, first=1)
    spec = replace(shape.spec, outputs=(output,))
    weights = Weights(spec, (hidden,), (outputs,), distinct(*hidden_tensors, *output_tensors))
    claim = play.commit(BOB, weights, loss=1)
    play.at(Phase.UPDATE)
    receipt = play.send(BOB, play.update_payload(claim, weights))
    assert receipt.code == "growth_overlap"
    assert play.spent(BOB) == COIN + ENTRY


def amnesiac() -> None:
    """Learns the new class at the price of an old one."""
    play = growing()
    weights = forgetful(play.inputs, 650)
    claim = play.commit(BOB, weights)
    play.at(Phase.UPDATE)
    play.ok(play.send(BOB, play.update_payload(claim, weights)))
    assert play.decide().status == RoundStatus.KEPT
    assert play.model.head == 1


def withholding_opener() -> None:
    """Keeps a sealed part closed, so that the winner it shows would not win."""
    play = training(sealed=2)
    play.play_epoch((ALICE, network(play.inputs, 8)))
    play.at(Phase.AUDIT)
    play.ok(play.send(OPENER, play.sealed_payload(play.secret(play.round.sealed_drawn[0]))))
    assert play.end().status == RoundStatus.ABORTED
    assert play.spent(OPENER) == 30 * COIN
    assert play.maturing(ALICE) == play.maturing(OPENER) == 0
    assert play.model.head == 0


def chooser_of_the_draw() -> None:
    """Tries another nonce when it does not like the parts that the draw picks."""
    play = Play()
    play.found()
    play.at(Phase.REVEAL)
    codes = {
        play.refused(OPENER, replace(play.part_payload(part), nonce=bytes([nonce]) * 32))
        for nonce in range(8)
        for part in play.parts
        if nonce != 7
    }
    assert codes == {"draw_nonce_mismatch"}


def opener_of_one_part() -> None:
    """Commits to the same rows under four salts: the sealed part would be the one that everybody has seen."""
    play = Play()
    play.parts = [SecretPart(bytes([index]) * 32, play.parts[0].raw) for index in range(4)]
    play.found(terms=train_terms(play.parts))
    play.reveal_validation()
    play.play_epoch((ALICE, network(play.inputs, 8)))
    play.at(Phase.AUDIT)
    receipt = play.send(OPENER, play.sealed_payload(play.secret(play.round.sealed_drawn[0])))
    assert receipt.code == "part_repeated"
    assert play.round.status == RoundStatus.ABORTED
    assert play.spent(OPENER) == 30 * COIN


def stranger_with_a_part() -> None:
    """Seals a part of its own making to veto every candidate, or to win with what it alone knows."""
    play = Play(parts=5)
    play.found(terms=train_terms(play.parts[:4]))
    assert play.refused(WITNESS, play.seal_payload(play.parts[4])) == "not_a_witness"
    assert play.round.witnesses == ()


def crowd_of_leakers() -> None:
    """Sends over-fitted updates under every name there is, to keep somebody out."""
    play = training()
    leaked = [network(play.inputs, 8 + n, feature=play.leaking_feature()) for n in range(3)]
    crowd = list(zip((ALICE, CAROL, WITNESS), leaked, strict=True))
    play.play_epoch(*crowd, (BOB, network(play.inputs, 6)))
    assert play.round.results[0].author != BOB.address, "he is far behind on the validation parts"
    assert play.decide().winner == BOB.address
    play.withdraw_all()
    floor = play.ledger.rules.fees.floor
    assert [play.spent(actor) for actor, _ in crowd] == [COIN + ENTRY - floor] * 3


def reuser_of_public_rows() -> None:
    """Seals rows that were published long ago under another salt, which a friend has learned by heart."""
    play = Play()
    old = make_part(0, parts=4, seed=77)
    play.ok(play.send(ALICE, PublishPart(8, play.inputs, 2, old.salt, Inline(old.raw))))
    play.ledger.block()
    again = [SecretPart(bytes([index]) * 32, old.raw) for index in range(4)]
    play.parts = again
    play.ok(play.found(terms=train_terms(again)))
    play.at(Phase.REVEAL)
    receipt = play.send(OPENER, play.part_payload(play.drawn_parts()[0][0]))
    assert receipt.code == "part_public"
    assert play.spent(OPENER) == 30 * COIN


def _any_commit(state: State, round_id: Hash, epoch: int, _: Address) -> Commit:
    return state.get(Commit, round_id, bytes([epoch]), ALICE.address)


def _by_validation_loss(candidate: Candidate, _: Round) -> EpochBest:
    return EpochBest(candidate.author, candidate.loss, 10**12, candidate.committed)


def _any_place(_: Round, sender: Address) -> tuple[NamedWitness, bool]:
    return NamedWitness(sender, False), False


def _nothing(*_: object, **__: object) -> None:
    return None


@dataclass(frozen=True)
class Guard:
    """Where the rule is used, and what it does when it is gone."""

    path: str
    mutation: Callable[..., object]
    also: tuple[tuple[str, Callable[..., object]], ...] = ()
    """What else has to go, where a second rule would stand in the way."""


ATTACKS: dict[Callable[[], None], Guard] = {
    liar: Guard(f"{REVEAL}.check_loss", _nothing),
    copycat_of_a_reveal: Guard(f"{REVEAL}.find_commit", _any_commit),
    copycat_of_a_commit: Guard(f"{REVEAL}.check_digest", _nothing),
    copycat_of_an_epoch: Guard(
        "engram.statemachine.rounds.rewards.takes_lead",
        lambda share, lead: share.loss * lead.baseline < lead.loss * share.baseline,
    ),
    leaker: Guard("engram.statemachine.transactions.withdraw.is_below_a_baseline", lambda *_: True),
    lone_leaker: Guard(
        "engram.statemachine.rounds.candidates.lower_baseline",
        lambda group, train: Tally(2 * group.loss, 1, 0, 0),
    ),
    forger_of_the_base: Guard(f"{REVEAL}.check_base", _nothing),
    forger_of_a_block: Guard("engram.nn.growth._check_overlap", _nothing),
    amnesiac: Guard("engram.statemachine.rounds.candidates._reasons_of_the_gate", lambda *_: []),
    withholding_opener: Guard("engram.statemachine.rounds.calendar.opener_sealed_opened", lambda _: 99),
    chooser_of_the_draw: Guard("engram.statemachine.rounds.disclosure.check_nonce", _nothing),
    opener_of_one_part: Guard("engram.statemachine.rounds.disclosure.check_distinct", _nothing),
    stranger_with_a_part: Guard(
        f"{SEAL}.check_witness",
        _nothing,
        ((f"{SEAL}._place", lambda _, who: (NamedWitness(who, False), False)),),
    ),
    crowd_of_leakers: Guard(
        f"{LEADING}.best_of", _by_validation_loss, ((f"{LEADING}.reasons_against_all", lambda *_: ()),)
    ),
    reuser_of_public_rows: Guard("engram.statemachine.rounds.disclosure.check_secret", _nothing),
}

names = [attack.__name__ for attack in ATTACKS]


@pytest.mark.parametrize("attack", ATTACKS, ids=names)
def test_the_attack_gets_nothing(attack: Callable[[], None]) -> None:
    attack()


@pytest.mark.parametrize("attack", ATTACKS, ids=names)
def test_without_its_guard_it_would(attack: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    guard = ATTACKS[attack]
    for path, mutation in ((guard.path, guard.mutation), *guard.also):
        monkeypatch.setattr(path, mutation)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        attack()
