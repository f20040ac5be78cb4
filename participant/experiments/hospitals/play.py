"""One model through its rounds on a node, then the test rows: what the chain says of every version."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from engram.nn.loss import LossKind
from engram.participant.arena.arena import WINDOWS, Arena, key_of
from engram.participant.arena.examining import Marks, examine, publish
from engram.participant.committing import ADMITTED
from engram.participant.experiments.hospitals.division import PART_ROWS, PARTS, Division
from engram.participant.experiments.hospitals.federation import BANK_NEURONS, POLICY, Federation
from engram.participant.experiments.hospitals.records import GROUPS, OWNERS
from engram.participant.memory.founding import Founded
from engram.participant.memory.playing import founding_of
from engram.participant.parts import ROUNDS_DIRECTORY, RoundSecrets, split_parts
from engram.participant.round_plan import DraftedRound, RoundPlan, draft_round, draft_whole
from engram.participant.selection import GivenRows
from engram.participant.task import Strategy
from engram.participant.view import ChainView
from engram.participant.wallet import Wallet
from engram.participant.witness import Witness
from engram.primitives.types import Hash
from engram.statemachine.record import u32
from engram.statemachine.records import NamedWitness, Version
from engram.statemachine.rounds.records import Round, RoundStatus
from engram.statemachine.rounds.terms import Founding
from engram.statemachine.rules import Rules

COIN: Final = 10**8
REGISTRY: Final = "registry"
"""An author without patients, who makes growths from sums."""
RULES: Final = Rules(
    min_window_ticks=1, min_gap_ticks=1, draw_ticks=2, maturity_blocks=3, min_parts=PARTS, min_z_squared=4
)
"""Those of a private chain with the shortest phases. Few patients are ill, so a round has three parts, and a
gain is proved if it is twice its scatter, not three times."""
EPSILON_PPM: Final = 250_000
"""A growth may lose a quarter of the old rows: classes count the same here, and one in four healthy people is
taken for ill by the model from the beginning."""
DELTA_PPM: Final = 5_000_000
THRESHOLD_PPM: Final = 700_000


@dataclass(frozen=True)
class RoundResult:
    """A round that has ended."""

    round: Round
    winner: str
    """The author of the new version; "" if there is none."""
    authors: int
    """Authors whose updates were verified and better than the baseline."""
    added_bytes: int
    """Of the tensors that came with the new version."""

    @property
    def decided(self) -> bool:
        return self.round.status == RoundStatus.DECIDED


class Hospitals:
    """The owners on one node."""

    def __init__(self, arena: Arena, division: Division) -> None:
        self._arena, self._division = arena, division
        self.model: Hash = b""

    async def found(
        self, federation: Federation, founded: Founded, authors: Mapping[str, Strategy]
    ) -> RoundResult:
        """The first round: the model is founded blank, and authors bring what sums have taught them."""
        template = Founding(
            founded.spec,
            (),
            (),
            policy=int(POLICY),
            loss_kind=int(LossKind.SOFTMAX_CROSS_ENTROPY),
            threshold_ppm=THRESHOLD_PPM,
            retention_epsilon_ppm=EPSILON_PPM,
            retention_delta_ppm=DELTA_PPM,
            lost_cap_ppm=1_000_000,
            members=tuple(sorted(key_of(OWNERS[owner]).address for owner in self._openers())),
        )
        founding = founding_of(federation.trunk, founded, template)

        async def draft(wallet: Wallet) -> DraftedRound:
            return await draft_whole(wallet, self._plan(0), founding)

        return await self._play(0, draft, authors)

    async def grow(self, number: int, authors: Mapping[str, Strategy]) -> RoundResult:
        """A later round, in which these authors compete."""

        async def draft(wallet: Wallet) -> DraftedRound:
            return await draft_round(wallet, self._plan(number), self.model)

        return await self._play(number, draft, authors)

    async def examine(self, versions: int) -> dict[tuple[int, tuple[int, int]], Marks]:
        """What nodes say of versions 1, 2, … on the test rows of the classes that they know.

        By version, owner and class.
        """
        sets = {
            (owner, label): rows.of_classes([label])
            for owner, rows in enumerate(self._division.test)
            for label in range(len(GROUPS))
            if np.any(rows.labels == label)
        }
        asked = [
            (number, key)
            for number, arrival in enumerate(self._division.rounds[:versions], 1)
            for key in sets
            if key[1] < arrival.known
        ]
        async with self._arena.actor(REGISTRY) as wallet:
            parts = await publish(wallet, sets, max(rows.rows for rows in sets.values()))
            return await examine(wallet, self.model, asked, parts)

    def _openers(self) -> set[int]:
        """The members: all who open rounds beside the founder."""
        founder = self._division.rounds[0].opener
        return {each.opener for each in self._division.rounds} - {founder}

    def _plan(self, number: int) -> RoundPlan:
        arrival = self._division.rounds[number]
        witness = NamedWitness(key_of(OWNERS[arrival.witness]).address, old_only=True)
        return RoundPlan(
            GivenRows(self._division.opened[number]),
            parts=PARTS,
            rows=PART_ROWS,
            epochs=1,
            windows=WINDOWS,
            new_classes=0 if arrival.founding else len(arrival.classes),
            neurons=BANK_NEURONS,
            bounty=10 * COIN,
            witnesses=(witness,),
            witness_fee=COIN,
            seed=number,
        )

    async def _play(
        self,
        number: int,
        draft: Callable[[Wallet], Awaitable[DraftedRound]],
        authors: Mapping[str, Strategy],
    ) -> RoundResult:
        arrival, arena = self._division.rounds[number], self._arena
        opener = OWNERS[arrival.opener]
        round_id = await arena.open(opener, draft)
        rng = np.random.default_rng(number)
        part = split_parts(self._division.witnessed[number], 1, PART_ROWS, rng, os.urandom)
        secrets = RoundSecrets(os.urandom(32), tuple(part))

        async def settle(wallet: Wallet) -> Round:
            return await arena.opener(wallet).run(round_id)

        async def testify(wallet: Wallet) -> None:
            witness = Witness(wallet, arena.folder / ROUNDS_DIRECTORY, arena.report)
            await witness.seal(round_id, secrets)
            await witness.open_sealed(round_id, secrets)

        ended = await arena.play(round_id, settle, authors, {OWNERS[arrival.witness]: testify}, opener)
        self.model = ended.round.model
        admitted = sum(ADMITTED in ended.codes(name) for name in authors)
        if (round_ := ended.round).status != RoundStatus.DECIDED:
            return RoundResult(round_, "", admitted, 0)
        async with arena.client() as client:
            version = await ChainView(client).get(Version, round_.model, u32(round_.new_version))
        names = {key_of(name).address: name for name in actors()}
        return RoundResult(round_, names[version.author], admitted, version.sent_tensor_bytes)


def author_of(owner: int) -> str:
    """The account with which an owner takes part as an author: another one than that of its rows."""
    return f"{OWNERS[owner]}, author"


def actors() -> tuple[str, ...]:
    """Everybody who has an account."""
    return (*OWNERS, REGISTRY, *map(author_of, range(len(OWNERS))))
