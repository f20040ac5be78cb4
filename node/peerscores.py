"""Scores of peers as a node keeps them: with lines in the log, and with bans that outlive a restart."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from engram.node import logs
from engram.node.bans import Ban, Bans
from engram.node.clock import Clock, utc_text
from engram.p2p.errors import (
    MAX_WEIGHT,
    ChannelMismatch,
    DialFailed,
    PeerBanned,
    PeerRefused,
    PeerUnavailable,
    weight_of,
)
from engram.p2p.link import PeerAddress
from engram.p2p.scores import PeerRefusal, PeerScores
from engram.primitives.errors import ChainError

TOLD_EVERY_S: Final = 60.0
"""Whether bans have ended whose refused attempts were counted is looked up so often, and at each line."""
MAX_COUNTED: Final = 1_024
"""The attempts of so many bans are counted; beyond that, the count of the ban that was said first is lost."""


class LoggedScores(PeerScores):
    """The scores, and a line in the log for every session that ends and every dial that fails."""

    def report(self, host: str, node_key: bytes | None, error: ChainError) -> None:
        super().report(host, node_key, error)
        log = logs.get_logger("peers")
        grave = weight_of(error) or isinstance(error, ChannelMismatch)
        write = log.warning if grave else log.info
        write("a session ended", peer=node_key or host, host=host, error=error)

    def not_reached(self, address: PeerAddress, error: PeerUnavailable) -> None:
        text = "a peer cannot be reached" if isinstance(error, DialFailed) else "a peer is not dialled"
        logs.get_logger("peers").info(text, peer=str(address), error=error)


class BanningScores(LoggedScores):
    """The scores; a full one becomes a ban, which outlives them and a restart."""

    def __init__(self, clock: Clock, bans: Bans) -> None:
        super().__init__(clock)
        self._bans = bans
        self._refused = RefusedAttempts(clock, bans)

    def report(self, host: str, node_key: bytes | None, error: ChainError) -> None:
        if isinstance(error, PeerBanned | PeerRefused):
            self._refused.count(host, node_key, error)
            return
        super().report(host, node_key, error)
        if node_key is not None and self.score(node_key) >= MAX_WEIGHT:
            self._bans.offended(host, node_key, error.code)

    def refusal(self, host: str, node_key: bytes | None) -> PeerRefusal | None:
        self._refused.look()
        ban = self._bans.against(host, node_key)
        if ban is None:
            return None
        others = not ban.by_operator and (node_key is None or ban.subject != node_key.hex())
        return PeerRefusal(_error_of(ban, node_key), self._bans.left_s(ban), others)


class RefusedAttempts:
    """Says once for each ban that the peer tries to connect, and how often it did when the ban has ended.

    A refused peer can try again at any pace: with a line for each attempt, one stranger would fill the log.
    """

    def __init__(self, clock: Clock, bans: Bans) -> None:
        self._clock = clock
        self._bans = bans
        self._counts: OrderedDict[str, tuple[Ban, int]] = OrderedDict()
        """By the subject of the ban: the ban, and how many attempts it has kept off."""
        self._looked_s = clock.monotonic()

    def count(self, host: str, node_key: bytes | None, error: ChainError) -> None:
        """An attempt was refused, because of a ban that stands."""
        ban = self._bans.against(host, node_key)
        if ban is None:
            return  # it has ended in this moment
        known, attempts = self._counts.get(ban.subject, (None, 0))
        if known is not None and known != ban:
            self._tell(known, attempts)
            known, attempts = None, 0
        self._counts[ban.subject] = (ban, attempts + 1)
        if known is None:
            logs.get_logger("peers").info(
                "a refused peer tries to connect; its further attempts are counted, and told when the ban "
                "has ended",
                peer=node_key or host,
                host=host,
                error=error,
            )
            if len(self._counts) > MAX_COUNTED:
                self._counts.popitem(last=False)

    def look(self) -> None:
        """Tells the attempts of bans that have ended, by their time or because somebody lifted them."""
        now_s = self._clock.monotonic()
        if now_s - self._looked_s < TOLD_EVERY_S:
            return
        self._looked_s = now_s
        for subject, (ban, attempts) in list(self._counts.items()):
            if not self._bans.stands(ban):
                del self._counts[subject]
                self._tell(ban, attempts)

    def _tell(self, ban: Ban, attempts: int) -> None:
        text = "a ban has ended"
        logs.get_logger("peers").info(text, peer=ban.subject, host=ban.host, refused_attempts=attempts)


def _error_of(ban: Ban, node_key: bytes | None) -> PeerUnavailable:
    """The words for people: who refuses the peer, since when, until when, why, and how that is lifted."""
    named = ban.subject  # in full: somebody could make a key that begins in the same way
    since, until = utc_text(ban.since_ms), utc_text(ban.until_ms)
    if ban.by_operator:
        reason = f" ({ban.reason})" if ban.reason else ""
        return PeerBanned(
            f"banned by the operator until {until}{reason}: {named}, since {since}; "
            f"`engram peer unban {named}` lifts it"
        )
    if node_key is None or ban.subject != node_key.hex():
        return PeerRefused(
            f"too many nodes of {ban.host} have misbehaved: `engram peer list --banned` shows them"
        )
    return PeerRefused(
        f"it has misbehaved ({ban.reason}) and is refused from {since} until {until}: "
        f"`engram peer unban {named}` lifts it"
    )
