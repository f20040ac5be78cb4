"""Who of founder, opener, author and witnesses of a proven version is one key, in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def key_words(known: Mapping[str, Any]) -> str | None:
    """Which roles are one key, in a few words; None of a version that no round of the model has made."""
    if known["opener"] is None:
        return None
    words = "; ".join(_joined(roles) for _, roles in _shared(known)) or "none"
    return f"{words} (self-graded)" if known["author_rows"] else words


def key_sentences(known: Mapping[str, Any]) -> list[str]:
    """Who opened the round, which roles are one key, and what rows the author knew for that reason."""
    if known["opener"] is None:
        return []
    shared = _shared(known)
    said = [f"{_joined(roles)} are one key, {key}." for key, roles in shared]
    if known["opener"] not in dict(shared):
        said.insert(0, f"its round was opened by {known['opener']}.")
    if not shared:
        witnesses = " and witnesses" if known["witnesses"] else ""
        said.append(f"founder, opener, author{witnesses} are different keys.")
    if rows := known["author_rows"]:
        of_all = (
            f"all {rows:,}" if rows == known["sealed_rows"] else f"{rows:,} of the {known['sealed_rows']:,}"
        )
        said.append(
            "so the version is self-graded: whoever made it also brought, and knew, "
            f"{of_all} rows that decided about it."
        )
    return [" ".join(sentence[0].upper() + sentence[1:] for sentence in said)]


def _shared(known: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """The keys with more than one role in the version, and those roles."""
    roles: dict[str, list[str]] = {}
    author = "the sender of the union" if known["halves"] else "the author"
    for key, role in (
        (known["founder"], "the founder"),
        (known["opener"], "the opener"),
        (known["author"], author),
        *((half, "the author of a half") for half in known["halves"]),
        *((witness["address"], "a witness") for witness in known["witnesses"]),
    ):
        mine = roles.setdefault(key, [])
        if role not in mine:
            mine.append(role)
    return [(key, mine) for key, mine in roles.items() if len(mine) > 1]


def _joined(roles: list[str]) -> str:
    return f"{', '.join(roles[:-1])} and {roles[-1]}"
