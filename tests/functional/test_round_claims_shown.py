"""What nodes and commands tell of the claims of a round: while they can be disputed, and when all is over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engram.commands.support.claims import with_claims
from engram.commands.support.round_fields import round_fields
from engram.commands.support.verdicts import with_failed, with_verdicts
from engram.node.chain.pruning import DEFAULT_DEPTHS
from engram.node.client import RpcClient
from engram.participant.adversaries import flattering
from engram.participant.claiming import Claims, Telling, truly
from engram.participant.reconnect import watch
from engram.participant.verification import Disputed
from engram.participant.wallet import Wallet
from engram.participant.watcher import Watcher
from engram.primitives.types import Hash
from engram.statemachine.rounds.records import RoundStatus
from tests.support.refuted_claim import HONEST, LIAR, LIE, TWO, WATCHER
from tests.support.round_matter import BOB, COIN
from tests.support.stage import Stage, digits, learner, running_stage, small_model, small_round

Actor = Callable[[Wallet], Awaitable[None]]
Shown = dict[str, Any]


async def shown(client: RpcClient, round_id: Hash) -> Shown:
    """What `engram round show --json` prints of a round."""
    found = await with_verdicts(client, await client.call("round_get", id=round_id))
    return await with_claims(client, await with_failed(client, found))


def lines(round_: Shown, name: str) -> list[str]:
    """The lines of a field of `engram round show`."""
    found = dict(round_fields(round_)).get(name, [])
    assert isinstance(found, list)
    return found


def playing(stage: Stage, round_id: Hash, share: int, telling: Telling = truly) -> Actor:
    async def play(wallet: Wallet) -> None:
        await stage.author(wallet, learner(share, *TWO), telling=telling).play(round_id)

    return play


def watching(round_id: Hash) -> Actor:
    async def play(wallet: Wallet) -> None:
        await Watcher(wallet, lambda notice: None).run(round_id)

    return play


@dataclass
class Looker:
    """Somebody who looks at the round at every head, until it has ended."""

    round: Hash
    found: list[Shown] = field(default_factory=list)

    async def play(self, wallet: Wallet) -> None:
        async def look() -> bool | None:
            self.found.append(await shown(wallet.client, self.round))
            return None if self.found[-1]["status"] == RoundStatus.OPEN else True

        await watch(wallet.client, look, "heads")

    def states(self, author: str) -> list[str]:
        """The lines about the claim of this author, each once."""
        start = f"epoch 1, {author}: "
        told = [line for each in self.found for line in lines(each, "claims") if line.startswith(start)]
        return [text.removeprefix(start) for text in dict.fromkeys(told)]


async def test_a_round_tells_of_each_claim_until_when_it_may_be_disputed_and_what_became_of_it(
    tmp_path: Path,
) -> None:
    async with running_stage(tmp_path) as stage:
        model = small_model(verification=Disputed(audited=2))
        round_id = await stage.begin(small_round(digits(1, *TWO)), model)
        looker = Looker(round_id)
        ended = await stage.finish(
            round_id,
            {},
            alice=playing(stage, round_id, 2, flattering(*LIE)),
            bob=playing(stage, round_id, 3),
            carol=watching(round_id),
            witness=looker.play,
        )
        assert ended.round.winner == BOB.address
        async with stage.client() as client:
            after = await shown(client, round_id)
            first, last = (await client.call("round_get", id=round_id))["calendar"]["score"]

        honest = looker.states(HONEST)
        begun = [text for text in honest if text.startswith("not decided; 1 of 2 parts are claimed; ")]
        assert f"may be disputed from tick {first} to {last}" in begun[-1]
        (bobs,) = (claim for claim in after["claims"] if claim["author"] == HONEST)
        whole = f"not decided; may be disputed to tick {last}, or until it is confirmed, which is possible "
        assert f"{whole}from tick {bobs['confirm_tick']} on" in honest
        assert any(text.startswith(f"{whole}now; the audit has drawn chunk") for text in honest)
        assert honest[-1].startswith("confirmed; every node computed 2 of 6 chunks: chunk")
        assert bobs["status"] == "confirmed"
        assert len(bobs["chunks_drawn"]) == 2

        place = f"chunk 1 of part 1 is false, as {WATCHER} has shown, who disputed it"
        assert looker.states(LIAR)[-1] == f"refuted; {place}"
        (refuted,) = after["refuted"]
        assert (refuted["author"], refuted["challenger"], refuted["kind"]) == (LIAR, WATCHER, "dispute_claim")
        assert (refuted["epoch"], refuted["part"], refuted["chunk"], refuted["rows"]) == (0, 1, 1, 8)
        assert (refuted["bond"], refuted["reward"], refuted["bond_burned"]) == (2 * COIN, COIN, COIN)
        (caught,) = lines(after, "caught")
        assert caught == (
            f"epoch 1, {LIAR}: claimed other scores of chunk 1 of part 1 than every node computed; lost a "
            f"bond of 2 coins, 1 of them to {WATCHER}, who disputed it [claim_refuted]"
        )
        assert after["claims"] == looker.found[-1]["claims"], "also when everybody has withdrawn"

        async with stage.client() as client:
            status = await client.call("tx_status", txid=refuted["txid"])
            assert (status["height"], status["status"]) == (refuted["height"], "included")
        async with RpcClient.of_data_dir(stage.find(), tmp_path) as client:
            await client.call("miner_mine", blocks=2 * DEFAULT_DEPTHS.states)
        async with stage.client() as client:
            pruned = await shown(client, round_id)
        assert pruned["claims"] is None, "the states are deleted"
        assert pruned["refuted"] == after["refuted"], "the receipts are kept for ever"


async def test_a_lie_that_the_audit_finds_is_caught_as_well(tmp_path: Path) -> None:
    """Nobody watches, and every chunk is audited: the author's own confirmation shows the lie."""
    async with running_stage(tmp_path) as stage:
        model = small_model(verification=Disputed(audited=64))
        round_id = await stage.begin(small_round(digits(1, *TWO)), model)
        await stage.finish(round_id, {}, alice=playing(stage, round_id, 2, flattering(*LIE)))
        async with stage.client() as client:
            after = await shown(client, round_id)
        (refuted,) = after["refuted"]
        assert (refuted["kind"], refuted["author"], refuted["challenger"]) == ("confirm_update", LIAR, LIAR)
        assert (refuted["part"], refuted["chunk"], refuted["rows"]) == (1, 1, 8)
        assert lines(after, "claims") == [
            f"epoch 1, {LIAR}: refuted; chunk 1 of part 1 is false, as {LIAR} has shown, whose confirmation "
            "audited it"
        ]


