"""Authors with memory folders in whole rounds on a real node: what they bring, and what keeps them out."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from engram.participant.memory.folder import MemoryFolder
from engram.participant.memory.handover import check_named, write_file
from engram.participant.memory.lessons import Teaching, remembering
from engram.participant.memory.making import FoundingPlan, found_memory, handed_over
from engram.participant.memory.mixtures_file import set_id
from engram.participant.memory.opening import MemoryPlan, draft_memory
from engram.participant.memory.statistics import merge
from engram.participant.memory.statistics_file import content_id
from engram.participant.memory.trunk import trunk_in
from engram.participant.round_plan import DraftedRound
from engram.participant.task import Strategy
from engram.participant.view import ChainView
from engram.participant.wallet import Wallet
from engram.primitives.types import ZERO_HASH, Hash
from engram.statemachine.additions import GrowUpdate
from engram.statemachine.record import u32
from engram.statemachine.records import Model, Version
from engram.statemachine.rounds.records import RoundStatus
from tests.support.round_matter import SMALL_RULES
from tests.support.stage import Stage, digits, running_stage, small_round

ROUND: dict[str, Any] = {"rows": 44, "parts": 3, "neurons": 120, "bounty": 10**9}
OLD, NEW = (0, 1, 2), (3, 4)


class Lineage:
    """A model that is founded from a folder, and grown from others."""

    def __init__(self, stage: Stage, tmp_path: Path, engine: str) -> None:
        self.stage, self.tmp_path = stage, tmp_path
        plan = FoundingPlan(engine, 3, bank_neurons=100, growths=2)
        rows = digits(2, *OLD).rows_of(0)
        made = found_memory(rows, plan, tmp_path / "founder", SMALL_RULES.networks, self.hear)
        self.folder = made.folder
        self.model: Hash = b""
        self.rounds = 0

    def hear(self, text: str) -> None:
        assert text, "progress is told in words"

    def next_seed(self) -> int:
        """A seed for each round: what was revealed once cannot be committed to again."""
        self.rounds += 1
        return self.rounds

    def strategy(self, folder: MemoryFolder, teaching: Teaching | None = None) -> Strategy:
        return remembering(folder, teaching or Teaching(), self.stage.tell)

    def author(self, name: str = "author") -> MemoryFolder:
        """The folder of somebody who knows the founder's rules alone."""
        path = self.tmp_path / name
        path.mkdir()
        shutil.copy(self.folder.path / "memory.json", path)
        return MemoryFolder(path)

    async def founded(self, strategy: Strategy | None = None, name: str = "alice") -> list[str]:
        """The codes of the author who brings what was learned, or plays another strategy."""

        async def draft(wallet: Wallet) -> DraftedRound:
            plan = small_round(digits(1, *OLD), seed=self.next_seed(), **ROUND)
            return (await draft_memory(wallet, plan, MemoryPlan(), self.folder))[0]

        round_id = await self.stage.open("opener", draft)
        ended = await self.stage.finish(round_id, {name: strategy or self.strategy(self.folder)})
        self.model = ended.round.model
        return ended.codes(name)

    async def grown(self, strategy: Strategy, epochs: int = 1) -> tuple[list[str], RoundStatus]:
        changes = {**ROUND, "new_classes": len(NEW), "seed": self.next_seed(), "epochs": epochs}
        plan = small_round(digits(1, *OLD, *NEW), **changes)
        round_id = await self.stage.begin(plan, self.model)
        ended = await self.stage.finish(round_id, {"bob": strategy})
        return ended.codes("bob"), RoundStatus(ended.round.status)

    async def named(self, version: int) -> Hash:
        """What the growth of a version names."""
        async with self.stage.client() as client:
            record = await ChainView(client).get(Version, self.model, u32(version))
        assert isinstance(record.added, GrowUpdate)
        return record.added.statistics

    def summed(self, share: int, *classes: int) -> Any:
        network = self.folder.founding()
        trunk = trunk_in(network.spec, network.parameters, self.folder.memory.trunk_segments)
        rows = digits(share, *classes).rows_of(0)
        return handed_over(self.folder.memory, trunk.run(rows.features), rows.labels)


