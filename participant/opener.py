"""The opener's side of a round: open it, reveal the drawn parts, open the sealed parts, settle.

The opener owns the round's data and answers for them with a bond. The secrets are saved on disk before the
round is on the chain. Every step can be repeated after a crash: the opener looks at the round's record and
does what is still missing. What the round consists of is decided in `round_plan.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from engram.participant.errors import ForeignRound, RoundOver, SecretsNotFound
from engram.participant.finding import SHOWN_DIGITS
from engram.participant.notices import Notice, Report
from engram.participant.obligations import LATE, REFUSALS, fulfil, refusal_code
from engram.participant.parts import RoundSecrets, load_secrets, save_secrets
from engram.participant.reconnect import watch
from engram.participant.upload import upload
from engram.participant.view import ChainView
from engram.participant.wallet import Wallet
from engram.primitives.hashing import Tag, tagged_hash
from engram.primitives.keys import format_address
from engram.primitives.types import Hash
from engram.statemachine.content import Content, Inline, Stored
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.errors import NothingDue
from engram.statemachine.rounds.records import Round, RoundStatus
from engram.statemachine.transaction import TxPayload
from engram.statemachine.transactions.advance_round import AdvanceRound
from engram.statemachine.transactions.open_round import OpenRound
from engram.statemachine.transactions.reveal_part import RevealPart
from engram.statemachine.transactions.reveal_sealed import RevealSealed

INLINE_BYTES: Final = 256 * 1024
"""Contents up to this size travel inside a transaction; larger ones are uploaded in chunks before."""


def secrets_path(folder: Path, nonce: Hash) -> Path:
    """The file that keeps the secrets of a round; `nonce` is the nonce hash in the round's terms."""
    return folder / f"{nonce.hex()}.secrets"


class Opener:
    """Opens and plays rounds with one account through one node."""

    def __init__(self, wallet: Wallet, folder: Path, report: Report) -> None:
        """`folder` keeps the secrets of all rounds; `report` is called with a notice for each step."""
        self.wallet: Final = wallet
        self.view: Final = ChainView(wallet.client)
        self._folder = folder
        self._report = report

    async def open(self, payload: OpenRound, secrets: RoundSecrets) -> Hash:
        """Saves the secrets, sends the payload, waits for its block, and returns the round's id.

        Raises as `send` and `Wallet.confirm` do.
        """
        txid = await self.send(payload, secrets)
        await self.wallet.confirm(txid)
        return tagged_hash(Tag.ROUND, txid)

    async def send(self, payload: OpenRound, secrets: RoundSecrets) -> Hash:
        """Saves the secrets and sends the payload; the id of the transaction, which gives that of the round.

        Raises `PartPublic` before anything is saved or sent, and as `Wallet.send` does.
        """
        await self.view.check_secret(secrets.parts)
        save_secrets(secrets_path(self._folder, payload.terms.nonce_hash), secrets)
        txid = await self.wallet.send(payload)
        self._report(Notice(f"sent {txid.hex()}, waiting for a block", "sent", txid=txid.hex()))
        return txid

    async def run(self, round_id: Hash) -> Round:
        """Does all that the opener has to do until the round is settled, and returns the settled round.

        Safe to call again after a crash. If a phase was missed, this is reported, and the round is settled
        as the protocol prescribes for it; the status of the returned round says how. Raises
        `ForeignRound` before anything is waited for, `SecretsNotFound`, `SecretsInvalid`.
        """
        round_ = await self._own(round_id)
        secrets = self.secrets(round_)
        try:
            if len(round_.validation_opened) < round_.terms.validation:
                await self.reveal(round_id, secrets)
            await self.open_sealed(await self.view.get(Round, round_id), secrets)
        except RoundOver as error:
            self._report(Notice(str(error), "phase_missed", code=error.code))
        except REFUSALS as error:
            if (code := refusal_code(error)) not in LATE:
                raise
            self._report(Notice(f"too late: {error}", "phase_missed", code=code))
        round_ = await settle_round(self.view, self.wallet, round_id)
        self._report(ended(round_))
        return round_

    async def reveal_next(self, round_id: Hash) -> None:
        """Calls `reveal` if validation parts are still closed, else `open_sealed`; both wait for their phase.

        Raises `ForeignRound` and, for a round that has ended, `RoundOver` before anything is waited for;
        `SecretsNotFound`, `SecretsInvalid`.
        """
        round_ = await self._own(round_id)
        if round_.status != RoundStatus.OPEN:
            status = RoundStatus(round_.status).name.lower()
            raise RoundOver(
                f"the round is {status}, so nothing is left to reveal; `engram round list` tells which go on"
            )
        secrets = self.secrets(round_)
        if len(round_.validation_opened) < round_.terms.validation:
            await self.reveal(round_id, secrets)
        else:
            await self.open_sealed(round_, secrets)

    async def _own(self, round_id: Hash) -> Round:
        """The round. Raises `ForeignRound` if another account has opened it."""
        round_ = await self.view.get(Round, round_id)
        if round_.opener != self.wallet.key.address:
            own = await self.wallet.address()
            opener = format_address(round_.opener, (await self.wallet.facts()).hrp)
            raise ForeignRound(
                f"{opener} has opened the round {round_id.hex()[:SHOWN_DIGITS]}, not {own}: give the key of "
                "its opener; `engram round list` names the opener of each round"
            )
        return round_

    def secrets(self, round_: Round) -> RoundSecrets:
        """The secrets that were saved before the round was opened.

        Raises `SecretsNotFound` if the file is missing, `SecretsInvalid` if it is damaged.
        """
        return load_secrets(secrets_path(self._folder, round_.terms.nonce_hash))

    async def reveal(self, round_id: Hash, secrets: RoundSecrets) -> Round:
        """Waits for the reveal phase and reveals the drawn validation parts that are still closed.

        Raises `RoundOver` if the phase has passed.
        """
        await self._wait(round_id, Phase.REVEAL, "the chain to draw the validation parts")

        async def owed() -> Sequence[TxPayload]:
            round_ = await self.view.get(Round, round_id)
            opened = {part.commitment for part in round_.validation_opened}
            drawn, _ = await self.view.drawn_parts(round_, secrets.nonce)
            contents = [
                (commitment, *await self._content(secrets, commitment))
                for commitment in drawn
                if commitment not in opened
            ]
            return [RevealPart(round_id, secrets.nonce, *content) for content in contents]

        await fulfil(self.wallet, owed)
        round_ = await self.view.get(Round, round_id)
        count = len(round_.validation_opened)
        self._report(Notice(f"validation parts revealed: {count}", "revealed", parts=count))
        return round_

    async def open_sealed(self, round_: Round, secrets: RoundSecrets) -> Round:
        """Waits for the audit and opens the drawn sealed parts that are still closed.

        Witnesses open theirs before. If there is no candidate, they stay closed. Raises `RoundOver` if the
        audit has passed while parts that candidates wait for were closed.
        """
        try:
            round_ = await self._wait(round_.id, Phase.AUDIT, "the authors and the witnesses")
        except RoundOver:
            round_ = await self.view.get(Round, round_.id)
            if round_.status == RoundStatus.OPEN and _sealed_closed(round_):
                raise
            return round_

        async def owed() -> Sequence[TxPayload]:
            closed = _sealed_closed(await self.view.get(Round, round_.id))
            contents = [(each, *await self._content(secrets, each)) for each in closed]
            return [RevealSealed(round_.id, *content) for content in contents]

        count = len(_sealed_closed(round_))
        await fulfil(self.wallet, owed)
        if count:
            self._report(Notice(f"{count} sealed parts are open", "sealed_opened", parts=count))
        return await self.view.get(Round, round_.id)

    async def _wait(self, round_id: Hash, phase: Phase, what: str) -> Round:
        """Waits for a phase and returns the round; `what` says in the notice what is waited for.

        Raises `RoundOver` if the phase has passed.
        """
        span = await self.view.span(await self.view.get(Round, round_id), phase)
        if await self.view.tick() < span.first:
            text = f"waiting for {what}, until tick {span.first} at the latest"
            self._report(Notice(text, "waiting", phase=phase.name.lower(), tick=span.first))
        return await self.view.wait_phase(round_id, phase)

    async def _content(self, secrets: RoundSecrets, commitment: Hash) -> tuple[Hash, Content]:
        part = secrets.part(commitment)
        if part is None:
            raise SecretsNotFound("the saved secrets lack a part that was drawn", got=commitment)
        return part.salt, await content_of(self.wallet, part.raw)


