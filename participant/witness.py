"""The witness's side of a round: the witness seals a part of their own and opens it after the last update.

An opener knows their own sealed parts and could train on them. A witness's part is secret from the opener,
too, and every candidate must also be better on it. The part is saved on disk before it is sealed, and both
steps can be repeated after a crash.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from engram.participant.errors import RoundOver, SecretsNotFound
from engram.participant.notices import Notice, Report
from engram.participant.obligations import fulfil
from engram.participant.opener import content_of
from engram.participant.parts import RoundSecrets, load_secrets, save_secrets, split_parts
from engram.participant.selection import RowSource, check_inputs, check_labels
from engram.participant.view import ChainView
from engram.participant.wallet import Wallet
from engram.primitives.types import Hash
from engram.statemachine.records import Model
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.errors import NotAWitness, TooFewOldRows
from engram.statemachine.rounds.records import Round
from engram.statemachine.transaction import TxPayload
from engram.statemachine.transactions.reveal_sealed import RevealSealed
from engram.statemachine.transactions.seal_part import SealPart


def sealed_path(folder: Path, commitment: Hash) -> Path:
    """The file in which a witness keeps the part with this commitment."""
    return folder / f"{commitment.hex()}.sealed"


class Witness:
    """Seals one part in a round with one account, and opens it."""

    def __init__(self, wallet: Wallet, folder: Path, report: Report) -> None:
        self.wallet: Final = wallet
        self.view: Final = ChainView(wallet.client)
        self._folder = folder
        self._report = report

    async def seal(self, round_id: Hash, secrets: RoundSecrets) -> None:
        """Saves the secrets and commits on the chain to the first part in them.

        Waits for the round's first phase if necessary. Raises `PartPublic` before anything is saved or sent,
        `RoundOver` if that phase has passed, and as `Wallet.execute` does.
        """
        part = secrets.parts[0]
        await self.view.check_secret([part])
        save_secrets(sealed_path(self._folder, part.commitment), secrets)
        await self.view.wait_phase(round_id, Phase.OPEN)
        await self.wallet.execute(SealPart(round_id, part.commitment))
        self._report(Notice("the witness's part is sealed", "sealed", commitment=part.commitment.hex()))

    async def testify(self, round_id: Hash) -> None:
        """Opens the part whose secrets `seal` has saved. Safe to call again after a crash.

        Raises `SecretsNotFound` if this account has sealed no part in the round or the file is missing, and
        as `open_sealed` does.
        """
        await self.open_sealed(round_id, self._saved(await self.view.get(Round, round_id)))

    async def open_sealed(self, round_id: Hash, secrets: RoundSecrets) -> None:
        """Waits for the witnesses' phase and opens the part, if there is a candidate to judge with it.

        Raises `RoundOver` if the phase has passed and the part is closed.
        """
        part = secrets.parts[0]
        phase = Phase.AUDIT_WITNESSES
        text = "waiting for the last update, after which witnesses open their parts"
        self._report(Notice(text, "waiting", phase=phase.name.lower()))
        try:
            await self.view.wait_phase(round_id, phase)
        except RoundOver:
            round_ = await self.view.get(Round, round_id)
            if round_.has_candidates and not _is_open(round_, part.commitment):
                raise
            if not round_.has_candidates:
                self._report(Notice("there is no candidate: the sealed part stays closed", "no_candidates"))
                return

        async def owed() -> Sequence[TxPayload]:
            if _is_open(await self.view.get(Round, round_id), part.commitment):
                return []
            content = await content_of(self.wallet, part.raw)
            return [RevealSealed(round_id, part.commitment, part.salt, content)]

        await fulfil(self.wallet, owed)
        self._report(Notice("the witness's part is open", "sealed_opened", parts=1))

    def _saved(self, round_: Round) -> RoundSecrets:
        mine = [item for item in round_.witnesses if item.author == self.wallet.key.address]
        if not mine:
            raise SecretsNotFound("this account has sealed no part in the round", got=round_.id)
        return load_secrets(sealed_path(self._folder, mine[0].commitment))


async def sealed_part(wallet: Wallet, data: RowSource, round_id: Hash, seed: int) -> RoundSecrets:
    """Makes one part for a witness to seal, with as many rows as the parts of the round have.

    A witness who is limited to old classes gets a part of old classes only. `seed` draws which rows it takes.
    Raises `NotAWitness` if the round does not name the account, what `Selection.rows_of` raises,
    `NotEnoughRows`, `DatasetMismatch`, `RecordMissing`, and `TooFewOldRows` if the chain would take the part
    for broken.
    """
    view = ChainView(wallet.client)
    round_ = await view.get(Round, round_id)
    model = await view.get(Model, round_.model)
    names = (*round_.standing, *round_.terms.witnesses)
    me = next((name for name in names if name.address == wallet.key.address), None)
    if me is None:
        raise NotAWitness(got=wallet.key.address)
    rows = await asyncio.to_thread(data.rows_of, seed)
    check_inputs(rows, model)
    check_labels(rows, round_.classes)
    if me.old_only:
        rows = rows.of_classes(range(round_.old_classes))
    parts = split_parts(rows, 1, round_.terms.rows, np.random.default_rng(seed), os.urandom)
    least = round_.terms.old_rows
    if (got := parts[0].rows_below(round_.old_classes)) < least:
        raise TooFewOldRows(
            f"the part would hold {got} rows of old classes, the round asks for {least}: bring more of them",
            expected=least,
            got=got,
        )
    return RoundSecrets(os.urandom(32), tuple(parts))


def _is_open(round_: Round, commitment: Hash) -> bool:
    return any(part.commitment == commitment for part in round_.unseen)
