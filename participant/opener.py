"""The side that owns the data of a round: opens it, reveals what is drawn, opens the sealed parts, settles.

Secrets are on disk before the round is on the chain, and every step can be taken again after a crash: the
opener looks at the round's record and does what is still missing.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from engram.node.errors import RemoteError
from engram.participant.errors import RoundOver, SecretsNotFound, TransactionDropped, TransactionRefused
from engram.participant.parts import RoundSecrets, load_secrets, save_secrets
from engram.participant.view import ChainView
from engram.participant.wallet import Wallet
from engram.primitives.hashing import Tag, tagged_hash
from engram.primitives.types import Hash
from engram.statemachine.content import Content, Inline, Stored
from engram.statemachine.draw import nonce_hash
from engram.statemachine.phases import Phase
from engram.statemachine.round_errors import NothingDue
from engram.statemachine.round_records import Round, RoundStatus
from engram.statemachine.transactions.advance_round import AdvanceRound
from engram.statemachine.transactions.open_round import OpenRound
from engram.statemachine.transactions.reveal_part import RevealPart
from engram.statemachine.transactions.reveal_sealed import RevealSealed
from engram.statemachine.transactions.seal_part import SealPart

INLINE_BYTES: Final = 256 * 1024
"""Larger contents are uploaded in chunks and named."""

Report = Callable[[str], None]
"""Told in a line what happens."""


def secrets_path(folder: Path, nonce: Hash) -> Path:
    """Where the secrets of the round with this nonce hash are kept."""
    return folder / f"{nonce.hex()}.secrets"


class Opener:
    """Runs one round of its own, through one node."""

    def __init__(self, wallet: Wallet, folder: Path, report: Report) -> None:
        """`folder` keeps the secrets of every round; `report` is told each step."""
        self.wallet: Final = wallet
        self.view: Final = ChainView(wallet.client)
        self._folder = folder
        self._report = report

    async def open(self, payload: OpenRound, secrets: RoundSecrets) -> Hash:
        """Saves the secrets, sends the payload, waits for its block; the round's id. Raises as
        `Wallet.execute`.
        """
        save_secrets(secrets_path(self._folder, payload.terms.nonce_hash), secrets)
        txid = await self.wallet.send(payload)
        await self.wallet.confirm(txid)
        return tagged_hash(Tag.ROUND, txid)

    async def run(self, round_id: Hash) -> Round:
        """Plays every phase that is the opener's, to the settled end. Safe to call again after a crash.

        Raises `SecretsNotFound`, and `RoundOver` where a phase was missed.
        """
        round_ = await self.view.get(Round, round_id)
        secrets = load_secrets(secrets_path(self._folder, round_.terms.nonce_hash))
        if len(round_.validation_opened) < round_.terms.validation:
            round_ = await self.reveal(round_id, secrets)
        round_ = await self.open_sealed(round_, secrets)
        return await settle_round(self.view, self.wallet, round_.id)

    async def reveal(self, round_id: Hash, secrets: RoundSecrets) -> Round:
        """Reveals the drawn validation parts that are still closed."""
        round_ = await self.view.wait_phase(round_id, Phase.REVEAL)
        validation, _ = await self.view.drawn_parts(round_, secrets.nonce)
        opened = {part.commitment for part in round_.validation_opened}
        waiting = []
        for commitment in validation:
            if commitment not in opened:
                salt, content = await self._content(secrets, commitment)
                payload = RevealPart(round_id, secrets.nonce, commitment, salt, content)
                waiting.append(await self.wallet.send(payload))
        for txid in waiting:
            await self.wallet.confirm(txid)
            self._report("a validation part is revealed")
        return await self.view.get(Round, round_id)

    async def open_sealed(self, round_: Round, secrets: RoundSecrets) -> Round:
        """Opens the drawn sealed parts that are still closed, if any candidate waits for them."""
        try:
            round_ = await self.view.wait_phase(round_.id, Phase.AUDIT)
        except RoundOver:
            return await self.view.get(Round, round_.id)
        opened = {part.commitment for part in round_.sealed_opened}
        waiting = []
        for commitment in round_.sealed_drawn if round_.candidates else ():
            if commitment not in opened:
                salt, content = await self._content(secrets, commitment)
                waiting.append(await self.wallet.send(RevealSealed(round_.id, commitment, salt, content)))
        for txid in waiting:
            await self.wallet.confirm(txid)
            self._report("a sealed part is open")
        return await self.view.get(Round, round_.id)

    async def _content(self, secrets: RoundSecrets, commitment: Hash) -> tuple[Hash, Content]:
        part = secrets.part(commitment)
        if part is None:
            raise SecretsNotFound("the secrets do not hold a part that was drawn", got=commitment)
        return part.salt, await content_of(self.wallet, part.raw)


class Auditor:
    """A third party that seals one part of its own beside the opener's."""

    def __init__(self, wallet: Wallet, folder: Path, report: Report) -> None:
        self.wallet: Final = wallet
        self.view: Final = ChainView(wallet.client)
        self._folder = folder
        self._report = report

    async def seal(self, round_id: Hash, secrets: RoundSecrets) -> None:
        """Commits to the first part of `secrets`, which is saved first."""
        save_secrets(secrets_path(self._folder, nonce_hash(secrets.nonce)), secrets)
        await self.view.wait_phase(round_id, Phase.OPEN)
        await self.wallet.execute(SealPart(round_id, secrets.parts[0].commitment))
        self._report("a third party has sealed a part")

    async def open_sealed(self, round_id: Hash, secrets: RoundSecrets) -> None:
        """Opens the part in the audit, if any candidate waits for it."""
        round_ = await self.view.wait_phase(round_id, Phase.AUDIT)
        if round_.candidates:
            part = secrets.parts[0]
            content = await content_of(self.wallet, part.raw)
            await self.wallet.execute(RevealSealed(round_id, part.commitment, part.salt, content))
            self._report("the third party's part is open")


async def content_of(wallet: Wallet, raw: bytes) -> Content:
    """How a transaction brings these bytes: inside, or uploaded before and named."""
    if len(raw) <= INLINE_BYTES:
        return Inline(raw)
    return Stored(await wallet.publish(raw))


async def settle_round(view: ChainView, wallet: Wallet, round_id: Hash) -> Round:
    """Waits for the round's end and sees to it that the defaults are applied; the round in its final
    status.
    """
    round_ = await view.get(Round, round_id)
    await view.wait_height(await view.closes(round_) - 1)
    try:
        round_ = await view.get(Round, round_id)
        if round_.status == RoundStatus.OPEN:
            await wallet.execute(AdvanceRound(round_id))
    except (RemoteError, TransactionDropped, TransactionRefused) as error:
        if NothingDue.code not in (error.code, error.got):
            raise  # else somebody else settles it, perhaps in a block that is still being mined
    return await view.wait_round(round_id, lambda round_: round_.status != RoundStatus.OPEN)
