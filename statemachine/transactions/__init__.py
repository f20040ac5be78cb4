"""The TX_TYPES registry of transaction types. Each type has a file, and checks, costs and applies itself.

A type is in force from the height that `upgrades` in the ChainSpec give its kind; a kind that is not listed
there is never in force.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from engram.primitives.codec import decode
from engram.statemachine.errors import UnknownTransactionType
from engram.statemachine.transaction import Transaction, TxPayload
from engram.statemachine.transactions.advance_round import AdvanceRound
from engram.statemachine.transactions.amend_model import AmendModel
from engram.statemachine.transactions.claim_rewards import ClaimRewards
from engram.statemachine.transactions.commit_update import CommitUpdate
from engram.statemachine.transactions.confirm_update import ConfirmUpdate
from engram.statemachine.transactions.dispute_claim import DisputeClaim
from engram.statemachine.transactions.fork_model import ForkModel
from engram.statemachine.transactions.infer import Infer
from engram.statemachine.transactions.open_round import OpenRound
from engram.statemachine.transactions.publish_chunk import PublishChunk
from engram.statemachine.transactions.publish_part import PublishPart
from engram.statemachine.transactions.retire_part import RetirePart
from engram.statemachine.transactions.reveal_part import RevealPart
from engram.statemachine.transactions.reveal_sealed import RevealSealed
from engram.statemachine.transactions.reveal_update import RevealUpdate
from engram.statemachine.transactions.score_update import ScoreUpdate
from engram.statemachine.transactions.score_version import ScoreVersion
from engram.statemachine.transactions.seal_part import SealPart
from engram.statemachine.transactions.transfer import Transfer
from engram.statemachine.transactions.withdraw import Withdraw

_TYPES: Final[tuple[type[TxPayload], ...]] = (
    Transfer,
    ClaimRewards,
    PublishChunk,
    PublishPart,
    ScoreVersion,
    Infer,
    OpenRound,
    SealPart,
    RevealPart,
    CommitUpdate,
    RevealUpdate,
    RevealSealed,
    ScoreUpdate,
    AdvanceRound,
    Withdraw,
    AmendModel,
    RetirePart,
    ForkModel,
    ConfirmUpdate,
    DisputeClaim,
)

TX_TYPES: Final[Mapping[int, type[TxPayload]]] = {payload.KIND: payload for payload in _TYPES}
"""Every transaction type by its kind."""
assert len(TX_TYPES) == len(_TYPES), "every transaction type has a kind of its own"


def decode_payload(tx: Transaction) -> TxPayload:
    """The decoded payload of a transaction. Raises `UnknownTransactionType`, `CodecError`."""
    payload = TX_TYPES.get(tx.kind)
    if payload is None:
        raise UnknownTransactionType(expected=sorted(TX_TYPES), got=tx.kind)
    return decode(payload, tx.payload)
