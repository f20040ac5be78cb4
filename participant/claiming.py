"""An author's claims, on models whose authors claim the scores of their updates (docs/protocol/claims.md).

The author computes what version t and the update lose on each row. The rows of the validation parts travel in
the reveal, those of the parts that decide as soon as the phase SCORE begins; once the dispute window has
passed, the claim is confirmed. What was claimed is a function of the update, so a program that has died
computes it again: nothing but the secret of the commit has to be on the disk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from engram.nn.engine import FAST, Engine
from engram.nn.loss import RowScores
from engram.node.epochs import in_epoch
from engram.participant.confirming import confirm_claims, open_claims
from engram.participant.errors import RoundOver
from engram.participant.notices import Notice
from engram.participant.obligations import LATE, REFUSALS, fulfil, refusal_code
from engram.participant.recomputing import Pair, Recomputer
from engram.participant.reconnect import watch
from engram.participant.view import ChainView
from engram.participant.wallet import Wallet
from engram.primitives.types import Hash
from engram.statemachine.additions import Update
from engram.statemachine.records import Model
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.candidates import is_scored, parts_to_score
from engram.statemachine.rounds.claims import (
    ROW_BYTES,
    claim_bytes,
    claimed_parts,
    head_of,
    name_of,
    old_loss,
    rows_of,
)
from engram.statemachine.rounds.errors import ClaimDecided
from engram.statemachine.rounds.records import Candidate, ClaimStatus, Round, RoundStatus
from engram.statemachine.rounds.update import reading_macs
from engram.statemachine.rules import ENVELOPE_BYTES, Rules
from engram.statemachine.transaction import TxPayload
from engram.statemachine.transactions.score_update import ScoreUpdate

Telling = Callable[[int, RowScores, RowScores], tuple[RowScores, RowScores]]
"""What an author claims of a part: by its number among the claimed parts, and by what version t and the
update lose on its rows. The same arguments give the same answer: a program that has died asks again."""


def truly(number: int, base: RowScores, own: RowScores) -> tuple[RowScores, RowScores]:
    """What an honest author claims."""
    return base, own


@dataclass(frozen=True)
class RevealClaim:
    """What the author claims of the validation parts."""

    rows: bytes
    """The head and the claimed rows, as the reveal carries them."""
    loss: int
    """What they say that the update loses, in Q24 nats."""
    base_loss: int
    """What they say that version t loses on rows of old classes, in Q24 nats."""


class Claims:
    """Computes and sends what one account claims."""

    def __init__(
        self, wallet: Wallet, view: ChainView, telling: Telling = truly, engine: Engine = FAST
    ) -> None:
        """`engine` computes the rows."""
        self._wallet = wallet
        self._view = view
        self._telling = telling
        self._recomputer = Recomputer(view, engine)
        self._known: dict[tuple[Hash, int, Hash], bytes] = {}
        """Claimed rows by round, epoch and commitment of the part: on another branch it can have another
        number.
        """
        self._pairs: dict[tuple[Hash, int], tuple[Update, Pair]] = {}
        """By round and epoch: the update without its tensors, and its networks."""

    async def of_reveal(self, round_: Round, model: Model, epoch: int, update: Update) -> RevealClaim:
        """What the author claims of the validation parts, all of which are open; `update` has its tensors."""
        pair = await self._pair(round_, epoch, update)
        raws, base_loss = [], 0
        for number, opened in enumerate(round_.validation_opened):
            part = await self._recomputer.part(opened)
            base, own = await self._recomputer.rows(pair, round_, model, part)
            base, own = self._telling(number, base, own)
            base_loss += old_loss(round_, part.labels, base)
            raws.append(claim_bytes(base, own))
            self._known[round_.id, epoch, name_of(opened)] = raws[-1]
        raw = b"".join(raws)
        words = np.frombuffer(raw, "<u4")[1::2] & (2**31 - 1)
        head = head_of(round_.validation_opened)
        return RevealClaim(head + raw, int(np.sum(words, dtype=np.int64)), base_loss)

    async def rows(self, round_: Round, model: Model, candidate: Candidate, number: int) -> bytes:
        """The claimed rows of one of the claimed parts of a candidate of this account."""
        named = claimed_parts(round_, model)[number]
        pair = await self._pair(round_, candidate.epoch, candidate.update)
        place = round_.id, candidate.epoch, name_of(named)
        if place not in self._known:
            true = await self._recomputer.rows(pair, round_, model, await self._recomputer.part(named))
            self._known[place] = claim_bytes(*self._telling(number, *true))
        return self._known[place]

    async def _pair(self, round_: Round, epoch: int, update: Update) -> Pair:
        """The networks of the account's update; what is known of one that another branch has is forgotten."""
        key, shape = (round_.id, epoch), replace(update, tensors=())
        if key not in self._pairs or self._pairs[key][0] != shape:
            self._known = {place: raw for place, raw in self._known.items() if place[:2] != key}
            pair = await self._recomputer.pair(round_, self._wallet.key.address, update)
            self._pairs[key] = shape, pair
        return self._pairs[key][1]

    async def score(self, round_id: Hash) -> int:
        """Waits for the phase SCORE and claims the scores of this account's candidates on every part.

        Returns how many candidates it has whose claim is not refuted. Raises `RoundOver` if the phase has
        passed.
        """
        round_ = await self._view.get(Round, round_id)
        if not await self._own(round_):
            return 0
        model = await self._view.get(Model, round_.model)
        rules = (await self._view.spec()).rules

        async def owed() -> Sequence[TxPayload]:
            round_ = await self._view.get(Round, round_id)  # on another branch, parts have other numbers
            return [
                await self._score_payload(round_, model, candidate, numbers)
                for candidate in await self._own(round_)
                for numbers in claim_batches(rules, round_, model, candidate)
            ]

        late = True
        while late:
            await self._view.wait_phase(round_id, Phase.SCORE)
            late = False
            try:
                await fulfil(self._wallet, owed)
            except REFUSALS as error:
                code = refusal_code(error)
                late = code in LATE  # or early: on another branch, SCORE may still have to begin
                if late and await self._is_over(round_id):
                    raise RoundOver("the claims of scores came too late for their phase", got=code) from error
                if not late and code != ClaimDecided.code:
                    raise
        return len(await self._own(round_))

    async def _is_over(self, round_id: Hash) -> bool:
        """Whether nothing can be claimed or confirmed in this round any more."""
        round_ = await self._view.get(Round, round_id)
        return round_.status != RoundStatus.OPEN or await self._view.due(round_) is not None

    async def confirm(self, round_id: Hash) -> None:
        """Waits until the dispute windows have passed and confirms what nobody else has confirmed.

        Claims again what a reorganisation undoes meanwhile. Raises `RoundOver` if SCORE ends before.
        """
        author = self._wallet.key.address
        while not await confirm_claims(self._view, self._wallet, round_id, self.rows, author):
            await self.score(round_id)

    async def hold(self, round_id: Hash) -> None:
        """Until the phase SCORE is over, claims and confirms again what another branch does not have.

        A reorganisation can undo a claim or a confirmation. Most come back by themselves, because the node
        keeps their transactions; but other blocks draw other chunks, and a confirmation with those of before
        is refused. Returns at once where every node computes the scores. Raises as `score` and `confirm`.
        """
        model = (await self._view.get(Round, round_id)).model
        if (await self._view.get(Model, model)).claims is None:
            return

        async def look() -> bool | None:
            """Whether all is over; None if there is nothing to do yet."""
            if await self._is_over(round_id):
                return True
            round_ = await self._view.get(Round, round_id)
            return False if await open_claims(self._view, round_, self._wallet.key.address) else None

        while not await watch(self._view.client, look, "heads"):
            await self.confirm(round_id)

    def forget(self, round_id: Hash) -> None:
        """Gives up what is remembered of a round that is over."""
        self._known = {key: raw for key, raw in self._known.items() if key[0] != round_id}
        self._pairs = {key: pair for key, pair in self._pairs.items() if key[0] != round_id}

    async def _own(self, round_: Round) -> list[Candidate]:
        """The candidates of this account whose claim can still be completed or stands."""
        updates = await self._view.updates_of(round_, self._wallet.key.address)
        return [
            update
            for update in updates
            if isinstance(update, Candidate)
            and update.claim is not None
            and update.claim.status != ClaimStatus.REFUTED
        ]

    async def _score_payload(
        self, round_: Round, model: Model, candidate: Candidate, numbers: tuple[int, ...]
    ) -> ScoreUpdate:
        first, parts = len(round_.validation_opened), claimed_parts(round_, model)
        raws = [await self.rows(round_, model, candidate, first + number) for number in numbers]
        claimed = head_of([parts[first + number] for number in numbers]) + b"".join(raws)
        return ScoreUpdate(round_.id, candidate.epoch, candidate.author, numbers, claimed)


