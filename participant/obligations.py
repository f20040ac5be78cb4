"""Sends the transactions that a participant owes a round, and only those that are still missing.

Some of them may have been sent already: by this run, by a run before a crash, or by somebody else. So the
chain is asked each time what is still missing.
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
"""Looks at the chain and gives the payloads that are still missing there."""

REFUSALS: Final = (RemoteError, TransactionDropped, TransactionRefused)
"""The errors by which a transaction is refused: by the node at once, while it waits, and in its block."""

LATE: Final = frozenset({WrongPhase.code, RoundEnded.code})
"""Codes that refuse a transaction because it reaches a block after its phase."""


def refusal_code(error: Exception) -> str:
    """The code of the rule that a refused transaction broke; `error` is one of REFUSALS."""
    return str(error.got) if isinstance(error, TransactionDropped) else str(getattr(error, "code", ""))


async def fulfil(wallet: Wallet, owed: Owed) -> None:
    """Sends the payloads that are owed and waits for their blocks, until none is owed.

    A payload that waits in the node's mempool already is not sent again. If a payload is refused and the same
    payloads are still owed afterwards, the refusal is raised; otherwise somebody else has done it first, and
    the refusal does not matter.
    """
    refusal: Exception | None = None
    before: list[TxPayload] = []
    while payloads := list(await owed()):
        if refusal is not None and payloads == before:
            raise refusal
        waiting = {payload: txid for txid, payload in await wallet.pending()}
        # A dropped transaction leaves a gap in the account's nonces, and the transactions after the gap wait
        # for it. Sending one payload anew, even if it waits already, fills the gap.
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
