"""Random claims, lies, disputes and confirmations: coins are conserved, every round ends, liars pay.

The law of conservation is checked after every block by the play itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from engram.nn.loss import RowScores, loss_limit
from engram.primitives import keys
from engram.primitives.errors import Invalid
from engram.statemachine.claimterms import ClaimTerms
from engram.statemachine.receipt import Receipt
from engram.statemachine.records import RetentionPart
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.candidates import is_below_a_baseline
from engram.statemachine.rounds.claims import (
    audited_chunks,
    chunk_count,
    chunks_of,
    claim_bytes,
    claimed_parts,
    rows_of,
)
from engram.statemachine.rounds.draw import sample
from engram.statemachine.rounds.records import Candidate, ClaimStatus, RoundKind, RoundStatus
from engram.statemachine.transaction import TxPayload
from tests.support.claimed_rounds import CLAIMS, ROWS, ClaimPlay, Lie
from tests.support.round_samples import a_model, a_round, opened
from tests.support.rounds import ALICE, BOB, CAROL, COIN, OPENER, network

AUTHORS = (ALICE, BOB, CAROL)
BOND, ENTRY = 40 * COIN, 2 * COIN // 100
CHUNKS = chunk_count(ROWS)
PARTS = 2
"""The validation part, and the opener's sealed one."""


@dataclass(frozen=True)
class Untrue:
    """One claimed row that may be another than the true one."""

    row: int
    of_update: bool
    loss: int
    right: bool

    def lie(self, base: RowScores, own: RowScores) -> tuple[RowScores, RowScores]:
        both = [base, own]
        found = both[self.of_update]
        losses, right = found.losses.copy(), found.right.copy()
        losses[self.row], right[self.row] = self.loss, self.right
        both[self.of_update] = RowScores(losses, right)
        return both[0], both[1]


@dataclass(frozen=True)
class Act:
    """What somebody tries in one block of SCORE."""

    kind: str
    sender: keys.PrivateKey
    author: keys.PrivateKey
    part: int
    chunk: int


untrue = st.builds(
    Untrue,
    st.integers(0, ROWS - 1),
    st.booleans(),
    st.one_of(st.just(0), st.integers(0, loss_limit(2))),
    st.booleans(),
)
all_lies = st.dictionaries(
    st.tuples(st.sampled_from(AUTHORS), st.integers(0, PARTS - 1)), untrue, max_size=PARTS * len(AUTHORS)
)
acts = st.builds(
    Act,
    st.sampled_from(["claim", "claim", "dispute", "confirm", "confirm", "wait"]),
    st.sampled_from((*AUTHORS, OPENER)),
    st.sampled_from(AUTHORS),
    st.integers(0, PARTS - 1),
    st.integers(0, CHUNKS - 1),
)


@cache
def begun() -> ClaimPlay:
    """A founding round of a model with claims, in COMMIT."""
    play = ClaimPlay()
    play.ok(play.found())
    play.reveal_validation()
    play.at(Phase.COMMIT)
    return play


