"""The agent behind `engram participate`: which round it plays, one after the other, and what it claims."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from engram.participant.agent import Agent, AgentResult
from engram.participant.errors import AlreadyPlaying, BondAboveLimit, DatasetMismatch, NoOpenRound
from engram.participant.parts import ROUNDS_DIRECTORY
from engram.participant.pricing import Limits
from engram.participant.selection import Selection
from engram.participant.wallet import Wallet
from engram.statemachine.rounds.records import RoundStatus
from tests.support.round_matter import COIN
from tests.support.stage import Stage, digits, learner, running_stage, small_model, small_round

TWO = (0, 1)


def agent_of(stage: Stage, wallet: Wallet, **changes: Any) -> Agent:
    options: dict[str, Any] = {
        "data": digits(2, *TWO).rows_of(0),
        "limits": Limits(),
        "epochs": None,
        "progress": lambda step, loss: None,
    }
    folder = stage.folder / ROUNDS_DIRECTORY
    return Agent(wallet, learner(2, *TWO), folder, stage.tell, **{**options, **changes})


async def test_an_agent_plays_one_round_after_the_other_and_claims_what_matures(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        never = small_model(threshold_ppm=1)
        plan = small_round(digits(1, *TWO))
        first = await stage.begin(plan, never)
        played: list[AgentResult] = []

        async def follow(wallet: Wallet) -> None:
            agent = agent_of(stage, wallet)
            played.append(await agent.play(await agent.next_round(None)))
            with pytest.raises(NoOpenRound):
                await agent.open_round(None)

        ended = await stage.finish(first, {}, alice=follow)
        assert ended.round.status == RoundStatus.DECIDED
        second = await stage.begin(small_round(digits(3, *TWO)), ended.round.model)

        async def again(wallet: Wallet) -> None:
            agent = agent_of(stage, wallet)
            assert await agent.open_round(ended.round.model) == second
            with pytest.raises(NoOpenRound):
                await agent.open_round(b"\xee" * 32)
            await agent.view.wait_height(played[0].round.opened + 60)
            played.append(await agent.play(second))

        await stage.finish(second, {}, alice=again)
        assert [item.round.id for item in played] == [first, second]
        assert played[0].to_json()["epochs"][0]["code"] == "candidate_admitted"
        assert played[1].claimed > 0, "alice's bounty of the first round had matured"
        assert played[0].fees > 0
        assert played[0].maturing > 0


async def test_an_agent_refuses_what_it_could_not_play(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        round_id = await stage.begin(small_round(digits(1, *TWO)), small_model())
        (tmp_path / "rows.csv").write_text("1,2,0\n3,4,1\n")
        foreign = Selection(str(tmp_path / "rows.csv")).rows_of(0)
        async with stage.actor("alice") as wallet:
            with pytest.raises(DatasetMismatch):
                await agent_of(stage, wallet, data=foreign).play(round_id)
            with pytest.raises(DatasetMismatch):
                await agent_of(stage, wallet, data=digits(2, 8, 9).rows_of(0)).play(round_id)
            with pytest.raises(BondAboveLimit):
                await agent_of(stage, wallet, limits=Limits(max_bond=COIN - 1)).play(round_id)


async def test_a_key_plays_a_round_in_one_program_only(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        round_id = await stage.begin(small_round(digits(1, *TWO)), small_model())
        began = asyncio.Event()
        stage.on_event("playing", began)

        async def twice(wallet: Wallet) -> None:
            first = asyncio.create_task(agent_of(stage, wallet).play(round_id))
            await began.wait()
            with pytest.raises(AlreadyPlaying):
                await agent_of(stage, wallet).play(round_id)
            assert [report.code for report in (await first).epochs] == ["candidate_admitted"]

        await stage.finish(round_id, {}, alice=twice)
        assert list((tmp_path / ROUNDS_DIRECTORY).glob("*.lock")) == []


async def test_an_author_is_told_where_the_opener_may_know_all_rows_that_decide(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        round_id = await stage.begin(small_round(digits(1, *TWO), epochs=2), small_model())
        await stage.finish(round_id, {"alice": learner(2, *TWO)})
        events = [notice.event for notice in stage.said]
        assert events.count("opener_decides") == 1, "once, whatever the number of epochs"
        assert events.index("opener_decides") < events.index("verified"), "before the first training"
        told = next(notice for notice in stage.said if notice.event == "opener_decides")
        assert told.startswith("note: no witness of all classes has sealed a part")
