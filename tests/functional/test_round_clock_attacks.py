"""Attacks on deadlines and on the base of fees: who fills blocks, what it costs, what comes of it.

A block takes three transactions here, so two of them are a crowd that lets no time pass.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from engram.primitives.keys import PrivateKey
from engram.statemachine.content import blob_id
from engram.statemachine.fees import risen
from engram.statemachine.record import u64
from engram.statemachine.records import Maturing, NamedWitness, Supply
from engram.statemachine.roundclock import round_clock
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.records import RoundStatus
from engram.statemachine.rules import subsidy_at
from engram.statemachine.state import State
from engram.statemachine.transactions.publish_chunk import PublishChunk
from engram.statemachine.transactions.transfer import Transfer
from tests.support.conservation import check_conservation
from tests.support.ledger import Ledger, key
from tests.support.rounds import (
    ACTORS,
    ALICE,
    BOB,
    COIN,
    OPENER,
    PURSE,
    SMALL_RULES,
    WITNESS,
    Play,
    make_part,
    network,
    train_terms,
)

RULES = replace(SMALL_RULES, max_block_transactions=3)
MALLORY, ACCOMPLICE = key(66), key(67)
RICHES = 10**6 * 10**8
SIEGE = 40
"""Blocks that the attacker fills, far more than any window has ticks."""


class Siege:
    """A ledger on which Mallory fills blocks with transfers."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.paid = 0
        self.each: list[int] = []
        """What every filled block cost."""

    def fill(self, blocks: int) -> None:
        for _ in range(blocks):
            crowd = self.ledger.pay_each(MALLORY, *(Transfer(ACCOMPLICE.address, n) for n in (1, 2)))
            charged = sum(receipt.fee for receipt in self.ledger.block(*crowd).receipts)
            self.paid += charged
            self.each.append(charged)


def besieged() -> tuple[Play, Siege]:
    """A round with a witness, and somebody with a million coins who wants its parties to default."""
    ledger = Ledger({**dict.fromkeys(ACTORS, PURSE), MALLORY: RICHES}, rules=RULES)
    return Play(ledger=ledger), Siege(ledger)


@pytest.mark.parametrize(
    "phase",
    [Phase.REVEAL, Phase.COMMIT, Phase.UPDATE, Phase.AUDIT_WITNESSES, Phase.AUDIT, Phase.SCORE],
    ids=lambda p: p.name,
)
def test_no_deadline_passes_while_somebody_fills_all_blocks(phase: Phase) -> None:
    """A window has two ticks. The siege of 40 blocks begins with it, and all still do their duties."""
    play, siege = besieged()
    third = make_part(7, parts=4, seed=9)
    play.parts.append(third)
    weights = network(play.inputs, 8)
    play.ok(play.found(terms=train_terms(play.parts[:4], witnesses=(NamedWitness(WITNESS.address, False),))))
    play.seal(WITNESS, third)

    def arrive(at: Phase) -> None:
        play.at(at)
        if at is phase:
            tick = play.tick
            siege.fill(SIEGE)
            assert play.tick == tick, "no time has passed"
            assert play.round.status == RoundStatus.OPEN

    arrive(Phase.REVEAL)
    play.reveal_validation()
    arrive(Phase.COMMIT)
    claim = play.commit(ALICE, weights)
    arrive(Phase.UPDATE)
    play.ok(play.send(ALICE, play.update_payload(claim, weights)))
    arrive(Phase.AUDIT_WITNESSES)
    play.witness()
    arrive(Phase.AUDIT)
    for commitment in play.round.sealed_drawn:
        play.ok(play.send(OPENER, play.sealed_payload(play.secret(commitment))))
    arrive(Phase.SCORE)
    play.score_update(ALICE)
    assert play.end().status == RoundStatus.DECIDED
    assert play.version(1).author == ALICE.address
    assert "bond_burned" not in {event.name for event in play.events}
    assert [play.spent(actor) for actor in (WITNESS, OPENER)] == [0, 20 * COIN]
    floor = RULES.fees.floor
    assert siege.each == [2 * risen(floor, exponent) for exponent in range(SIEGE)], "each an eighth dearer"


def test_an_upload_does_not_expire_while_somebody_fills_all_blocks() -> None:
    raw = bytes(range(150))
    rules = replace(RULES, upload_expiry_ticks=3, chunk_bytes=100, max_blob_bytes=1_000)
    ledger = Ledger({ALICE: PURSE, MALLORY: RICHES}, rules=rules)
    chunks = [PublishChunk(blob_id(raw), len(raw), index, raw[100 * index :][:100]) for index in (0, 1)]
    ledger.send(ALICE, chunks[0])
    Siege(ledger).fill(SIEGE)
    receipt = ledger.send(ALICE, chunks[1])
    assert [event.name for event in receipt.events] == ["blob_completed"]


