"""Turns the options of `engram round open` into the plans of a round and of a new model."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

from engram.commands.support.founding import sure_selection
from engram.commands.support.options import is_given
from engram.commands.support.selecting import selection_of
from engram.commands.support.session import CommandSession

if TYPE_CHECKING:
    from engram.participant.memory.opening import MemoryPlan
    from engram.participant.round_plan import ModelPlan, RoundPlan
    from engram.participant.verification import Disputed
    from engram.primitives.types import Address
    from engram.statemachine.records import NamedWitness


LEARNED: Final = ("classes", "hidden", "activation", "weight_bits", "loss")
"""Options about a new model's network: that of a memory folder is learned already."""
ADVISED: Final = ("threshold", "policy", "epsilon", "delta", "lost_cap")
"""Options about a new model that follow from a memory folder, where the user does not give them."""

VERIFICATION: Final = ("verification", "dispute_window", "audit_chunks")
"""Options about who computes the scores of a new model."""


def _names(session: CommandSession, accounts: tuple[str, ...]) -> tuple[Address, ...]:
    from engram.primitives.keys import parse_address

    return tuple(parse_address(session.address(account), session.hrp) for account in accounts)


def _witnesses(
    session: CommandSession, full: tuple[str, ...], old_only: tuple[str, ...]
) -> tuple[NamedWitness, ...]:
    from engram.statemachine.records import NamedWitness

    named = [NamedWitness(address, old_only=False) for address in _names(session, full)]
    named += [NamedWitness(address, old_only=True) for address in _names(session, old_only)]
    return tuple(named)


def model_plan(session: CommandSession, options: dict[str, Any]) -> ModelPlan:
    """The plan of a new model; takes its options out of `options`."""
    from engram.nn.growth import Policy
    from engram.nn.loss import LossKind
    from engram.participant.round_plan import ModelPlan
    from engram.statemachine.records import GrowthLimits

    full, old_only = options.pop("standing_witnesses"), options.pop("standing_old_witnesses")
    return ModelPlan(
        loss_kind=LossKind[options.pop("loss").upper()],
        policy=Policy[options.pop("policy").upper()],
        threshold_ppm=options.pop("threshold"),
        retention_epsilon_ppm=options.pop("epsilon"),
        retention_delta_ppm=options.pop("delta"),
        lost_cap_ppm=options.pop("lost_cap"),
        growth_limits=GrowthLimits(**options.pop("growth_limits")),
        members=_names(session, options.pop("members")),
        witnesses=_witnesses(session, full, old_only),
        classes=options.pop("classes"),
        hidden=options.pop("hidden"),
        activation=options.pop("activation"),
        weight_bits=int(options.pop("weight_bits")),
        verification=_verification(options),
    )


def memory_plan(session: CommandSession, options: dict[str, Any]) -> MemoryPlan:
    """The plan of a model that is founded from a memory folder; takes the options of a model out."""
    from engram.nn.growth import Policy
    from engram.participant.memory.opening import MemoryPlan

    full, old_only = options.pop("standing_witnesses"), options.pop("standing_old_witnesses")
    given = {name: value if is_given(name) else None for name, value in options.items() if name in ADVISED}
    for name in (*ADVISED, *LEARNED):
        del options[name]
    return MemoryPlan(
        policy=None if given["policy"] is None else Policy[given["policy"].upper()],
        threshold_ppm=given["threshold"],
        epsilon_ppm=given["epsilon"],
        delta_ppm=given["delta"],
        lost_cap_ppm=given["lost_cap"],
        growth_limits=options.pop("growth_limits"),
        members=_names(session, options.pop("members")),
        witnesses=_witnesses(session, full, old_only),
        verification=_verification(options),
    )


def _verification(options: dict[str, Any]) -> Disputed | None:
    """How the founder wants scores verified; takes the options of this out."""
    from engram.participant.verification import Disputed

    chosen, window, audited = (options.pop(name) for name in VERIFICATION)
    return Disputed(window, audited) if chosen == "disputed" else None


def round_plan(
    session: CommandSession, options: dict[str, Any], *, yes: bool, founds: bool, classes: int | None
) -> RoundPlan:
    """The plan of the round, made of what `model_plan` has left in `options`, with rows that the user means.

    `yes`, `founds` and `classes` are those of `sure_selection`. Raises what that raises.
    """
    from engram.participant.round_plan import RoundPlan

    data = sure_selection(session, selection_of(options), yes=yes, founds=founds, classes=classes)
    seed = options.pop("seed")
    witnesses = _witnesses(session, options.pop("witnesses"), options.pop("old_witnesses"))
    return RoundPlan(
        data=data,
        witnesses=witnesses,
        seed=secrets.randbelow(2**63) if seed is None else seed,
        **options,
    )
