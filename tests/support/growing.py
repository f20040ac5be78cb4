"""GROW rounds of a frozen model of two classes, up to COMMIT and from the update to the end."""

from typing import Any

from engram.statemachine.receipt import Receipt
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.records import RoundTerms
from tests.support.rounds import (
    BOB,
    COIN,
    Play,
    Weights,
    grow_terms,
)

ENTRY = 20 * COIN // 1_000
"""What a commit burns."""


def growing(*, terms: dict[str, object] | None = None, **model: object) -> Play:
    """A frozen model of two classes and a GROW round in COMMIT; 20 of 30 rows of each part are old."""
    play = Play()
    play.freeze(**model)
    play.new_parts(rows=30)
    play.ok(play.open(wide_terms(play, **(terms or {}))))
    play.reveal_validation()
    play.at(Phase.COMMIT)
    return play


def wide_terms(play: Play, **changes: object) -> RoundTerms:
    """GROW with 30 rows a part, of which 20 are old."""
    return grow_terms(play.parts, **{"rows": 30, "old_rows": 20, **changes})


def reveal(play: Play, weights: Weights, **claims: Any) -> Receipt:
    claim = play.commit(BOB, weights, **claims)
    play.at(Phase.UPDATE)
    return play.send(BOB, play.update_payload(claim, weights))


def finish(play: Play) -> int:
    """Audit, scores, end, withdrawals; the version made, or 0."""
    made = play.decide().new_version
    play.withdraw_all()
    return made
