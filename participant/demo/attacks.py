"""What became of the cheats, and what must have: outcomes, codes and balances. Sends nothing."""

from __future__ import annotations

from engram.participant.demo.cast import COPYCAT, FORGER, LEAKER, LIAR
from engram.participant.demo.report import AttackRow, expect, mean_loss
from engram.participant.demo.rounds import AUTHOR_BOND, Attempt, DemoRound
from engram.participant.demo.scene import Scene
from engram.statemachine.records import Account


async def report_training(scene: Scene, played: DemoRound, purse: int) -> None:
    """Liar, copycat (who held `purse` before) and leaker. Raises `UnexpectedOutcome`."""
    for attempt in played.attempts[LIAR]:
        _expect_failed(LIAR, attempt, "loss_mismatch")
        _add(scene, _row(LIAR, "FAILED: claimed half of its loss; the bond is gone", attempt))
    strikes = (await scene.view.get(Account, scene.cast.key(LIAR).address)).strikes
    expect(strikes == len(played.attempts[LIAR]), "a lie left no strike", got=strikes)

    expect(
        played.copied == "commit_missing",
        "a copy was not refused",
        expected="commit_missing",
        got=played.copied,
    )
    left = await scene.balance(COPYCAT)
    expect(left == purse, "a refused transaction cost something", expected=purse, got=left)
    outcome = "refused: the commit was not its own"
    _add(scene, AttackRow(COPYCAT, outcome, played.copied or "", purse, left))

    await _report_leaker(scene, played)


async def _report_leaker(scene: Scene, played: DemoRound) -> None:
    """Leads where everybody can look, and loses where nobody could."""
    first, *_ = played.attempts[LEAKER]
    expect(first.report.code == "candidate_admitted", "the leaker is no candidate", got=first.report.code)
    leader = scene.cast.name(played.round.results[0].author)
    expect(leader == LEAKER, "the leaker does not lead on the revealed parts", expected=LEAKER, got=leader)
    [leaked] = [standing for standing in played.standings if standing.author == LEAKER]
    best = min(played.standings, key=lambda standing: standing.sealed)
    expect(best.sealed < leaked.sealed, "over-fitting won on the sealed parts", expected=best, got=leaked)
    rows = played.round.terms.rows
    open_rows, sealed_rows = (
        rows * len(played.round.validation_opened),
        rows * len(played.round.sealed_opened),
    )
    outcome = (
        f"led on the revealed parts ({mean_loss(leaked.loss, open_rows):.4f} nat), lost on the sealed ones"
        f" ({mean_loss(leaked.sealed, sealed_rows):.4f} against {mean_loss(best.sealed, sealed_rows):.4f})"
    )
    _add(scene, AttackRow(LEAKER, outcome, "outdone", first.before, await scene.balance(LEAKER)))


def report_growth(scene: Scene, played: DemoRound) -> None:
    """The forger. Raises `UnexpectedOutcome`."""
    base, overlap = played.attempts[FORGER]
    _expect_failed(FORGER, base, "base_mismatch")
    _add(scene, _row(FORGER, "FAILED: one frozen weight changed in the base; the bond is gone", base))
    _expect_failed(FORGER, overlap, "growth_overlap")
    _add(scene, _row(FORGER, "FAILED: a block over one that is frozen; the bond is gone", overlap))


def _expect_failed(name: str, attempt: Attempt, code: str) -> None:
    expect(attempt.report.code == code, f"the {name} was not caught", expected=code, got=attempt.report.code)
    lost = attempt.before - attempt.after
    expect(lost >= AUTHOR_BOND, f"the {name} kept its bond", expected=AUTHOR_BOND, got=lost)


def _row(name: str, outcome: str, attempt: Attempt) -> AttackRow:
    return AttackRow(name, outcome, attempt.report.code, attempt.before, attempt.after)


def _add(scene: Scene, row: AttackRow) -> None:
    scene.report.attacks.append(row)
    scene.say(row.name, f"{row.outcome} [{row.code}]")
