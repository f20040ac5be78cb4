"""The auditor's side of a round: the auditor seals a part of their own and opens it in the audit.

An opener knows their own sealed parts and could train on them. An auditor's part is secret from the opener,
too, so a result that holds on it does not depend on the opener's honesty. The protocol calls auditors third
parties. The part is saved on disk before it is sealed, and both steps can be repeated after a crash.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from engram.participant.errors import SecretsNotFound
from engram.participant.notices import Notice, Report
from engram.participant.obligations import fulfil
from engram.participant.opener import content_of
from engram.participant.parts import RoundSecrets, load_secrets, save_secrets, split_parts
from engram.participant.selection import Selection, check_inputs, check_labels
from engram.participant.view import ChainView
from engram.participant.wallet import Wallet
from engram.primitives.types import Hash
from engram.statemachine.records import Model
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.records import Round
from engram.statemachine.transaction import TxPayload
from engram.statemachine.transactions.reveal_sealed import RevealSealed
from engram.statemachine.transactions.seal_part import SealPart


def sealed_path(folder: Path, commitment: Hash) -> Path:
    """The file in which an auditor keeps the part with this commitment."""
    return folder / f"{commitment.hex()}.sealed"


class Auditor:
    """Seals one part in a round with one account, and opens it."""

    def __init__(self, wallet: Wallet, folder: Path, report: Report) -> None:
        self.wallet: Final = wallet
        self.view: Final = ChainView(wallet.client)
        self._folder = folder
        self._report = report

    async def seal(self, round_id: Hash, secrets: RoundSecrets) -> None:
        """Saves the secrets and commits on the chain to the first part in them.

        Waits for the round's first phase if necessary. Raises `RoundOver` if that phase has passed, and as
        `Wallet.execute` does.
        """
        part = secrets.parts[0]
        save_secrets(sealed_path(self._folder, part.commitment), secrets)
        await self.view.wait_phase(round_id, Phase.OPEN)
        await self.wallet.execute(SealPart(round_id, part.commitment))
        self._report(Notice("the auditor's part is sealed", "sealed", commitment=part.commitment.hex()))

    async def audit(self, round_id: Hash) -> None:
        """Opens the part whose secrets `seal` has saved. Safe to call again after a crash.

        Raises `SecretsNotFound` if this account has sealed no part in the round or the file is missing, and
        as `open_sealed` does.
        """
        await self.open_sealed(round_id, self._saved(await self.view.get(Round, round_id)))

    async def open_sealed(self, round_id: Hash, secrets: RoundSecrets) -> None:
        """Waits for the audit and opens the part, if there is a candidate to judge with it.

        Raises `RoundOver` if the audit has passed.
        """
        part = secrets.parts[0]
        self._report(Notice("waiting for the audit", "waiting", phase="audit"))
        round_ = await self.view.wait_phase(round_id, Phase.AUDIT)
        if not round_.candidates:
            self._report(Notice("there is no candidate, so the sealed part stays closed", "no_candidates"))
            return

        async def owed() -> Sequence[TxPayload]:
            opened = {item.commitment for item in (await self.view.get(Round, round_id)).sealed_opened}
            if part.commitment in opened:
                return []
            content = await content_of(self.wallet, part.raw)
            return [RevealSealed(round_id, part.commitment, part.salt, content)]

        await fulfil(self.wallet, owed)
        self._report(Notice("the auditor's part is open", "sealed_opened", parts=1))

    def _saved(self, round_: Round) -> RoundSecrets:
        mine = [item for item in round_.third_party if item.author == self.wallet.key.address]
        if not mine:
            raise SecretsNotFound("this account has sealed no part in the round", got=round_.id)
        return load_secrets(sealed_path(self._folder, mine[0].commitment))


async def sealed_part(wallet: Wallet, data: Selection, round_id: Hash, seed: int) -> RoundSecrets:
    """Makes one part for an auditor to seal, with as many rows as the parts of the round have.

    `seed` draws which rows it takes. Raises what `Selection.rows_of` raises, `NotEnoughRows`,
    `DatasetMismatch`, `RecordMissing`.
    """
    view = ChainView(wallet.client)
    round_ = await view.get(Round, round_id)
    model = await view.get(Model, round_.model)
    rows = await asyncio.to_thread(data.rows_of, seed)
    check_inputs(rows, model)
    check_labels(rows, round_.classes)
    parts = split_parts(rows, 1, round_.terms.rows, np.random.default_rng(seed), os.urandom)
    return RoundSecrets(os.urandom(32), tuple(parts))
