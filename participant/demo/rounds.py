"""Plays one round of the demonstration: a founder opens it, an auditor, authors and cheats take part.

All of them run at the same time in one event loop, each with a wallet of their own. The blocks of the network
wait for each of them, so that nobody misses a phase because the machine is slow.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

import numpy as np

from engram.nn.growth import Policy
from engram.node.client import RpcClient
from engram.participant import adversaries, round_plan
from engram.participant.auditor import Auditor
from engram.participant.author import Author, EpochReport
from engram.participant.datasets import Dataset
from engram.participant.demo.cast import AUDITOR, AUTHORS, COIN, COPYCAT, FOUNDER
from engram.participant.demo.data import NEW_CLASSES, OLD_CLASSES, SEALED, VALIDATION
from engram.participant.demo.scene import Scene
from engram.participant.opener import Opener
from engram.participant.parts import RoundSecrets, split_parts
from engram.participant.round_plan import RoundWindows
from engram.participant.task import Strategy
from engram.participant.training.architect import dense_network
from engram.participant.view import ChainView
from engram.primitives.types import Hash
from engram.statemachine.records import Model, Openers
from engram.statemachine.rounds.records import Candidate, Round, RoundKind, RoundStatus, RoundTerms
from engram.statemachine.rounds.terms import Founding
from engram.statemachine.transactions.open_round import OpenRound

T = TypeVar("T")

AUTHOR_BOND: Final = 5 * COIN
OPENER_BOND: Final = 20 * COIN
BOUNTY: Final = 50 * COIN
EPOCHS: Final = 2
WINDOWS: Final = RoundWindows(open=6, reveal=6, commit=8, update=8, audit=6, retention=6, gap=2)
"""The phases need not fit the machine, because the blocks wait for every actor. A phase has several blocks,
so that a transaction reaches the miners before its phase ends.
"""
SOFTMAX: Final = 1
"""The number of the loss softmax cross-entropy."""
THRESHOLD_PPM: Final = 200_000
"""The neurons freeze at a sealed loss of 0.2 * ln(classes) nats a row."""
EPSILON_PPM: Final = 150_000
"""A growth may forget 15 % of a retention part's rows. The parts are small: one row of 30 is 3 %."""
DELTA_PPM: Final = 250_000
"""A growth may raise the loss on a retention part by 25 % of its bar."""


@dataclass(frozen=True)
class Attempt:
    """What came of one epoch for a cheat, with the cheat's balance before and after."""

    report: EpochReport
    before: int
    """Sparks."""
    after: int
    """Sparks."""


@dataclass(frozen=True)
class Standing:
    """One candidate's losses when all sealed parts were open, in Q24 nats, summed over rows."""

    author: str
    epoch: int
    loss: int
    """The loss on the revealed parts."""
    sealed: int
    """The loss on the sealed parts."""


@dataclass(frozen=True)
class DemoRound:
    """A round that has ended, and what came of it for everyone. Mappings are by actor's name."""

    round: Round
    reports: Mapping[str, list[EpochReport]]
    attempts: Mapping[str, list[Attempt]]
    standings: list[Standing]
    copied: str | None
    """The code with which the copycat was refused, "" if it was accepted; None if there was no copycat."""


