"""What an actor owes a round, brought about whatever has been done already: by this run, one before a crash,
or another.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from engram.node.errors import RemoteError
from engram.participant.errors import TransactionDropped, TransactionRefused
from engram.participant.wallet import Wallet
from engram.primitives.types import Hash
from engram.statemachine.rounds.errors import RoundEnded, WrongPhase
from engram.statemachine.transaction import TxPayload

Owed = Callable[[], Awaitable[Sequence[TxPayload]]]
"""Looks at the chain: the payloads that are still missing there."""

REFUSALS: Final = (RemoteError, TransactionDropped, TransactionRefused)
"""How a transaction can be refused: before it is sent, while it waits, in its block."""

LATE: Final = frozenset({WrongPhase.code, RoundEnded.code})
"""Codes of what was sent in time and reached a block of another phase."""


def refusal_code(error: Exception) -> str:
    """The code of the rule that a refused transaction broke."""
    return str(error.got) if isinstance(error, TransactionDropped) else str(getattr(error, "code", ""))


async def fulfil(wallet: Wallet, owed: Owed) -> None:
    """Sends what is owed and waits for it, until nothing is.

    What waits in the mempool already is not sent again. A refusal counts only if the payload is still owed
    afterwards: else somebody did it first. Raises that refusal.
    """
    refusal: Exception | None = None
    before: list[TxPayload] = []
    while payloads := list(await owed()):
        if refusal is not None and payloads == before:
            raise refusal
        waiting = {payload: txid for txid, payload in await wallet.pending()}
        # What was dropped left a gap in the nonces, which holds up what stands behind it: fill the gap.
        again = payloads[:1] if refusal is not None else []
        before, refusal = payloads, None
        try:
            txids: list[Hash] = [await wallet.send(payload) for payload in again]
            for payload in payloads[len(again) :]:
                txids.append(waiting.get(payload) or await wallet.send(payload))
            for txid in txids:
                await wallet.confirm(txid)
        except REFUSALS as error:
            refusal = error
