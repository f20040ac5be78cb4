"""RPC methods on peers: who they are, which the node dials, and which it refuses. Changes are the admin's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, TypeVar

from engram.node.bans import KEY_DIGITS, Bans, subject_of
from engram.node.chain.headers import CheckedBlock
from engram.node.errors import BanInvalid, DiskFailure, PeerNotFound
from engram.node.knownpeers import KnownPeers
from engram.node.rpc.headview import HeadViews
from engram.node.rpc.jsonrpc import rpc_method
from engram.node.rpc.render import Renderer
from engram.node.rpc.results.peer import (
    AddedPeer,
    AddressBookResult,
    BanResult,
    NewBan,
    PeerResult,
    RemovedPeer,
    TargetResult,
    UnbanResult,
)
from engram.p2p.addresstable import BookEntry
from engram.p2p.errors import BadPeerAddress
from engram.p2p.link import PeerAddress
from engram.p2p.manager import PeerManager
from engram.p2p.protocol import HeadSummary, PeerInfo

DAY_S: Final = 86_400
LONGEST_BAN_S: Final = 10 * 366 * DAY_S
LONGEST_REASON: Final = 200
SHOWN_DIGITS: Final = 12
MOST_SHOWN: Final = 4

F = TypeVar("F")


@dataclass(frozen=True)
class PeerMethods:
    """The peers of the node."""

    peers: PeerManager[CheckedBlock]
    bans: Bans
    known: KnownPeers
    views: HeadViews
    render: Renderer

    @rpc_method(list[PeerResult])
    async def peer_list(self) -> list[dict[str, Any]]:
        """The open sessions with peers."""
        return [await self._shown(info) for info in self.peers.peers()]

    @rpc_method(PeerResult)
    async def peer_info(self, peer: str) -> dict[str, Any]:
        """One open session: named by the peer's id or its beginning, or by its address."""
        return await self._shown(self._find(peer))

    @rpc_method(list[TargetResult])
    async def peer_targets(self) -> list[dict[str, Any]]:
        """The addresses that the node dials: the peer there, or why there is none and when it tries again."""
        return [
            {
                "address": str(target.address),
                "peer": None if target.node_key is None else target.node_key.hex(),
                "error": None if target.error is None else target.error.to_json(),
                "retry_s": None if target.retry_s is None else round(target.retry_s, 1),
            }
            for target in self.peers.targets()
        ]

    @rpc_method(AddressBookResult)
    async def peer_addresses(self, entries: bool = False) -> dict[str, Any]:
        """The address book: how many addresses it holds; with `entries`, each of them, too."""
        book = self.peers.book
        counts = book.counts()
        anchors = [str(anchor) for anchor in book.anchors]
        shown = {"new": counts.new, "tried": counts.tried, "anchors": anchors}
        return {**shown, "entries": [_book_row(entry) for entry in book]} if entries else shown

    @rpc_method(AddedPeer, admin=True)
    async def peer_add(self, address: str) -> dict[str, Any]:
        """Keep a session with the peer at HOST:PORT or NODEKEY@HOST:PORT, also after a restart.

        `ban` is the operator's ban that keeps the node from dialling it for now, or null.
        """
        parsed = PeerAddress.parse(address)
        await self._kept(self.known.add, parsed)
        self.peers.add_peer(parsed)
        ban = self.bans.against(parsed.host, parsed.node_key)
        return {"address": str(parsed), "ban": asdict(ban) if ban and ban.by_operator else None}

    @rpc_method(RemovedPeer, admin=True)
    async def peer_remove(self, address: str) -> dict[str, Any]:
        """End the session with the peer at this address and dial it no more.

        The key may be left out; the host alone, or the beginning of the peer's id, will do if one of the
        addresses that are dialled is meant. One of the settings (`peers`) is dialled again after a restart.
        """
        parsed = self._dialled(address)
        await self._kept(self.known.remove, parsed)
        return {"address": str(parsed), "removed": self.peers.remove_peer(parsed)}

    @rpc_method(list[BanResult])
    async def peer_bans(self) -> list[dict[str, Any]]:
        """The nodes and hosts that this node refuses, why, and until when."""
        return [asdict(ban) for ban in self.bans.standing()]

    @rpc_method(NewBan, admin=True)
    async def peer_ban(self, subject: str, seconds: int = DAY_S, reason: str = "") -> dict[str, Any]:
        """Refuse a node (its key, or the id's beginning of a connected one), a host (its IP address) or a
        network, and end the sessions with them. `not_dialled` are the named addresses that this concerns.
        """
        if not 0 < seconds <= LONGEST_BAN_S or len(reason) > LONGEST_REASON:
            raise BanInvalid(
                f"a ban lasts 1 to {LONGEST_BAN_S} s, and its reason has at most {LONGEST_REASON} characters",
                got=seconds,
            )
        try:
            named = subject_of(subject)
        except BanInvalid:
            named = self._find(subject).node_key.hex()  # its host would stand for others, too
        ban = self.bans.ban(named, seconds, reason)
        await self.bans.save()
        ended = [info for info in self.peers.peers() if self._is_banned(info.host, info.node_key)]
        for info in ended:
            self.peers.disconnect(info.node_key)
        kept_off = [
            str(target.address)
            for target in self.peers.targets()
            if self._is_banned(target.host, target.node_key)
        ]
        ids = [info.node_key.hex() for info in ended]
        return {**asdict(ban), "disconnected": ids, "not_dialled": kept_off}

    @rpc_method(UnbanResult, admin=True)
    async def peer_unban(self, subject: str) -> dict[str, Any]:
        """Forgive a node (its key, or the beginning of a banned one), or a host or network with its nodes.

        `still` is the ban that keeps it refused all the same, or null: that of a network with its host, or
        that of the named address at which a node of this key answered last.
        """
        named = self._banned(subject)
        unbanned = self.bans.unban(named)
        await self.bans.save()
        hosts = [named]
        if len(named) == KEY_DIGITS:
            targets = self.peers.targets()
            hosts = [each.host for each in targets if each.last_key == bytes.fromhex(named)]
        bans = (self.bans.against(host, None) for host in hosts)
        still = next((ban for ban in bans if ban is not None), None)
        return {"subject": named, "unbanned": unbanned, "still": still and still.subject}

    def _is_banned(self, host: str, node_key: bytes | None) -> bool:
        ban = self.bans.against(host, node_key)
        return ban is not None and ban.by_operator

    async def _kept(self, change: Callable[[PeerAddress], None], address: PeerAddress) -> None:
        """Changes peers.json. Raises `DiskFailure`."""
        try:
            await self.views.threads.run(change, address)
        except OSError as error:
            raise DiskFailure(f"peers.json cannot be written: {error}") from error

    async def _shown(self, info: PeerInfo) -> dict[str, Any]:
        return self.render.peer(await self.views.threads.run(self._present, info))

    def _present(self, info: PeerInfo) -> PeerInfo:
        """The facts with the head that the peer has by now: the best block it announced or fetched."""
        refs = [self.views.chain.store.find_ref(block_id) for block_id in info.shown_blocks]
        best = max((ref for ref in refs if ref is not None), key=lambda ref: ref.total_work, default=None)
        if best is None or best.total_work <= info.head.total_work:
            return info
        return replace(info, head=HeadSummary(best.height, best.id, best.total_work))

    def _find(self, name: str) -> PeerInfo:
        """Raises `PeerNotFound` if no session, or more than one, is meant."""
        sessions = self.peers.peers()
        exact = [info for info in sessions if name in (info.node_key.hex(), str(info.address))]
        meant = [info for info in sessions if _is_meant(name, info.node_key, info.address, info.host)]
        shown = [f"{info.node_key.hex()[:SHOWN_DIGITS]} at {info.address}" for info in meant]
        return _only(exact or meant, name, shown)

    def _dialled(self, name: str) -> PeerAddress:
        """The address that is meant of those that are dialled; another one if it is written in full.

        Raises `PeerNotFound` if several are meant, or if no address could be.
        """
        targets = self.peers.targets()
        exact = [target.address for target in targets if str(target.address) == name]
        meant = [
            target.address
            for target in targets
            if _is_meant(name, target.node_key, target.address, target.host)
        ]
        if not meant:
            with suppress(BadPeerAddress):
                return PeerAddress.parse(name)
        return _only(exact or meant, name, list(map(str, meant)))

    def _banned(self, name: str) -> str:
        """The subject of a ban: in full, or the beginning of the key of a banned node.

        Raises `BanInvalid`, and `PeerNotFound` if several keys are meant.
        """
        try:
            return subject_of(name)
        except BanInvalid:
            keys = [ban.subject for ban in self.bans.standing() if ban.subject.startswith(name.lower())]
            keys = sorted({key for key in keys if name and len(key) == KEY_DIGITS})
            if not keys:
                raise
            return _only(keys, name, keys)


