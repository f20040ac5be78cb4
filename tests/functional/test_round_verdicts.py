"""Why a round ended as it did: what the node answers afterwards, when the candidates are gone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from engram.commands.support.round_fields import round_fields
from engram.commands.support.verdicts import with_verdicts
from engram.node.rpc.outcomes import outcomes, reasons
from engram.participant.adversaries import leaker
from engram.participant.journal import CommitSecret
from engram.participant.parts import ROUNDS_DIRECTORY
from engram.participant.selection import Selection
from engram.participant.task import Draft, Task
from engram.participant.training.qat import Budget
from engram.participant.wallet import Wallet
from engram.participant.witness import Witness, sealed_part
from engram.primitives.types import Hash
from engram.statemachine.records import NamedWitness
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.records import RoundStatus
from engram.statemachine.transactions.commit_update import CommitUpdate
from tests.support.round_matter import COIN, WITNESS
from tests.support.stage import KEYS, Stage, digits, learner, running_stage, small_model, small_round

TWO = (0, 1)


async def ended_round(stage: Stage, round_id: Hash) -> dict[str, Any]:
    """What commands ask for; the node words it as they do."""
    async with stage.client() as client:
        found = await with_verdicts(client, await client.call("round_get", id=round_id))
        told = await client.call("round_outcomes", id=round_id)
    assert told == {"due": None, "due_text": None, "why": reasons(found), "updates": outcomes(found)}
    return found


async def test_a_round_without_candidates(tmp_path: Path) -> None:
    def lazy(task: Task) -> Draft | None:
        return None

    async with running_stage(tmp_path) as stage:
        round_id = await stage.begin(small_round(digits(1, *TWO)), small_model())
        await stage.finish(round_id, {"alice": lazy})
        assert reasons(await ended_round(stage, round_id)) == ["no update became a candidate"]


async def test_a_growth_that_nobody_had_scored(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        first = await stage.begin(small_round(digits(1, *TWO)), small_model())
        ended = await stage.finish(first, {"alice": learner(2, *TWO)})
        (verdict,) = (found := await ended_round(stage, first))["verdicts"]
        assert (verdict["reasons"], verdict["below_baseline"], verdict["rung"]) == ([], True, True)
        (won,) = outcomes(found)
        assert won["reasons"] == []
        share = verdict["share"]
        assert won["paid"] == COIN - COIN * share["loss"] // share["baseline"] - 1
        maturing = await stage.maturing("alice")
        assert won["paid"] == sum(reward["amount"] for reward in maturing), "what it says was paid"
        plan = small_round(digits(1, 0, 1, 2), new_classes=1)
        second = await stage.begin(plan, ended.round.model)

        async def forgetful(wallet: Wallet) -> None:
            await stage.author(wallet, learner(2, 0, 1, 2)).play_epoch(second, 0)

        ended = await stage.finish(second, {}, alice=forgetful)
        assert ended.round.status == RoundStatus.KEPT
        (lost,) = outcomes(await ended_round(stage, second))
        assert (lost["epoch"], lost["paid"], lost["reasons"]) == (0, 0, ["not_scored"])


async def test_an_update_that_learned_the_validation_parts_by_heart(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        round_id = await stage.begin(small_round(digits(1, *TWO)), small_model())
        others = digits(3, *TWO, rows=40).rows_of(0)
        strategies = {"alice": learner(2, *TWO), "bob": leaker(Budget(steps=600, batch=16), 1, others)}
        ended = await stage.finish(round_id, strategies)
        assert ended.codes("bob") == ["candidate_admitted"]
        assert ended.round.results[0].author == KEYS["bob"].address, "it knows what is public best"
        assert ended.round.winner == KEYS["alice"].address
        done = {item["author"]: item for item in outcomes(await ended_round(stage, round_id))}
        _, leaked = sorted(done.values(), key=lambda item: item["paid"], reverse=True)
        assert leaked["reasons"] == ["gain_not_proved"]
        assert "on the opener's 24 rows loss" in leaked["why"][0]


async def test_a_second_best_update_and_one_that_was_never_shown(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        round_id = await stage.begin(small_round(digits(1, *TWO)), small_model())

        async def silent(wallet: Wallet) -> None:
            author = stage.author(wallet, learner(4, *TWO))
            round_ = await author.view.wait_phase(round_id, Phase.COMMIT)
            secret = await author._prepare(round_, 0)
            assert isinstance(secret, CommitSecret), "the learner proposes something"
            await author.wallet.execute(CommitUpdate(round_id, 0, secret.digest))

        ended = await stage.finish(
            round_id, {"alice": learner(2, *TWO), "bob": learner(3, *TWO)}, carol=silent
        )
        assert ended.round.status == RoundStatus.DECIDED
        codes = [code for done in outcomes(await ended_round(stage, round_id)) for code in done["reasons"]]
        assert sorted(codes) == ["not_best_of_epoch", "not_revealed"]


async def test_a_pot_that_was_refused_goes_to_whoever_improves_the_model_next(tmp_path: Path) -> None:
    honest = digits(4, *TWO).rows_of(0)
    np.savez(tmp_path / "wrong.npz", features=honest.features, labels=1 - honest.labels)

    async def spoil(wallet: Wallet) -> None:
        witness = Witness(wallet, stage.folder / ROUNDS_DIRECTORY, stage.tell)
        part = await sealed_part(wallet, Selection(str(tmp_path / "wrong.npz")), first, 0)
        await witness.seal(first, part)
        await witness.testify(first)

    async with running_stage(tmp_path) as stage:
        named = (NamedWitness(WITNESS.address, old_only=False),)
        first = await stage.begin(small_round(digits(1, *TWO), witnesses=named), small_model())
        kept = (await stage.finish(first, {"alice": learner(2, *TWO)}, witness=spoil)).round
        assert (kept.status, kept.refused) == (RoundStatus.KEPT, True)
        assert reasons(await ended_round(stage, first))[-1].endswith("for whoever improves it next")
        assert (await stage.model(kept.model)).carried == COIN
        plan = small_round(digits(3, *TWO), bounty=2 * COIN)
        second = await stage.begin(plan, kept.model)
        assert (await stage.model(kept.model)).carried == 0, "while a round is open, it holds the pot"
        assert dict(round_fields(await ended_round(stage, second)))["carried"] == "1, of earlier rounds"
        ended = (await stage.finish(second, {"alice": learner(2, *TWO)})).round
        assert (ended.status, ended.carried) == (RoundStatus.DECIDED, 0)
        (won,) = outcomes(await ended_round(stage, second))
        paid = sum(reward["amount"] for reward in await stage.maturing("alice"))
        assert won["paid"] == paid, "what it says was paid"
        left = (await stage.model(kept.model)).carried
        share = ended.best[0]
        assert left == COIN - COIN * (share.baseline - share.loss) // share.baseline
        assert paid == 2 * COIN * (share.baseline - share.loss) // share.baseline + COIN - left
