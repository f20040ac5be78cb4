"""The scoreboard of a round: a row for each update, honest or not. Nothing is sent here."""

from __future__ import annotations

from math import inf

from engram.participant.demo.cast import AUTHORS
from engram.participant.demo.report import ScoreRow, mean_loss
from engram.participant.demo.rounds import DemoRound, Standing
from engram.participant.demo.scene import Scene


def report_scores(scene: Scene, played: DemoRound) -> None:
    """Adds the updates of a round that has ended to the report: the winner, then the least share first.

    What was refused at once stands last. The winner is the last update that took the lead. Another one may
    have a lower share: a later epoch must leave at most seven eighths of what the leader before it left.
    """
    number, round_ = scene.report.rounds, played.round
    open_rows = round_.terms.rows * len(round_.validation_opened)
    winner = scene.cast.name(round_.winner)
    led = [each for each in played.standings if each.author == winner and not each.reasons]
    won = max(led, key=lambda standing: standing.epoch, default=None)

    def row(standing: Standing) -> ScoreRow:
        scored = standing.unseen_rows > 0
        cheated = standing.author not in AUTHORS
        return ScoreRow(
            number,
            standing.author,
            standing.epoch,
            mean_loss(standing.loss, open_rows),
            mean_loss(standing.unseen, standing.unseen_rows) if scored else None,
            standing.share,
            round(standing.correct / standing.unseen_rows, 4) if scored else None,
            "caught" if cheated else "won" if standing is won else "beaten",
            ", ".join(standing.reasons),
        )

    rows = [row(standing) for standing in played.standings]
    rows.sort(key=lambda row: (row.outcome != "won", _share(row)))
    for score in (*rows, *played.refused):
        scene.stage.score(score)
        scene.report.scores.append(score)


def _share(row: ScoreRow) -> float:
    return inf if row.share is None else row.share