def _is_meant(name: str, node_key: bytes | None, address: PeerAddress, host: str) -> bool:
    """Whether a person may mean this peer: by its id or its beginning, by its address, or by its host."""
    bare = name.lower().removeprefix("[").removesuffix("]")
    if not bare:
        return False
    without_key = str(replace(address, node_key=None))
    by_id = node_key is not None and node_key.hex().startswith(bare)
    return by_id or name in (str(address), without_key) or bare in (address.host.lower(), host)


def _only(found: list[F], name: str, shown: Sequence[str]) -> F:
    """Raises `PeerNotFound` unless there is exactly one."""
    if not found:
        raise PeerNotFound(f"no peer is meant by {name}: `engram peer list` shows them", got=name)
    if len(found) > 1:
        some = ", ".join(shown[:MOST_SHOWN])
        raise PeerNotFound(f"{name} may mean {len(found)} peers, such as {some}: say more of it", got=name)
    return found[0]


def _book_row(entry: BookEntry) -> dict[str, Any]:
    return {
        "address": str(entry.address),
        "table": "tried" if entry.is_tried else "new",
        "seen_s": entry.seen_s,
        "reached_s": entry.reached_s or None,
        "dialled_s": entry.dialled_s or None,
        "failures": entry.failures,
        "sources": list(entry.sources),
    }
