"""The two rounds of a setting, on any venue, and what the chain says of versions and candidates."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from engram.nn.growth import Policy
from engram.nn.loss import LossKind
from engram.participant.arena.arena import key_of
from engram.participant.arena.examining import Marks, examine, publish
from engram.participant.arena.venue import Venue
from engram.participant.datasets import Dataset
from engram.participant.experiments.setting import NEW, OLD, PaperSetting, Shares
from engram.participant.parts import ROUNDS_DIRECTORY, RoundSecrets, split_parts
from engram.participant.reconnect import watch
from engram.participant.round_plan import DraftedRound, ModelPlan, RoundPlan, draft_founding, draft_round
from engram.participant.selection import GivenRows
from engram.participant.strategies import Plan, honest
from engram.participant.training.qat import Budget
from engram.participant.view import ChainView
from engram.participant.wallet import Wallet
from engram.participant.witness import Witness
from engram.primitives.types import Hash
from engram.statemachine.records import NamedWitness
from engram.statemachine.rounds.records import Candidate, Round, RoundStatus
from engram.statemachine.rules import Rules

COIN: Final = 10**8
FOUNDER, WITNESS, EXAMINER, OBSERVER = "founder", "witness", "examiner", "observer"
RULES: Final = Rules(draw_ticks=2, min_gap_ticks=1, min_window_ticks=2, maturity_blocks=5)
"""Those of a private chain with short phases; the limits of rows, parts and proofs are the usual ones."""
WINDOWS: Final = {
    **{"open": 8, "reveal": 3, "commit": 3, "update": 3},
    **{"witness": 3, "audit": 3, "score": 4, "gap": 1},
}
"""Blocks wait for everybody. With several nodes, a transaction needs a block or two to reach the miners."""
TEST_ROWS: Final = 2_000
"""The most test rows of a published part."""


@dataclass(frozen=True)
class PaperRound:
    """A round that has ended."""

    round: Round
    candidates: tuple[tuple[str, Candidate], ...]
    """Every candidate in its last state before the round ended, and the name of its author."""
    first_height: int
    """The head when the round was about to be opened."""

    @property
    def decided(self) -> bool:
        return self.round.status == RoundStatus.DECIDED


def participant(number: int) -> str:
    """The name of a participant."""
    return f"participant {number + 1}"


def actors(setting: PaperSetting) -> tuple[str, ...]:
    """Everybody who has an account."""
    return (FOUNDER, WITNESS, EXAMINER, OBSERVER, *map(participant, range(setting.participants)))


class PaperRounds:
    """A model in the paper's setting."""

    def __init__(self, venue: Venue, setting: PaperSetting, shares: Shares) -> None:
        self.venue, self.setting, self.shares = venue, setting, shares
        self.model: Hash = b""

    async def found(self) -> PaperRound:
        """Founds the model with its first round."""
        model = ModelPlan(
            loss_kind=LossKind.SOFTMAX_CROSS_ENTROPY,
            policy=Policy.STRICT,
            threshold_ppm=400_000,
            retention_epsilon_ppm=self.setting.epsilon_ppm,
            retention_delta_ppm=1_000_000,
            lost_cap_ppm=500_000,
            hidden=(self.setting.hidden,),
        )
        return await self._play(0, lambda wallet: draft_founding(wallet, self._plan(0), model))

    async def grow(self) -> PaperRound:
        """The round in which the frozen model learns the new digits."""
        return await self._play(1, lambda wallet: draft_round(wallet, self._plan(1), self.model))

    async def examine(self, versions: list[int]) -> dict[tuple[int, str], Marks]:
        """What nodes say of versions on the test rows of old and of new digits.

        The version before the growth does not know the new ones, so it is asked for the old ones alone.
        """
        sets = {"old": self.shares.test.of_classes(OLD), "new": self.shares.test.of_classes(NEW)}
        asked = [(version, name) for version in versions for name in sets if name == "old" or version > 1]
        async with self.venue.actor(EXAMINER) as wallet:
            parts = await publish(wallet, sets, TEST_ROWS)
            return await examine(wallet, self.model, asked, parts)

    def _plan(self, number: int) -> RoundPlan:
        setting = self.setting
        return RoundPlan(
            GivenRows(self.shares.founder[number]),
            parts=setting.parts,
            rows=setting.part_rows,
            epochs=setting.epochs,
            windows=WINDOWS,
            new_classes=len(NEW) if number else 0,
            neurons=setting.neurons,
            bounty=50 * COIN,
            witnesses=(NamedWitness(key_of(WITNESS).address, old_only=False),),
            witness_fee=COIN,
            seed=setting.seed,
        )

    async def _play(self, number: int, draft: Callable[[Wallet], Awaitable[DraftedRound]]) -> PaperRound:
        venue, setting = self.venue, self.setting
        budget = Budget(setting.steps, setting.batch)
        authors = {
            participant(each): honest(Plan(own, budget, setting.neurons, setting.seed + each))
            for each, own in enumerate(self.shares.own)
        }
        async with venue.client() as client:
            first = await ChainView(client).height()
        round_id = await venue.open(FOUNDER, draft)
        seen: dict[tuple[int, bytes], Candidate] = {}

        async def settle(wallet: Wallet) -> Round:
            return await venue.opener(wallet).run(round_id)

        async def testify(wallet: Wallet) -> None:
            await _testify(venue, wallet, round_id, self.shares.witness[number], setting)

        async def observe(wallet: Wallet) -> None:
            await _observe(wallet, round_id, seen)

        others = {WITNESS: testify, OBSERVER: observe}
        ended = await venue.play(round_id, settle, authors, others, FOUNDER)
        self.model = ended.round.model
        names = {key_of(name).address: name for name in authors}
        found = tuple((names[author], each) for (_, author), each in sorted(seen.items()))
        return PaperRound(ended.round, found, first)


async def _testify(
    venue: Venue, wallet: Wallet, round_id: Hash, rows: Dataset, setting: PaperSetting
) -> None:
    rng = np.random.default_rng(setting.seed)
    part = split_parts(rows, 1, setting.part_rows, rng, os.urandom)
    secrets = RoundSecrets(os.urandom(32), tuple(part))
    witness = Witness(wallet, venue.folder / ROUNDS_DIRECTORY, venue.report)
    await witness.seal(round_id, secrets)
    await witness.open_sealed(round_id, secrets)


async def _observe(wallet: Wallet, round_id: Hash, seen: dict[tuple[int, bytes], Candidate]) -> None:
    """Keeps the last state of each candidate until the round has ended; then authors withdraw them."""
    view = ChainView(wallet.client)

    async def look() -> bool | None:
        round_ = await view.get(Round, round_id)
        if round_.status != RoundStatus.OPEN:
            return True
        for each in await view.candidates(round_):
            seen[each.epoch, each.author] = each
        return None

    await watch(wallet.client, look, "heads")
