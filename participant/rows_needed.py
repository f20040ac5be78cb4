"""Whether a plan's rows are enough for the parts of a round, and what to do if they are not. Asks no node."""

from __future__ import annotations

from typing import Final

from engram.nn.growth import Policy
from engram.participant.errors import NewRowsMissing, NotEnoughRows, OldRowsMissing
from engram.participant.parts import RoundSecrets
from engram.statemachine.rules import Rules

SHOWN_CLASSES: Final = 20
"""How many classes a message names."""


def check_sealed_rows(rules: Rules, count: int, rows: int, sealed: int) -> None:
    """Raises `NotEnoughRows` if the parts are smaller than the chain allows for so many sealed ones."""
    if sealed and rows < (least := -(-rules.min_sealed_rows // sealed)):
        raise NotEnoughRows(
            f"the parts are too small: {least} rows or more must be in each of the {count}, "
            f"{count * least} in all",
            expected=least,
            got=rows,
        )


def check_rows(rules: Rules, count: int, rows: int, sealed: int, there: int) -> None:
    """Raises `NotEnoughRows` if `there` rows do not fill `count` parts of so many rows as were asked for."""
    if (wanted := count * rows) <= there:
        return
    fitting, least = there // count, -(-rules.min_sealed_rows // max(1, sealed))
    remedy = (
        f"leave out --rows, which makes parts of {fitting}, or bring more rows"
        if fitting >= least
        else f"bring more rows: a part has {least} or more on this chain, so all have {count * least}"
    )
    raise NotEnoughRows(
        f"{count} parts of {rows} rows take {wanted} rows, and there are {there}: {remedy}",
        expected=wanted,
        got=there,
    )


def check_new_rows(
    secrets: RoundSecrets, old_classes: int, new_classes: int, policy: Policy, *, witnessed: bool
) -> None:
    """Raises `NewRowsMissing` if no growth by these classes could be judged, or none could win.

    Authors learn a class from rows of their own, but the rows of the opener and of the witnesses judge what
    they bring. `witnessed` says that a witness may seal rows of new classes: then a class may be in the
    witness's rows alone. But the opener's first parts decide which updates become candidates: with old rows
    alone, an update has to lower the loss of old rows, which only `Policy.GATED` lets a growth do.
    """
    held = frozenset[int]().union(*(part.labels for part in secrets.parts))
    added = range(old_classes, old_classes + new_classes)
    lacking = [label for label in added if label not in held]
    if not lacking or (witnessed and (len(lacking) < len(added) or policy is Policy.GATED)):
        return
    names = ", ".join(map(str, lacking[:SHOWN_CLASSES])) + (", …" if len(lacking) > SHOWN_CLASSES else "")
    if witnessed:
        raise NewRowsMissing(
            f"no row of the parts has class {names}, so your parts hold no new class at all. A witness's "
            "rows can judge classes that you lack, but the parts that you reveal first decide who takes "
            f"part, and by the policy {policy.name.lower()} every growth does worse on old rows alone: bring "
            "rows of at least one new class",
            got=lacking[:SHOWN_CLASSES],
        )
    raise NewRowsMissing(
        f"no row of the parts has class {names}, but the growth adds the classes from {old_classes} to "
        f"{old_classes + new_classes - 1}, and your rows judge them: bring rows of each new class, let "
        "--new-classes count only those that you have rows of, or name a --witness who has the others",
        got=lacking[:SHOWN_CLASSES],
    )


def check_old_rows(secrets: RoundSecrets, old_classes: int, least: int, in_all: int, sealed: int) -> None:
    """Raises `OldRowsMissing` if a part has fewer rows of old classes than are promised.

    `in_all` is the fewest rows of old classes that the chain asks of all `sealed` parts together, from which
    the message computes which options would do.
    """
    fewest = min(part.rows_below(old_classes) for part in secrets.parts)
    if fewest >= least:
        return
    raise OldRowsMissing(
        f"a part has only {fewest} rows of old classes, and {least} are promised for each: "
        + _enough_old_rows(fewest, in_all, sealed),
        expected=least,
        got=fewest,
    )


def _enough_old_rows(fewest: int, in_all: int, sealed: int) -> str:
    """What an opener can do whose parts have at least so many rows of old classes."""
    if not fewest:
        return (
            f"add rows of the old classes to the data, {in_all} or more for the sealed parts together. Who "
            "has none can let somebody open the round who has some, and take part as an author with a "
            "memory, which needs none (docs/memory.md)"
        )
    if fewest * sealed >= in_all:
        return f"promise at most --old-rows {fewest}, use larger parts, or data with more rows of old classes"
    enough = -(-in_all // fewest)
    return (
        f"the chain asks for {in_all} in all sealed parts together, so parts with {fewest} of them do with "
        f"--sealed {enough}, which needs so many parts more than --validation takes (--parts), and without "
        "--old-rows; or use larger parts, or data with more rows of old classes"
    )
