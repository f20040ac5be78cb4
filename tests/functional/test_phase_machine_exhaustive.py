"""The phase machine explored exhaustively: k = s = 1, two epochs, three actors. `make search` explores more.

In every order, every subset of what opener, author and witness may do: seal or not, reveal or not, commit to
an honest update, an over-fitted one, a lie or a copy, reveal it or not, open or withhold, have it scored or
not, settle or wait, withdraw or not.
"""

from collections import Counter
from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest

from engram.nn.data import parse_part, part_bytes
from engram.nn.loss import LossKind
from engram.nn.network import NetworkSpec
from engram.primitives import keys
from engram.primitives.types import ZERO_HASH, Hash
from engram.statemachine.additions import parameters_root
from engram.statemachine.content import Inline, blob_id
from engram.statemachine.parameters import WholeNetwork
from engram.statemachine.records import Account, Model, NamedWitness, Supply
from engram.statemachine.rounds.calendar import Calendar, Phase
from engram.statemachine.rounds.draw import draw_seed, sample
from engram.statemachine.rounds.records import Candidate, Commit, Round, RoundStatus
from engram.statemachine.rounds.update import UpdateClaim, commit_digest
from engram.statemachine.rules import Fees, Rules
from engram.statemachine.scoring import DataPart, Scorer
from engram.statemachine.transactions.advance_round import AdvanceRound
from engram.statemachine.transactions.commit_update import CommitUpdate
from engram.statemachine.transactions.open_round import OpenRound
from engram.statemachine.transactions.reveal_part import RevealPart
from engram.statemachine.transactions.reveal_sealed import RevealSealed
from engram.statemachine.transactions.reveal_update import RevealUpdate
from engram.statemachine.transactions.score_update import ScoreUpdate
from engram.statemachine.transactions.seal_part import SealPart
from engram.statemachine.transactions.withdraw import Withdraw
from tests.conftest import EXAMPLES, USUAL_EXAMPLES
from tests.support.conservation import coins_held
from tests.support.exploration import Move, Snapshot, World, block_id, explore
from tests.support.ledger import CHAIN_ID
from tests.support.rounds import (
    ALICE,
    BOB,
    NONCE,
    OPENER,
    PURSE,
    SALT,
    SecretPart,
    Weights,
    founding,
    network,
    train_terms,
)

RULES = Rules(
    fees=Fees(macs_per_spark=10**6),
    min_window_ticks=1,
    min_gap_ticks=0,
    draw_ticks=1,
    tick_ring=16,
    maturity_blocks=5,
    subsidy=0,
    min_parts=2,
    min_sealed=1,
    min_sealed_rows=4,
    min_witness_rows=4,
    min_z_squared=1,
)
OPENED = 1
ROWS = 4


def secret(index: int, *, tells: bool) -> SecretPart:
    """Feature 0 knows the label everywhere, feature 1 only where it `tells`."""
    labels = np.array([0, 1, 0, 1], dtype=np.uint16)
    noise = np.random.default_rng(index).integers(-12, 13, ROWS)
    features = np.stack(
        [np.where(labels, 206, 50) + noise, np.where((labels == 1) == tells, 240, 10)], axis=1
    )
    return SecretPart(bytes([index]) * 32, part_bytes(features.astype(np.uint8), labels))


def drawn_first() -> int:
    """Which of two parts the draw picks for validation; block ids are the same in every history."""
    return sample(draw_seed([block_id(OPENED + 1)], NONCE), 2, 2)[0]


@dataclass(frozen=True)
class Plan:
    """One update that an author may commit to in an epoch."""

    author: keys.PrivateKey
    epoch: int
    weights: Weights
    lie: int = 0


