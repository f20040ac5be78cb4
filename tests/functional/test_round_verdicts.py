"""Why a round ended as it did: what the node answers afterwards, when the candidates are gone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engram.commands.support.verdicts import reasons, with_verdicts
from engram.participant.adversaries import leaker
from engram.participant.task import Draft, Task
from engram.participant.wallet import Wallet
from engram.primitives.types import Hash
from engram.statemachine.rounds.records import RoundStatus
from tests.support.stage import QUICK, Stage, digits, learner, running_stage, small_model, small_round

TWO = (0, 1)


async def ended_round(stage: Stage, round_id: Hash) -> dict[str, Any]:
    async with stage.client() as client:
        return await with_verdicts(client, await client.call("round_get", id=round_id))


async def test_a_round_without_candidates(tmp_path: Path) -> None:
    def lazy(task: Task) -> Draft | None:
        return None

    async with running_stage(tmp_path) as stage:
        round_id = await stage.open(small_round(digits(1, *TWO)), small_model())
        await stage.play(round_id, {"alice": lazy})
        assert reasons(await ended_round(stage, round_id)) == ["no update became a candidate"]


async def test_a_growth_that_nobody_had_scored_on_what_must_not_be_forgotten(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        first = await stage.open(small_round(digits(1, *TWO)), small_model())
        ended = await stage.play(first, {"alice": learner(2, *TWO)})
        (verdict,) = (await ended_round(stage, first))["verdicts"]
        assert (verdict["generalises"], verdict["remembers"], verdict["rung"]) == (True, True, True)
        plan = small_round(digits(1, 0, 1, 2), new_classes=1)
        second = await stage.open(plan, ended.round.model)

        async def forgetful(wallet: Wallet) -> None:
            await stage.author(wallet, learner(2, 0, 1, 2)).play_epoch(second, 0)

        ended = await stage.play(second, {}, alice=forgetful)
        assert ended.round.status == RoundStatus.KEPT
        found = await ended_round(stage, second)
        (part,) = found["verdicts"][0]["retention"]
        assert (part["correct"], part["passed"]) == (None, False)
        (reason,) = reasons(found)
        assert reason.endswith(f"retention part {part['part'][:12]}: nobody had the candidate scored on it")


async def test_an_update_that_learned_the_validation_parts_by_heart(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        first = await stage.open(small_round(digits(1, *TWO)), small_model(threshold_ppm=1))
        model = (await stage.play(first, {"alice": learner(2, *TWO)})).round.model
        second = await stage.open(small_round(digits(3, *TWO), rows=6), model)
        ended = await stage.play(second, {"bob": leaker(QUICK, 1)})
        (verdict,) = (found := await ended_round(stage, second))["verdicts"]
        assert ended.codes("bob") == ["candidate_admitted"]
        assert verdict["generalises"] == (ended.round.status == RoundStatus.DECIDED)
        assert verdict["sealed_rows"] == 6
        assert (verdict["sealed_loss"] < verdict["sealed_baseline"]) == verdict["generalises"]
        (reason,) = reasons(found)
        assert ("not below the base version's" in reason) != verdict["generalises"]
