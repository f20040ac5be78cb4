"""What became of the cheats, and what must have: outcomes, codes and balances. Sends nothing."""

from __future__ import annotations

from engram.participant.demo.cast import COPYCAT, FORGER, LEAKER, LIAR, Cast
from engram.participant.demo.report import AttackRow, DemoReport, expect, mean_loss
from engram.participant.demo.rounds import AUTHOR_BOND, Attempt, Played, Rounds
from engram.participant.demo.stage import Stage
from engram.statemachine.records import Account


async def report_training(
    rounds: Rounds, cast: Cast, played: Played, purse: int, stage: Stage, report: DemoReport
) -> None:
    """Liar, copycat (who held `purse` before) and leaker. Raises `UnexpectedOutcome`."""
    for attempt in played.attempts[LIAR]:
        _expect_failed(LIAR, attempt, "loss_mismatch")
        _add(report, stage, _row(LIAR, "FAILED: claimed half of its loss; the bond is gone", attempt))
    strikes = (await rounds.view.get(Account, cast.key(LIAR).address)).strikes
    expect(strikes == len(played.attempts[LIAR]), "a lie left no strike", got=strikes)

    expect(
        played.copied == "commit_missing",
        "a copy was not refused",
        expected="commit_missing",
        got=played.copied,
    )
    left = await rounds.balance(COPYCAT)
    expect(left == purse, "a refused transaction cost something", expected=purse, got=left)
    outcome = "refused: the commit was not its own"
    _add(report, stage, AttackRow(COPYCAT, outcome, played.copied or "", purse, left))

    await _report_leaker(rounds, cast, played, stage, report)


async def _report_leaker(
    rounds: Rounds, cast: Cast, played: Played, stage: Stage, report: DemoReport
) -> None:
    """Leads where everybody can look, and loses where nobody could."""
    first, *_ = played.attempts[LEAKER]
    expect(first.report.code == "candidate_admitted", "the leaker is no candidate", got=first.report.code)
    leader = cast.name(played.round.results[0].author)
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
    _add(report, stage, AttackRow(LEAKER, outcome, "outdone", first.before, await rounds.balance(LEAKER)))


def report_growth(played: Played, stage: Stage, report: DemoReport) -> None:
    """The forger. Raises `UnexpectedOutcome`."""
    base, overlap = played.attempts[FORGER]
    _expect_failed(FORGER, base, "base_mismatch")
    _add(report, stage, _row(FORGER, "FAILED: one frozen weight changed in the base; the bond is gone", base))
    _expect_failed(FORGER, overlap, "growth_overlap")
    _add(report, stage, _row(FORGER, "FAILED: a block over one that is frozen; the bond is gone", overlap))


def _expect_failed(name: str, attempt: Attempt, code: str) -> None:
    expect(attempt.report.code == code, f"the {name} was not caught", expected=code, got=attempt.report.code)
    lost = attempt.before - attempt.after
    expect(lost >= AUTHOR_BOND, f"the {name} kept its bond", expected=AUTHOR_BOND, got=lost)


def _row(name: str, outcome: str, attempt: Attempt) -> AttackRow:
    return AttackRow(name, outcome, attempt.report.code, attempt.before, attempt.after)


def _add(report: DemoReport, stage: Stage, row: AttackRow) -> None:
    report.attacks.append(row)
    stage.say(row.name, f"{row.outcome} [{row.code}]")
