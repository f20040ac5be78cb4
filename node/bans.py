"""Which peers and hosts this node does not speak with: those that misbehaved, and the operator's bans.

A node key costs nothing, a host does. What is remembered is therefore counted for each host: fresh keys of
one host fill only the places of that host, and once these are full, the host itself is refused. The table of
hosts is bounded in the same way by network group. The operator's bans stand apart and go for no other.

The bans are kept in bans.json over restarts. Hosts of this machine are refused only where the operator says
so, because all nodes of a local network share them.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from engram.node import logs
from engram.node.clock import Clock
from engram.node.concurrency import ReaderThreads
from engram.node.errors import BanInvalid, TooManyBans
from engram.node.files import read_json, set_aside, write_private
from engram.p2p.netgroup import group_of, host_of, is_loopback, network_of, parse_network
from engram.p2p.scores import REFUSE_S
from engram.primitives.errors import ChainError

BANS_NAME: Final = "bans.json"
_MAX_BYTES: Final = 2**26
KEYS_PER_HOST: Final = 32
"""So many refused keys of one host make the host refused, until one of them is forgiven."""
MAX_HOSTS: Final = 1_024
MAX_OPERATOR_BANS: Final = 4_096
SAVE_S: Final = 20.0
"""Bans for misbehaviour reach the disk within so many seconds, however many strangers earn."""
CLOCK_SLACK_MS: Final = 60_000
"""If a ban began later than so far ahead of now, the clock has been set back since."""
KEY_DIGITS: Final = 64


@dataclass(frozen=True)
class Ban:
    """One refusal."""

    subject: str
    """A node key as hexadecimal text, a host (an IPv4 address, the /64 of an IPv6 address), or a network."""
    host: str
    """Where the key misbehaved; the subject itself if it is no key, empty if the operator named a key."""
    since_ms: int
    until_ms: int
    by_operator: bool
    reason: str


def subject_of(text: str) -> str:
    """The subject that a person names: a node key, an IP address or a network. Raises `BanInvalid`."""
    bare = text.strip().lower().removeprefix("[").removesuffix("]")
    if _is_key(bare):
        return bare
    try:
        return parse_network(bare)[2]
    except ValueError:
        raise BanInvalid(got=text) from None


def _is_key(subject: str) -> bool:
    return len(subject) == KEY_DIGITS and all(digit in "0123456789abcdef" for digit in subject)


class Bans:
    """Every ban that stands, and its file."""

    def __init__(self, data_dir: Path, clock: Clock, threads: ReaderThreads) -> None:
        """Reads the file; one that is damaged is left out with a warning."""
        self._path = data_dir / BANS_NAME
        self._clock = clock
        self._threads = threads
        self._saving = asyncio.Lock()
        self._operator: dict[str, Ban] = {}
        self._widths: dict[tuple[int, int], None] = {}
        """IP version and bits of the networks that the operator has ever banned; there are 96 at most."""
        self._hosts: OrderedDict[str, dict[str, Ban]] = OrderedDict()
        self._keys: dict[str, Ban] = {}
        self._changed = asyncio.Event()
        self._last_since_ms = 0
        for ban in _read(self._path):
            self._put(ban)

    def against(self, host: str, node_key: bytes | None) -> Ban | None:
        """The ban for which this node does not speak with this host (key None), or with this node there.

        The operator's come first. One of another key of the host means that too many of its keys are banned.
        """
        now_ms, one = self._now_ms(), host_of(host)
        named = [self._operator.get(one), *self._of_networks(one)]
        if node_key is not None:
            named += [self._operator.get(node_key.hex()), self._keys.get(node_key.hex())]
        ban = next((ban for ban in named if ban is not None and ban.until_ms > now_ms), None)
        if ban is not None or is_loopback(one):
            return ban
        keys = self._standing(one)
        return min(keys, key=lambda ban: ban.until_ms) if len(keys) >= KEYS_PER_HOST else None

    def stands(self, ban: Ban) -> bool:
        """Whether this ban still holds: its time is not over, and nobody has lifted it."""
        held = (self._operator if ban.by_operator else self._keys).get(ban.subject)
        return held == ban and ban.until_ms > self._now_ms()

    def left_s(self, ban: Ban) -> float:
        """Seconds until the ban ends."""
        return (ban.until_ms - self._now_ms()) / 1000

    def _of_networks(self, host: str) -> Iterator[Ban | None]:
        """The bans of networks that the host is in. Hosts of this machine are in those only that name it."""
        for version, bits in self._widths:
            network = network_of(host, version, bits)
            if network is not None and (is_loopback(network) or not is_loopback(host)):
                yield self._operator.get(network)

    def ban(self, subject: str, seconds: int, reason: str) -> Ban:
        """Refuses a subject because the operator wants it. Raises `TooManyBans`."""
        now_ms = self._clock.now_ms()
        self._forget_old()
        if subject not in self._operator and len(self._operator) >= MAX_OPERATOR_BANS:
            raise TooManyBans(expected=MAX_OPERATOR_BANS)
        host = "" if _is_key(subject) else subject
        ban = Ban(subject, host, now_ms, now_ms + seconds * 1000, True, reason)
        self._put(ban)
        self._changed.set()
        return ban

    def offended(self, host: str, node_key: bytes, reason: str) -> None:
        """Refuses a node for a while because of what it did."""
        now_ms, one = self._clock.now_ms(), host_of(host)
        until_ms = now_ms + int(REFUSE_S * 1000)
        self._put(Ban(node_key.hex(), one, now_ms, until_ms, False, reason))
        self._changed.set()

    def unban(self, subject: str) -> bool:
        """Forgives a subject; with a host or a network, its nodes too. False if nothing was held against
        it.
        """
        found = self._operator.pop(subject, None) is not None
        for gone in (*self._keys_within(subject), subject):
            ban = self._keys.pop(gone, None)
            if ban is not None:
                found = True
                self._forget(ban)
        self._changed.set()
        return found

    def _keys_within(self, subject: str) -> list[str]:
        """The banned keys of a host, or of all hosts of a network."""
        if _is_key(subject):
            return []
        version, bits, network = parse_network(subject)
        within = (
            host for host in self._hosts if host == subject or network_of(host, version, bits) == network
        )
        return [key for host in within for key in self._hosts[host]]

    def counts(self) -> dict[str, int]:
        """How many bans hold now, by whom."""
        self._forget_old()
        return {"operator": len(self._operator), "node": len(self._keys)}

    def standing(self) -> list[Ban]:
        """The bans that hold now, oldest first."""
        self._forget_old()
        return sorted((*self._operator.values(), *self._keys.values()), key=lambda ban: ban.since_ms)

    async def run(self) -> None:
        """Keeps the file up to date until it is cancelled, and once more then."""
        try:
            while True:
                await self._changed.wait()
                await self.save()
                await self._clock.sleep(SAVE_S)
        finally:
            if self._changed.is_set():
                self._write()

    async def save(self) -> None:
        """Writes the file; what has been banned is still banned after a crash then."""
        async with self._saving:
            self._changed.clear()
            try:
                await self._threads.run(self._write)
            except asyncio.CancelledError:
                self._changed.set()
                raise

    def _write(self) -> None:
        entries = [asdict(ban) for ban in self.standing()]
        try:
            write_private(self._path, (json.dumps(entries, indent=1) + "\n").encode())
        except (OSError, ChainError) as error:
            logs.get_logger("peers").warning("bans.json cannot be written; the bans hold", error=str(error))

    def _now_ms(self) -> int:
        """The time. If the clock has been set back, bans go on for as long as they were meant to last, from
        now; otherwise one that was made by a clock in the year 2106 would hold until then.
        """
        now_ms = self._clock.now_ms()
        if self._last_since_ms > now_ms + CLOCK_SLACK_MS:
            self._last_since_ms = now_ms
            for table in (self._operator, self._keys, *self._hosts.values()):
                for subject, ban in table.items():
                    if ban.since_ms > now_ms:
                        lasts_ms = ban.until_ms - ban.since_ms
                        table[subject] = replace(ban, since_ms=now_ms, until_ms=now_ms + lasts_ms)
        return now_ms

    def _put(self, ban: Ban) -> None:
        self._last_since_ms = max(self._last_since_ms, ban.since_ms)
        if ban.by_operator:
            self._operator[ban.subject] = ban
            if "/" in ban.subject:
                self._widths[parse_network(ban.subject)[:2]] = None
            return
        if ban.subject in self._keys:
            return
        keys = self._hosts.setdefault(ban.host, {})
        if len(keys) >= KEYS_PER_HOST:
            old = [key for key, each in keys.items() if each.until_ms <= self._clock.now_ms()]
            for key in old:
                del keys[key], self._keys[key]
            if not old:
                return  # the host's places are taken: for them, not for this one, others would have to go
        keys[ban.subject] = self._keys[ban.subject] = ban
        if len(self._hosts) > MAX_HOSTS:
            self._drop_one()

    def _drop_one(self) -> None:
        """Forgets the oldest host of the group that has the most."""
        groups = Counter(map(group_of, self._hosts))
        (crowded, _), *_ = groups.most_common(1)
        out = next(host for host in self._hosts if group_of(host) == crowded)
        for key in self._hosts.pop(out):
            del self._keys[key]

    def _standing(self, host: str) -> list[Ban]:
        now_ms = self._now_ms()
        return [ban for ban in self._hosts.get(host, {}).values() if ban.until_ms > now_ms]

    def _forget_old(self) -> None:
        now_ms = self._now_ms()
        for subject in [name for name, ban in self._operator.items() if ban.until_ms <= now_ms]:
            del self._operator[subject]
        for key, ban in [(key, ban) for key, ban in self._keys.items() if ban.until_ms <= now_ms]:
            del self._keys[key]
            self._forget(ban)

    def _forget(self, ban: Ban) -> None:
        """Takes a key's ban from its host."""
        keys = self._hosts[ban.host]
        keys.pop(ban.subject)
        if not keys:
            del self._hosts[ban.host]


def _read(path: Path) -> list[Ban]:
    try:
        return [_checked(Ban(**entry)) for entry in read_json(path, _MAX_BYTES)]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, ChainError) as error:
        kept = set_aside(path)
        logs.get_logger("peers").warning(
            "bans.json cannot be read, so no ban of it holds", error=str(error), kept_as=kept and kept.name
        )
        return []


def _checked(ban: Ban) -> Ban:
    texts = (ban.subject, ban.host, ban.reason)
    if not all(isinstance(text, str) for text in texts) or type(ban.by_operator) is not bool:
        raise ValueError("an entry is no ban")
    if type(ban.since_ms) is not int or type(ban.until_ms) is not int:
        raise ValueError("an entry has no times")
    if not _is_key(ban.subject) and parse_network(ban.subject)[2] != ban.subject:
        raise ValueError("an entry is of no node, host or network")
    return ban
