"""Scores of peers as a node keeps them: with lines in the log, and with bans that outlive a restart."""

from __future__ import annotations

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

    def report(self, host: str, node_key: bytes | None, error: ChainError) -> None:
        super().report(host, node_key, error)
        if node_key is not None and self.score(node_key) >= MAX_WEIGHT:
            self._bans.offended(host, node_key, error.code)

    def refusal(self, host: str, node_key: bytes | None) -> PeerRefusal | None:
        ban = self._bans.against(host, node_key)
        if ban is None:
            return None
        others = not ban.by_operator and (node_key is None or ban.subject != node_key.hex())
        return PeerRefusal(_error_of(ban, node_key), self._bans.left_s(ban), others)


def _error_of(ban: Ban, node_key: bytes | None) -> PeerUnavailable:
    """The words for people: who refuses the peer, since when, until when, why, and how that is lifted."""
    named = ban.subject  # in full: somebody could make a key that begins in the same way
    times = f"from {utc_text(ban.since_ms)} until {utc_text(ban.until_ms)}"
    if ban.by_operator:
        reason = f" ({ban.reason})" if ban.reason else ""
        return PeerBanned(
            f"the operator has banned {named}, {times}{reason}: `engram peer unban {named}` lifts it"
        )
    if node_key is None or ban.subject != node_key.hex():
        return PeerRefused(
            f"too many nodes of {ban.host} have misbehaved: `engram peer list --banned` shows them"
        )
    return PeerRefused(
        f"it has misbehaved ({ban.reason}) and is refused {times}: `engram peer unban {named}` lifts it"
    )
