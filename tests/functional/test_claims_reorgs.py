"""Authors and watchers of claims whose node changes to another branch: what was done there is done again.

The transactions of the blocks that are lost are gone with them: nobody but their senders brings them back.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from engram.node.client import RpcClient
from engram.participant.adversaries import flattering
from engram.participant.claiming import Telling, truly
from engram.participant.notices import Notice
from engram.participant.verification import Disputed
from engram.participant.view import ChainView
from engram.participant.wallet import Wallet
from engram.participant.watcher import Watcher
from engram.primitives.keys import format_address
from engram.primitives.types import Hash
from engram.statemachine.rounds.records import Round, RoundStatus
from engram.statemachine.transaction import Transaction
from engram.statemachine.transactions import decode_payload
from engram.statemachine.transactions.reveal_sealed import RevealSealed
from engram.statemachine.transactions.transfer import Transfer
from tests.support.dev_node import HRP
from tests.support.memory_chain import MemoryChain
from tests.support.reorganising import Reorganiser, When
from tests.support.round_matter import ALICE, BOB, CAROL, COIN, OPENER, PURSE
from tests.support.stage import Stage, digits, learner, running_stage, small_model, small_round

TWO = (0, 1)
LIE = (1, 9)
WINDOWS = {
    **{"open": 3, "reveal": 4, "commit": 4, "update": 4},
    **{"witness": 4, "audit": 4, "score": 30, "gap": 1},
}
"""So long a phase SCORE that all is done twice before it ends."""
ALICES = format_address(ALICE.address, HRP)


async def begin(stage: Stage) -> Hash:
    model = small_model(verification=Disputed(audited=2))
    return await stage.begin(small_round(digits(1, *TWO), windows=WINDOWS), model)


def playing(stage: Stage, round_id: Hash, share: int, telling: Telling = truly) -> Any:
    async def play(wallet: Wallet) -> None:
        await stage.author(wallet, learner(share, *TWO), telling=telling).play(round_id)

    return play


async def claim_height(client: RpcClient, round_id: Hash) -> int:
    """The height of the block in which Alice has claimed the scores of the last part."""
    rows = await client.call("round_claimed_rows", id=round_id, epoch=0, author=ALICES)
    return max(int(part["height"]) for part in rows["parts"])


def once(status: str, round_id: Hash, blocks_before_claim: int) -> When:
    """When Alice's claim has this status: the branches part so many blocks before the one with the claim."""

    async def when(client: RpcClient) -> int | None:
        for claim in await client.call("round_claims", id=round_id):
            if (claim["author"], claim["status"]) == (ALICES, status):
                return await claim_height(client, round_id) - blocks_before_claim
        return None

    return when


@pytest.mark.parametrize("lost", [0, 1], ids=["the draw and the confirmation", "the claim, too"])
async def test_an_author_confirms_again_what_another_branch_does_not_have(tmp_path: Path, lost: int) -> None:
    """Other blocks draw other chunks, so a confirmation with the first ones is void."""
    async with running_stage(tmp_path) as stage:
        round_id = await begin(stage)
        reorganiser = Reorganiser(stage, once("confirmed", round_id, lost))
        reorganiser.begin()
        ended = await stage.finish(round_id, {"alice": learner(2, *TWO)})
        assert reorganiser.done >= 4, "the window has passed twice"
        assert (ended.round.status, ended.round.winner) == (RoundStatus.DECIDED, ALICE.address)
        assert (await stage.account("alice")).balance > PURSE - COIN // 2, "the bond has returned"


