"""From a data set to a published part that no round trains on, for `score_version`."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path

from engram.nn.data import part_bytes
from engram.participant import datasets
from engram.participant.opener import content_of
from engram.participant.wallet import Wallet
from engram.statemachine.transactions.publish_part import PublishPart


async def publish_part(wallet: Wallet, source: str, classes: int | None) -> PublishPart:
    """The payload that publishes every row of a data set, its bytes uploaded before where they are long.

    Of a folder of idx files the test rows are taken. `classes`: labels are below it; None means the highest
    label and one. Raises what `datasets.load` and `Wallet.publish` raise.
    """
    data = await asyncio.to_thread(_rows_of, source)
    count = int(data.labels.max()) + 1 if classes is None else classes
    content = await content_of(wallet, part_bytes(data.features, data.labels))
    return PublishPart(data.rows, data.inputs, count, secrets.token_bytes(32), content)


def _rows_of(source: str) -> datasets.Dataset:
    path = Path(source)
    return datasets.load_mnist_folder(path).test if path.is_dir() else datasets.load(source)