class Scenario:
    """The round just opened, and the menu of each height."""

    def __init__(self) -> None:
        self.world = World(RULES)
        first = drawn_first()
        self.parts = [secret(index, tells=index == first) for index in range(2)]
        self.validation, self.sealed = self.parts[first], self.parts[1 - first]
        self.witnessed = secret(2, tells=False)
        self.base = network(2, 0)
        self.start = self._open()
        spans = list(Calendar.opened_at(OPENED - 1, self.terms, RULES).spans)
        self.first = {(span.phase, span.epoch): span.first + 1 for span in spans}
        """First heights of the phases: every block ticks, so a block sees the tick below its height."""
        self.last = self.first[Phase.CLOSED, 0] + 1
        """Spans are those with a witness; without one, all that follows comes a block earlier."""
        self.advance = Move.of(OPENER, AdvanceRound(self.round))
        self.withdrawals = {
            (author.address, epoch): Move.of(author, Withdraw(self.round, epoch, author.address))
            for author, epoch in product((ALICE, BOB), range(2))
        }
        """What anybody may take out of the round that has ended: the commit or the candidate of each."""
        self.menu = self._menu()

    def _open(self) -> Snapshot:
        """Genesis and the transaction that founds the model; the block is still open."""
        self.terms = train_terms(
            self.parts,
            rows=ROWS,
            epochs=2,
            open_window=1,
            reveal_window=1,
            commit_window=1,
            update_window=1,
            witness_window=1,
            audit_window=1,
            score_window=1,
            gap=0,
            z_squared=1,
            witnesses=(NamedWitness(BOB.address, False),),
        )
        purses = [Account(actor.address, PURSE) for actor in (OPENER, ALICE, BOB)]
        genesis = self.world.holding(Supply(issued=3 * PURSE), *purses)
        payload = OpenRound(self.terms, founding=founding(self.base))
        played = self.world.play(genesis, OPENED, Move.of(OPENER, payload))
        assert played is not None
        after, receipt = played
        event = receipt.events[-1]
        self.round, self.model = event.subject, bytes.fromhex(event.text[0])
        self._know(self.base)
        return after

    def _know(self, weights: Weights) -> None:
        self.world.blobs.update({blob_id(raw): raw for raw in weights.tensors})

    def _menu(self) -> dict[int, list[Move]]:
        honest, leak, copy = network(2, 8), network(2, 12, feature=1), network(2, 8, nudge=1)
        plans = [
            Plan(ALICE, 0, honest),
            Plan(ALICE, 0, leak),
            Plan(BOB, 0, network(2, 4), lie=-1),
            Plan(BOB, 0, network(2, 6)),
            Plan(BOB, 1, copy),
        ]
        if EXAMPLES > USUAL_EXAMPLES:  # four times the states
            plans.append(Plan(ALICE, 1, network(2, 10)))
        menu: dict[int, list[Move]] = {height: [] for height in range(self.last + 1)}
        menu[self.first[Phase.OPEN, 0]].append(Move.of(BOB, SealPart(self.round, self.witnessed.commitment)))
        self._disclose(menu)
        for plan in plans:
            self._know(plan.weights)
            claim = self._claim(plan)
            commit = CommitUpdate(self.round, plan.epoch, commit_digest(claim))
            reveal = RevealUpdate(
                self.round,
                plan.epoch,
                claim.base,
                claim.parameters,
                claim.loss,
                SALT,
                plan.weights.update,
            )
            menu[self.first[Phase.COMMIT, plan.epoch]].append(Move.of(plan.author, commit))
            menu[self.first[Phase.UPDATE, plan.epoch]].append(Move.of(plan.author, reveal))
        self._score(menu)
        for height in range(self.first[Phase.COMMIT, 0], self.last + 1):
            menu[height].append(self.advance)
        return menu

    def _disclose(self, menu: dict[int, list[Move]]) -> None:
        """What is drawn opens: validation, sealed, and the witness's."""
        first, last, theirs = self.validation, self.sealed, self.witnessed
        shown = RevealPart(self.round, NONCE, first.commitment, first.salt, Inline(first.raw))
        menu[self.first[Phase.REVEAL, 0]].append(Move.of(OPENER, shown))
        for actor, part in ((OPENER, last), (BOB, theirs)):
            opened = RevealSealed(self.round, part.commitment, part.salt, Inline(part.raw))
            for phase in (Phase.AUDIT_WITNESSES, Phase.AUDIT):
                menu[self.first[phase, 0]].append(Move.of(actor, opened))
        for part in (first, last, theirs):
            self.world.blobs[blob_id(part.raw)] = part.raw

    def _score(self, menu: dict[int, list[Move]]) -> None:
        """Authors may have their candidates scored on all that is open, and withdraw them at the end."""
        for author, epoch in ((ALICE, 0), (BOB, 0), (ALICE, 1), (BOB, 1)):
            for parts in ((0,), (0, 1)):
                asked = Move.of(author, ScoreUpdate(self.round, epoch, author.address, parts))
                for phase in (Phase.AUDIT, Phase.SCORE):
                    menu[self.first[phase, 0]].append(asked)
        menu[self.last].append(Move.of(BOB, Withdraw(self.round, 0, ALICE.address)))

    def _claim(self, plan: Plan) -> UpdateClaim:
        weights = plan.weights
        assert isinstance(weights.spec, NetworkSpec)
        author = plan.author.address
        root = parameters_root(ZERO_HASH, author, weights.update)
        segments = (*weights.hidden, *weights.outputs)
        network = WholeNetwork(root, weights.spec, segments, self.world.blobs.get_blob)
        rows = parse_part(self.validation.raw, rows=ROWS, inputs=2, classes=2)
        part = DataPart(self.validation.commitment, lambda: rows)
        loss = Scorer().score_network(network, part, 2, LossKind.SOFTMAX_CROSS_ENTROPY).loss
        base = self.start.get(Model, self.model).root
        return UpdateClaim(CHAIN_ID, author, self.round, plan.epoch, base, root, loss + plan.lie, SALT)


