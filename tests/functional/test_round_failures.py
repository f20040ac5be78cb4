"""What failed in a round, as nodes and commands tell it: claims that every node found to be untrue."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from engram.commands.support.round_fields import round_fields
from engram.commands.support.verdicts import with_failed, with_verdicts
from engram.node.amounts import mean_loss
from engram.node.chain.pruning import DEFAULT_DEPTHS
from engram.node.client import RpcClient
from engram.node.errors import RemoteError
from engram.node.rpc import failures
from engram.participant.adversaries import liar
from engram.participant.coins import format_coins
from engram.primitives.keys import format_address
from engram.primitives.types import Hash
from tests.support.dev_node import HRP
from tests.support.round_matter import ALICE, OPENER
from tests.support.stage import Stage, digits, learner, running_stage, small_model, small_round

TWO = (0, 1)


async def caught(stage: Stage, round_id: Hash) -> tuple[list[dict[str, object]], list[str]]:
    """The failures that the node tells, and the lines that `engram round show` prints of them."""
    async with stage.client() as client:
        round_ = await with_verdicts(client, await client.call("round_get", id=round_id))
        found = await with_failed(client, round_)
    lines = dict(round_fields(found)).get("caught", [])
    assert isinstance(lines, list)
    return found["failed"], lines


async def test_a_false_claim_is_told_with_what_is_true(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        round_id = await stage.begin(small_round(digits(1, *TWO), epochs=2), small_model())
        authors = {"alice": liar(learner(3, *TWO)), "bob": learner(2, *TWO)}
        ended = await stage.finish(round_id, authors)
        assert ended.codes("alice") == ["loss_mismatch", "loss_mismatch"]
        failed, lines = await caught(stage, round_id)
        assert [each["epoch"] for each in failed] == [0, 1]
        rows = ended.round.terms.rows
        bond = ended.round.terms.author_bond
        for each, line in zip(failed, lines, strict=True):
            assert (each["author"], each["code"]) == (format_address(ALICE.address, HRP), "loss_mismatch")
            claimed, true = each["claimed_loss"], each["recomputed_loss"]
            assert isinstance(claimed, int)
            assert isinstance(true, int)
            assert true // 2 == claimed, "she claims half of what it is"
            assert (each["rows"], each["bond_burned"], each["kind"]) == (rows, bond, "reveal_update")
            said = f"claimed loss {mean_loss(claimed, rows)} a row on the revealed parts"
            assert each["why"] == f"{said}, recomputed {mean_loss(true, rows)}"
            assert f"{each['author']}: revealed an update: {each['why']}; lost a bond of" in line
            assert f"{format_coins(bond)} coins [loss_mismatch]" in line
        async with stage.client() as client:
            for each in failed:
                status = await client.call("tx_status", txid=each["txid"])
                assert (status["height"], status["code"]) == (each["height"], "loss_mismatch")


async def test_a_round_of_honest_players_has_no_failures(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        first = await stage.begin(small_round(digits(1, *TWO)), small_model())
        ended = await stage.finish(first, {"alice": liar(learner(3, *TWO)), "bob": learner(2, *TWO)})
        second = await stage.begin(small_round(digits(1, 0, 1, 2), new_classes=1), ended.round.model)
        await stage.finish(second, {"bob": learner(2, 0, 1, 2)})
        assert await caught(stage, second) == ([], []), "another round's failures are not its own"
        assert len((await caught(stage, first))[0]) == 1


async def test_long_rounds_are_read_piece_by_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_stage(tmp_path) as stage:
        round_id = await stage.begin(small_round(digits(1, *TWO)), small_model())
        await stage.finish(round_id, {"alice": liar(learner(3, *TWO)), "bob": learner(2, *TWO)})
        whole, _ = await caught(stage, round_id)
        assert len(whole) == 1
        async with stage.client() as client:
            full = await client.call("round_failures", id=round_id)
            assert (full["next"], full["before_snapshot"]) == (None, False)
            monkeypatch.setattr(failures, "MOST_BLOCKS", 3)
            first: int | None = 0
            pieces: list[dict[str, object]] = []
            heights: list[tuple[int, int]] = []
            while first is not None:
                piece = await client.call("round_failures", id=round_id, first=first)
                pieces += piece["failed"]
                heights.append((piece["from_height"], piece["to_height"]))
                first = piece["next"]
        assert pieces == whole
        assert len(heights) > 2
        assert all(after[0] == before[1] + 1 for before, after in pairwise(heights))
        assert (heights[0][0], heights[-1][1]) == (full["from_height"], full["to_height"])


async def test_an_unknown_round_has_no_failures_to_tell(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage, stage.client() as client:
        with pytest.raises(RemoteError) as refused:
            await client.call("round_failures", id=OPENER.address + bytes(12))
        assert refused.value.code == "missing_round"


async def test_where_old_states_are_pruned_the_claim_is_told_without_what_is_true(tmp_path: Path) -> None:
    """The receipts are kept for ever, so it is still told who was caught, from the round's first block on."""
    async with running_stage(tmp_path) as stage:
        round_id = await stage.begin(small_round(digits(1, *TWO)), small_model())
        await stage.finish(round_id, {"alice": liar(learner(3, *TWO)), "bob": learner(2, *TWO)})
        async with stage.client() as client:
            known = await client.call("round_failures", id=round_id)
        async with RpcClient.of_data_dir(stage.find(), tmp_path) as client:
            await client.call("miner_mine", blocks=2 * DEFAULT_DEPTHS.states)
        async with stage.client() as client:
            pruned = await client.call("round_failures", id=round_id)
        (before,), (after,) = known["failed"], pruned["failed"]
        claimed = mean_loss(before["claimed_loss"], before["rows"])
        why = f"claimed loss {claimed} a row on the revealed parts, and every node computed another one"
        assert after == {**before, "recomputed_loss": None, "why": why}
        assert (pruned["next"], pruned["before_snapshot"]) == (None, False)