@pytest.mark.parametrize("engine", ["gate", "analytic"])
async def test_sums_of_two_owners_grow_the_model_and_are_named(tmp_path: Path, engine: str) -> None:
    async with running_stage(tmp_path / "node") as stage:
        line = Lineage(stage, tmp_path, engine)
        assert await line.founded() == ["candidate_admitted"]
        assert (await stage.model(line.model)).frozen
        author, parts = line.author(), [line.summed(share, *OLD) for share in (2, 4)]
        file = tmp_path / "four.sums"
        write_file(file, parts[1])
        author.keep(parts[0])
        rows = digits(3, *NEW).rows_of(0)
        played = await line.grown(line.strategy(author, Teaching(rows, (file,))))
        assert played == (["candidate_admitted"], RoundStatus.DECIDED)
        whole = merge([(each, content_id(each)) for each in parts])
        check_named(whole, await line.named(2))
        record: Model = await stage.model(line.model)
        assert record.classes == len(OLD) + len(NEW)


async def test_mixtures_grow_the_model_and_are_named(tmp_path: Path) -> None:
    async with running_stage(tmp_path / "node") as stage:
        line = Lineage(stage, tmp_path, "replay")
        assert await line.founded() == ["candidate_admitted"]
        author, handed = line.author(), line.summed(2, *OLD)
        file = tmp_path / "two.mixtures"
        write_file(file, handed)
        rows = digits(3, *NEW).rows_of(0)
        played = await line.grown(line.strategy(author, Teaching(rows, (file,))))
        assert played == (["candidate_admitted"], RoundStatus.DECIDED)
        named = next(notice for notice in stage.said if notice.event == "consolidating")
        assert named.facts["statistics"] == set_id(handed).hex()


async def test_authors_who_lack_something_are_told_what(tmp_path: Path) -> None:
    async with running_stage(tmp_path / "node") as stage:
        line = Lineage(stage, tmp_path, "gate")
        author = line.author()
        assert await line.founded(line.strategy(author)) == ["memory_folder_invalid"], "no founding"
        assert await line.founded() == ["candidate_admitted"]
        rows = digits(3, *NEW).rows_of(0)
        assert (await line.grown(line.strategy(author)))[0] == ["lesson_missing"]
        assert (await line.grown(line.strategy(author, Teaching(rows))))[0] == ["statistics_missing"]
        mixed = tmp_path / "mixed.sums"
        write_file(mixed, line.summed(4, *OLD, *NEW))
        teaching = Teaching(rows, (mixed,))
        assert (await line.grown(line.strategy(author, teaching)))[0] == ["statistics_missing"]
        assert [notice.facts["file"] for notice in stage.said if notice.event == "left_out"] == [str(mixed)]
        (author.path / "sums").mkdir()
        (author.path / "sums" / f"{'0' * 64}.sums").write_bytes(b"damaged")
        assert (await line.grown(line.strategy(author, Teaching(rows))))[0] == ["statistics_malformed"]
        assert (await stage.model(line.model)).classes == len(OLD), "nothing has happened to the model"


async def test_the_same_growth_is_not_proposed_twice_in_a_round(tmp_path: Path) -> None:
    async with running_stage(tmp_path / "node") as stage:
        line = Lineage(stage, tmp_path, "experts")
        assert await line.founded() == ["candidate_admitted"]
        strategy = line.strategy(line.author(), Teaching(digits(3, *NEW).rows_of(0)))
        codes, status = await line.grown(strategy, epochs=2)
        assert (codes, status) == (["candidate_admitted", "sat_out"], RoundStatus.DECIDED)
        assert await line.named(2) == ZERO_HASH, "experts are made from own rows alone"


async def test_an_opener_may_bring_the_network_of_their_own_round(tmp_path: Path) -> None:
    """Two programs with one key: the chain does not mind, and their transactions take turns."""
    async with running_stage(tmp_path / "node") as stage:
        line = Lineage(stage, tmp_path, "experts")
        assert await line.founded(name="opener") == ["candidate_admitted"]
        assert (await stage.model(line.model)).frozen
        assert "opener_decides" in {notice.event for notice in stage.said}