@pytest.mark.slow
def test_every_round_ends_and_no_coin_is_made_or_lost(capsys: pytest.CaptureFixture[str]) -> None:
    """`World` asserts the law of conservation on every edge, `end_of` on the way out of every node."""
    scenario = Scenario()
    count, ends = 0, Counter[tuple[str, Hash]]()
    for state, height in explore(scenario.world, scenario.start, OPENED, scenario.menu, scenario.last):
        count += 1
        ended = end_of(scenario, state, height)
        ends[RoundStatus(ended.status).name, ended.winner] += 1
    with capsys.disabled():
        print(f" {count} states", end="")
    assert count > 10_000
    nobody, alice, bob = bytes(20), ALICE.address, BOB.address
    assert set(ends) == {("ABORTED", nobody), ("KEPT", nobody), ("DECIDED", alice), ("DECIDED", bob)}


def end_of(scenario: Scenario, state: Snapshot, height: int) -> Round:
    """The round after somebody advances it past its calendar: it is over and holds nothing."""
    round_ = state.get(Round, scenario.round)
    if round_.status == RoundStatus.OPEN:
        past = max(height, scenario.first[Phase.CLOSED, 0])
        played = scenario.world.play(state, past, scenario.advance)
        assert played is not None
        state, receipt = played
        assert receipt.code == ""
        round_ = state.get(Round, scenario.round)
    assert round_.status != RoundStatus.OPEN
    assert coins_held(round_) == 0
    assert state.get(Model, scenario.model).open_round == ZERO_HASH
    withdraw_all(scenario, state, max(height, scenario.last))
    return round_


def withdraw_all(scenario: Scenario, state: Snapshot, height: int) -> None:
    """Everything that authors still have in the ended round is withdrawn, and nothing is left of it."""
    for (author, epoch), move in scenario.withdrawals.items():
        key = scenario.round, bytes([epoch]), author
        if state.find(Commit, *key) or state.find(Candidate, *key):
            played = scenario.world.play(state, height, move)
            assert played is not None, "anything can be withdrawn from a round that has ended"
            state = played[0]
        assert (state.find(Commit, *key), state.find(Candidate, *key)) == (None, None)
