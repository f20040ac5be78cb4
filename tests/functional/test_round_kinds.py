"""Every kind of network, loss, growth and policy that a person can ask for, up to the new version."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engram.commands.participate import strategy_of
from engram.nn.layers import DenseRelu, DenseSquare
from engram.nn.network import forward
from engram.participant.export import PulledVersion, pull_version
from engram.participant.selection import Selection
from engram.participant.strategies import Plan, honest
from engram.participant.task import Strategy
from engram.participant.training.qat import Budget
from engram.participant.view import ChainView
from engram.participant.wallet import Wallet
from engram.primitives.types import Hash
from engram.statemachine.records import Model
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.candidates import parts_to_score
from engram.statemachine.rounds.records import RoundStatus
from engram.statemachine.transactions.score_update import ScoreUpdate
from tests.support.round_matter import ALICE
from tests.support.stage import Stage, digits, learner, running_stage, small_model, small_round

GATED = 1


async def pulled(stage: Stage, model_id: Hash, *numbers: int) -> list[PulledVersion]:
    """Versions of a model, with their networks."""
    async with stage.client() as client:
        return [await pull_version(client, model_id, number) for number in numbers]


async def trained(stage: Stage, *classes: int, **changes: object) -> Model:
    """A model of these classes with a frozen version 1."""
    round_id = await stage.begin(small_round(digits(1, *classes)), small_model(**changes))
    ended = await stage.finish(round_id, {"alice": learner(2, *classes)})
    assert ended.round.status == RoundStatus.DECIDED
    return await stage.model(ended.round.model)


@pytest.mark.parametrize(
    ("activation", "weight_bits", "loss_kind"),
    [("relu", 8, 2), ("relu", 16, 3), ("square", 8, 3), ("square", 16, 1), ("square", 16, 2)],
)
async def test_a_network_of_any_kind_is_founded_and_trained_for_any_loss(
    tmp_path: Path, activation: str, weight_bits: int, loss_kind: int
) -> None:
    async with running_stage(tmp_path) as stage:
        model = await trained(
            stage, 0, 1, activation=activation, weight_bits=weight_bits, loss_kind=loss_kind
        )
        (found,) = await pulled(stage, model.id, 1)
        version, spec = found.version, found.network.spec
        assert isinstance(spec.hidden[0], DenseSquare if activation == "square" else DenseRelu)
        assert spec.outputs[0].weight_bits == weight_bits
        assert version.sealed_correct >= 0.8 * version.sealed_rows
        assert model.loss_kind == loss_kind


@pytest.mark.parametrize("hidden", [(), (12, 8)])
async def test_networks_without_hidden_layers_and_deep_ones_grow(
    tmp_path: Path, hidden: tuple[int, ...]
) -> None:
    async with running_stage(tmp_path) as stage:
        model = await trained(stage, 0, 1, hidden=hidden)
        round_id = await stage.begin(small_round(digits(1, 0, 1, 2), new_classes=1), model.id)
        ended = await stage.finish(round_id, {"alice": learner(2, 0, 1, 2)})
        assert ended.round.status == RoundStatus.DECIDED
        assert (await stage.model(model.id)).classes == 3


async def test_a_class_is_added_without_any_new_neuron(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        model = await trained(stage, 0, 1)
        round_id = await stage.begin(small_round(digits(1, 0, 1, 2), new_classes=1), model.id)
        ended = await stage.finish(round_id, {"alice": learner(2, 0, 1, 2, neurons=0)})
        assert ended.codes("alice") == ["candidate_admitted"]
        (found,) = await pulled(stage, model.id, 2)
        assert len(found.network.spec.hidden) == 1


async def test_a_model_of_one_class_grows_from_nothing(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        plan = small_round(digits(1, 0, 1, 2), new_classes=2)
        round_id = await stage.begin(plan, small_model(classes=1))
        ended = await stage.finish(round_id, {"alice": learner(2, 0, 1, 2)})
        assert ended.round.status == RoundStatus.DECIDED
        assert (await stage.model(ended.round.model)).classes == 3


async def test_strict_growth_leaves_old_logits_alone_and_capacity_growth_feeds_the_last_classes(
    tmp_path: Path,
) -> None:
    async with running_stage(tmp_path) as stage:
        model = await trained(stage, 0, 1)
        grow = small_round(digits(1, 0, 1, 2, 3), rows=36, new_classes=2)
        ended = await stage.finish(await stage.begin(grow, model.id), {"alice": hasty(2)})
        assert ended.round.status == RoundStatus.DECIDED
        capacity = replace(grow, data=digits(3, 0, 1, 2, 3), new_classes=0, neurons=24)
        round_id = await stage.begin(capacity, model.id)
        ended = await stage.finish(round_id, {"alice": stronger(2), "bob": stronger(4)})
        assert ended.codes("alice") == ended.codes("bob") == ["candidate_admitted"]
        assert ended.round.status == RoundStatus.DECIDED
        rows = digits(3, 0, 1).rows_of(0).features
        *compared, last = await pulled(stage, model.id, 1, 2, 3)
        old, new = (forward(each.network.spec, each.parameters, rows) for each in compared)
        assert new[:, :2].tolist() == old.tolist()
        assert last.network.spec.outputs[-1].first == 2, "only the classes of the last growth are fed"


async def test_gated_capacity_growth_improves_every_class(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        model = await trained(stage, 0, 1, 2, 3, hidden=(3,), policy=GATED, threshold_ppm=900_000)
        capacity = small_round(digits(3, 0, 1, 2, 3), rows=36, new_classes=0, neurons=24)
        round_id = await stage.begin(capacity, model.id)
        ended = await stage.finish(round_id, {"alice": stronger(2), "bob": stronger(4)})
        assert ended.round.status == RoundStatus.DECIDED
        first, second = await pulled(stage, model.id, 1, 2)
        assert second.network.spec.outputs[-1].width == 4
        before, after = first.version, second.version
        assert after.sealed_correct / after.sealed_rows > before.sealed_correct / before.sealed_rows


async def test_gated_growth_of_classes_feeds_old_ones_too(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        model = await trained(stage, 0, 1, policy=GATED)
        round_id = await stage.begin(small_round(digits(1, 0, 1, 2), new_classes=1), model.id)
        ended = await stage.finish(round_id, {"alice": learner(2, 0, 1, 2)})
        assert ended.round.status == RoundStatus.DECIDED
        (found,) = await pulled(stage, model.id, 2)
        assert [block.first for block in found.network.spec.outputs] == [0, 2, 0]


async def test_a_pulled_network_is_adopted_from_its_file_and_from_the_chain(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        host = await trained(stage, 0, 1)
        donor = await other_model(stage)
        async with stage.client() as client:
            (await pull_version(client, donor.id)).save(tmp_path / "donor.npz")
            wallet, file, model = Wallet(client, ALICE), str(tmp_path / "donor.npz"), donor.id.hex()[:10]
            from_file, on_chain = [await strategy_of(wallet, None, it) for it in (file, model)]
        round_id = await stage.begin(small_round(digits(1, 0, 1, 2, 3), rows=36, new_classes=2), host.id)
        ended = await stage.finish(round_id, {"alice": from_file, "bob": on_chain})
        assert ended.round.status == RoundStatus.DECIDED
        assert ended.codes("alice") == ended.codes("bob") == ["candidate_admitted"]
        (grown,) = await pulled(stage, host.id, 2)
        (given,) = await pulled(stage, donor.id, 1)
        assert grown.network.hidden[1].weights == given.network.hidden[0].weights
        sizes = 0, given.version.sent_tensor_bytes
        assert grown.version.sent_tensor_bytes in sizes, "what the chain has need not travel"


async def other_model(stage: Stage) -> Model:
    """A model of its own that knows digits 2 and 3 as 0 and 1."""
    data = Selection("digits", (1, 4), (2, 3), relabel=True)
    own = Selection("digits", (2, 4), (2, 3), relabel=True).rows_of(0)
    round_id = await stage.begin(small_round(data), small_model())
    strategy = honest(Plan(own, Budget(steps=150, batch=16), None, 0))
    ended = await stage.finish(round_id, {"alice": strategy})
    assert ended.round.status == RoundStatus.DECIDED
    return await stage.model(ended.round.model)


async def test_candidates_are_scored_on_everything_whoever_comes_first(tmp_path: Path) -> None:
    """A meddler has alice's candidate scored on a retention part; she has the rest scored."""
    async with running_stage(tmp_path) as stage:
        model = await trained(stage, 0, 1)
        for label, share, meddlers in ((2, 1, ()), (3, 3, ("carol",))):
            classes = range(label + 1)
            plan = small_round(digits(share, *classes), rows=36, new_classes=1)
            round_id = await stage.begin(plan, model.id)
            acts: dict[str, Any] = {name: meddling(round_id) for name in meddlers}
            ended = await stage.finish(round_id, {"alice": learner(2, *classes)}, **acts)
            assert ended.round.status == RoundStatus.DECIDED
            assert ended.round.winner == ALICE.address
        assert len((await stage.model(model.id)).retention) == 3


