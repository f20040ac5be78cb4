"""RPC methods on accounts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from engram.node.mempool.mempool import Mempool
from engram.node.rpc.headview import HeadViews
from engram.node.rpc.jsonrpc import rpc_method
from engram.node.rpc.render import Renderer
from engram.primitives.types import Address
from engram.statemachine.record import u64
from engram.statemachine.records import Maturing
from engram.statemachine.rounds.records import Candidate, Commit, Round, RoundStatus

REWARD_HEIGHTS: Final = 20_000
"""Every reward that was ever given leaves a key to look at, so a miner's list must end somewhere."""


@dataclass(frozen=True)
class AccountMethods:
    """Accounts."""

    views: HeadViews
    mempool: Mempool
    render: Renderer

    @rpc_method()
    async def account_get(self, address: str, since: int | None = None) -> dict[str, Any]:
        """An account: balance, nonces, waiting transactions, unclaimed rewards of the last 20,000
        heights, or from the height `since` on.
        """
        raw = self.render.parse_address(address)
        account = await self.views.threads.run(self._account, raw, since)
        waiting = [entry for entry in self.mempool.entries() if entry.sender == raw]
        return {
            **account,
            "next_nonce": self.mempool.next_nonce(raw),
            "pending": [
                {
                    "txid": entry.txid.hex(),
                    "nonce": entry.tx.nonce,
                    "max_fee": entry.tx.max_fee,
                    "tip": entry.tx.tip,
                }
                for entry in waiting
            ],
        }

    @rpc_method()
    async def account_updates(self, address: str) -> list[dict[str, Any]]:
        """The updates of an address that still hold a bond: commits, and candidates of all rounds.

        `can_withdraw` says whether the round has ended, so that `withdraw` ends the hold.
        """
        return await self.views.threads.run(self._updates, self.render.parse_address(address))

    def _updates(self, address: Address) -> list[dict[str, Any]]:
        view = self.views.now()
        held: list[Commit | Candidate] = [*view.records(Commit), *view.records(Candidate)]
        statuses = {update.round: view.state.get(Round, update.round).status for update in held}
        found = [
            {
                "round": update.round.hex(),
                "epoch": update.epoch,
                "kind": type(update).__name__.lower(),
                "bond": update.bond,
                "round_status": statuses[update.round],
                "can_withdraw": statuses[update.round] != RoundStatus.OPEN,
            }
            for update in held
            if update.author == address
        ]
        return sorted(found, key=lambda row: (row["round"], row["epoch"]))

    def _account(self, address: Address, since: int | None) -> dict[str, Any]:
        view = self.views.now()
        first = view.head.height - REWARD_HEIGHTS if since is None else since
        rewards = [
            {
                "height": reward.height,
                "amount": reward.amount,
                "mature": reward.height <= view.head.height + 1,
            }
            for reward in view.records(Maturing, address, start=u64(max(0, min(first, 2**64 - 1))))
        ]
        return {**self.render.record(view.state.account(address)), "maturing": rewards}
