"""Between rounds: the founder amends a model and retires a part, and anybody forks a model."""

from dataclasses import replace

import pytest

from engram.primitives.hashing import Tag, tagged_hash
from engram.primitives.types import ZERO_HASH
from engram.statemachine.additions import Inherited, explicit_tensors
from engram.statemachine.errors import BlobNotUsable
from engram.statemachine.record import u32
from engram.statemachine.records import BadgeKind, Blob, Model, NamedWitness, RetiredPart, Version
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.records import RoundStatus
from engram.statemachine.transactions.advance_round import AdvanceRound
from engram.statemachine.transactions.amend_model import AmendModel
from engram.statemachine.transactions.fork_model import ForkModel
from engram.statemachine.transactions.open_round import OpenRound
from engram.statemachine.transactions.retire_part import RetirePart
from tests.support.rounds import (
    ALICE,
    BOB,
    CAROL,
    COIN,
    OPENER,
    WITNESS,
    Play,
    founding,
    grow_terms,
    growth,
    make_part,
    network,
    train_terms,
)

STANDING = (NamedWitness(WITNESS.address, old_only=False),)


def frozen() -> Play:
    play = Play()
    play.freeze()
    return play


def amendment(play: Play, **changes: object) -> AmendModel:
    model = play.model
    payload = AmendModel(model.id, model.members, model.witnesses, model.lost_cap_ppm)
    return replace(payload, **changes)  # type: ignore[arg-type]  # a test's own fields


def test_a_member_grows_the_model_and_a_stranger_does_not() -> None:
    play = frozen()
    terms = grow_terms(play.parts)
    assert play.refused(BOB, play.open_payload(terms)) == "opening_restricted"
    play.ok(play.send(OPENER, amendment(play, members=(BOB.address,))))
    play.ok(play.open(terms, BOB))
    assert play.round.opener == BOB.address


def test_a_member_does_not_train() -> None:
    play = Play()
    play.found(members=(BOB.address,))
    play.at(Phase.CLOSED)
    play.end()
    assert play.refused(BOB, play.open_payload()) == "opening_restricted"


def test_a_round_without_a_standing_witness_is_cancelled_and_everything_returns() -> None:
    play = frozen()
    play.ok(play.send(OPENER, amendment(play, witnesses=STANDING)))
    before, fees = play.account(OPENER).balance, play.fees[OPENER.address]
    play.ok(play.open(grow_terms(play.parts)))
    play.at(Phase.DRAW)
    play.ok(play.send(CAROL, AdvanceRound(play.id)))
    assert play.round.status == RoundStatus.CANCELLED
    assert play.account(OPENER).balance == before - (play.fees[OPENER.address] - fees)
    assert play.model.open_round == ZERO_HASH


def test_a_standing_witness_seals_and_the_round_goes_on() -> None:
    play = frozen()
    play.ok(play.send(OPENER, amendment(play, witnesses=STANDING)))
    play.ok(play.open(grow_terms(play.parts)))
    play.at(Phase.OPEN)
    play.seal(WITNESS, make_part(9, parts=len(play.parts), classes=3, rows=play.round.terms.rows, seed=5))
    assert play.round.witnesses[0].named_by_opener, "the founder opens, so the founder chose the witness"
    play.reveal_validation()
    assert play.round.status == RoundStatus.OPEN


@pytest.mark.parametrize(
    ("sender", "changes", "code"),
    [
        (BOB, {}, "not_the_founder"),
        (OPENER, {"lost_cap_ppm": 10}, "limit_lowered"),
        (OPENER, {"lost_cap_ppm": 1_000_001}, "limit_lowered"),
        (OPENER, {"members": (BOB.address, BOB.address)}, "terms_invalid"),
        (OPENER, {"witnesses": STANDING * 2}, "terms_invalid"),
        (OPENER, {"model": b"\x07" * 32}, "missing_model"),
    ],
)
def test_an_amendment_that_no_block_holds(sender: object, changes: dict[str, object], code: str) -> None:
    play = frozen()
    assert play.refused(sender, amendment(play, **changes)) == code  # type: ignore[arg-type]


def test_an_amendment_leaves_the_open_round_as_it_is() -> None:
    """A member cannot keep the founder from replacing them by opening one round after the other."""
    play = frozen()
    play.ok(play.send(OPENER, amendment(play, members=(BOB.address,))))
    play.ok(play.open(grow_terms(play.parts), BOB))
    play.ok(play.send(OPENER, amendment(play, members=(), witnesses=STANDING)))
    assert (play.round.opener, play.round.standing) == (BOB.address, ())
    assert (play.model.members, play.model.witnesses) == ((), STANDING)
    play.at(Phase.CLOSED)
    play.end()
    play.new_parts()
    assert play.refused(BOB, play.open_payload(grow_terms(play.parts))) == "opening_restricted"


def test_nothing_is_retired_while_a_round_is_open() -> None:
    play = frozen()
    part = play.model.retention[0].part
    play.ok(play.open(grow_terms(play.parts)))
    assert play.refused(OPENER, RetirePart(play.model_id, part)) == "round_already_open"


