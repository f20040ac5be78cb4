"""Who knows the rows that decide a round."""

from __future__ import annotations

from engram.statemachine.rounds.records import Round


def why_opener_decides(round_: Round) -> str | None:
    """Why the opener may know all rows that decide; None if a witness of all classes is not of their choice.

    Says it of the witnesses who have sealed a part, so it holds once the round's first phase is over.
    """
    full = [witness for witness in round_.witnesses if not witness.old_only]
    if not full:
        return "no witness of all classes has sealed a part, so the opener knows all rows that decide"
    if all(witness.named_by_opener for witness in full):
        return (
            "the opener chose every witness of all classes, so the opener may know all rows that decide: "
            "the round is as fair as they are"
        )
    return None
