"""Transactions of a round that no block may hold: each with its code, and the state unchanged."""

from dataclasses import replace

import pytest

from engram.nn.dtypes import INT8
from engram.nn.seeded import Seeded
from engram.statemachine.content import Inline, Stored, blob_id
from engram.statemachine.errors import InsufficientBalance
from engram.statemachine.records import Blob, NamedWitness, Part
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.transactions.advance_round import AdvanceRound
from engram.statemachine.transactions.amend_model import AmendModel
from engram.statemachine.transactions.commit_update import CommitUpdate
from engram.statemachine.transactions.open_round import OpenRound
from engram.statemachine.transactions.publish_chunk import PublishChunk
from engram.statemachine.transactions.publish_part import PublishPart
from engram.statemachine.transactions.score_update import ScoreUpdate
from engram.statemachine.transactions.withdraw import Withdraw
from tests.support.ledger import Ledger
from tests.support.rounds import (
    ALICE,
    BOB,
    CAROL,
    COIN,
    OPENER,
    PURSE,
    SMALL_RULES,
    WITNESS,
    Play,
    founding,
    grow_terms,
    make_part,
    network,
    train_terms,
)

OTHER = b"\x42" * 32
NAMED = (NamedWitness(WITNESS.address, False),)
STANDING = NamedWitness(ALICE.address, False)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"kind": 7}, "terms_invalid"),
        ({"new_classes": 1}, "terms_invalid"),
        ({"old_rows": 1}, "terms_invalid"),
        ({"witness_window": 0}, "terms_invalid"),
        ({"score_window": 0}, "terms_invalid"),
        ({"z_squared": 3}, "terms_invalid"),
        ({"witnesses": NAMED, "witness_fee": 21 * COIN}, "terms_invalid"),
        ({"open_window": 0}, "terms_invalid"),
        ({"audit_window": 2_001}, "terms_invalid"),
        ({"gap": 2_001}, "terms_invalid"),
        ({"epochs": 0}, "terms_invalid"),
        ({"epochs": 33}, "terms_invalid"),
        ({"epochs": 8, "commit_window": 2_000}, "terms_invalid"),
        ({"reveal_window": 62}, "terms_invalid"),
        ({"rows": 0}, "terms_invalid"),
        ({"validation": 0}, "terms_invalid"),
        ({"sealed": 0}, "terms_invalid"),
        ({"validation": 2, "sealed": 3}, "terms_invalid"),
        ({"commitments": (OTHER, OTHER)}, "terms_invalid"),
        ({"max_update_bytes": 0}, "terms_invalid"),
        ({"max_update_bytes": 512 * 1024}, "terms_invalid"),
        ({"max_update_neurons": 2**31}, "terms_invalid"),
        ({"witnesses": NAMED * 2}, "terms_invalid"),
        ({"witnesses": (NamedWitness(OPENER.address, False),)}, "terms_invalid"),
        ({"max_update_macs": 2 * 10**10}, "step_too_heavy"),
        ({"max_update_macs": 10**10}, "step_too_heavy"),
        ({"max_update_macs": 4 * 10**9}, "bond_too_low"),
        ({"author_bond": COIN - 1}, "bond_too_low"),
        ({"opener_bond": 10 * COIN - 1}, "bond_too_low"),
        ({"opener_bond": 10 * COIN, "bounty": 20 * COIN + 2}, "bond_too_low"),
        ({"kind": 1, "new_classes": 1}, "model_not_frozen"),
        ({"bounty": PURSE, "opener_bond": PURSE}, "insufficient_balance"),
    ],
)
def test_terms_outside_the_rules(changes: dict[str, object], code: str) -> None:
    play = Play()
    payload = OpenRound(train_terms(play.parts, **changes), founding=founding(network(play.inputs, 0)))
    assert play.refused(OPENER, payload) == code


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"policy": 3}, "terms_invalid"),
        ({"lost_cap_ppm": 10**6 + 1}, "terms_invalid"),
        ({"members": (ALICE.address,) * 2}, "terms_invalid"),
        ({"witnesses": NAMED * 2}, "terms_invalid"),
        ({"loss_kind": 0}, "terms_invalid"),
        ({"threshold_ppm": 0}, "terms_invalid"),
        ({"threshold_ppm": 10**6 + 1}, "terms_invalid"),
        ({"retention_epsilon_ppm": 10**6 + 1}, "terms_invalid"),
        ({"retention_delta_ppm": 10**7 + 1}, "terms_invalid"),
    ],
)
def test_foundings_outside_the_rules(changes: dict[str, object], code: str) -> None:
    play = Play()
    payload = OpenRound(train_terms(play.parts), founding=founding(network(play.inputs, 0), **changes))
    assert play.refused(OPENER, payload) == code