def test_a_round_opens_on_what_its_opener_has_seen() -> None:
    """Who comes first with an amendment cannot put own witnesses into the round of somebody else."""
    play = frozen()
    play.ok(play.send(OPENER, amendment(play, members=(BOB.address,))))
    seen = play.open_payload(grow_terms(play.parts, witness_fee=COIN))
    assert play.refused(BOB, replace(seen, head=seen.head + 1)) == "model_changed"
    play.ok(play.send(OPENER, amendment(play, members=(BOB.address,), witnesses=STANDING)))
    assert play.refused(BOB, seen) == "model_changed"
    play.ok(play.send(BOB, play.open_payload(grow_terms(play.parts, witness_fee=COIN))))


def test_a_founding_has_seen_nothing() -> None:
    play = Play()
    payload = OpenRound(train_terms(play.parts), founding=founding(network(play.inputs, 0)))
    assert play.refused(OPENER, replace(payload, head=1)) == "model_or_founding"
    assert play.refused(OPENER, replace(payload, standing=STANDING)) == "model_or_founding"


def test_the_limit_of_what_growths_lose_ends_growth_until_it_is_raised() -> None:
    play = Play()
    play.freeze(lost_cap_ppm=0)
    assert play.refused(OPENER, play.open_payload(grow_terms(play.parts))) == "memory_spent"
    play.ok(play.send(OPENER, amendment(play, lost_cap_ppm=1)))
    play.ok(play.open(grow_terms(play.parts)))


def test_a_retired_part_stands_for_ever_and_is_not_retained() -> None:
    play = frozen()
    part = play.model.retention[0].part
    assert play.refused(BOB, RetirePart(play.model_id, part)) == "not_the_founder"
    assert play.refused(OPENER, RetirePart(play.model_id, b"\x08" * 32)) == "part_not_retained"
    play.ok(play.send(OPENER, RetirePart(play.model_id, part)))
    assert part not in [retained.part for retained in play.model.retention]
    retired = play.ledger.state.get(RetiredPart, play.model_id, part)
    assert (retired.version, retired.height) == (play.model.head, play.ledger.height)
    assert play.refused(OPENER, RetirePart(play.model_id, part)) == "part_not_retained"


def test_a_fork_inherits_everything_and_belongs_to_who_made_it() -> None:
    play = frozen()
    source, head = play.model, play.version(play.model.head)
    tensors = explicit_tensors(play.composition(source.head).segments)
    held = [play.ledger.state.get(Blob, tensor).refs for tensor in tensors]
    receipt = play.ok(play.send(BOB, ForkModel(source.id, source.head, (CAROL.address,))))
    fork = play.ledger.state.get(Model, tagged_hash(Tag.MODEL, receipt.txid))
    assert play.model == source, "the other model is not changed"
    assert fork == replace(
        source,
        id=fork.id,
        founder=BOB.address,
        head=0,
        rounds=0,
        members=(CAROL.address,),
        witnesses=(),
        parent=source.id,
        parent_version=source.head,
    )
    version = play.ledger.state.get(Version, fork.id, u32(0))
    assert version == replace(
        head,
        model=fork.id,
        number=0,
        parent=ZERO_HASH,
        added=Inherited(source.id, source.head),
        round=ZERO_HASH,
        height=play.ledger.height,
    )
    now = [play.ledger.state.get(Blob, tensor).refs for tensor in tensors]
    assert now == held, "versions stand for ever: the tensors are held by the one that brought them"


def test_a_fork_grows_without_its_parent_and_without_a_founders_badge() -> None:
    play = frozen()
    source = play.model
    receipt = play.ok(play.send(OPENER, ForkModel(source.id, source.head)))
    parent, play.model_id = play.model_id, tagged_hash(Tag.MODEL, receipt.txid)
    play.ok(play.open(grow_terms(play.parts)))
    play.reveal_validation()
    play.play_epoch((ALICE, growth(play.inputs, 8)))
    play.decide()
    assert play.round.status == RoundStatus.DECIDED
    assert (play.model.head, play.model.classes) == (1, 3)
    assert play.ledger.state.get(Model, parent).head == source.head
    badges = [event for event in play.events if event.name == "badge_given"]
    mine = [event.values[1] for event in badges if event.subject == play.model_id]
    assert mine
    assert BadgeKind.FOUNDER not in mine


def test_a_fork_of_a_version_that_is_not_current_or_not_usable_yet() -> None:
    play = frozen()
    assert play.refused(BOB, ForkModel(play.model_id, 0)) == "fork_stale"
    assert play.refused(BOB, ForkModel(play.model_id, 7)) == "fork_stale"
    assert play.refused(BOB, ForkModel(b"\x09" * 32, 0)) == "missing_model"


def test_a_model_is_forked_from_the_block_after_its_version_on() -> None:
    play = Play()
    founded = play.ledger.pay(
        OPENER, OpenRound(train_terms(play.parts), founding=founding(network(play.inputs, 0)))
    )
    model = tagged_hash(Tag.MODEL, founded.id)
    root = play.ledger.root
    with pytest.raises(BlobNotUsable):
        play.ledger.block(founded, play.ledger.pay(BOB, ForkModel(model, 0), max_fee=COIN))
    assert play.ledger.root == root
    play.ledger.block(founded)
    play.ok(play.send(BOB, ForkModel(model, 0)))
