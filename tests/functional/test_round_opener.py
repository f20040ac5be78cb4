"""The opener's side: it can die before and after everything it sends, its node can, and time can pass."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engram.node.errors import RemoteError
from engram.participant.errors import NewRowsMissing, OldRowsMissing, SecretsNotFound
from engram.participant.parts import ROUNDS_DIRECTORY
from engram.participant.round_plan import draft_founding
from engram.participant.view import ChainView
from engram.participant.wallet import Wallet
from engram.participant.witness import Witness, sealed_part
from engram.primitives.types import Hash
from engram.statemachine.records import NamedWitness, Part
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.errors import PartPublic
from engram.statemachine.rounds.records import Round, RoundStatus
from engram.statemachine.transaction import TxPayload
from tests.support.round_matter import COIN, WITNESS
from tests.support.stage import digits, learner, running_stage, small_model, small_round

TWO = (0, 1)


class Death(Exception):
    """The program ends here."""


class MortalWallet(Wallet):
    """A wallet whose program dies at everything it sends for the first time: before it, then after it."""

    def __init__(self, wallet: Wallet, deaths: dict[TxPayload, int]) -> None:
        super().__init__(wallet.client, wallet.key)
        self._deaths = deaths

    async def send(self, payload: TxPayload, *, max_fee: int | None = None, tip: int | None = None) -> Hash:
        died = self._deaths[payload] = self._deaths.get(payload, 0) + 1
        if died == 1:
            raise Death
        txid = await super().send(payload, max_fee=max_fee, tip=tip)
        if died == 2:
            raise Death
        return txid


async def test_an_opener_dies_before_and_after_everything_it_sends(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        plan = small_round(digits(1, *TWO), parts=5, rows=12, validation=2, sealed=2)
        round_id = await stage.begin(plan, small_model())
        deaths: dict[TxPayload, int] = {}

        async def mortal(wallet: Wallet) -> Round:
            while True:
                try:
                    return await stage.opener(MortalWallet(wallet, deaths)).run(round_id)
                except Death:
                    continue

        ended = await stage.finish(round_id, {"alice": learner(2, *TWO)}, opener=mortal)
        assert ended.round.status == RoundStatus.DECIDED
        sent = [payload.NAME for payload in deaths]
        assert (sent.count("reveal_part"), sent.count("reveal_sealed")) == (2, 2)
        assert all(count >= 2 for count in deaths.values())
        assert ended.round.audit_ended > 0, "everything was opened before the phase was over"


async def test_secrets_are_saved_before_the_round_is_opened_and_needed_after(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        round_id = await stage.begin(small_round(digits(1, *TWO)), small_model())
        (saved,) = (tmp_path / "rounds").glob("*.secrets")
        assert saved.stat().st_mode & 0o777 == 0o600
        saved.unlink()
        async with stage.actor("opener") as wallet:
            with pytest.raises(SecretsNotFound):
                await stage.opener(wallet).run(round_id)


async def test_an_opener_who_comes_too_late_ends_the_round_as_soon_as_it_can_be(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        round_id = await stage.begin(small_round(digits(1, *TWO)), small_model())
        async with stage.actor("opener") as wallet:
            opener = stage.opener(wallet)
            round_ = await opener.view.get(Round, round_id)
            reveal = await opener.view.span(round_, Phase.REVEAL)
            await opener.view.wait_tick(reveal.last + 1)
            ended = await opener.run(round_id)
            assert ended.status == RoundStatus.ABORTED
            assert await opener.view.tick() <= reveal.last + 3, "nobody waits for windows that are in vain"
        assert "phase_missed" in [notice.event for notice in stage.said]


async def test_an_opener_steps_through_the_round_by_hand(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        round_id = await stage.begin(small_round(digits(1, *TWO)), small_model())

        async def by_hand(wallet: Wallet) -> Round:
            opener = stage.opener(wallet)
            await opener.reveal_next(round_id)
            assert len((await opener.view.get(Round, round_id)).validation_opened) == 1
            await opener.reveal_next(round_id)
            assert len((await opener.view.get(Round, round_id)).unseen) == 1
            return await opener.run(round_id)

        ended = await stage.finish(round_id, {"alice": learner(2, *TWO)}, opener=by_hand)
        assert ended.round.status == RoundStatus.DECIDED


async def test_what_is_not_said_is_the_least_that_the_chain_accepts(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        plan = small_round(digits(1, *TWO), validation=None, sealed=None, bounty=30 * COIN)
        async with stage.actor("opener") as wallet:
            drafted = await draft_founding(wallet, plan, small_model())
            terms = drafted.payload.terms
            assert (terms.validation, terms.sealed, terms.z_squared) == (1, 1, 4)
            assert terms.opener_bond == 15 * COIN, "half of the bounty"
            for cheaper in (
                replace(terms, opener_bond=terms.opener_bond - 1),
                replace(terms, author_bond=terms.author_bond - 1),
            ):
                payload = replace(drafted.payload, terms=cheaper)
                with pytest.raises(RemoteError) as refused:
                    await stage.opener(wallet).open(payload, drafted.secrets)
                assert refused.value.code == "bond_too_low"
            await stage.opener(wallet).open(drafted.payload, drafted.secrets)


async def test_a_growth_is_not_opened_without_rows_of_each_new_class(tmp_path: Path) -> None:
    """Seen: a growth was opened for a class that no row of its parts had, so that nothing could judge it."""
    async with running_stage(tmp_path) as stage:
        first = await stage.begin(small_round(digits(1, *TWO)), small_model())
        model = (await stage.finish(first, {"alice": learner(2, *TWO)})).round.model
        with pytest.raises(NewRowsMissing, match="no row of the parts has class 2, but") as lacking:
            await stage.begin(small_round(digits(1, *TWO), new_classes=1), model)
        assert lacking.value.got == [2]
        with pytest.raises(NewRowsMissing, match="no row of the parts has class 3, but"):
            await stage.begin(small_round(digits(1, 0, 1, 2), new_classes=2), model)
        await stage.begin(small_round(digits(1, 0, 1, 2), new_classes=1), model)


async def test_a_new_class_may_be_in_a_witness_s_rows_alone(tmp_path: Path) -> None:
    """Seen: a growth was refused because its opener lacked a class of which the named witness had rows."""
    async with running_stage(tmp_path) as stage:
        first = await stage.begin(small_round(digits(1, *TWO)), small_model())
        model = (await stage.finish(first, {"alice": learner(2, *TWO)})).round.model
        named = (NamedWitness(WITNESS.address, old_only=False),)
        only_old = small_round(digits(1, *TWO), new_classes=1, witnesses=named)
        with pytest.raises(NewRowsMissing, match="the policy strict every growth does worse on old rows"):
            await stage.begin(only_old, model)
        plan = small_round(digits(1, 0, 1, 2), new_classes=2, neurons=32, bounty=2 * COIN)
        old_rows_only = (NamedWitness(WITNESS.address, old_only=True),)
        with pytest.raises(NewRowsMissing, match="no row of the parts has class 3, but"):
            await stage.begin(replace(plan, witnesses=old_rows_only), model)
        round_id = await stage.begin(replace(plan, witnesses=named), model)

        async def testify(wallet: Wallet) -> None:
            witness = Witness(wallet, stage.folder / ROUNDS_DIRECTORY, stage.tell)
            await witness.seal(round_id, await sealed_part(wallet, digits(4, 0, 1, 2, 3), round_id, 0))
            await witness.testify(round_id)

        ended = await stage.finish(round_id, {"alice": learner(2, 0, 1, 2, 3)}, witness=testify)
        assert ended.round.unseen_counts[3] == ended.round.witness_counts[3] > 0
        assert ended.round.status == RoundStatus.DECIDED, "the witness's rows have judged the class"


async def test_parts_that_would_be_broken_are_not_committed_to(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        first = await stage.begin(small_round(digits(1, *TWO)), small_model())
        model = (await stage.finish(first, {"alice": learner(2, *TWO)})).round.model
        with pytest.raises(OldRowsMissing, match="only 0 rows of old classes, and 6 are promised"):
            await stage.begin(small_round(digits(1, 2), rows=12, new_classes=1), model)
        with pytest.raises(OldRowsMissing, match="20 are promised"):
            await stage.begin(small_round(digits(1, 0, 1, 2), new_classes=1, old_rows=20), model)
        few = small_round(digits(1, 0, 1, 2), new_classes=1, old_rows=20)
        with pytest.raises(OldRowsMissing, match="promise at most --old-rows 16, use larger parts"):
            await stage.begin(few, model)
        with pytest.raises(OldRowsMissing, match=r"add rows of the old classes .* \(docs/memory.md\)"):
            await stage.begin(small_round(digits(1, 2), rows=12, new_classes=1), model)
        growing = await stage.begin(small_round(digits(1, 0, 1, 2), new_classes=1), model)
        async with stage.client() as client:
            assert (await ChainView(client).get(Round, growing)).terms.old_rows == 6, "enough for the chain"


async def test_parts_that_are_public_are_not_committed_to_again(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        plan = small_round(digits(1, *TWO))
        first = await stage.begin(plan, small_model(threshold_ppm=1))
        model = (await stage.finish(first, {"alice": learner(2, *TWO)})).round.model
        async with stage.client() as client:
            round_ = await ChainView(client).get(Round, first)
        saved, before = set((tmp_path / "rounds").iterdir()), await stage.account("opener")
        public = {part.commitment for part in (*round_.validation_opened, *round_.unseen)}
        number = 1 + next(at for at, part in enumerate(round_.terms.commitments) if part in public)
        for opened in (model, small_model(hidden=(32,))):
            with pytest.raises(PartPublic, match=rf"part {number} of 3 .* or another --seed"):
                await stage.begin(plan, opened)
        async with stage.client() as client:
            assert await client.call("mempool_list") == []
        assert set((tmp_path / "rounds").iterdir()) == saved
        assert (await stage.account("opener")).nonce == before.nonce, "nothing was sent"
        second = await stage.begin(replace(plan, seed=1), model)
        async with stage.client() as client:
            assert (await ChainView(client).get(Round, second)).status == RoundStatus.OPEN


async def test_the_node_says_since_when_parts_are_public(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        first = await stage.begin(small_round(digits(1, *TWO)), small_model())
        round_ = (await stage.finish(first, {"alice": learner(2, *TWO)})).round
        async with stage.client() as client:
            view, none = ChainView(client), "ee" * 32
            blob = (await view.get(Part, round_.validation_opened[0].commitment)).blob.hex()
            found = await client.call("part_bytes", contents=[none, blob, blob])
            assert [item["content"] for item in found] == [none, blob, blob]
            assert found[0]["public_since"] is None
            assert found[1] == found[2]
            assert round_.opened < found[1]["public_since"] <= round_.reveal_ended
            assert await client.call("part_bytes", contents=[]) == []
            assert len(await client.call("part_bytes", contents=[none] * 256)) == 256
            for wrong in ([none] * 257, ["ee"], ["no"], [7], [none + "0"]):
                with pytest.raises(RemoteError) as refused:
                    await client.call("part_bytes", contents=wrong)
                assert refused.value.code == "invalid_params"


async def test_a_round_survives_restarts_of_its_node(tmp_path: Path) -> None:
    """Also of a node that forgets what waited: reveals, commit and update are handed in again."""
    async with running_stage(tmp_path) as stage:
        round_id = await stage.begin(small_round(digits(1, *TWO)), small_model())
        stage.restart_for_everything()
        ended = await stage.finish(round_id, {"alice": learner(2, *TWO)})
        assert ended.codes("alice") == ["candidate_admitted"]
        assert ended.round.status == RoundStatus.DECIDED
        assert stage.restarts >= 4
