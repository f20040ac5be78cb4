"""The options of opening a round, as a program gives them, and the plans that they make.

They mean what they mean in `engram round open`. An option that is not given, or None, takes the default of
the plan; one that would have no effect is refused rather than ignored.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, TypedDict, TypeVar, cast

from engram.library.checks import coins, items, one_of, whole
from engram.library.errors import OptionInvalid, OptionUnused
from engram.nn.growth import Policy
from engram.nn.loss import LossKind
from engram.nn.spec import NetworkLimits
from engram.participant.coins import Coins, sparks_of
from engram.participant.datasets import Dataset
from engram.participant.round_plan import ModelPlan, RoundPlan
from engram.participant.round_terms import RoundWindows
from engram.participant.selection import GivenRows
from engram.participant.training.shapes import ACTIVATIONS
from engram.participant.verification import USUAL_AUDITED, Disputed
from engram.primitives.keys import PrivateKey, parse_address
from engram.statemachine.records import GrowthLimits, NamedWitness
from engram.statemachine.rounds.judging import PPM
from engram.statemachine.rounds.terms import MAX_AUDITED

T = TypeVar("T")


class FoundingOptions(TypedDict, total=False):
    """What founding fixes for good. Not for a round on a model that exists.

    `classes`: how many classes the model has. Default: the highest label and one
    `hidden`: neurons of each hidden layer; () for none. Default: (32,)
    `activation`: function of the hidden neurons, "relu" or "square". Default: "relu"
    `weight_bits`: bits of a weight, 8 or 16. Default: 8
    `loss`: "softmax_cross_entropy", "squared_error" or "zero_one". Default: "softmax_cross_entropy"
    `threshold`: the neurons freeze at this share of ln(classes) nats a row. Default: 0.2
    `policy`: what a growth may do to old logits, "strict", "gated" or "relative". Default: "strict"
    `epsilon`: share of the old rows that one growth may lose. Default: the least share with which a growth
        that loses 5 % of old rows in truth passes in 95 of 100 rounds as large as this one, 0.02 or more
    `delta`: share by which a growth may raise the loss on old rows. Default: 0.25
    `lost_cap`: share of old rows that all growths together may lose. Default: 0.2
    `growth_limits`: the most that one growth may append: segments, neurons, components, classes,
        macs_per_row. Default: {"segments": 32, "neurons": 1024, "components": 256, "classes": 64,
        "macs_per_row": 2000000}
    `members`: who may open rounds that grow the model, beside the founder. Default: ()
    `standing_witnesses`: witnesses without whose sealed part no round takes place. Default: ()
    `standing_old_witnesses`: the same, for parts of old classes only. Default: ()
    `verification`: who computes the scores of updates, "everyone" or "disputed". With "everyone", every node
        computes every score. With "disputed", authors claim their scores, and a node computes only what
        somebody disputes and what an audit draws: one honest watcher and one honest miner are assumed.
        Default: "everyone"
    `dispute_window`: ticks in which a claim can be disputed. Default: the length of the phase commit, or the
        least that the chain allows
    `audit_chunks`: chunks of rows of each claim that every node recomputes, 1 to 64. Default: 8
    """

    classes: int
    hidden: Sequence[int]
    activation: str
    weight_bits: int
    loss: str
    threshold: float
    policy: str
    epsilon: float
    delta: float
    lost_cap: float
    growth_limits: Mapping[str, int]
    members: Sequence[str | PrivateKey]
    standing_witnesses: Sequence[str | PrivateKey]
    standing_old_witnesses: Sequence[str | PrivateKey]
    verification: str
    dispute_window: int
    audit_chunks: int


class GrowthOptions(TypedDict, total=False):
    """What a growth may add. Not for the first round of a model with several classes, which trains it.

    `new_classes`: how many classes to add. Default: 0
    `neurons`: the most neurons that an update may add. Default: 32
    `old_rows`: the fewest rows of old classes in each sealed part. Default: so many that the opener's alone
        are enough for the chain
    """

    new_classes: int
    neurons: int
    old_rows: int


class OpeningOptions(FoundingOptions, GrowthOptions, total=False):
    """All options of a round: those of `FoundingOptions`, those of `GrowthOptions`, and for every round:

    `bounty`: coins for the authors whose updates lower the loss. Default: 0
    `opener_bond`: coins that the opener loses with the bounty if it does not reveal. Default: the least that
        the chain accepts
    `author_bond`: coins that each author puts at stake with an update. Default: the least that the chain
        accepts
    `witness_fee`: coins that each witness gets out of the bounty. Default: 0
    `epochs`: how many times authors can train and commit. Default: 2
    `parts`: how many parts the rows are split into. Default: the fewest that the chain accepts
    `rows`: rows in each part. Default: an equal share of all rows, at most 1000
    `validation`: how many parts are drawn to be revealed before training. Default: the fewest that the chain
        accepts
    `sealed`: how many parts are drawn to stay sealed until all updates are revealed. Default: the fewest that
        the chain accepts
    `z_squared`: a gain must be so many times the square of its scatter. Default: the least that the chain
        accepts
    `windows`: ticks of the phases by their names, or one number for all phases but the gap. Default: about
        a minute each, three for commit, and the shortest gap; on a chain of `dev_node` or
        `localnet` 4 each, and 2 for the gap
    `witnesses`: who may seal a part of their own as a witness. Default: ()
    `old_witnesses`: the same, for a part of old classes only. Default: ()
    `seed`: fixes how rows are split into parts, and a new model's first weights. Default: drawn at random
    """

    bounty: Coins
    opener_bond: Coins
    author_bond: Coins
    witness_fee: Coins
    epochs: int
    parts: int
    rows: int
    validation: int
    sealed: int
    z_squared: int
    windows: int | Mapping[str, int]
    witnesses: Sequence[str | PrivateKey]
    old_witnesses: Sequence[str | PrivateKey]
    seed: int


_ACCOUNTS: Final = (
    *("members", "standing_witnesses", "standing_old_witnesses"),
    *("witnesses", "old_witnesses"),
)
"""Options that name accounts: `AsyncChain.open_round` takes names for addresses in them."""
_COINS: Final = ("bounty", "opener_bond", "author_bond", "witness_fee")
_PLAIN: Final = ("epochs", "parts", "rows", "validation", "sealed", "z_squared", "seed")
_PPM: Final[Mapping[str, tuple[str, float | None]]] = {
    "threshold": ("threshold_ppm", 0.2),
    "epsilon": ("retention_epsilon_ppm", None),
    "delta": ("retention_delta_ppm", 0.25),
    "lost_cap": ("lost_cap_ppm", 0.2),
}
"""Shares: the plan's field, and the default, which is that of `engram round open`; None: the plan computes
it.
"""
_SHARE_MAX: Final = (2**32 - 1) / PPM
"""What the chain's field holds; which shares make sense, a node says."""
_VERIFICATIONS: Final = ("everyone", "disputed")
_OF_DISPUTES: Final = ("dispute_window", "audit_chunks")
_LIMITS: Final = NetworkLimits()
_WIDTHS: Final = "a list with the neurons of each hidden layer, such as (32,), or () for none"
_LIST_OF_ACCOUNTS: Final = 'a list of accounts, such as ["bob"]'
_WHOLE: Final = {
    **{"classes": (1, _LIMITS.max_classes), "rows": (1, _LIMITS.max_rows), "seed": (0, 2**64 - 1)},
    **{"parts": (1, 255), "validation": (0, 255), "sealed": (0, 255), "epochs": (0, 255)},
    **{"z_squared": (0, 2**16 - 1), "weight_bits": (1, 32), "old_rows": (0, 2**32 - 1)},
    **{"new_classes": (0, _LIMITS.max_classes), "neurons": (0, _LIMITS.max_neurons)},
    **{"dispute_window": (1, 2**32 - 1), "audit_chunks": (1, MAX_AUDITED)},
}
"""Whole numbers, from and up to which the plan computes and a field of the chain holds them."""


