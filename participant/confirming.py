"""Confirms claims whose dispute window has passed; anyone may do this for anyone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from engram.participant.errors import RoundOver
from engram.participant.obligations import LATE, REFUSALS, refusal_code
from engram.participant.reconnect import watch
from engram.participant.view import ChainView
from engram.participant.wallet import Wallet
from engram.primitives.types import Address, Hash
from engram.statemachine.records import Model
from engram.statemachine.rounds.audit import audit_ticks, first_tick_to_confirm
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.candidates import is_scored_on_all
from engram.statemachine.rounds.claims import audited_chunks, claimed_parts, prove_chunk, rows_of
from engram.statemachine.rounds.draw import draw_seed
from engram.statemachine.rounds.errors import AuditMismatch, ClaimDecided, HalfNotScored, WindowOpen
from engram.statemachine.rounds.records import Candidate, ClaimStatus, Round, RoundStatus
from engram.statemachine.transactions.confirm_update import ConfirmUpdate

ClaimedRows = Callable[[Round, Model, Candidate, int], Awaitable[bytes]]
"""Gives the claimed rows of one of the claimed parts of a candidate, by the part's number."""

_WAITS = frozenset({WindowOpen.code, HalfNotScored.code, AuditMismatch.code})
"""Refusals that a later block can lift: another block may have taken the place of one that was drawn from."""


async def confirm_claims(
    view: ChainView, wallet: Wallet, round_id: Hash, rows: ClaimedRows, author: Address
) -> bool:
    """Waits for the dispute windows of this author's claims and confirms them one by one.

    True when none of them is open any more, whoever has decided it. False as soon as the chain has not all
    claims of scores, as after a reorganisation: then they have to be claimed again first. Raises `RoundOver`
    if SCORE ends before.
    """
    round_ = await view.get(Round, round_id)
    model, rules = await view.get(Model, round_.model), (await view.spec()).rules
    window = 0 if model.claims is None else model.claims.window
    refused: dict[bytes, int] = {}
    """The height at which the confirmation of a candidate was refused: it is tried again in a later block."""

    async def look() -> Candidate | bool | None:
        """The next candidate to confirm; True and False as the function; None if one has to be waited for."""
        round_, tick = await view.get(Round, round_id), await view.tick()
        last = (await view.span(round_, Phase.SCORE)).last
        candidates = await open_claims(view, round_, author)
        if not candidates:
            return True
        if round_.status != RoundStatus.OPEN or tick > last:
            raise RoundOver("the phase SCORE is over, and a claim was not confirmed", got=len(candidates))
        height = await view.height()
        if not all(is_scored_on_all(round_, model, candidate) for candidate in candidates):
            return False
        for candidate in candidates:
            assert candidate.claim is not None, "`open_claims` gives candidates with a claim"
            if refused.get(candidate.key, -1) >= height:
                continue
            if tick >= first_tick_to_confirm(rules, window, candidate.claim.last):
                return candidate
        return None

    while isinstance(found := await watch(view.client, look, "heads"), Candidate):
        height = await view.height()
        try:
            round_ = await view.get(Round, round_id)
            await wallet.execute(await confirmation(view, round_, model, found, rows))
        except REFUSALS as error:
            code = refusal_code(error)
            if code in _WAITS or code in LATE:  # if SCORE is over, the next look says so
                refused[found.key] = height
            elif code != ClaimDecided.code:
                raise
    return found is True


async def open_claims(view: ChainView, round_: Round, author: Address) -> list[Candidate]:
    """The candidates of this author whose claim is neither confirmed nor refuted."""
    updates = await view.updates_of(round_, author)
    found = [update for update in updates if isinstance(update, Candidate)]
    return [each for each in found if each.claim is not None and each.claim.status == ClaimStatus.OPEN]


async def confirmation(
    view: ChainView, round_: Round, model: Model, candidate: Candidate, rows: ClaimedRows
) -> ConfirmUpdate:
    """What confirms a claim: the chunks that blocks after it have drawn, with their proofs.

    Raises `RecordMissing` if the chain does not remember these blocks.
    """
    claim, rules = candidate.claim, (await view.spec()).rules
    assert claim is not None, "a candidate without a claim needs no confirmation"
    ids = [await view.block_id(tick) for tick in audit_ticks(rules, claim.last)]
    seed = draw_seed([*ids, candidate.root], round_.id)
    parts, chunks = claimed_parts(round_, model), []
    for part, number in audited_chunks(round_, model, seed):
        raw = await rows(round_, model, candidate, part)
        chunks.append(prove_chunk(part, rows_of(round_, parts[part]), raw, number))
    return ConfirmUpdate(round_.id, candidate.epoch, candidate.author, tuple(chunks))
