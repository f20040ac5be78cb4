"""What `engram round open` says about chance: in the proof of a gain, and in the limits of growths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from math import floor
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from engram.participant.memory.opening import Odds
    from engram.participant.parts import RoundSecrets
    from engram.statemachine.records import Model
    from engram.statemachine.rounds.records import RoundTerms

SURE: Final = 0.95
LIKELY: Final = 0.75
"""If a good update proves its gain less often, the rows that decide are few."""
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


def unseen_rows(terms: RoundTerms, standing: int) -> int:
    """Rows that decide a round with these terms and so many standing witnesses, if all are of old classes."""
    return terms.rows * (terms.sealed + len(terms.witnesses) + standing)


def proof_odds(terms: RoundTerms) -> dict[str, Any]:
    """How many of the opener's rows decide a round with these terms, and how often a good update proves its
    gain on so many, as `proof_chance` has it.
    """
    from engram.participant.gain_odds import proof_chance

    rows = terms.rows * terms.sealed
    return {"deciding_rows": rows, "proof_chance": proof_chance(rows, terms.z_squared)}


def growth_odds(secrets: RoundSecrets, terms: RoundTerms, model: Model) -> dict[str, Any]:
    """The `plain_odds` of a growth, by the rows of old classes that its sealed parts have at least."""
    old = sorted(part.rows_below(model.classes) for part in secrets.parts)
    rows = sum(old[: terms.sealed])
    found = plain_odds(rows, model.retention_epsilon_ppm, computed=False)
    return {**found, "old_rows": rows, "unseen_rows": unseen_rows(terms, len(model.witnesses))}


def parts_words(terms: Mapping[str, Any], *, witnessed: bool) -> str:
    """How many parts a round has, and which rows of them decide it."""
    count, rows, sealed = len(terms["commitments"]), terms["rows"], terms["sealed"]
    stay = "1 stays sealed, and its" if sealed == 1 else f"{sealed} stay sealed, and their"
    others = " and the witnesses'" if witnessed else ""
    return f"{count} of {rows} rows; {stay} {rows * sealed} rows{others} decide"


def proof_warning(opened: Mapping[str, Any]) -> str | None:
    """What to say where the opener's rows are so few that a good update may not prove its gain."""
    from engram.participant.gain_odds import RIGHT, rows_to_prove

    rows, terms = opened["deciding_rows"], opened["terms"]
    if opened["proof_chance"] >= LIKELY:
        return None
    enough = -(-rows_to_prove(terms["z_squared"]) // terms["sealed"])
    missed = 1 - opened["proof_chance"]
    return (
        f"warning: only {rows} of your rows decide. On so few, an update that gets {RIGHT:.0%} of all rows "
        f"right, and is sure of itself where it is wrong, misses the proof of its gain in {missed:.0%} of "
        f"rounds; with --rows {enough}, in {1 - SURE:.0%} (docs/data.md)"
    )


def growth_words(opened: Mapping[str, Any]) -> tuple[dict[str, str], list[str]]:
    """What people read of the old rows that a growth may lose, and warnings. Of a round that only trains the
    model further nothing is to be said.
    """
    if "old_rows" not in opened:
        return {}, []
    warning = _plain_warning(opened, "open the round with more rows of old classes")
    return {"may forget": _forget_words(opened, "of the model")}, [warning] if warning else []


def founding_words(opened: Mapping[str, Any], odds: Odds | None) -> tuple[dict[str, str], list[str]]:
    """What people read of a founding's limits, and warnings. `opened` holds the `plain_odds`."""
    origin = "computed" if opened["epsilon_computed"] else "as you say"
    words = {"may forget": _forget_words(opened, origin)}
    if odds is not None:
        return {**words, **_memory_fields(odds)}, _memory_warnings(odds)
    warning = _plain_warning(opened, "found the model with a larger --epsilon, or open rounds with more rows")
    return words, [] if warning is None else [warning]


def _forget_words(opened: Mapping[str, Any], origin: str) -> str:
    """How many old rows a growth may lose, and by which share; `origin` says where that is from."""
    share = f"epsilon {opened['epsilon_ppm'] / PPM:g}, {origin}"
    rows = opened.get("old_rows", opened["unseen_rows"])
    which = "old rows" if "old_rows" in opened else "old rows, in a growth judged by so many"
    return f"{opened['forgettable_rows']} of {rows} {which} ({share})"


def _plain_warning(odds: Mapping[str, Any], remedy: str) -> str | None:
    """What to say of growths that may lose next to nothing; None of any other."""
    most, rows = odds["forgettable_rows"], odds.get("old_rows", odds["unseen_rows"])
    if most > FEW_ROWS:
        return None
    if not most:
        later = "" if "old_rows" in odds else ", and this cannot be changed later"
        return f"warning: of {rows} old rows a growth of this model may lose none{later}: {remedy}"
    return (
        f"warning: of {rows} old rows a growth of this model may lose {most}, so "
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