def _sealed_closed(round_: Round) -> list[Hash]:
    """The opener's sealed parts that are closed and that candidates wait for."""
    opened = {part.commitment for part in round_.unseen}
    return [part for part in round_.sealed_drawn if part not in opened] if round_.has_candidates else []


async def content_of(wallet: Wallet, raw: bytes) -> Content:
    """The content of a transaction that brings these bytes: the bytes themselves, or the id of an upload.

    Long bytes are uploaded here, and the upload is waited for.
    """
    if len(raw) <= INLINE_BYTES:
        return Inline(raw)
    return Stored(await upload(wallet, raw))


async def settle_round(view: ChainView, wallet: Wallet, round_id: Hash) -> Round:
    """Settles what becomes due in the round, unless somebody else does, until it has ended; returns it.

    A round does not end by itself when its last phase is over: a transaction has to ask for it.
    """

    async def look() -> Round | None:
        """The round if it has ended or something is due."""
        round_ = await view.get(Round, round_id)
        over = round_.status != RoundStatus.OPEN or await view.due(round_) is not None
        return round_ if over else None

    async def is_settled() -> bool | None:
        round_ = await view.get(Round, round_id)
        return True if round_.status != RoundStatus.OPEN or await view.due(round_) is None else None

    async def owed() -> Sequence[TxPayload]:
        return [] if await is_settled() else [AdvanceRound(round_id)]

    while (round_ := await watch(wallet.client, look, "heads")).status == RoundStatus.OPEN:
        try:
            await fulfil(wallet, owed)
        except REFUSALS as error:
            if NothingDue.code != refusal_code(error):
                raise
            # `nothing_due` means that somebody else settles it, perhaps in a block still being mined
            await watch(wallet.client, is_settled, "heads")
    return round_


def ended(round_: Round) -> Notice:
    """The notice that says how a round has ended."""
    status = RoundStatus(round_.status).name.lower()
    version = round_.new_version if round_.status == RoundStatus.DECIDED else None
    text = f"the round is {status}" + (f": it has made version {version}" if version is not None else "")
    return Notice(text, "round_ended", status=status, version=version, round=round_.id.hex())
