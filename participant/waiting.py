"""Holds the blocks of a test network, and tells the user when they wait for somebody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from engram.node.client import RpcClient
from engram.node.errors import AnswerInvalid, NodeUnreachable, RemoteError, SubscriberTooSlow
from engram.participant.notices import Notice, Report

RETRY_S: Final = 1.0
"""Time between two attempts to listen to a node that is away."""
END_WAIT: Final = "`engram miner muster 0`"


@asynccontextmanager
async def held(client: RpcClient, report: Report) -> AsyncIterator[None]:
    """While the `async with` block runs, the blocks of a test network wait for the client (`holding`).

    Where programs were mustered, `report` is told when one of them has left before it had finished, when the
    blocks go on, and, if this block ends by an error or a cancellation, that they wait for this program now.
    """
    company = _Company(client, report)
    async with client.holding():
        listening = asyncio.create_task(company.listen() if client.is_waited_for else asyncio.sleep(0))
        try:
            yield
        except BaseException:
            company.leave()
            raise
        finally:
            listening.cancel()
            await asyncio.wait([listening])


class _Company:
    """What is known of the programs for which the blocks wait."""

    def __init__(self, client: RpcClient, report: Report) -> None:
        self._client = client
        self._report = report
        self._left: int | None = None

    async def listen(self) -> None:
        """Follows the node's pace until it is cancelled. It is of no concern to the play if that fails."""
        while True:
            try:
                async with self._client.subscribe("pace") as events:
                    # A patient client would wait, and tell of the node what the play tells already.
                    self._learn((await RpcClient.call(self._client, "miner_pace"))["left"])
                    async for _, event in events:
                        self._learn(event["left"])
            except (NodeUnreachable, RemoteError, AnswerInvalid, SubscriberTooSlow):
                self._left = None
            await asyncio.sleep(RETRY_S)

    def leave(self) -> None:
        """Tells that the blocks wait for this program, if they do."""
        if self._left is not None and self._client.is_waited_for:
            text = f"the blocks wait until this command is given again, or until {END_WAIT}"
            self._report(Notice(text, "left_waiting"))

    def _learn(self, left: int | None) -> None:
        before, self._left = self._left or 0, left
        if not self._client.is_waited_for or (left or 0) == before:
            return
        if left:
            text = (
                "the blocks wait for a program that left the round before it had finished: give its command "
                f"again, or let the blocks go on: {END_WAIT}"
            )
            if left > 1:
                text = (
                    f"the blocks wait for {left} programs that left the round before they had finished: give "
                    f"their commands again, or let the blocks go on: {END_WAIT}"
                )
            self._report(Notice(text, "program_left", left=left))
        else:
            self._report(Notice("the blocks wait for no program that has left any more", "programs_complete"))