def test_a_founding_whose_tensors_do_not_fit() -> None:
    play = Play()
    weights = network(play.inputs, 0)
    terms = train_terms(play.parts)
    twice = founding(replace(weights, tensors=weights.tensors + weights.tensors[:1]))
    assert play.refused(OPENER, OpenRound(terms, founding=twice)) == "tensor_repeated"
    unnamed = founding(replace(weights, tensors=(*weights.tensors, b"no block wants this")))
    assert play.refused(OPENER, OpenRound(terms, founding=unnamed)) == "tensor_repeated"
    missing = founding(replace(weights, tensors=weights.tensors[1:]))
    assert play.send(OPENER, OpenRound(terms, founding=missing)).code == "unknown_blob"
    assert play.spent(OPENER) == 0


def test_a_founding_with_a_seeded_tensor_that_nobody_can_make_has_no_price() -> None:
    """One that can be made, but in another shape than the segment's, has a price and fails."""
    play = Play()
    weights, terms = network(play.inputs, 0), train_terms(play.parts)

    def seeded(generator: int, seed: int, columns: int) -> OpenRound:
        tensor = Seeded(generator, bytes([seed]) * 32, INT8, (play.inputs, columns))
        hidden = replace(weights.hidden[0], weights=tensor)
        return OpenRound(terms, founding=founding(replace(weights, hidden=(hidden,), tensors=())))

    assert play.refused(OPENER, seeded(99, 0, 1)) == "unknown_generator"
    assert play.refused(OPENER, seeded(1, 5, 1)) == "bad_seeded_tensor"
    assert play.send(OPENER, seeded(1, 0, 2)).code == "shape_mismatch"
    assert play.spent(OPENER) == 0


def test_the_size_of_a_version_counts_what_travelled() -> None:
    play, again = Play(), Play()
    again.ledger, again.seed = play.ledger, 1
    again.new_parts(classes=2, rows=8)
    weights = network(play.inputs, 0)
    play.found(weights)
    play.ok(again.found(replace(weights, tensors=())))
    assert play.version(0).sent_tensor_bytes == sum(len(raw) for raw in weights.tensors)
    assert again.version(0).sent_tensor_bytes == 0
    assert again.version(0).root == play.version(0).root


def test_a_round_is_opened_on_one_thing() -> None:
    play = Play()
    terms = train_terms(play.parts)
    assert play.refused(OPENER, OpenRound(terms)) == "model_or_founding"
    both = OpenRound(terms, model=OTHER, founding=founding(network(play.inputs, 0)))
    assert play.refused(OPENER, both) == "model_or_founding"
    assert play.refused(OPENER, OpenRound(terms, model=OTHER)) == "missing_model"


def test_one_round_at_a_time_on_fresh_parts_by_the_founder() -> None:
    play = Play()
    play.found()
    assert play.refused(OPENER, play.open_payload()) == "round_already_open"
    play.reveal_validation()
    play.end()
    assert play.refused(OPENER, play.open_payload()) == "commitment_repeated"
    play.parts = [make_part(index, parts=4, seed=1) for index in range(4)]
    assert play.refused(ALICE, play.open_payload()) == "opening_restricted"
    play.ok(play.open())