def test_the_base_comes_down_before_time_goes_on() -> None:
    """Those who could not afford the crowded blocks find room before the window closes."""
    play, siege = besieged()
    play.ok(play.found())
    play.at(Phase.REVEAL)
    siege.fill(SIEGE)
    window = play.span(Phase.REVEAL)
    quiet = 0
    while play.tick <= window.last:
        assert play.ledger.ctx.exponent <= SIEGE
        play.ledger.block()
        quiet += 1
    assert quiet == (SIEGE - RULES.tick_exponent) // 2 - 1 + (window.last - window.first + 1)


def wealth(ledger: Ledger, owner: PrivateKey) -> int:
    """Balance and rewards of an owner who has claimed nothing."""
    heights = range(ledger.height + ledger.rules.maturity_blocks + 1)
    found = (ledger.state.find(Maturing, owner.address, u64(height)) for height in heights)
    return ledger.state.account(owner.address).balance + sum(reward.amount for reward in found if reward)


def test_a_miner_who_fills_own_blocks_loses_seven_eighths_of_what_they_cost() -> None:
    """An eighth returns, with the subsidy that an empty block would have brought as well."""
    ledger = Ledger({MALLORY: RICHES}, rules=RULES)
    ledger.miner = MALLORY.address
    siege = Siege(ledger)
    siege.fill(SIEGE)
    subsidies = sum(subsidy_at(RULES, height) for height in range(1, SIEGE + 1))
    spent = RICHES + subsidies - wealth(ledger, MALLORY) - wealth(ledger, ACCOMPLICE)
    assert spent == ledger.state.get(Supply).burned
    assert siege.paid * 7 // 8 <= spent <= siege.paid * 7 // 8 + 2 * SIEGE, (
        "rounded down for each transaction"
    )
    assert siege.paid == sum(2 * risen(RULES.fees.floor, exponent) for exponent in range(SIEGE))
    check_conservation(ledger.nodes, ledger.root)


def test_tips_to_oneself_cost_nothing_and_buy_nothing() -> None:
    """Tips return to a miner who pays them, so they must not move the base: only minimum fees and room do."""
    quiet, noisy = (Ledger({MALLORY: RICHES}, rules=RULES) for _ in range(2))
    for ledger, tip in ((quiet, 0), (noisy, 10**8)):
        ledger.miner = MALLORY.address
        for _ in range(5):
            ledger.block(ledger.pay(MALLORY, Transfer(ACCOMPLICE.address, 1), tip=tip))
    assert wealth(quiet, MALLORY) == wealth(noisy, MALLORY)
    assert quiet.clock == noisy.clock


@pytest.mark.parametrize("tip", [0, 1, 10**6])
def test_an_empty_block_is_no_miners_best_one(tip: int) -> None:
    """Whoever leaves transactions out loses their tips and an eighth of their minimum fees."""
    rewards = []
    for taken in (0, 1):
        ledger = Ledger({ALICE: PURSE, BOB: PURSE}, rules=RULES)
        ledger.miner = MALLORY.address
        waiting = [ledger.pay(sender, Transfer(ACCOMPLICE.address, 1), tip=tip) for sender in (ALICE, BOB)]
        ledger.block(*waiting[:taken])
        rewards.append(wealth(ledger, MALLORY))
        assert ledger.clock.ticks == 1
    assert rewards[1] == rewards[0] + RULES.fees.floor // 8 + tip


def test_a_step_that_takes_half_a_block_lets_time_go_on() -> None:
    """The heaviest reveal that terms may allow stands alone in its block, and the block ticks."""
    play = Play()
    play.ok(play.found(terms=train_terms(play.parts)))
    play.reveal_validation()
    weights = network(play.inputs, 8)
    play.at(Phase.COMMIT)
    claim = play.commit(ALICE, weights)
    play.at(Phase.UPDATE)
    reveal = play.update_payload(claim, weights)
    ticks, macs = play.tick, reveal.cost(play.ledger.state, play.ledger.ctx, ALICE.address).macs
    for room, passed in ((2 * macs, 1), (2 * macs - 1, 0)):
        play.ledger.rules = replace(play.ledger.rules, max_block_macs=room)
        execution = play.ledger.execution()
        execution.add(play.ledger.pay(ALICE, reveal))
        result = execution.finish()
        play.ledger.nodes.update(result.nodes)
        assert round_clock(State(play.ledger.nodes, result.root)).ticks == ticks + passed