def checked(given: Mapping[str, Any], *, founds: bool) -> OpeningOptions:
    """The options that are given and are not None, with numbers of numpy as plain ones.

    Refuses what is no option, what no chain takes, and what would be ignored. Raises `TypeError`,
    `OptionInvalid`, `OptionUnused`.
    """
    if unknown := sorted(set(given) - set(OpeningOptions.__annotations__)):
        raise TypeError(f"open_round() got an unexpected keyword argument {unknown[0]!r}")
    found = {name: value for name, value in given.items() if value is not None}
    for name, (least, most) in _WHOLE.items():
        if name in found:
            found[name] = whole(name, found[name], least, most)
    if "hidden" in found:
        widths = items("hidden", found["hidden"], _WIDTHS)
        found["hidden"] = tuple(
            whole("hidden, for each layer,", width, 1, _LIMITS.max_neurons) for width in widths
        )
    if "windows" in found:
        found["windows"] = _lengths(found["windows"])
    if "growth_limits" in found:
        found["growth_limits"] = _limits(found["growth_limits"])
    for name in _COINS:
        if name in found:
            coins(name, found[name])
    for name in _PPM:
        if name in found and not _is_share(found[name]):
            raise OptionInvalid(f"{name} is a share, such as 0.2", expected="0 to 1", got=str(found[name]))
    if not founds:
        _refuse(found, FoundingOptions.__annotations__, "founding has fixed it for a model that exists")
        return cast(OpeningOptions, found)
    one_of("verification", found.get("verification", "everyone"), _VERIFICATIONS)
    if found.get("verification") != "disputed":
        _refuse(found, _OF_DISPUTES, 'it is for verification="disputed"')
    if found.get("classes") != 1:
        _refuse(found, GrowthOptions.__annotations__, "the first round of several classes trains them")
    return cast(OpeningOptions, found)