def test_members_may_grow_a_model_and_not_train_it() -> None:
    play = Play()
    play.ok(play.found(members=(ALICE.address,)))
    play.reveal_validation()
    play.end()
    play.parts = [make_part(index, parts=4, seed=1) for index in range(4)]
    assert play.refused(ALICE, play.open_payload()) == "opening_restricted"

    play = Play()
    play.freeze(members=(ALICE.address,))
    payload = play.open_payload(grow_terms(play.parts))
    assert play.refused(BOB, payload) == "opening_restricted"
    play.ok(play.open(grow_terms(play.parts), opener=ALICE))
    assert play.round.opener == ALICE.address


def test_a_standing_witness_cannot_open_a_round() -> None:
    play = Play()
    play.freeze(members=(ALICE.address,))
    play.ok(play.send(OPENER, AmendModel(play.model_id, (ALICE.address,), (STANDING,), 200_000)))
    payload = play.open_payload(grow_terms(play.parts))
    assert play.refused(ALICE, payload) == "terms_invalid"
    twice = play.open_payload(grow_terms(play.parts, witnesses=(STANDING,)))
    assert play.refused(OPENER, twice) == "terms_invalid"
    play.ok(play.open(grow_terms(play.parts)))


def test_sealing() -> None:
    play = Play(parts=6)
    play.found(terms=train_terms(play.parts[:4], witnesses=(*NAMED, STANDING)))
    assert play.refused(BOB, play.seal_payload(play.parts[4])) == "not_a_witness"
    assert play.refused(ALICE, play.seal_payload(play.parts[0])) == "commitment_repeated"
    play.ok(play.send(WITNESS, play.seal_payload(play.parts[4])))
    assert play.refused(WITNESS, play.seal_payload(play.parts[5])) == "already_sealed"
    assert play.refused(ALICE, play.seal_payload(play.parts[4])) == "commitment_repeated"
    play.at(Phase.DRAW)
    assert play.refused(ALICE, play.seal_payload(play.parts[5])) == "wrong_phase"


def test_a_published_part_is_not_sealed() -> None:
    play = Play(parts=5)
    secret = play.parts[4]
    play.ok(play.send(WITNESS, PublishPart(8, play.inputs, 2, secret.salt, Inline(secret.raw))))
    play.found(terms=train_terms(play.parts[:4], witnesses=NAMED))
    assert play.refused(WITNESS, play.seal_payload(secret)) == "commitment_repeated"


def test_revealing_validation_parts() -> None:
    play = Play()
    play.found(terms=train_terms(play.parts, validation=2))
    play.at(Phase.WAIT)
    drawn, sealed = play.drawn_parts()
    assert play.refused(OPENER, play.part_payload(drawn[0])) == "wrong_phase"
    play.at(Phase.REVEAL)
    payload = play.part_payload(drawn[0])
    other = next(part for part in play.parts if part not in (*drawn, *sealed))
    assert play.refused(ALICE, payload) == "not_the_opener"
    assert play.refused(OPENER, replace(payload, nonce=OTHER)) == "draw_nonce_mismatch"
    assert play.refused(OPENER, play.part_payload(other)) == "part_not_drawn"
    assert play.refused(OPENER, play.part_payload(sealed[0])) == "part_not_drawn"
    assert play.refused(OPENER, replace(payload, salt=OTHER)) == "commitment_mismatch"
    assert play.refused(OPENER, replace(payload, content=Inline(drawn[1].raw))) == "commitment_mismatch"
    assert play.refused(OPENER, replace(payload, content=Inline(drawn[0].raw + b"\0"))) == "bad_part"
    assert play.refused(OPENER, replace(payload, content=Stored(OTHER))) == "unknown_blob"
    play.ok(play.send(OPENER, payload))
    assert play.refused(OPENER, payload) == "part_opened"


def test_a_late_reveal_meets_an_aborted_round() -> None:
    play = Play()
    play.found()
    play.at(Phase.REVEAL)
    payload = play.part_payload(play.drawn_parts()[0][0])
    play.at(Phase.COMMIT)
    assert play.refused(OPENER, payload) == "round_ended"