def meddling(round_id: Hash) -> Callable[[Wallet], Awaitable[None]]:
    """Has every candidate scored on the last retention part, for a higher tip."""

    async def act(wallet: Wallet) -> None:
        view = ChainView(wallet.client)
        round_ = await view.wait_phase(round_id, Phase.SCORE)
        last = len(parts_to_score(round_, await view.get(Model, round_.model))) - 1
        for candidate in await view.candidates(round_):
            payload = ScoreUpdate(round_id, candidate.epoch, candidate.author, (last,))
            await wallet.execute(payload, max_fee=10**6, tip=10**5)

    return act


async def test_parts_and_networks_too_large_for_a_transaction_are_uploaded(tmp_path: Path) -> None:
    """Parts of 400 x 784 bytes, and a network whose first tensor is larger than any transaction."""
    write_images(tmp_path / "large.npz", rows=1_300)
    async with running_stage(tmp_path) as stage:
        data = Selection(str(tmp_path / "large.npz"))
        plan = small_round(data, rows=400, windows={**small_round(data).windows, "reveal": 8, "audit": 8})
        plan = replace(plan, windows={**plan.windows, "update": 12, "commit": 12})
        round_id = await stage.begin(plan, small_model(hidden=(700,)))
        own = data.rows_of(1)
        ended = await stage.finish(
            round_id, {"alice": honest(Plan(own, Budget(steps=20, batch=16), None, 0))}
        )
        assert ended.codes("alice") == ["candidate_admitted"]
        assert ended.round.status == RoundStatus.DECIDED
        (found,) = await pulled(stage, ended.round.model, 1)
        assert found.version.sent_tensor_bytes < 784 * 700, "the large tensor came before"


def write_images(path: Path, rows: int) -> None:
    """Two classes of 28 x 28 images: bright above, bright below."""
    rng = np.random.default_rng(0)
    labels = np.arange(rows) % 2
    images = rng.integers(0, 60, (rows, 784), dtype=np.uint8)
    images[labels == 0, :392] += 150
    images[labels == 1, 392:] += 150
    np.savez(path, features=images, labels=labels)


def hasty(share: int) -> Strategy:
    """An honest author with two new neurons and little training, who leaves much to be improved."""
    return honest(Plan(digits(share, 0, 1, 2, 3).rows_of(0), Budget(steps=100, batch=16), 2, 0))


def stronger(share: int) -> Strategy:
    """An honest author with more training."""
    return honest(Plan(digits(share, 0, 1, 2, 3).rows_of(0), Budget(steps=500, batch=32), None, 0))
