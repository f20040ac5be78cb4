"""Founds a model on the chain from a memory folder, with limits that let honest growths pass the gate."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from engram.nn.growth import Policy
from engram.nn.loss import LossKind
from engram.nn.spec import NetworkLimits, NetworkSpec
from engram.participant.gate_odds import JudgedRows, pass_chance
from engram.participant.memory.advice import Advice, advise
from engram.participant.memory.costs import costs_of, growth_neurons
from engram.participant.memory.engines import ENGINES
from engram.participant.memory.errors import EnginePolicyMismatch
from engram.participant.memory.folder import MemoryFolder
from engram.participant.memory.playing import Memory
from engram.participant.memory.trials import Trials
from engram.participant.round_plan import DraftedRound, RoundPlan, claims_of, draft_whole, part_shape
from engram.participant.verification import Disputed
from engram.participant.view import ChainView
from engram.participant.wallet import Wallet
from engram.primitives.types import Address
from engram.statemachine.records import GrowthLimits, NamedWitness
from engram.statemachine.rounds.terms import Founding
from engram.statemachine.rules import Rules

LEAST_THRESHOLD_PPM: Final = 200_000
LEAST_EPSILON_PPM: Final = 20_000
LEAST_DELTA_PPM: Final = 250_000
LEAST_LOST_CAP_PPM: Final = 200_000
"""What a founding allows at least, where its founder says nothing: the defaults of other foundings."""


@dataclass(frozen=True)
class MemoryPlan:
    """What a founder decides about a model that is founded from a memory; None takes what is advised."""

    policy: Policy | None = None
    threshold_ppm: int | None = None
    epsilon_ppm: int | None = None
    delta_ppm: int | None = None
    lost_cap_ppm: int | None = None
    growth_limits: Mapping[str, int] = field(default_factory=dict)
    """Fields of `GrowthLimits`; the others are so large that the memory's growths fit."""
    members: tuple[Address, ...] = ()
    witnesses: tuple[NamedWitness, ...] = ()
    verification: Disputed | None = None
    """As in `ModelPlan`."""


@dataclass(frozen=True)
class Odds:
    """What came of the plan: the limits of the model, and how honest growths pass them."""

    advice: Advice
    epsilon_ppm: int
    delta_ppm: int
    threshold_ppm: int
    lost_cap_ppm: int
    likely: float
    """The chance that a growth loses few enough rows which loses the share that is expected."""
    surely: float
    """The same for the share for which limits are made."""


async def draft_memory(
    wallet: Wallet, plan: RoundPlan, model: MemoryPlan, folder: MemoryFolder
) -> tuple[DraftedRound, Odds]:
    """Drafts a round that founds the folder's model, as `draft_whole` does.

    Raises what `draft_whole` raises, `EnginePolicyMismatch`, and what `MemoryFolder` raises.
    """
    memory, network = folder.memory, await asyncio.to_thread(folder.founding)
    trials = folder.trials()
    spec = await ChainView(wallet.client).spec()
    rules = spec.rules
    data = await asyncio.to_thread(plan.data.rows_of, plan.seed)
    judged = judged_rows(rules, plan, data.rows, trials, len(model.witnesses))
    odds = await asyncio.to_thread(odds_of, memory, trials, judged, model)
    template = Founding(
        *(network.spec, (), (), int(policy_of(memory, model.policy))),
        *(int(LossKind.SOFTMAX_CROSS_ENTROPY), odds.threshold_ppm),
        *(odds.epsilon_ppm, odds.delta_ppm, odds.lost_cap_ppm),
        members=model.members,
        witnesses=model.witnesses,
        claims=claims_of(spec, plan, model.verification),
        growth_limits=growth_limits(
            memory, network.spec, rules.networks, model.growth_limits, trials.expected
        ),
    )
    return await draft_whole(wallet, plan, network.founding(template)), odds


def policy_of(memory: Memory, chosen: Policy | None) -> Policy:
    """The policy of the memory's model. Raises `EnginePolicyMismatch` if its engine has no such growths."""
    policies = ENGINES[memory.engine].policies
    if chosen is not None and chosen not in policies:
        raise EnginePolicyMismatch(
            expected=tuple(policy.name.lower() for policy in policies), got=chosen.name.lower()
        )
    return policies[0] if chosen is None else chosen


def judged_rows(rules: Rules, plan: RoundPlan, rows: int, trials: Trials, standing: int) -> JudgedRows:
    """By which rows a later growth is judged, if its round is as large as this one.

    Its rows are of all classes alike, and it adds as many classes as the founder expects.
    """
    _, each, sealed = part_shape(rules, plan, rows)
    classes = trials.classes + trials.expected
    witnesses = each * (len(plan.witnesses) + standing)
    own, theirs = (count * trials.classes // classes for count in (each * sealed, witnesses))
    unseen = each * sealed + witnesses
    groups = (own, theirs) if witnesses else ()
    return JudgedRows(own + theirs, unseen - own - theirs, each, groups)


def odds_of(memory: Memory, trials: Trials, judged: JudgedRows, model: MemoryPlan) -> Odds:
    """The limits of a model: those of the plan, else those advised, at least other foundings' defaults."""
    known = LEAST_THRESHOLD_PPM if model.threshold_ppm is None else model.threshold_ppm
    advice = advise(trials, judged, growths=memory.rule.count - 1, threshold_ppm=known)
    pairs = (
        (model.epsilon_ppm, advice.epsilon_ppm, LEAST_EPSILON_PPM),
        (model.delta_ppm, advice.delta_ppm, LEAST_DELTA_PPM),
        (model.threshold_ppm, advice.threshold_ppm, LEAST_THRESHOLD_PPM),
        (model.lost_cap_ppm, advice.lost_cap_ppm, LEAST_LOST_CAP_PPM),
    )
    epsilon, delta, threshold, cap = (
        max(advised, least) if chosen is None else chosen for chosen, advised, least in pairs
    )
    shares = (advice.expected_share, advice.planned_share)
    likely, surely = (pass_chance(share, judged, epsilon) for share in shares)
    return Odds(advice, epsilon, delta, threshold, cap, likely, surely)


def growth_limits(
    memory: Memory,
    spec: NetworkSpec,
    networks: NetworkLimits,
    chosen: Mapping[str, int],
    new_classes: int,
) -> GrowthLimits:
    """What one growth may append at most: what was chosen, and else so much that the memory's growths fit.

    A growth's costs are reckoned with twice the classes that the founder expects.
    """
    plain, classes = GrowthLimits(), max(2, 2 * new_classes)
    costs = costs_of(memory, spec, networks, classes)
    steps = [after - before for before, after in pairwise((costs.now, *costs.after))]
    fits = {
        "neurons": max(plain.neurons, growth_neurons(memory, classes)),
        "macs_per_row": max(plain.macs_per_row, *steps, 0),
    }
    return GrowthLimits(**{**fits, **chosen})