async def test_a_claim_that_nobody_confirms_expires(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        model = small_model(verification=Disputed(audited=2))
        round_id = await stage.begin(small_round(digits(1, *TWO)), model)
        looker = Looker(round_id)

        async def claiming(wallet: Wallet) -> None:
            author = stage.author(wallet, learner(2, *TWO))
            await author.play_epoch(round_id, 0)
            await Claims(wallet, author.view).score(round_id)

        await stage.finish(round_id, {}, alice=claiming, witness=looker.play)
        async with stage.client() as client:
            after = await shown(client, round_id)
    (claim,) = after["claims"]
    assert (claim["status"], claim["expired"], claim["dispute_until"]) == ("open", True, None)
    assert looker.states(LIAR)[-1] == (
        "expired: neither confirmed nor refuted in time, so it counts for nothing; 2 of 2 parts were claimed"
    )
    assert (lines(after, "caught"), after["refuted"]) == ([], [])


async def test_what_was_claimed_in_a_growth_does_not_change_when_its_model_gets_a_retention_part(
    tmp_path: Path,
) -> None:
    plan = small_round(digits(1, *TWO), new_classes=1)
    async with running_stage(tmp_path) as stage:
        round_id = await stage.begin(plan, small_model(classes=1, verification=Disputed(audited=2)))
        ended = await stage.finish(round_id, {"alice": learner(2, *TWO)})
        assert ended.round.status == RoundStatus.DECIDED
        async with stage.client() as client:
            model = await client.call("model_get", id=ended.round.model)
            (claim,) = await client.call("round_claims", id=round_id)
        assert model["retention"], "a part of the round has joined"
        assert (claim["parts"], claim["parts_claimed"], claim["chunks"]) == (2, 2, 6)
        assert (claim["status"], claim["expired"]) == ("confirmed", False)
