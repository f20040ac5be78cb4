"""Has an author's candidates scored on what the model must not forget; unscored, they cannot win."""

from __future__ import annotations

from collections.abc import Sequence

from engram.participant.obligations import fulfil
from engram.participant.view import ChainView
from engram.participant.wallet import Wallet
from engram.primitives.types import Hash
from engram.statemachine.records import Model
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.records import Candidate, Round, RoundKind
from engram.statemachine.transaction import TxPayload
from engram.statemachine.transactions.score_retention import ScoreRetention


async def score_candidates(view: ChainView, wallet: Wallet, round_id: Hash) -> int:
    """Waits for the retention phase and has every candidate of the account scored on every retention part.

    The candidate prepaid it, and anybody may have it done: what another did first is not done again. How many
    scorings the account's candidates have in the end. Raises `RoundOver` past the phase.
    """
    round_ = await view.get(Round, round_id)
    model = await view.get(Model, round_.model)
    mine = [item for item in round_.candidates if item.author == wallet.key.address]
    if not mine or not model.retention or round_.terms.kind != RoundKind.GROW:
        return 0
    await view.wait_phase(round_id, Phase.RETENTION)

    async def owed() -> Sequence[TxPayload]:
        missing: list[TxPayload] = []
        for item in mine:
            candidate = await view.get(Candidate, round_id, bytes([item.epoch]), item.author)
            scored = {score.part for score in candidate.retention}
            missing += [
                ScoreRetention(round_id, item.epoch, item.author, part.part)
                for part in model.retention
                if part.part not in scored
            ]
        return missing

    await fulfil(wallet, owed)
    return len(mine) * len(model.retention)
