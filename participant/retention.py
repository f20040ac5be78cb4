"""Has an author's candidates scored on the retention parts, the rows that the model must not forget.

A candidate that is not scored on all of them cannot win. The scoring does not happen by itself: somebody has
to send a transaction for each candidate and part.
"""

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

    The author has prepaid the scorings with the update, and anybody may ask for them; what somebody else has
    asked for already is not asked for again. Returns how many scorings the account's candidates have in the
    end: 0 without candidates, without retention parts, or in a TRAIN round. Raises `RoundOver` if the phase
    has passed.
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
