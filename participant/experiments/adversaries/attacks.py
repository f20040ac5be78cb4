"""The attacks, by name: who attacks, in which kind of round, and by what."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

import numpy as np

from engram.participant import adversaries
from engram.participant.adversaries import copy_reveal
from engram.participant.datasets import Dataset
from engram.participant.experiments.adversaries.foes import backdoored, noisy_copy, poisoned
from engram.participant.reconnect import watch
from engram.participant.strategies import Plan, honest
from engram.participant.task import Draft, Strategy, Task
from engram.participant.training.qat import Budget
from engram.participant.view import ChainView
from engram.participant.wallet import Wallet
from engram.primitives.hashing import Tag, tagged_hash
from engram.primitives.types import Address, Hash
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.records import Round, RoundStatus
from engram.statemachine.transactions.commit_update import CommitUpdate

NAMES_EACH: Final = 5
"""The names of each attacker who has several."""


class Side(Enum):
    """Who attacks."""

    AUTHORS = "authors"
    OPENER = "opener"
    WITNESSES = "witnesses"


@dataclass(frozen=True, eq=False)
class Foe:
    """What one attacker has."""

    plan: Plan
    """The own rows, and how honest authors train."""
    seed: int
    decoys: Dataset
    """Rows to which a network that knows rows by heart gives wrong labels."""
    told: Callable[[Round], Dataset] | None
    """Gives the rows of the sealed parts that were drawn in a round, if the opener tells them."""


@dataclass(frozen=True)
class Attack:
    """One attack."""

    title: str
    side: Side = Side.AUTHORS
    strategy: Callable[[Foe], Strategy] | None = None
    """What an attacker proposes as an author; the rules are broken by it, or not."""
    act: Callable[[Wallet, Hash, Address], Awaitable[str]] | None = None
    """What an attacker does who proposes nothing: with a wallet, the round, an honest author's address."""
    names: int = 1
    """Under so many names each attacker plays."""
    epochs: int = 1
    growth: bool = False
    """Whether the attack is on a frozen model that grows."""
    tells: bool = False
    """Whether the opener tells the attackers the rows of the sealed parts that were drawn."""
    witnesses: int = 1
    silent: bool = False
    """Whether hostile witnesses never open the part that they seal; if not, it holds random rows."""


def _leaker(foe: Foe) -> Strategy:
    budget = Budget(3 * foe.plan.budget.steps, 32)

    def propose(task: Task) -> Draft | None:
        told = None if foe.told is None else foe.told(task.round)
        return adversaries.leaker(budget, foe.seed, foe.decoys, told)(task)

    return propose


async def _copies(wallet: Wallet, round_id: Hash, victim: Address) -> str:
    """Sends the victim's reveal under another name. If no reveal comes, the round ends first."""
    return await copy_reveal(wallet, round_id, victim) or "accepted"


async def _commits_only(wallet: Wallet, round_id: Hash, victim: Address) -> str:
    """Commits to nothing, and never reveals."""
    view = ChainView(wallet.client)
    await view.wait_phase(round_id, Phase.COMMIT)
    digest = tagged_hash(Tag.COMMIT, wallet.key.address, round_id)
    await wallet.execute(CommitUpdate(round_id, 0, digest))
    await until_ended(wallet, round_id)
    return "never revealed"


async def until_ended(wallet: Wallet, round_id: Hash) -> Round:
    """Waits until the round has ended."""
    view = ChainView(wallet.client)

    async def look() -> Round | None:
        round_ = await view.get(Round, round_id)
        return round_ if round_.status != RoundStatus.OPEN else None

    return await watch(wallet.client, look, "heads")


ATTACKS: Final[Mapping[str, Attack]] = {
    "liars": Attack("Claim half of the true loss", strategy=lambda foe: adversaries.liar(honest(foe.plan))),
    "copied-reveals": Attack("Send an honest author's reveal as their own", act=_copies),
    "noisy-copies": Attack(
        "Bring the best candidate of the first epoch with noise in the second",
        strategy=lambda foe: noisy_copy(foe.seed),
        epochs=2,
    ),
    "forgers": Attack(
        "Change a frozen weight under a growth",
        strategy=lambda foe: adversaries.forger(honest(foe.plan)),
        growth=True,
    ),
    "poisoners": Attack(
        "Train a network that takes one digit for another; their loss claims are true",
        strategy=lambda foe: poisoned(foe.plan),
    ),
    "backdoors": Attack(
        "Train a backdoor into an otherwise honest network; their loss claims are true",
        strategy=lambda foe: backdoored(foe.plan),
    ),
    "overfitters": Attack("Know the revealed part by heart, and nothing else", strategy=_leaker),
    "leaking-opener": Attack(
        "Know the opener's sealed rows by heart, too; a witness has rows of their own",
        strategy=_leaker,
        tells=True,
    ),
    "leaking-opener-alone": Attack(
        "Know the opener's sealed rows by heart, too; there is no witness",
        strategy=_leaker,
        tells=True,
        witnesses=0,
    ),
    "withholding-opener": Attack("The opener keeps the sealed parts closed", side=Side.OPENER),
    "sybils": Attack(
        f"Commit to nothing, under {NAMES_EACH} names each", act=_commits_only, names=NAMES_EACH
    ),
    "freeloading-witnesses": Attack(
        "Witnesses seal random rows, to get their fee without data", side=Side.WITNESSES, witnesses=5
    ),
    "silent-witnesses": Attack(
        "Witnesses seal a part and never open it", side=Side.WITNESSES, witnesses=5, silent=True
    ),
}
"""The attacks, in the order of the report."""


def decoys_of(rows: Dataset, count: int) -> Dataset:
    """Rows for `Foe.decoys`, with an even mix of classes."""
    return rows.interleaved().take(np.arange(min(count, rows.rows)))
