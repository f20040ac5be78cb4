"""Checks that every cheat failed as the protocol promises, and adds the attacks to the report.

It looks at the codes of refusals and at balances. Nothing is sent here.
"""

from __future__ import annotations

from engram.participant.demo.cast import COPYCAT, FORGER, LEAKER, LIAR
from engram.participant.demo.report import AttackRow, expect, mean_loss
from engram.participant.demo.rounds import AUTHOR_BOND, Attempt, DemoRound
from engram.participant.demo.scene import Scene
from engram.statemachine.records import Account


async def report_training(scene: Scene, played: DemoRound, purse: int) -> None:
    """Reports the liar, the copycat and the leaker of the first TRAIN round. Raises `UnexpectedOutcome`.

    `purse` is the copycat's balance before the round, in sparks.
    """
    for attempt in played.attempts[LIAR]:
        _expect_failed(LIAR, attempt, "loss_mismatch")
        _add(scene, _row(LIAR, "FAILED: claimed half of the true loss; the bond is lost", attempt))
    strikes = (await scene.view.get(Account, scene.cast.key(LIAR).address)).strikes
    expect(strikes == len(played.attempts[LIAR]), "a false claim did not give the liar a strike", got=strikes)

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
    """Reports the leaker, who must lead on the revealed parts and lose on the sealed ones."""
    first, *_ = played.attempts[LEAKER]
    expect(
        first.report.code == "candidate_admitted",
        "the leaker's update did not become a candidate",
        got=first.report.code,
    )
    leader = scene.cast.name(played.round.results[0].author)
    expect(leader == LEAKER, "the leaker does not lead on the revealed parts", expected=LEAKER, got=leader)
    leaked = next((standing for standing in played.standings if standing.author == LEAKER), None)
    expect(leaked is not None, "the candidates were not read before the round ended", got=played.standings)
    assert leaked is not None, "`expect` has raised if there is no such candidate"
    best = min(played.standings, key=lambda standing: standing.sealed)
    expect(
        best.sealed < leaked.sealed,
        "the leaker's over-fitted update won on the sealed parts",
        expected=best,
        got=leaked,
    )
    rows = played.round.terms.rows
    open_rows, sealed_rows = (
        rows * len(played.round.validation_opened),
        rows * len(played.round.sealed_opened),
    )
    outcome = (
        f"led on the revealed parts ({mean_loss(leaked.loss, open_rows):.4f} nat) and lost on the sealed ones"
        f" ({mean_loss(leaked.sealed, sealed_rows):.4f} against {mean_loss(best.sealed, sealed_rows):.4f})"
    )
    _add(scene, AttackRow(LEAKER, outcome, "outdone", first.before, await scene.balance(LEAKER)))


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