def test_uploaded_parts_are_checked_when_they_are_read() -> None:
    """Of stored bytes only the size is known before: the receipt FAILS, the round goes on."""
    play = Play()
    play.found()
    chunks = [PublishChunk(blob_id(part.raw), len(part.raw), 0, part.raw) for part in play.parts]
    play.ledger.block(*play.ledger.pay_each(ALICE, *chunks))
    play.at(Phase.REVEAL)
    drawn, sealed = play.drawn_parts()
    payload = play.part_payload(drawn[0])
    receipt = play.send(OPENER, replace(payload, content=Stored(blob_id(sealed[0].raw))))
    assert receipt.code == "commitment_mismatch"
    assert play.spent(OPENER) == 30 * COIN
    play.ok(play.send(OPENER, replace(payload, content=Stored(blob_id(drawn[0].raw)))))
    assert [part.commitment for part in play.round.validation_opened] == [drawn[0].commitment]


def test_a_part_that_somebody_published_before_still_opens() -> None:
    """Who sees a reveal in the mempool may publish the part first; the reveal goes through all the same."""
    play = Play()
    play.found()
    play.at(Phase.REVEAL)
    secret = play.drawn_parts()[0][0]
    copy = PublishPart(8, play.inputs, 7, secret.salt, Inline(secret.raw))
    for receipt in play.send_all([(ALICE, copy), (OPENER, play.part_payload(secret))]):
        play.ok(receipt)
    part = play.ledger.state.get(Part, secret.commitment)
    assert (part.owner, part.round, part.classes) == (OPENER.address, play.id, 2)
    assert play.ledger.state.get(Blob, part.blob).refs == 1


def test_a_round_that_copies_commitments_does_not_rewrite_the_part() -> None:
    """Commitments are public; once the parts are, whoever copied them can open them too."""
    play = Play()
    play.found(terms=train_terms(play.parts, validation=3, reveal_window=4))
    copier = Play(ledger=play.ledger)
    copier.parts = play.parts
    wide = network(play.inputs, 0, classes=3)
    copier.found(wide, terms=train_terms(play.parts, validation=3, reveal_window=4))
    copier.at(Phase.REVEAL)
    mine, copied = (each.drawn_parts()[0] for each in (play, copier))
    secret = next(part for part in mine if part in copied)
    play.ok(play.send(OPENER, play.part_payload(secret)))
    before = play.ledger.state.get(Part, secret.commitment)
    copier.ok(copier.send(OPENER, copier.part_payload(secret)))
    assert play.ledger.state.get(Part, secret.commitment) == before
    assert (before.round, before.classes) == (play.id, 2)
    assert play.ledger.state.get(Blob, before.blob).refs == 1


def test_commits() -> None:
    play = Play()
    play.found(terms=train_terms(play.parts, epochs=2))
    play.reveal_validation()
    claim = play.claim(ALICE, network(play.inputs, 8))
    payload = play.commit_payload(claim)
    play.at(Phase.COMMIT)
    assert play.refused(ALICE, replace(payload, epoch=1)) == "wrong_phase"
    assert play.refused(ALICE, replace(payload, round=OTHER)) == "missing_round"
    play.ok(play.send(ALICE, payload))
    assert play.refused(ALICE, payload) == "commit_repeated"
    play.ok(play.send(BOB, replace(payload, digest=OTHER)))
    play.at(Phase.UPDATE)
    assert play.refused(WITNESS, payload) == "wrong_phase"


@pytest.mark.parametrize("balance", [0, -1])
def test_a_commit_needs_bond_entry_and_fee(balance: int) -> None:
    """The bond is a coin, the entry a thousandth of the bounty."""
    fees = SMALL_RULES.fees
    needed = COIN + 20 * COIN // 1_000 + fees.floor
    poor = {**dict.fromkeys((OPENER, BOB, CAROL), PURSE), ALICE: needed + balance}
    play = Play(ledger=Ledger(poor, rules=SMALL_RULES))
    play.found()
    play.reveal_validation()
    play.at(Phase.COMMIT)
    tx = play.ledger.pay(ALICE, CommitUpdate(play.id, 0, OTHER), max_fee=fees.floor)
    if balance:
        with pytest.raises(InsufficientBalance):
            play.ledger.block(tx)
    else:
        assert play.ledger.block(tx).receipts[0].code == ""
        assert play.account(ALICE).balance == 0


