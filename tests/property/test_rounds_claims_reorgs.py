"""Reorganisations across claims: a node that has seen a branch that loses ends as one that has not.

On each branch something else becomes of the claims of three authors: they are made or not, on parts that open
in one order or another, disputed, confirmed and audited, or left alone.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from functools import cache
from itertools import repeat

from hypothesis import example, given, settings
from hypothesis import strategies as st

from engram.consensus.chainspec import ChainSpec
from engram.node.chain.importer import ImportStatus
from engram.primitives import keys
from engram.primitives.errors import Invalid
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.records import Candidate, ClaimStatus
from engram.statemachine.state import State
from engram.statemachine.transaction import TxPayload
from tests.support.chain_ledger import ChainLedger
from tests.support.claimed_rounds import CLAIMS, ClaimPlay, better
from tests.support.memory_chain import MemoryChain, easy_spec, key
from tests.support.node_chain import kept_rows, running
from tests.support.rounds import ACTORS, ALICE, BOB, CAROL, OPENER, SMALL_RULES, network

AUTHORS = (ALICE, BOB, CAROL)
LIAR = BOB
LIED = 2
"""The number of the last part, in one row of which Bob lies, whichever part that is."""
SEALED = 2
PARTS = 1 + SEALED
FOLLOWED = {ImportStatus.SIDE, ImportStatus.REORGED, ImportStatus.EXTENDED, ImportStatus.DUPLICATE}


@dataclass(frozen=True)
class Move:
    """What somebody does in one block of SCORE, if a block may hold it."""

    kind: str
    author: keys.PrivateKey
    part: int = LIED
    chunk: int = 0


@dataclass(frozen=True)
class Branch:
    """What happens after the fork."""

    reversed: bool
    """Whether the sealed parts open in the other order."""
    moves: tuple[Move, ...]
    ends: bool
    """Whether the round ends on this branch, and everybody withdraws."""


def spec() -> ChainSpec:
    """A chain of small rounds, whose blocks cost little work, and the same: the longer branch wins."""
    return replace(easy_spec(ACTORS), rules=SMALL_RULES, half_life_ms=10**15)


@cache
def trunk() -> ClaimPlay:
    """A founding round with the candidates of three authors; the sealed parts are to open."""
    play = ClaimPlay(ledger=ChainLedger(MemoryChain(spec())))
    play.lies = {(LIAR.address, LIED): better(3)}
    play.ok(play.found(terms=play.terms(sealed=SEALED)))
    play.reveal_validation()
    updates = [(author, network(play.inputs, 8, nudge=place)) for place, author in enumerate(AUTHORS)]
    for receipt in play.play_epoch(*updates):
        play.ok(receipt)
    play.at(Phase.AUDIT)
    return play


def chain_of(play: ClaimPlay) -> MemoryChain:
    assert isinstance(play.ledger, ChainLedger)
    return play.ledger.chain


def played(branch: Branch, miner: int = 1_001, *, longer_than: int = 0) -> ClaimPlay:
    """The branch, with so many blocks that it has more than another one. Its miner mines no other."""
    play = trunk().fork()
    assert isinstance(play.ledger, ChainLedger)
    play.ledger.miners = repeat(key(miner))
    drawn = play.round.sealed_drawn
    for commitment in reversed(drawn) if branch.reversed else drawn:
        play.ok(play.send(OPENER, play.sealed_payload(play.secret(commitment))))
    play.at(Phase.SCORE)
    for move in branch.moves:
        act(play, move)
    if branch.ends:
        play.end()
        play.withdraw_all()
    while play.height <= longer_than:
        play.ledger.block()
    return play


def act(play: ClaimPlay, move: Move) -> None:
    candidate = play.ledger.state.find(Candidate, play.id, bytes([0]), move.author.address)
    assert candidate is not None, "nobody withdraws before the round has ended"
    assert candidate.claim is not None, "the model has claims"
    place = move.author.address, 0, move.part
    match move.kind:
        case "claim" if not candidate.scored:
            send(play, move.author, play.score_payload(move.author))
        case "dispute" if place in play.claimed:
            send(play, OPENER, play.dispute_payload(move.author, move.part, move.chunk))
        case "confirm" if candidate.scored and candidate.claim.status == ClaimStatus.OPEN:
            play.ledger.skip_to_tick(candidate.claim.last + CLAIMS.window)
            send(play, move.author, play.confirm_payload(move.author))
        case _:
            play.ledger.block()


def send(play: ClaimPlay, sender: keys.PrivateKey, payload: TxPayload) -> None:
    """One block with this transaction, or an empty one if no block may hold it."""
    try:
        play.send(sender, payload)
    except Invalid:
        play.ledger.block()


async def follow(loser: ClaimPlay, winner: ClaimPlay, back: ClaimPlay) -> None:
    """A node follows one branch, then a longer one, then the first again, which has become longer still."""
    common = chain_of(trunk()).height + 1
    made = chain_of(winner).spec
    async with running(spec=made) as node:
        assert set(await node.take(*chain_of(loser).blocks[1:])) == {"extended"}
        for branch in (winner, back):
            blocks = chain_of(branch).blocks
            outcomes = [(await node.chain.import_block(block)).outcome for block in blocks[common:]]
            assert ImportStatus.REORGED in outcomes
            assert set(outcomes) <= FOLLOWED
            async with running(spec=made) as fresh:
                await fresh.take(*blocks[1:])
                assert node.chain.head.id == fresh.chain.head.id == blocks[-1].header.id
                assert node.chain.head.state_root == fresh.chain.head.state_root
                assert kept_rows(node.chain.store) == kept_rows(fresh.chain.store)
            held = {tx.id for block in blocks for tx in block.transactions}
            assert not held & set(node.mempool.ids()), "nothing waits that is in a block"
            state = State(node.chain.store, node.chain.head.state_root)
            assert {actor: state.account(actor.address).balance for actor in ACTORS} == {
                actor: branch.account(actor).balance for actor in ACTORS
            }


moves = st.builds(
    Move,
    st.sampled_from(["claim", "claim", "claim", "dispute", "confirm", "confirm", "wait"]),
    st.sampled_from(AUTHORS),
    st.integers(0, PARTS - 1),
    st.integers(0, 2),
)
branches = st.builds(Branch, st.booleans(), st.lists(moves, max_size=8).map(tuple), st.booleans())
CLAIMED = tuple(Move("claim", author) for author in AUTHORS)
REFUTED = Branch(False, (*CLAIMED, Move("dispute", LIAR), Move("confirm", ALICE)), True)
UNDISPUTED = Branch(False, (*CLAIMED, Move("confirm", LIAR), Move("confirm", CAROL)), True)
ALONE = Branch(True, CLAIMED[:1], False)
TURNED = Branch(True, (*CLAIMED[::-1], Move("confirm", CAROL), Move("dispute", ALICE, 1, 1)), True)


@settings(max_examples=max(5, settings().max_examples // 5))
@given(branches, branches)
@example(REFUTED, UNDISPUTED)
@example(UNDISPUTED, REFUTED)
@example(REFUTED, ALONE)
@example(ALONE, REFUTED)
@example(TURNED, REFUTED)
@example(UNDISPUTED, TURNED)
def test_what_becomes_of_claims_on_a_branch_that_loses_leaves_no_trace(one: Branch, other: Branch) -> None:
    loser = played(one)
    winner = played(other, 1_002, longer_than=loser.height)
    back = loser.fork()
    while back.height <= winner.height:
        back.ledger.block()
    asyncio.run(follow(loser, winner, back))


def test_the_stories_told_above_end_as_they_should() -> None:
    """Or a branch on which nothing happens would be compared with another one."""
    names = [{event.name for event in played(branch).events} for branch in (REFUTED, TURNED, ALONE)]
    assert [{"claim_refuted", "claim_confirmed"} & found for found in names] == [
        {"claim_refuted", "claim_confirmed"},
        {"claim_confirmed"},
        set(),
    ]
    first, other = (played(replace(ALONE, reversed=turned, moves=())) for turned in (False, True))
    assert [part.commitment for part in first.round.unseen] == [
        part.commitment for part in reversed(other.round.unseen)
    ]