class Story:
    """A play in which the truth is known, and what each author should have spent by now."""

    def __init__(self, lies: dict[tuple[keys.PrivateKey, int], Untrue]) -> None:
        play = begun().fork()
        assert isinstance(play, ClaimPlay)
        self.play = play
        self.truth: dict[tuple[bytes, int], list[bytes]] = {}
        play.weights, play.claimed = {}, {}
        play.lies = {
            (author.address, part): self._noting(author, part, lies.get((author, part)))
            for author in AUTHORS
            for part in range(PARTS)
        }
        self.spent = {actor.address: play.spent(actor) for actor in (*AUTHORS, OPENER)}

    def _noting(self, author: keys.PrivateKey, part: int, told: Untrue | None) -> Lie:
        def claimed(base: RowScores, own: RowScores) -> tuple[RowScores, RowScores]:
            self.truth[author.address, part] = chunks_of(ROWS, claim_bytes(base, own))
            return told.lie(base, own) if told else (base, own)

        return claimed

    def is_false(self, author: keys.PrivateKey, part: int, chunk: int) -> bool:
        said = chunks_of(ROWS, self.play.claimed[author.address, 0, part])
        return said[chunk] != self.truth[author.address, part][chunk]

    def find(self, author: keys.PrivateKey) -> Candidate | None:
        return self.play.ledger.state.find(Candidate, self.play.id, bytes([0]), author.address)

    def reveal(self) -> None:
        """All three reveal; whose claimed loss is not below the claimed bar loses the bond."""
        updates = [
            (author, network(self.play.inputs, gain)) for author, gain in zip(AUTHORS, (8, 4, 1), strict=True)
        ]
        for author, receipt in zip(AUTHORS, self.play.play_epoch(*updates), strict=True):
            assert receipt.code in ("", "no_improvement")
            self.spent[author.address] += BOND + ENTRY
            assert (self.find(author) is None) == bool(receipt.code)

    def send(self, sender: keys.PrivateKey, payload: TxPayload) -> Receipt | None:
        try:
            return self.play.send(sender, payload)
        except Invalid:
            self.play.ledger.block()
            return None

    def act(self, act: Act) -> None:
        candidate = self.find(act.author)
        claim = None if candidate is None else candidate.claim
        if claim is None or act.kind == "wait":
            self.play.ledger.skip_to_tick(self.play.tick + CLAIMS.window)
        elif act.kind == "claim":
            self.claim(act)
        elif act.kind == "dispute":
            self.dispute(act)
        elif act.kind == "confirm":
            self.confirm(act)

    def claim(self, act: Act) -> None:
        payload = self.play.score_payload(act.author) if self._unclaimed(act.author) else None
        if payload is None or (receipt := self.send(act.sender, payload)) is None:
            return
        assert (receipt.code, act.sender) == ("", act.author)

    def _unclaimed(self, author: keys.PrivateKey) -> bool:
        candidate = self.find(author)
        return candidate is not None and not candidate.scored

    def dispute(self, act: Act) -> None:
        if (act.author.address, 0, act.part) not in self.play.claimed:
            return
        receipt = self.send(act.sender, self.play.dispute_payload(act.author, act.part, act.chunk))
        if receipt is None:
            return
        if self.is_false(act.author, act.part, act.chunk):
            self.refuted(act, receipt)
        else:
            assert receipt.code == "claim_holds"
            self.spent[act.sender.address] += self.play.ledger.rules.min_author_bond

    def confirm(self, act: Act) -> None:
        candidate = self.find(act.author)
        assert candidate is not None
        assert candidate.claim is not None
        first = candidate.claim.last + CLAIMS.window
        whole = candidate.scored and candidate.claim.status == ClaimStatus.OPEN
        if not whole or self.play.tick < first:
            return
        payload = self.play.confirm_payload(act.author)
        receipt = self.send(act.sender, payload)
        if receipt is None:
            return
        if any(self.is_false(act.author, each.part, each.number) for each in payload.chunks):
            self.refuted(act, receipt)
        else:
            assert [event.name for event in receipt.events][-2:] == ["claim_confirmed", "update_judged"]

    def refuted(self, act: Act, receipt: Receipt) -> None:
        assert receipt.code == ""
        assert [event.name for event in receipt.events][-2:] == ["claim_refuted", "bond_burned"]
        self.spent[act.sender.address] -= BOND // 2

    def end(self) -> None:
        """Every bond has returned or is gone, and only what is confirmed has won."""
        play, floor = self.play, self.play.ledger.rules.fees.floor
        found = {author: self.find(author) for author in AUTHORS}
        round_ = play.end()
        for author, candidate in found.items():
            if candidate is None:
                continue
            assert candidate.claim is not None
            confirmed = candidate.claim.status == ClaimStatus.CONFIRMED
            assert (candidate.bond == 0) == (candidate.claim.status == ClaimStatus.REFUTED)
            assert confirmed or round_.winner != author.address
            if confirmed and is_below_a_baseline(round_, candidate):
                self.spent[author.address] -= BOND
            else:
                self.spent[author.address] -= min(candidate.bond, floor)
        play.withdraw_all()
        assert round_.status in (RoundStatus.DECIDED, RoundStatus.KEPT)
        assert {author.address: play.spent(author) for author in AUTHORS} == {
            author.address: self.spent[author.address] for author in AUTHORS
        }
        assert not any(self.find(author) for author in AUTHORS)


@settings(max_examples=max(10, settings().max_examples // 2))
@given(all_lies, st.lists(acts, max_size=14))
def test_every_round_of_claims_ends_and_only_liars_and_idlers_lose_bonds(
    lies: dict[tuple[keys.PrivateKey, int], Untrue], plan: list[Act]
) -> None:
    story = Story(lies)
    story.reveal()
    if any(story.find(author) for author in AUTHORS):
        story.play.audit()
        story.play.at(Phase.SCORE)
        for act in plan:
            story.act(act)
    story.end()


counts = st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(0, 3))


@given(counts, st.integers(1, 2_000), st.integers(1, 64), st.binary(min_size=32, max_size=32))
def test_an_audit_draws_among_all_chunks_of_all_parts(
    parts: tuple[int, int, int], rows: int, audited: int, seed: bytes
) -> None:
    """As the text says it, with all chunks in a list."""
    validation, unseen, retained = parts
    retention = [RetentionPart(bytes([place]) * 32, rows // 2 + 1, 2) for place in range(retained)]
    model = replace(a_model(*retention), claims=ClaimTerms(4, audited))
    round_ = a_round(kind=RoundKind.GROW, unseen=[opened(0)] * unseen)
    round_ = replace(
        round_, terms=replace(round_.terms, rows=rows), validation_opened=(opened(0),) * validation
    )
    places = [
        (number, chunk)
        for number, part in enumerate(claimed_parts(round_, model))
        for chunk in range(chunk_count(rows_of(round_, part)))
    ]
    drawn = sample(seed, len(places), min(audited, len(places)))
    assert audited_chunks(round_, model, seed) == tuple(sorted(places[place] for place in drawn))