def test_a_commit_pays_for_its_bytes_and_one_record() -> None:
    """Nothing is booked for its reveal."""
    play = Play()
    play.found()
    play.reveal_validation()
    play.at(Phase.COMMIT)
    fees = play.ledger.rules.fees
    tx = play.ledger.pay(ALICE, CommitUpdate(play.id, 0, OTHER))
    assert play.ok(play.ledger.block(tx).receipts[0]).macs == 0
    assert tx.max_fee == max(fees.floor, tx.size_bytes * fees.per_byte + fees.per_record)


def test_sealed_parts_open_once_in_their_phase_by_their_owner() -> None:
    play = Play(parts=5)
    windows = {"audit_window": 3, "witness_window": 3}
    play.found(terms=train_terms(play.parts[:4], witnesses=(*NAMED, STANDING), sealed=2, **windows))
    play.seal(WITNESS, play.parts[4])
    play.reveal_validation()
    play.play_epoch((BOB, network(play.inputs, 8)))
    payload = play.sealed_payload(play.secret(play.round.sealed_drawn[0]))
    theirs = play.sealed_payload(play.parts[4])
    assert play.refused(OPENER, payload) == "wrong_phase"
    assert play.refused(WITNESS, theirs) == "wrong_phase"
    play.at(Phase.AUDIT_WITNESSES)
    assert play.refused(OPENER, payload) == "wrong_phase", "the opener opens last"
    assert play.refused(ALICE, theirs) == "part_not_drawn", "she was named, and has sealed nothing"
    assert play.refused(WITNESS, payload) == "part_not_drawn"
    assert play.refused(WITNESS, replace(theirs, salt=OTHER)) == "commitment_mismatch"
    play.ok(play.send(WITNESS, theirs))
    assert play.refused(WITNESS, theirs) == "wrong_phase"
    play.at(Phase.AUDIT)
    assert play.refused(ALICE, payload) == "wrong_phase"
    assert play.refused(OPENER, theirs) == "part_not_drawn"
    opened = play.secret(play.round.validation_opened[0].commitment)
    assert play.refused(OPENER, play.sealed_payload(opened)) == "part_not_drawn"
    assert play.refused(OPENER, replace(payload, salt=OTHER)) == "commitment_mismatch"
    assert play.refused(OPENER, replace(payload, content=theirs.content)) == "commitment_mismatch"
    play.ok(play.send(OPENER, payload))
    assert play.refused(OPENER, payload) == "part_opened"


def test_scoring() -> None:
    play = Play()
    play.found(terms=train_terms(play.parts, sealed=2))
    play.reveal_validation()
    play.play_epoch((ALICE, network(play.inputs, 8)))
    payload = ScoreUpdate(play.id, 0, ALICE.address, (0, 1))
    assert play.refused(CAROL, payload) == "wrong_phase"
    play.audit()
    assert play.refused(CAROL, replace(payload, author=BOB.address)) == "missing_candidate"
    assert play.refused(CAROL, replace(payload, epoch=1)) == "missing_candidate"
    assert play.refused(CAROL, replace(payload, parts=(0, 2))) == "parts_not_scorable", "only GROW remembers"
    assert play.refused(CAROL, replace(payload, parts=(1, 0))) == "parts_not_scorable"
    assert play.refused(CAROL, replace(payload, parts=(1, 1))) == "parts_not_scorable"
    play.ok(play.send(CAROL, replace(payload, parts=(1,))))
    assert play.refused(CAROL, replace(payload, parts=(1,))) == "part_scored"
    play.ok(play.send(BOB, payload))
    assert play.named("update_scored")[-1].values == (0, 0), "the other part was scored before"
    assert play.refused(CAROL, payload) == "part_scored"
    play.end()
    assert play.refused(CAROL, payload) == "round_ended"


def test_a_round_that_is_not_there() -> None:
    play = Play()
    assert play.refused(ALICE, AdvanceRound(OTHER)) == "missing_round"
    assert play.refused(ALICE, ScoreUpdate(OTHER, 0, ALICE.address, (0,))) == "missing_round"
    assert play.refused(ALICE, Withdraw(OTHER, 0, ALICE.address)) == "missing_round"
