"""RPC methods on accounts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from engram.node.errors import HistoryPageInvalid
from engram.node.history.entries import AccountRole, Told
from engram.node.history.index import HistoryEntry, HistoryPage, HistoryPlace
from engram.node.history.service import AccountHistory
from engram.node.mempool.mempool import Mempool
from engram.node.rpc.headview import HeadViews
from engram.node.rpc.jsonrpc import rpc_method
from engram.node.rpc.render import Renderer
from engram.node.rpc.results.chain import AccountResult, HeldUpdate, HistoryResult, StandingResult
from engram.primitives.types import Address
from engram.statemachine.record import u64
from engram.statemachine.records import Badge, Maturing, Reputation
from engram.statemachine.rounds.records import Candidate, Commit, Round, RoundStatus
from engram.statemachine.transactions import TX_TYPES
from engram.statemachine.transactions.withdraw import bond_returns

REWARD_HEIGHTS: Final = 20_000
"""Every reward that was ever given leaves a key to look at, so a miner's list must end somewhere."""
MOST_ENTRIES: Final = 1_000
"""Entries of one page of a history."""
_PLACE: Final = re.compile(r"([0-9]{1,18})(?:\.(?:([0-9]{1,9})|(mined)))?")


@dataclass(frozen=True)
class AccountMethods:
    """Accounts."""

    views: HeadViews
    mempool: Mempool
    render: Renderer
    history: AccountHistory

    @rpc_method(AccountResult)
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

    @rpc_method(list[HeldUpdate])
    async def account_updates(self, address: str) -> list[dict[str, Any]]:
        """The updates of an address that still hold a bond: commits, and candidates of all rounds.

        `can_withdraw` says whether the round has ended, so that `withdraw` ends the hold, and `bond_returns`
        whether the bond then returns to the author or burns.
        """
        return await self.views.threads.run(self._updates, self.render.parse_address(address))

    @rpc_method(HistoryResult)
    async def account_history(
        self, address: str, limit: int = 100, before: str | None = None
    ) -> dict[str, Any]:
        """What the chain's blocks were to an account, the latest first; the node needs the setting
        account_index.

        `before` is the `next` of an earlier page: a place on the chain, whatever branch is the best by now.
        `next` is null if there is no earlier entry from `from_height` on, the first block that is indexed.
        """
        raw = self.render.parse_address(address)
        if not 1 <= limit <= MOST_ENTRIES:
            raise HistoryPageInvalid(expected=f"1 to {MOST_ENTRIES} entries", got=limit)
        page = await self.history.page(raw, limit, None if before is None else _place(before))
        return self._history(raw, page)

    @rpc_method(StandingResult)
    async def account_standing(self, address: str) -> dict[str, Any]:
        """What an address has earned by work on models: its badges, and its reputation with each model."""
        raw = self.render.parse_address(address)
        return await self.views.slow.run(self._standing, raw)

    def _history(self, address: Address, page: HistoryPage) -> dict[str, Any]:
        return {
            "address": self.render.address(address),
            "entries": [self._entry(found) for found in page.entries],
            "next": _cursor(page.entries[-1].place) if page.more else None,
            "from_height": page.below.height + 1,
            "to_height": page.top.height,
            "head": page.top.id.hex(),
        }

    def _entry(self, found: HistoryEntry) -> dict[str, Any]:
        entry, place = found.entry, found.place
        told, is_transaction = entry.status != Told.UNKNOWN, bool(entry.txid)
        return {
            "height": place.height,
            "block": found.block.id.hex(),
            "timestamp_ms": found.block.header.timestamp_ms,
            "txid": entry.txid.hex() or None,
            "index": place.index,
            "kind": _kind(found),
            "roles": [role.name.lower() for role in AccountRole if role.name and entry.roles & role],
            "status": Told(entry.status).name.lower(),
            "nonce": entry.nonce if is_transaction else None,
            "received": entry.received,
            "sent": entry.sent,
            "fee": entry.fee if told else None,
            "reward": entry.reward if told else None,
            "bond_burned": entry.burned,
            "other": self.render.address(entry.other) if entry.other else None,
        }

    def _updates(self, address: Address) -> list[dict[str, Any]]:
        view = self.views.now()
        held: list[Commit | Candidate] = [*view.records(Commit), *view.records(Candidate)]
        rounds = {update.round: view.state.get(Round, update.round) for update in held}
        found = [
            {
                "round": update.round.hex(),
                "epoch": update.epoch,
                "kind": type(update).__name__.lower(),
                "bond": update.bond,
                "round_status": round_.status,
                "can_withdraw": round_.status != RoundStatus.OPEN,
                "bond_returns": None if round_.status == RoundStatus.OPEN else bond_returns(round_, update),
            }
            for update in held
            if update.author == address
            for round_ in (rounds[update.round],)
        ]
        return sorted(found, key=lambda row: (row["round"], row["epoch"]))

    def _standing(self, address: Address) -> dict[str, Any]:
        """It looks at every badge of the chain, because they are kept by their models."""
        view = self.views.now()
        kinds: dict[str, type[Badge | Reputation]] = {"badges": Badge, "reputation": Reputation}
        return {
            name: [self.render.record(each) for each in view.records(kind) if each.address == address]
            for name, kind in kinds.items()
        }

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


def _kind(found: HistoryEntry) -> str:
    """The name of the transaction's type; otherwise what has made the entry."""
    if not found.entry.txid:
        return "genesis" if found.place.height == 0 else "mining"
    kind = TX_TYPES.get(found.entry.kind)
    return "unknown" if kind is None else kind.NAME


def _place(text: str) -> HistoryPlace:
    """The place that a cursor means. Raises `HistoryPageInvalid`."""
    match = _PLACE.fullmatch(text)
    if match is None:
        raise HistoryPageInvalid(got=text[:40])
    height, index, mined = match.groups()
    if mined:
        return HistoryPlace(int(height), None)
    return HistoryPlace(int(height), -1 if index is None else int(index))


def _cursor(place: HistoryPlace) -> str:
    return f"{place.height}.{'mined' if place.index is None else place.index}"
