"""Has candidates scored on what their authors could not see, and withdraws updates when the round has ended.

Anyone may do both for anyone. An author does it for their own: a candidate that is not scored on every part
cannot win, and only a withdrawal brings a bond back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engram.participant.errors import RoundOver, ScoresClaimed
from engram.participant.obligations import LATE, REFUSALS, fulfil, refusal_code
from engram.participant.view import ChainView
from engram.participant.wallet import Wallet
from engram.primitives.types import Address, Hash
from engram.statemachine.additions import Update, halves_of
from engram.statemachine.parameters import Composition
from engram.statemachine.record import u32
from engram.statemachine.records import Model, RetentionPart, Version
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.candidates import is_scored, parts_to_score
from engram.statemachine.rounds.errors import NothingToWithdraw, PartScored
from engram.statemachine.rounds.records import Candidate, Round
from engram.statemachine.rounds.union import FIRST_EPOCH
from engram.statemachine.rounds.update import scoring_macs
from engram.statemachine.rules import Rules
from engram.statemachine.transaction import TxPayload
from engram.statemachine.transactions.score_update import ScoreUpdate
from engram.statemachine.transactions.withdraw import Withdraw


@dataclass(frozen=True)
class Withdrawn:
    """What withdrawals have done with bonds, in sparks."""

    returned: int = 0
    burned: int = 0


async def score_candidates(view: ChainView, wallet: Wallet, round_id: Hash, author: Address | None) -> int:
    """Waits for the phase SCORE and has the candidates of `author`, or of all, scored on every part.

    Of a union, its halves are scored before, whoever they belong to.

    What somebody else has asked for already is not asked for again. Returns how many candidates there are.
    Raises `RoundOver` if the phase has passed, `ScoresClaimed` where authors claim their scores themselves.
    """
    round_ = await view.get(Round, round_id)
    if (await view.get(Model, round_.model)).claims is not None:
        raise ScoresClaimed(got=round_.model)
    if author is not None and not await _candidates(view, round_, author):
        return 0
    round_ = await view.wait_phase(round_id, Phase.SCORE)
    model = await view.get(Model, round_.model)
    base = await view.composition(await view.get(Version, round_.model, u32(round_.version)))
    rules = (await view.spec()).rules

    async def owed() -> Sequence[TxPayload]:
        mine = await _candidates(view, round_, author)
        # The chain scores a union when its halves have been scored, so these come first.
        halves = {half.author for each in mine for half in halves_of(each.update)}
        alone = [each for each in mine if not halves_of(each.update)]
        known = {(each.epoch, each.author) for each in alone}
        for other in sorted(halves):
            if (FIRST_EPOCH, other) not in known:
                alone.append(await view.get(Candidate, round_id, bytes([FIRST_EPOCH]), other))
        unions = [each for each in mine if halves_of(each.update)]
        return requests(alone) or requests(unions)

    def requests(candidates: Sequence[Candidate]) -> list[TxPayload]:
        return [
            ScoreUpdate(round_id, candidate.epoch, candidate.author, numbers)
            for candidate in candidates
            for numbers in scorings(rules, round_, model, base, candidate)
        ]

    while True:
        try:
            await fulfil(wallet, owed)
            break
        except REFUSALS as error:
            if (code := refusal_code(error)) in LATE:
                raise RoundOver("the scoring came too late for its phase", got=code) from error
            if code != PartScored.code:
                raise
            # Somebody else's scoring waits for the next block, and takes the place of this one.
            await view.wait_height(await view.height() + 1)
    return len(await _candidates(view, round_, author))


def scorings(
    rules: Rules, round_: Round, model: Model, base: Composition, candidate: Candidate
) -> list[tuple[int, ...]]:
    """The numbers of the parts on which a candidate is not scored yet, a tuple for each transaction.

    Each transaction stays within half of a block's MACs, so that it cannot stop the round clock.
    """
    parts = [
        (number, rows_of(round_, part))
        for number, part in enumerate(parts_to_score(round_, model))
        if not is_scored(candidate, number)
    ]
    batches: list[tuple[int, ...]] = []
    room = 0
    for number, rows in parts:
        macs = scoring_macs(rules, round_, base, candidate.update, rows)
        if not batches or macs > room:
            batches.append(())
            room = rules.max_block_macs // 2
        batches[-1] = (*batches[-1], number)
        room -= macs
    return batches


def scored_rows(round_: Round, model: Model) -> list[int]:
    """Rows of each part on which a candidate of this round will be scored, before the parts are open."""
    unseen = round_.terms.sealed + len(round_.witnesses)
    retention = [part.rows for part in parts_to_score(round_, model) if isinstance(part, RetentionPart)]
    return [round_.terms.rows] * unseen + retention


def scoring_price_macs(
    rules: Rules, round_: Round, model: Model, base: Composition, update: Update
) -> list[int]:
    """MACs charged for scoring an update on each part of the round that decides."""
    return [scoring_macs(rules, round_, base, update, rows) for rows in scored_rows(round_, model)]


def rows_of(round_: Round, part: object) -> int:
    """Rows of a part on which candidates are scored."""
    return part.rows if isinstance(part, RetentionPart) else round_.terms.rows


async def withdraw_updates(view: ChainView, wallet: Wallet, round_id: Hash, author: Address) -> Withdrawn:
    """Withdraws every update of the author from a round that has ended; returns what became of the bonds.

    That counts only what this call has withdrawn itself. Raises what `Wallet.execute` raises.
    """
    round_, found = await view.get(Round, round_id), Withdrawn()
    for update in await view.updates_of(round_, author):
        try:
            receipt = await wallet.execute(Withdraw(round_id, update.epoch, author))
        except REFUSALS as error:
            if refusal_code(error) != NothingToWithdraw.code:
                raise
            continue  # somebody else has withdrawn it first
        names = [event["name"] for event in receipt["events"]]
        if "bond_returned" in names:
            found = Withdrawn(found.returned + update.bond, found.burned)
        else:
            found = Withdrawn(found.returned, found.burned + update.bond)
    return found


async def _candidates(view: ChainView, round_: Round, author: Address | None) -> list[Candidate]:
    if author is None:
        return await view.candidates(round_)
    return [update for update in await view.updates_of(round_, author) if isinstance(update, Candidate)]