def accounts_given(given: OpeningOptions) -> dict[str, Sequence[str | PrivateKey]]:
    """The options that name accounts. Raises `OptionInvalid` for what is no list."""
    return {name: items(name, given[name], _LIST_OF_ACCOUNTS) for name in _ACCOUNTS if name in given}


def round_plan(data: Dataset, given: OpeningOptions, windows: Mapping[str, int], hrp: str) -> RoundPlan:
    """The plan of a round with these rows. `windows` are the phases' lengths where none are given."""
    options: dict[str, Any] = {"seed": secrets.randbelow(2**63)}
    options["windows"] = given.get("windows", windows)
    options |= {name: given[name] for name in (*_PLAIN, *GrowthOptions.__annotations__) if name in given}  # type: ignore[literal-required]
    options |= {name: sparks_of(given[name]) for name in _COINS if name in given}
    options["witnesses"] = _named(given.get("witnesses", ()), given.get("old_witnesses", ()), hrp)
    return RoundPlan(GivenRows(data), **options)


def model_plan(given: FoundingOptions, hrp: str) -> ModelPlan:
    """The plan of the model that a round founds. Raises `OptionInvalid`, `BadAddress`."""
    shares: dict[str, Any] = {field: usual and round(usual * PPM) for field, usual in _PPM.values()}
    shares |= {_PPM[name][0]: round(given[name] * PPM) for name in _PPM if name in given}  # type: ignore[literal-required]
    activation = given.get("activation", "relu")
    one_of("activation", activation, ACTIVATIONS)
    return ModelPlan(
        loss_kind=_member(LossKind, "loss", given.get("loss", "softmax_cross_entropy")),
        policy=_member(Policy, "policy", given.get("policy", "strict")),
        growth_limits=GrowthLimits(**given.get("growth_limits", {})),
        members=tuple(_address(each, hrp) for each in given.get("members", ())),
        witnesses=_named(given.get("standing_witnesses", ()), given.get("standing_old_witnesses", ()), hrp),
        classes=given.get("classes"),
        hidden=tuple(given.get("hidden", (32,))),
        activation=activation,
        weight_bits=given.get("weight_bits", 8),
        verification=_verification(given),
        **shares,
    )


def _verification(given: FoundingOptions) -> Disputed | None:
    if given.get("verification") != "disputed":
        return None
    return Disputed(given.get("dispute_window"), given.get("audit_chunks", USUAL_AUDITED))


def _refuse(given: Mapping[str, Any], names: Collection[str], why: str) -> None:
    for name in given:
        if name in names:
            raise OptionUnused(f"{name} has no effect here, because {why}: leave it out", got=name)


def _lengths(windows: Any) -> Mapping[str, int]:
    """Lengths of phases by name; one number is that of all phases but the gap."""
    if not isinstance(windows, Mapping):
        ticks = whole("windows, unless it is a dictionary of phases,", windows, 1, 2**32 - 1)
        return {name: ticks for name in RoundWindows.__dataclass_fields__ if name != "gap"}
    for name in windows:
        one_of("windows", name, RoundWindows.__dataclass_fields__)
    return {name: whole(f"windows[{name!r}]", ticks, 1, 2**32 - 1) for name, ticks in windows.items()}


def _limits(limits: Any) -> Mapping[str, int]:
    if not isinstance(limits, Mapping):
        raise OptionInvalid(
            'growth_limits is a dictionary, such as {"classes": 4}',
            expected="a dictionary",
            got=str(limits)[:40],
        )
    for name in limits:
        one_of("growth_limits", name, GrowthLimits.__dataclass_fields__)
    return {name: whole(f"growth_limits[{name!r}]", most, 0) for name, most in limits.items()}


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _SHARE_MAX


def _member(kinds: Any, option: str, value: str) -> Any:
    one_of(option, value, [name.lower() for name in kinds.__members__])
    return kinds[value.upper()]


def _address(account: str | PrivateKey, hrp: str) -> bytes:
    return account.address if isinstance(account, PrivateKey) else parse_address(account, hrp)


def _named(
    full: Sequence[str | PrivateKey], old_only: Sequence[str | PrivateKey], hrp: str
) -> tuple[NamedWitness, ...]:
    named = [NamedWitness(_address(each, hrp), old_only=False) for each in full]
    return (*named, *(NamedWitness(_address(each, hrp), old_only=True) for each in old_only))
