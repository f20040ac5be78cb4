"""What a person decides about a daemon, and how it reaches a node."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Final

from engram.node.client import RpcClient
from engram.participant.learn.budget import SpendingLimits
from engram.participant.learn.memories import Numbering
from engram.participant.learn.opening import HOLD_SHARE, PART_ROWS
from engram.participant.learn.policy import LearnPolicy
from engram.participant.memory.fast import FastLimits, FastRule
from engram.participant.memory.slow import CONFIRMATIONS
from engram.participant.wallet import Wallet

DEFAULT_POLICY: Final = LearnPolicy(after_rows=1_000)


@dataclass(frozen=True)
class LearnSettings:
    """All settings of one daemon."""

    policy: LearnPolicy = DEFAULT_POLICY
    spending: SpendingLimits = field(default_factory=SpendingLimits)
    opens: bool = False
    """Whether to open growth rounds, if the key may."""
    bounty: int = 0
    """Sparks for the authors of a round that is opened here."""
    epochs: int = 1
    """Epochs of a round that is opened here."""
    windows: Mapping[str, int] = field(default_factory=dict)
    """Lengths of its phases, as `RoundPlan.windows`."""
    hold_share: float = HOLD_SHARE
    part_rows: int = PART_ROWS
    confirmations: int = CONFIRMATIONS
    """Blocks that must stand on a version before rows are forgotten."""
    numbering: Numbering = Numbering.CHAIN
    rule: FastRule = FastRule.MEAN
    limits: FastLimits = field(default_factory=FastLimits)
    seed: int = 0


@dataclass(frozen=True)
class NodeAccess:
    """How the daemon reaches a node. Each call opens a connection of its own."""

    look: Callable[[], AbstractAsyncContextManager[RpcClient]]
    """For looking only."""
    act: Callable[[], AbstractAsyncContextManager[Wallet]]
    """For rounds. Two wallets of the same key may be open at once."""