class Rounds:
    """Opens the rounds of one model and lets everyone play them."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._view = scene.view
        self._data = scene.data
        self._rng = np.random.default_rng(scene.seed)
        self._secrets_folder = scene.folder / "secrets"

    async def found(self, honest: Mapping[str, Strategy], cheats: Mapping[str, Strategy]) -> DemoRound:
        """Founds the model with its first TRAIN round, in which the copycat copies alice's reveal."""
        rows = self._data.founder_old[0]
        spec, parameters = dense_network(rows, (self._data.size.hidden,), len(OLD_CLASSES), self._rng)
        template = Founding(
            *(spec, (), (), int(Policy.STRICT), int(Openers.FOUNDER), SOFTMAX),
            *(THRESHOLD_PPM, EPSILON_PPM, DELTA_PPM),
        )
        caps = round_plan.Caps.for_network((await self._view.spec()).rules, spec, self._data.size.rows)
        secrets = self._secrets(rows, self._data.size.parts)
        terms = self._terms(secrets, RoundKind.TRAIN, self._data.size.rows, caps)
        audited = self._data.auditor_old[0]
        payload = OpenRound(terms, founding=round_plan.founding_of(spec, parameters, template))
        return await self._play(payload, secrets, audited, honest, cheats, copies=True)

    async def train(self, number: int, model_id: Hash, honest: Mapping[str, Strategy]) -> DemoRound:
        """Plays another TRAIN round with fresh parts, because no version has frozen yet.

        `number` counts the TRAIN rounds from 0 and chooses the rows.
        """
        rows, audited = self._data.founder_old[number], self._data.auditor_old[number]
        version = await self._view.head_version(await self._view.get(Model, model_id))
        caps = round_plan.Caps.for_network(
            (await self._view.spec()).rules, version.spec, self._data.size.again
        )
        secrets = self._secrets(rows, self._data.size.parts)
        terms = self._terms(secrets, RoundKind.TRAIN, self._data.size.again, caps)
        payload = OpenRound(terms, model=model_id)
        return await self._play(payload, secrets, audited, honest, {}, copies=False)

    async def grow(
        self, model_id: Hash, honest: Mapping[str, Strategy], cheats: Mapping[str, Strategy]
    ) -> DemoRound:
        """Plays a GROW round that adds the new classes."""
        version = await self._view.head_version(await self._view.get(Model, model_id))
        size, rules = self._data.size, (await self._view.spec()).rules
        caps = round_plan.Caps.for_growth(rules, version.spec, size.neurons, len(NEW_CLASSES), size.rows)
        secrets = self._secrets(self._data.founder_all, size.parts)
        payload = OpenRound(self._terms(secrets, RoundKind.GROW, size.rows, caps), model=model_id)
        return await self._play(payload, secrets, self._data.auditor_all, honest, cheats, copies=False)

    async def _play(
        self,
        payload: OpenRound,
        secrets: RoundSecrets,
        audited: Dataset,
        honest: Mapping[str, Strategy],
        cheats: Mapping[str, Strategy],
        *,
        copies: bool,
    ) -> DemoRound:
        wallets, victim = self._scene.wallets, self._scene.cast.key(AUTHORS[0]).address
        opener = Opener(wallets[FOUNDER], self._secrets_folder, self._voice(FOUNDER))
        async with AsyncExitStack() as founders, asyncio.TaskGroup() as group:
            await founders.enter_async_context(wallets[FOUNDER].client.holding())
            round_id = await opener.open(payload, secrets)
            self._tell_opened(round_id, payload.terms)
            # The founder holds the blocks until all others hold them, too: nobody can miss a phase.
            joined = asyncio.Barrier(len(honest) + len(cheats) + copies + 3)

            def begin(client: RpcClient, play: Callable[[], Coroutine[Any, Any, T]]) -> asyncio.Task[T]:
                return group.create_task(_join(client, round_id, joined, play))

            reports = {
                name: begin(wallets[name].client, partial(self._author(name, strategy).play, round_id))
                for name, strategy in honest.items()
            }
            attempts = {
                name: begin(wallets[name].client, partial(self._cheat, name, strategy, round_id))
                for name, strategy in cheats.items()
            }
            begin(wallets[AUDITOR].client, partial(self._audit, round_id, self._secrets(audited, 1)))
            standings = begin(self._scene.observer.client, partial(self._standings, round_id))
            copied = begin(wallets[COPYCAT].client, partial(self._copy, round_id, victim)) if copies else None
            await joined.wait()
            round_ = await opener.run(round_id)
            await founders.aclose()  # the others may need more blocks to end
        return DemoRound(
            round_,
            {name: task.result() for name, task in reports.items()},
            {name: task.result() for name, task in attempts.items()},
            standings.result(),
            copied.result() if copied else None,
        )

    def _tell_opened(self, round_id: Hash, terms: RoundTerms) -> None:
        self._scene.say(
            FOUNDER,
            f"opened {RoundKind(terms.kind).name} round {round_id.hex()[:12]} with {len(terms.commitments)}"
            f" salted parts of {terms.rows} rows; the chain draws {terms.validation} to reveal before"
            f" training and {terms.sealed} to stay sealed",
        )

    async def _standings(self, round_id: Hash) -> list[Standing]:
        """The candidates' losses, read when every sealed part is open.

        The chain deletes the candidates' records when the round ends, so they cannot be read later.
        """
        view = self._scene.observer
        round_ = await view.wait_round(round_id, _is_audited)
        found = []
        for item in round_.candidates:
            candidate = await view.get(Candidate, round_id, bytes([item.epoch]), item.author)
            sealed = sum(score.loss for score in candidate.sealed)
            found.append(Standing(self._scene.cast.name(item.author), item.epoch, candidate.loss, sealed))
        return found

    async def _cheat(self, name: str, strategy: Strategy, round_id: Hash) -> list[Attempt]:
        """Plays every epoch for a cheat, and records the balance before and after each."""
        author, attempts = self._author(name, strategy), []
        for epoch in range(EPOCHS):
            before = await self._scene.balance(name)
            report = await author.play_epoch(round_id, epoch)
            attempts.append(Attempt(report, before, await self._scene.balance(name)))
        return attempts

    async def _copy(self, round_id: Hash, victim: bytes) -> str:
        code = await adversaries.copy_reveal(self._scene.wallets[COPYCAT], round_id, victim)
        answer = f"the node refused it [{code}]" if code else "the node accepted it"
        self._scene.say(COPYCAT, f"sent {AUTHORS[0]}'s reveal as its own; {answer}")
        return code

    async def _audit(self, round_id: Hash, secrets: RoundSecrets) -> None:
        auditor = Auditor(self._scene.wallets[AUDITOR], self._secrets_folder, self._voice(AUDITOR))
        await auditor.seal(round_id, secrets)
        await auditor.open_sealed(round_id, secrets)

    def _author(self, name: str, strategy: Strategy) -> Author:
        return Author(self._scene.wallets[name], strategy, self._voice(name))

    def _voice(self, name: str) -> Callable[[str], None]:
        return lambda line: self._scene.say(name, line)

    def _secrets(self, rows: Dataset, parts: int) -> RoundSecrets:
        salted = split_parts(rows, parts, rows.rows // parts, self._rng, os.urandom)
        return RoundSecrets(os.urandom(32), tuple(salted))

    def _terms(self, secrets: RoundSecrets, kind: RoundKind, rows: int, caps: round_plan.Caps) -> RoundTerms:
        return round_plan.round_terms(
            secrets,
            kind=kind,
            new_classes=len(NEW_CLASSES) if kind == RoundKind.GROW else 0,
            rows=rows,
            validation=VALIDATION,
            sealed=SEALED,
            epochs=EPOCHS,
            windows=WINDOWS,
            caps=caps,
            opener_bond=OPENER_BOND,
            author_bond=AUTHOR_BOND,
            bounty=BOUNTY,
            auditors=(self._scene.cast.key(AUDITOR).address,),
        )


async def _join(
    client: RpcClient, round_id: Hash, joined: asyncio.Barrier, play: Callable[[], Coroutine[Any, Any, T]]
) -> T:
    """Plays an actor's part, for which the blocks wait, once every actor knows the round."""
    async with client.holding():
        await ChainView(client).wait_record(Round, round_id)
        await joined.wait()
        return await play()


def _is_audited(round_: Round) -> bool:
    """Whether all sealed parts, the auditor's among them, are open, or the round has ended."""
    return len(round_.sealed_opened) == len(round_.sealed_drawn) + 1 or round_.status != RoundStatus.OPEN
