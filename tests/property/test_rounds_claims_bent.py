"""Transactions about claims with a field bent out of shape: refused or FAILED by name, or applied.

Nothing else may happen: no other exception, no receipt that cannot be encoded, no coin made or lost.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engram.primitives import keys
from engram.primitives.codec import encode
from engram.primitives.errors import CodecError, Invalid
from engram.statemachine.claimterms import ClaimTerms
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.transaction import sign
from engram.statemachine.transition import apply_transaction, begin_block
from tests.support.bender import Bender
from tests.support.claimed_rounds import play_of
from tests.support.conservation import check_conservation
from tests.support.growing import growing
from tests.support.ledger import CHAIN_ID, Ledger
from tests.support.rounds import BOB, CAROL, COIN, growth

Stage = tuple[Ledger, keys.PrivateKey, Any]


@cache
def stages() -> tuple[Stage, ...]:
    """A reveal, a claim, a dispute and a confirmation in a GROW round, each with the ledger that takes it."""
    play = play_of(claims=ClaimTerms(window=4, audited=3))
    growing(play, terms={"score_window": 24, "author_bond": 40 * COIN})
    weights = growth(play.inputs, 4)
    claim = play.commit(BOB, weights)
    play.at(Phase.UPDATE)
    found: list[Stage] = [(play.ledger.fork(), BOB, play.update_payload(claim, weights))]
    play.ok(play.send(BOB, found[-1][2]))
    play.audit()
    play.at(Phase.SCORE)
    found.append((play.ledger.fork(), BOB, play.score_payload(BOB)))
    play.ok(play.send(BOB, found[-1][2]))
    found.append((play.ledger.fork(), CAROL, play.dispute_payload(BOB, 1, 1)))
    play.pass_window(BOB)
    found.append((play.ledger.fork(), CAROL, play.confirm_payload(BOB)))
    return tuple(found)


@settings(max_examples=4 * settings().max_examples)
@given(st.integers(0, 3), st.integers(0, 2**32), st.integers(1, 2))
def test_what_is_bent_is_refused_by_name(place: int, seed: int, times: int) -> None:
    bender = Bender(seed)
    for _, _, payload in stages():
        bender.learn(payload)
    ledger, sender, payload = stages()[place]
    for _ in range(times):
        payload = bender.bend(payload)
    try:
        tx = sign(sender, CHAIN_ID, ledger.state.account(sender.address).nonce, 100 * COIN, 0, payload)
    except CodecError:
        return
    try:
        after, receipt, _ = apply_transaction(begin_block(ledger.state, ledger.ctx), ledger.ctx, tx)
    except Invalid:
        return
    encode(receipt)
    root, nodes = after.commit()
    other = ledger.fork()
    other.nodes.update(nodes)
    check_conservation(other.nodes, root)
