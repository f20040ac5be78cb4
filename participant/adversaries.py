"""Dishonest authors, for the demonstration and for tests. Each breaks one rule and keeps all others.

They use the same classes and the same public RPC as honest participants, so nothing but the chain's own rules
can stop them.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Final

import numpy as np

from engram.nn.layers.output import MIN_OUTPUT_SHIFT
from engram.nn.loss import RowScores
from engram.nn.network import SegmentParameters
from engram.nn.tensor import Explicit, tensor_bytes
from engram.node.errors import RemoteError
from engram.participant.claiming import Telling
from engram.participant.datasets import Dataset, concatenate
from engram.participant.reconnect import watch
from engram.participant.round_plan import explicit_sources
from engram.participant.strategies import train_draft
from engram.participant.task import Draft, Strategy, Task, network_root
from engram.participant.training import trainer
from engram.participant.training.architect import dense_network
from engram.participant.training.qat import Budget
from engram.participant.wallet import Wallet
from engram.primitives.codec import decode
from engram.primitives.keys import address
from engram.primitives.types import ZERO_HASH, Address, Hash
from engram.statemachine.additions import GrowUpdate, SegmentSources, TrainUpdate, parameters_root
from engram.statemachine.content import blob_id
from engram.statemachine.transaction import Transaction
from engram.statemachine.transactions import decode_payload
from engram.statemachine.transactions.reveal_update import RevealUpdate

REORG_BLOCKS: Final = 6
_REPETITIONS: Final = 6
"""How often the leaker has each revealed row among the rows that it trains on."""


def liar(honest: Strategy) -> Strategy:
    """A strategy that trains as `honest` does and then claims half of the true loss."""

    def propose(task: Task) -> Draft | None:
        draft = honest(task)
        return None if draft is None else replace(draft, loss=draft.loss // 2)

    return propose


def flattering(part: int, row: int) -> Telling:
    """Claims that the update loses nothing on one row of one part, and has it right; all else is true."""

    def tell(number: int, base: RowScores, own: RowScores) -> tuple[RowScores, RowScores]:
        if number != part:
            return base, own
        losses, right = own.losses.copy(), own.right.copy()
        losses[row], right[row] = 0, True
        return base, RowScores(losses, right)

    return tell


def leaker(budget: Budget, seed: int, others: Dataset, told: Dataset | None = None) -> Strategy:
    """A strategy that knows the revealed rows by heart and is worthless on all others.

    With `told`, it knows these rows as well: those that somebody should have kept secret.

    It trains a fresh network of the same shape, to which it teaches wrong labels for the rows `others`, and
    makes its logits four times as large. Its claimed loss on the revealed rows is true and very low. It
    proposes something in the first epoch only.
    """

    def propose(task: Task) -> Draft | None:
        if task.epoch > 0:
            return None
        rng = np.random.default_rng(seed)
        classes = task.round.classes
        known = [Dataset(part.features, part.labels) for part in task.validation]
        known = (known if told is None else [*known, told]) * _REPETITIONS
        wrong = ((others.labels.astype(np.int64) + 1) % classes).astype(np.uint16)
        rows = concatenate([*known, Dataset(others.features, wrong)])
        widths = [segment.width for segment in task.base.spec.hidden]
        spec, fresh = dense_network(rows, widths, classes, rng)
        learned = trainer.train(spec, fresh, rows, budget, rng)
        larger = (replace(output, shift=max(MIN_OUTPUT_SHIFT, output.shift - 2)) for output in spec.outputs)
        return train_draft(task, replace(spec, outputs=tuple(larger)), learned)

    return propose


def forger(honest: Strategy) -> Strategy:
    """A strategy that attacks frozen weights, with the growth that `honest` proposes.

    In the first epoch it commits to a base in which one frozen weight is changed (`forged_base`). In later
    epochs it adds a segment between old neurons and old classes (`overlapping`).
    """

    def propose(task: Task) -> Draft | None:
        draft = honest(task)
        if draft is None:
            return None
        return forged_base(task, draft) if task.epoch == 0 else overlapping(task, draft)

    return propose


def forged_base(task: Task, draft: Draft) -> Draft:
    """The draft with the roots of a version t in which the very first weight differs by one."""
    weights = task.parameters[0].weights.copy()
    weights[0, 0] += 1 if weights[0, 0] < 0 else -1
    first, *rest = (SegmentSources(own.weights, own.bias) for own in task.base.segments)
    sources = (replace(first, weights=Explicit(blob_id(tensor_bytes(weights)))), *rest)
    split = len(task.base.hidden)
    whole = TrainUpdate(task.base.spec, sources[:split], sources[split:])
    root = parameters_root(ZERO_HASH, task.author, whole)
    forged = replace(task, base=replace(task.base, root=root))
    return Draft(draft.update, root, network_root(forged, draft.update), draft.loss)


def overlapping(task: Task, draft: Draft) -> Draft:
    """The draft's growth with one more output segment that leads from old neurons to old classes.

    Version t has frozen weights in that place, to which the segment would add.
    """
    update = draft.update
    assert isinstance(update, GrowUpdate), "only a growth can overlap"
    segment = replace(task.base.spec.outputs[0])
    growth = replace(update.growth, outputs=(*update.growth.outputs, segment))
    shape = (segment.fan_in, segment.width)
    dtype = np.int8 if segment.weight_bits == 8 else np.int16
    ones = SegmentParameters(np.ones(shape, dtype), np.zeros(shape[1], np.int32))
    _, outputs, tensors = explicit_sources(0, (ones,))
    overlap = GrowUpdate(growth, update.hidden, (*update.outputs, *outputs), (*update.tensors, *tensors))
    return Draft(overlap, draft.base, network_root(task, overlap), draft.loss)


async def copy_reveal(wallet: Wallet, round_id: Hash, victim: Address) -> str:
    """Waits for the victim's reveal, in the mempool or in a block, and sends the same payload from `wallet`.

    Returns the code with which the node refuses it, or "" if the node accepts it.
    """
    client = wallet.client
    begun = seen = int((await client.call("chain_head"))["height"])

    async def look() -> tuple[RevealUpdate, Transaction] | None:
        """The reveal and its transaction. The last blocks are read again, should others replace them."""
        nonlocal seen
        names = [entry["txid"] for entry in await client.call("mempool_list")]
        head = int((await client.call("chain_head"))["height"])
        for height in range(seen + 1, head + 1):
            block = await client.call("chain_block", height=height)
            names += [tx["txid"] for tx in block["transactions"]]
        seen = max(begun, head - REORG_BLOCKS)
        for name in names:
            with suppress(RemoteError):  # it was dropped meanwhile
                tx = decode(Transaction, bytes.fromhex((await client.call("tx_get", txid=name))["raw"]))
                payload = decode_payload(tx)
                if not isinstance(payload, RevealUpdate):
                    continue
                if (payload.round, address(tx.sender)) == (round_id, victim):
                    return payload, tx
        return None

    payload, original = await watch(client, look, "heads", "transactions")
    try:
        await wallet.send(payload, max_fee=original.max_fee, tip=original.tip)
    except RemoteError as error:
        return error.code
    return ""
