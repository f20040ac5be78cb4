"""What `engram round open` says about the limits of a new model: how likely honest growths pass them."""

from __future__ import annotations

from dataclasses import asdict
from math import floor
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from engram.participant.memory.opening import Odds

SURE: Final = 0.95
EVEN: Final = 0.5
FEW_ROWS: Final = 2
"""If a growth may lose so few rows, one more or less decides, and so does chance."""
PPM: Final = 1_000_000


def plain_odds(rows: int, epsilon_ppm: int, *, computed: bool) -> dict[str, Any]:
    """By how many rows a growth is judged, how many of them it may lose, and the shares of old rows that it
    may lose in truth, to pass nearly always and half of the time. `computed`: nobody has named the epsilon.
    """
    from engram.participant.gate_odds import tolerated_share
    from engram.statemachine.rounds.judging import may_forget

    return {
        "epsilon_ppm": epsilon_ppm,
        "epsilon_computed": computed,
        "unseen_rows": rows,
        "forgettable_rows": may_forget(epsilon_ppm, rows),
        "sure_share": tolerated_share(rows, epsilon_ppm, SURE),
        "even_share": tolerated_share(rows, epsilon_ppm, EVEN),
    }


def founding_words(opened: dict[str, Any], odds: Odds | None) -> tuple[dict[str, str], list[str]]:
    """What people read of a founding's limits, and warnings. `opened` holds the `plain_odds`."""
    rows = opened["unseen_rows"]
    words = {"may forget": f"{opened['forgettable_rows']} of {rows} old rows by which a growth is judged"}
    if odds is not None:
        return {**words, **_memory_fields(odds)}, _memory_warnings(odds)
    warning = _plain_warning(opened, opened["unseen_rows"])
    words = {"epsilon": _epsilon_words(opened), **words, "honest growth": _plain_words(opened)}
    return words, [] if warning is None else [warning]


def _epsilon_words(odds: dict[str, Any]) -> str:
    """The share that a growth may lose, and where it comes from."""
    from engram.participant.gate_odds import CONFIDENCE, HONEST_SHARE

    share = f"{odds['epsilon_ppm'] / PPM:g}"
    if not odds["epsilon_computed"]:
        return f"{share}, as you say"
    return (
        f"{share}, computed for rounds of so many rows: honest growths that lose up to {HONEST_SHARE:.0%} of "
        f"old rows pass {CONFIDENCE:.0%} of the time; --epsilon chooses another"
    )


def _plain_words(odds: dict[str, Any]) -> str:
    return (
        f"one that loses {odds['sure_share']:.1%} of old rows passes {SURE * 100:.0f} of 100 times; "
        f"one that loses {odds['even_share']:.1%}, half of the times"
    )


def _plain_warning(odds: dict[str, Any], rows: int) -> str | None:
    """What to say of a model whose growths may lose next to nothing; None of any other."""
    most = odds["forgettable_rows"]
    if most > FEW_ROWS:
        return None
    remedy = "found the model with a larger --epsilon, or open rounds with more rows"
    if not most:
        return (
            f"warning: of the {rows} rows that decide such a round, no growth of this "
            f"model may lose a single one, and this cannot be changed later: {remedy}"
        )
    return (
        f"warning: of the {rows} rows that decide such a round, a growth of this model may lose {most}, so "
        f"chance decides on honest growths that lose more than {odds['sure_share']:.1%}: {remedy}"
    )


def memory_odds(odds: Odds) -> dict[str, Any]:
    """The limits of a model that is founded from a memory, what was advised, and the chances."""
    return asdict(odds)


def _memory_fields(odds: Odds) -> dict[str, str]:
    advice = odds.advice
    limits = (
        f"epsilon {odds.epsilon_ppm / PPM:g}, delta {odds.delta_ppm / PPM:g}, "
        f"threshold {odds.threshold_ppm / PPM:g}, lost cap {odds.lost_cap_ppm / PPM:g}"
    )
    advised = (
        f"epsilon {advice.epsilon_ppm / PPM:g}, delta {advice.delta_ppm / PPM:g}, threshold "
        f"{advice.threshold_ppm / PPM:g}, lost cap {advice.lost_cap_ppm / PPM:g} pass {advice.confidence:.1%}"
    )
    judged = advice.judged
    return {
        "limits": limits,
        "advised": f"{advised} of honest growths, judged on {judged.old_rows} old rows",
        "growth passes": f"likely {_floored(odds.likely)} of the time, at least {_floored(odds.surely)}",
    }


def _floored(chance: float) -> str:
    """A chance in percent, rounded down, so that what is not certain does not look so."""
    return f"{floor(chance * 1_000) / 10:.1f}%"


def _memory_warnings(odds: Odds) -> list[str]:
    """What to say where a limit makes growth a coin toss, or the founding itself."""
    advice, found = odds.advice, []
    if odds.surely < SURE:
        found.append(
            f"warning: with epsilon {odds.epsilon_ppm / PPM:g}, an honest growth passes in as few as "
            f"{odds.surely:.0%} of rounds (likely {odds.likely:.0%}): give --epsilon "
            f"{advice.epsilon_ppm / PPM:g}, or open rounds with more rows"
        )
    if odds.delta_ppm < advice.delta_ppm:
        found.append(
            f"warning: with delta {odds.delta_ppm / PPM:g}, the loss of old rows can rise too far by chance: "
            f"give --delta {advice.delta_ppm / PPM:g}, or open rounds with more rows"
        )
    if odds.threshold_ppm < advice.threshold_ppm:
        found.append(
            f"warning: with threshold {odds.threshold_ppm / PPM:g}, the founding may not freeze, or honest "
            f"growths may stay above it: give --threshold {advice.threshold_ppm / PPM:g}"
        )
    if odds.lost_cap_ppm < advice.lost_cap_ppm:
        found.append(
            f"warning: with lost cap {odds.lost_cap_ppm / PPM:g}, growth may end before all banks are there: "
            f"give --lost-cap {advice.lost_cap_ppm / PPM:g}, or raise it later with `engram model amend`"
        )
    if 1 - advice.class_chance < SURE:
        found.append(
            f"warning: a growth loses more than half of some class in up to {advice.class_chance:.0%} of "
            "rounds, which no epsilon allows: found with more rows of each class"
        )
    return found
