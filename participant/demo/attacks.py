"""Checks that every cheat failed as the protocol promises, and adds the attacks to the report.

It looks at the codes of refusals and at balances. Nothing is sent here.
"""

from __future__ import annotations

from engram.participant.demo.cast import COPYCAT, FORGER, LEAKER, LIAR
from engram.participant.demo.report import AttackRow, expect, mean_loss
from engram.participant.demo.rounds import AUTHOR_BOND, Attempt, DemoRound
from engram.participant.demo.scene import Scene


async def report_training(scene: Scene, played: DemoRound, purse: int) -> None:
    """Reports the liar, the copycat and the leaker of the first TRAIN round. Raises `UnexpectedOutcome`.

    `purse` is the copycat's balance before the round, in sparks.
    """
    for attempt in played.attempts[LIAR]:
        _expect_failed(LIAR, attempt, "loss_mismatch")
        _add(scene, _row(LIAR, "FAILED: claimed half of the true loss; the bond is lost", attempt))

    expect(
        played.copied == "commit_missing",
        "the copied reveal was not refused for its missing commit",
        expected="commit_missing",
        got=played.copied,
    )
    left = await scene.balance(COPYCAT)
    expect(left == purse, "the refused transaction changed the copycat's balance", expected=purse, got=left)
    outcome = "refused: it had made no commit for this reveal"
    _add(scene, AttackRow(COPYCAT, outcome, played.copied or "", purse, left))

    await _report_leaker(scene, played)


async def _report_leaker(scene: Scene, played: DemoRound) -> None:
    """Reports the leaker, who must lead on the revealed parts and prove no gain on the unseen ones."""
    first, *_ = played.attempts[LEAKER]
    expect(
        first.report.code == "candidate_admitted",
        "the leaker's update did not become a candidate",
        got=first.report.code,
    )
    leader = scene.cast.name(played.round.results[0].author)
    expect(leader == LEAKER, "the leaker does not lead on the revealed parts", expected=LEAKER, got=leader)
    leaked = next(standing for standing in played.standings if standing.author == LEAKER)
    best = min(played.standings, key=lambda standing: standing.unseen)
    expect(
        "gain_not_proved" in leaked.reasons,
        "the leaker's gain on the unseen rows is proved",
        expected="gain_not_proved",
        got=leaked.reasons,
    )
    after = played.attempts[LEAKER][-1].after
    lost = first.before - after
    expect(lost >= AUTHOR_BOND, "the leaker kept its bond", expected=AUTHOR_BOND, got=lost)
    rows = played.round.terms.rows
    open_rows, unseen_rows = rows * len(played.round.validation_opened), rows * len(played.round.unseen)
    mine, least = mean_loss(leaked.unseen, unseen_rows), mean_loss(best.unseen, unseen_rows)
    outcome = (
        f"FAILED: led on the revealed rows ({mean_loss(leaked.loss, open_rows):.4f} nat), but on the unseen"
        f" ones it has {mine:.4f} and the best {least:.4f}; the bond is lost"
    )
    _add(scene, AttackRow(LEAKER, outcome, "gain_not_proved", first.before, after))


def report_growth(scene: Scene, played: DemoRound) -> None:
    """Reports both attempts of the forger in the GROW round. Raises `UnexpectedOutcome`."""
    base, overlap = played.attempts[FORGER]
    _expect_failed(FORGER, base, "base_mismatch")
    _add(scene, _row(FORGER, "FAILED: changed one frozen weight of the base; the bond is lost", base))
    _expect_failed(FORGER, overlap, "growth_overlap")
    _add(scene, _row(FORGER, "FAILED: added weights on top of frozen ones; the bond is lost", overlap))


def _expect_failed(name: str, attempt: Attempt, code: str) -> None:
    expect(attempt.report.code == code, f"the {name} was not caught", expected=code, got=attempt.report.code)
    lost = attempt.before - attempt.after
    expect(lost >= AUTHOR_BOND, f"the {name} kept its bond", expected=AUTHOR_BOND, got=lost)


def _row(name: str, outcome: str, attempt: Attempt) -> AttackRow:
    return AttackRow(name, outcome, attempt.report.code, attempt.before, attempt.after)


def _add(scene: Scene, row: AttackRow) -> None:
    scene.report.attacks.append(row)
    scene.say(row.name, f"{row.outcome} [{row.code}]")
