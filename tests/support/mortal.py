"""Programs that die in the middle of a round."""

from __future__ import annotations

from engram.participant.wallet import Wallet
from engram.statemachine.transaction import TxPayload


class Death(Exception):
    """The program ends here."""


class MortalWallet(Wallet):
    """A wallet whose program dies at one kind of payload, before or after it is sent."""

    def __init__(self, wallet: Wallet, kind: type, *, after: bool) -> None:
        super().__init__(wallet.client, wallet.key)
        self._kind = kind
        self._after = after

    async def send(self, payload: TxPayload, *, max_fee: int | None = None, tip: int | None = None) -> bytes:
        if not isinstance(payload, self._kind):
            return await super().send(payload, max_fee=max_fee, tip=tip)
        if self._after:
            await super().send(payload, max_fee=max_fee, tip=tip)
        raise Death
