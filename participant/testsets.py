"""Makes the transactions that ask a model something outside rounds: publish a test set, predict rows."""

from __future__ import annotations

import secrets

import numpy as np

from engram.nn.data import part_bytes
from engram.nn.tensor import tensor_bytes
from engram.participant.datasets import Dataset
from engram.participant.errors import FeatureOutOfRange
from engram.participant.opener import content_of
from engram.participant.wallet import Wallet
from engram.primitives.types import Hash
from engram.statemachine.transactions.infer import Infer
from engram.statemachine.transactions.publish_part import PublishPart


async def publish_part(wallet: Wallet, data: Dataset, classes: int | None) -> PublishPart:
    """The payload that publishes rows as a part, on which versions can be scored.

    Long data are uploaded before. All labels are below `classes`; None means the highest label plus one.
    Raises what `upload.upload` raises.
    """
    count = int(data.labels.max()) + 1 if classes is None else classes
    content = await content_of(wallet, part_bytes(data.features, data.labels))
    return PublishPart(data.rows, data.inputs, count, secrets.token_bytes(32), content)


def inference(model: Hash, version: int | None, rows: list[list[int]]) -> Infer:
    """The payload that has every node predict these rows of features from 0 to 255.

    `version` None means the version that is current when a block includes the transaction. Raises
    `FeatureOutOfRange` if there is no row, if rows differ in length, or if they hold other numbers.
    """
    lengths = {len(row) for row in rows}
    if len(lengths) != 1 or 0 in lengths or not all(0 <= value <= 255 for row in rows for value in row):
        raise FeatureOutOfRange(
            "all rows must have the same length and hold whole numbers from 0 to 255", got=sorted(lengths)
        )
    return Infer(model, version, tensor_bytes(np.array(rows, dtype=np.uint8)))