def decided(candidate: Candidate) -> Notice:
    """What has become of the claim of a candidate."""
    assert candidate.claim is not None, "every node has computed the scores of this candidate"
    status = ClaimStatus(candidate.claim.status)
    text = f"{in_epoch(candidate.epoch)}: {_DECIDED[status]}"
    return Notice(text, f"claim_{status.name.lower()}", epoch=candidate.epoch)


def claim_batches(rules: Rules, round_: Round, model: Model, candidate: Candidate) -> list[tuple[int, ...]]:
    """The numbers of the parts that are not claimed yet, in as few transactions as hold their rows.

    A transaction also stays within half of a block's MACs, so that it cannot stop the round clock.
    """
    batches: list[tuple[int, ...]] = []
    size = macs = 0
    for number, part in enumerate(parts_to_score(round_, model)):
        if is_scored(candidate, number):
            continue
        rows = rows_of(round_, part)
        more_size, more_macs = ROW_BYTES * rows, reading_macs(rules, model.inputs, rows)
        size, macs = size + more_size, macs + more_macs
        full = size > rules.max_transaction_bytes - _FRAME_BYTES or macs > rules.max_block_macs // 2
        if not batches or full:
            batches.append(())
            size, macs = more_size, more_macs
        batches[-1] = (*batches[-1], number)
    return batches


_DECIDED: Final = {
    ClaimStatus.OPEN: "the claim is not decided, so the candidate cannot win",
    ClaimStatus.CONFIRMED: "the claim is confirmed, and the candidate counts",
    ClaimStatus.REFUTED: "the claim is refuted: the bond is lost, and the candidate cannot win",
}
_FRAME_BYTES: Final = ENVELOPE_BYTES
"""Bytes of a transaction besides the claimed rows: its parts are at most 272 numbers of up to three bytes."""
