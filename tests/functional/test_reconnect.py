"""A client that outlives its node, and one that does not wait for a node that never was."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engram.node.errors import NodeUnreachable
from engram.node.mempool.journal import JOURNAL_NAME
from engram.participant.notices import Notice
from engram.participant.reconnect import PatientClient
from engram.participant.wallet import Wallet
from tests.support.dev_node import address_of
from tests.support.round_matter import ALICE
from tests.support.stage import running_stage


async def test_a_node_that_never_answered_is_not_waited_for() -> None:
    said: list[Notice] = []
    async with PatientClient(lambda: "http://127.0.0.1:1", said.append) as client:
        with pytest.raises(NodeUnreachable):
            await client.call("chain_head")
    assert said == []


async def test_a_request_is_asked_again_where_the_node_answers_next(tmp_path: Path) -> None:
    said: list[Notice] = []
    async with running_stage(tmp_path) as stage, PatientClient(stage.find, said.append) as client:
        before = await client.call("node_info")
        await asyncio.to_thread(stage.stop)
        asked = asyncio.create_task(client.call("node_info"))
        while not said:
            await asyncio.wait([asked], timeout=0.01)
        await asyncio.to_thread(stage.start)
        assert (await asked)["chain_id"] == before["chain_id"]
        assert [notice.event for notice in said] == ["node_unreachable", "node_reached"]


async def test_patience_ends(tmp_path: Path) -> None:
    said: list[Notice] = []
    async with running_stage(tmp_path) as stage:
        async with PatientClient(stage.find, said.append, patience_s=0.2) as client:
            await client.call("chain_head")
            await asyncio.to_thread(stage.stop)
            with pytest.raises(NodeUnreachable):
                await client.call("chain_head")
        await asyncio.to_thread(stage.start)
    assert [notice.event for notice in said] == ["node_unreachable"]


async def test_a_transaction_that_a_node_lost_with_its_disk_is_handed_in_again(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage, PatientClient(stage.find, lambda notice: None) as client:
        wallet = Wallet(client, ALICE)
        txid = await wallet.transfer(address_of("bob"), 5)
        await asyncio.to_thread(stage.stop)
        (tmp_path / JOURNAL_NAME).unlink()
        await asyncio.to_thread(stage.start)
        assert (await client.call("tx_status", txid=txid))["status"] == "unknown"
        confirmed = asyncio.create_task(wallet.confirm(txid))
        async with client.subscribe("transactions") as events:
            if (await client.call("mempool_info"))["count"] == 0:
                await anext(events)
        await stage.mine()
        assert (await confirmed)["txid"] == txid.hex()
