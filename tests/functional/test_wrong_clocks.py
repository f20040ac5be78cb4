"""Nodes whose clocks are wrong: what they say, what becomes of their blocks, and how they come back."""

import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from engram.node.client import RpcClient
from engram.node.clock import SystemClock
from engram.primitives.types import Hash
from engram.statemachine.transactions.transfer import Transfer
from tests.support.clocks import WrongClock
from tests.support.memory_chain import MemoryChain
from tests.support.node_chain import BOB, CAROL, SPEC
from tests.support.node_network import Member, node_network
from tests.support.until import until

PATIENT = replace(SPEC, future_limit_ms=120_000)
OFFSETS_S = {"right": 0, "slow": -5, "quick": 5, "behind": -300, "ahead": 300}
RIGHT = ("right", "slow", "quick")
"""Whom each node dials that starts later; so those whose clocks are wrong have dialled three others."""
PEERS = {**dict.fromkeys(RIGHT, 4), "behind": 3, "ahead": 3}


async def status(member: Member) -> dict[str, Any]:
    async with RpcClient(member.url) as client:
        answer: dict[str, Any] = await client.call("node_status")
    return answer


async def warnings(member: Member) -> dict[str, str]:
    return {warning["code"]: warning["message"] for warning in (await status(member))["warnings"]}


def hears_all(member: Member) -> bool:
    """Whether every peer has told it the time."""
    return all(info.clock_ahead_s is not None for info in member.services.peers.peers())


def parks(member: Member, block: Hash) -> bool:
    return member.chain.parked(block) == "timestamp_ahead"


@pytest.mark.fault(id=26, inputs=len(OFFSETS_S))
async def test_clocks_that_differ_by_five_minutes_are_named_and_nobody_is_banned(tmp_path: Path) -> None:
    async with node_network(tmp_path, PATIENT) as network:
        clocks = {name: WrongClock(SystemClock(), 1000 * off_s) for name, off_s in OFFSETS_S.items()}
        nodes: dict[str, Member] = {}
        for name, clock in clocks.items():
            dialled = [peer for peer in RIGHT if peer in nodes]
            nodes[name] = await network.start(name, *dialled, clock=clock, mine=name == "behind")
        for name, node in nodes.items():
            await network.connected(node, PEERS[name])
            await until(partial(hears_all, node))

        [early] = await nodes["ahead"].mine(1)
        await nodes["right"].mine(2)
        for name in ("slow", "quick", "ahead"):
            await nodes[name].follow(nodes["right"])
        for name in RIGHT:
            await until(partial(parks, nodes[name], early))

        told = {name: await warnings(node) for name, node in nodes.items()}
        assert "ahead of" in told["ahead"]["clock_skewed"], "it is the one whose clock is wrong"
        assert "behind" in told["behind"]["clock_skewed"]
        assert "timedatectl" in told["behind"]["clock_skewed"], "the remedy"
        assert all("clock_skewed" not in told[name] for name in RIGHT)
        assert [(await status(nodes[name]))["clock"]["voices"] for name in nodes] == [4, 1, 2, 3, 3]

        assert nodes["behind"].chain.head.height == 0
        mining = nodes["behind"].services.mining
        payment = MemoryChain(PATIENT).sign(CAROL, Transfer(BOB.address, 5))
        await nodes["behind"].admit(payment)
        await until(lambda: mining.waits is not None)
        assert re.search(r"the peers' branch, which leads, is [23]\d\d s ahead", mining.status()["waits"])
        assert "mining_waits" in await warnings(nodes["behind"])
        assert mining.hashes == 0, "nothing is mined in vain"
        clocks["behind"].off_ms = clocks["ahead"].off_ms = 0
        assert "clock_skewed" not in await warnings(nodes["behind"]), "no second has passed"
        assert "clock_skewed" not in await warnings(nodes["ahead"])
        await nodes["ahead"].mine(1)
        await until(lambda: not nodes["behind"].waits(payment))
        assert mining.waits is None, "its miner has gone on by itself"
        assert nodes["behind"].chain.head.height == 4, "and on the branch that leads"
        for name, node in nodes.items():
            await node.follow(nodes["behind"])
            assert node.services.bans.standing() == []
            assert len(node.peers) == PEERS[name]
