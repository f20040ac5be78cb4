"""RPC methods on rounds: what stands in them, and when their phases begin and end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engram.node.rpc.claims import claimed_rows, claims
from engram.node.rpc.failures import failures
from engram.node.rpc.headview import HeadViews
from engram.node.rpc.jsonrpc import rpc_method
from engram.node.rpc.outcomes import due_text, outcomes, reasons
from engram.node.rpc.parameters import IdBytes
from engram.node.rpc.render import Renderer
from engram.node.rpc.results.model import (
    ClaimedRowsResult,
    ClaimResult,
    FailuresResult,
    OutcomesResult,
    RoundShown,
    VerdictResult,
)
from engram.node.rpc.verdicts import verdicts
from engram.statemachine.errors import MissingRecord
from engram.statemachine.rounds.records import Candidate, Commit, Round


@dataclass(frozen=True)
class RoundMethods:
    """Rounds, their candidates and commits."""

    views: HeadViews
    render: Renderer

    @rpc_method(list[RoundShown])
    async def round_list(self, model: IdBytes | None = None) -> list[dict[str, Any]]:
        """Every round of the chain, or of one model, with phase and calendar."""
        return await self.views.threads.run(self._rounds, model)

    @rpc_method(RoundShown)
    async def round_get(self, id: IdBytes) -> dict[str, Any]:
        """One round: terms, parts, results, phase of the next block, calendar."""
        return await self.views.threads.run(self._round, id)

    @rpc_method(list[Candidate])
    async def round_candidates(self, id: IdBytes) -> list[dict[str, Any]]:
        """The candidates of a round, which are verified updates below the baseline, as long as they stand."""
        return await self.views.threads.run(self._of_round, Candidate, id)

    @rpc_method(list[Commit])
    async def round_commits(self, id: IdBytes) -> list[dict[str, Any]]:
        """The updates that authors have committed to and not revealed."""
        return await self.views.threads.run(self._of_round, Commit, id)

    @rpc_method(list[VerdictResult])
    async def round_verdicts(self, id: IdBytes) -> list[dict[str, Any]]:
        """How each candidate of a round does, or did at its end, by the tests that decide it."""
        return await self.views.slow.run(lambda: verdicts(self.views.now(), self.render, id))

    @rpc_method(list[ClaimResult])
    async def round_claims(self, id: IdBytes) -> list[dict[str, Any]]:
        """How far the claims of a round's candidates have come, or had come when the round ended, where
        authors claim the scores of their updates; nothing on other models. In the phase score anyone may
        dispute a claim that is open, and confirm it from the tick `confirm_tick` on.
        """
        return await self.views.slow.run(lambda: claims(self.views.now(), self.render, id))

    @rpc_method(ClaimedRowsResult)
    async def round_claimed_rows(
        self, id: IdBytes, epoch: int, author: str, first: int | None = None
    ) -> dict[str, Any]:
        """What the author of a candidate has claimed, row by row, as it stands in the blocks of the round:
        what a dispute and a confirmation quote. One call reads at most 1,000 blocks: `next` is the height
        from which the next call goes on, as its `first`, or null.
        """
        address = self.render.parse_address(author)
        if not 0 <= epoch < 256:
            raise MissingRecord("candidate", id)
        return await self.views.slow.run(lambda: claimed_rows(self.views.now(), id, epoch, address, first))

    @rpc_method(OutcomesResult)
    async def round_outcomes(self, id: IdBytes) -> dict[str, Any]:
        """What came of each update of a round and why, in codes and words, and what waits to be settled.

        `updates` has a line for each candidate and each commit that was not revealed: what it was `paid`, the
        `reasons` why no more as codes, and `why` in words. `why` at the top says why the round ended as it
        did, or how the candidates of an open round do. `due_text` words the step under `due`, if there is
        one.
        """
        return await self.views.slow.run(self._outcomes, id)

    @rpc_method(FailuresResult)
    async def round_failures(self, id: IdBytes, first: int | None = None) -> dict[str, Any]:
        """The transactions of a round that failed in their block, such as a claim of a loss that the update
        does not have: who sent it, what it tried, why it failed, and the bond that was burned. And the claims
        of scores that were refuted: whose they were, who has shown it, and what became of the bond.

        `claimed_loss` and `recomputed_loss` are sums over `rows` rows; the latter is null where the state
        before the block is pruned. One call reads at most 1,000 blocks: `next` is the height from which the
        next call goes on, as its `first`, or null. `before_snapshot` says that blocks of the round can be
        older than the snapshot that this node began with, so that it has no receipts of them.
        """
        view = self.views.now()
        return await self.views.slow.run(failures, view, self.views.scorer, self.render, id, first)

    def _outcomes(self, identity: bytes) -> dict[str, Any]:
        view = self.views.now()
        round_ = view.state.get(Round, identity)
        told = {
            **self.render.round(round_, view.head.height, view.clock.ticks),
            "verdicts": verdicts(view, self.render, identity),
            "commits": [self.render.record(record) for record in view.records(Commit, identity)],
        }
        return {
            "due": told["due"],
            "due_text": due_text(told),
            "why": reasons(told),
            "updates": outcomes(told),
        }

    def _rounds(self, model: bytes | None) -> list[dict[str, Any]]:
        view = self.views.now()
        rounds = [round_ for round_ in view.records(Round) if model in (None, round_.model)]
        tick = view.clock.ticks
        rounds.sort(key=lambda round_: (round_.opened, round_.id))
        return [self.render.round(round_, view.head.height, tick) for round_ in rounds]

    def _round(self, identity: bytes) -> dict[str, Any]:
        view = self.views.now()
        return self.render.round(view.state.get(Round, identity), view.head.height, view.clock.ticks)

    def _of_round(self, cls: type[Candidate | Commit], identity: bytes) -> list[dict[str, Any]]:
        view = self.views.now()
        view.state.get(Round, identity)
        return [self.render.record(record) for record in view.records(cls, identity)]