async def test_a_watcher_disputes_again_where_its_dispute_is_lost(tmp_path: Path) -> None:
    """The winning branch holds another transaction of the watcher with the nonce of the dispute."""
    said: list[Notice] = []

    async def watching(wallet: Wallet) -> None:
        await Watcher(wallet, said.append).run(round_id)

    def spending(chain: MemoryChain, lost: Sequence[Transaction]) -> Sequence[Transaction]:
        nonce = chain.state.account(CAROL.address).nonce
        return () if nonce else [chain.sign(CAROL, Transfer(BOB.address, 1))]

    async with running_stage(tmp_path) as stage:
        round_id = await begin(stage)
        reorganiser = Reorganiser(stage, once("refuted", round_id, 0), spending)
        reorganiser.begin()
        ended = await stage.finish(
            round_id,
            {},
            alice=playing(stage, round_id, 2, flattering(*LIE)),
            bob=playing(stage, round_id, 3),
            carol=watching,
        )
        assert reorganiser.done
        assert (ended.round.status, ended.round.winner) == (RoundStatus.DECIDED, BOB.address)
        assert [notice.event for notice in said].count("disputing") == 2
        assert (await stage.account("carol")).balance > PURSE, "half of the bond, once"
        assert (await stage.account("alice")).balance < PURSE - 2 * COIN
        async with stage.client() as client:
            (refuted,) = (await client.call("round_failures", id=round_id))["refuted"]
        assert (refuted["part"], refuted["chunk"]) == (LIE[0], LIE[1] // 8)


async def test_an_author_claims_anew_where_parts_have_opened_in_another_order(tmp_path: Path) -> None:
    """A claim of the first order would be false there, and cost the bond. So no block can hold it."""
    said: list[Notice] = []

    async def watching(wallet: Wallet) -> None:
        await Watcher(wallet, said.append).run(round_id)

    async def claimed(client: RpcClient) -> int | None:
        for claim in await client.call("round_claims", id=round_id):
            if claim["parts_claimed"] == claim["parts"] == 3:
                return min(await openings(client)) - 1
        return None

    async def openings(client: RpcClient) -> list[int]:
        head = int((await client.call("chain_head"))["height"])
        blocks = [await client.call("chain_block", height=height) for height in range(1, head + 1)]
        return [
            int(block["height"])
            for block in blocks
            for tx in block["transactions"]
            if tx["name"] == RevealSealed.NAME
        ]

    def turned(chain: MemoryChain, lost: Sequence[Transaction]) -> Sequence[Transaction]:
        nonce = chain.state.account(OPENER.address).nonce
        payloads = [payload for tx in lost if isinstance(payload := decode_payload(tx), RevealSealed)]
        held = [tx for tx in lost if isinstance(decode_payload(tx), RevealSealed) and tx.nonce == nonce]
        if not held:
            return ()
        return [
            chain.sign(OPENER, payload, nonce=nonce + place) for place, payload in enumerate(payloads[::-1])
        ]

    async with running_stage(tmp_path) as stage:
        model = small_model(verification=Disputed(audited=64))
        plan = small_round(digits(1, *TWO), windows=WINDOWS, parts=4, rows=20, sealed=2)
        round_id = await stage.begin(plan, model)
        reorganiser = Reorganiser(stage, claimed, turned)
        reorganiser.begin()
        ended = await stage.finish(round_id, {"alice": learner(2, *TWO)}, carol=watching)
        assert reorganiser.done
        assert (ended.round.status, ended.round.winner) == (RoundStatus.DECIDED, ALICE.address)
        assert (await stage.account("alice")).balance > PURSE - COIN // 2, "the bond has returned"
        assert not [notice for notice in said if notice.event in ("claim_false", "watch_failed")]


async def test_who_has_claimed_nothing_settles_a_round_without_a_candidate_at_once(tmp_path: Path) -> None:
    """Nobody waits for a phase SCORE that does not come."""
    async with running_stage(tmp_path) as stage:
        round_id = await begin(stage)

        async def gone(wallet: Wallet) -> Round:
            """The opener reveals the parts, and is not there when the round is to end."""
            await stage.opener(wallet).reveal_next(round_id)
            return await ChainView(wallet.client).get(Round, round_id)

        async def idle(wallet: Wallet) -> None:
            await stage.author(wallet, lambda task: None).play(round_id)

        await stage.play(round_id, gone, {}, {"alice": idle})
        async with stage.client() as client:
            ended = await client.call("round_get", id=round_id)
        assert ended["status"] == RoundStatus.KEPT
        assert ended["tick"] < ended["calendar"]["score"][0]
