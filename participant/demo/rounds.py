"""Plays one round of the demonstration: a founder opens it, a witness, authors and cheats take part.

All of them run at the same time in one event loop, each with a wallet of their own. The blocks of the network
wait for each of them, so that nobody misses a phase because the machine is slow.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, TypeVar

import numpy as np

from engram.nn.growth import Policy
from engram.node.client import RpcClient
from engram.node.rpc.outcomes import outcomes
from engram.participant import adversaries, round_plan
from engram.participant.author import Author
from engram.participant.datasets import Dataset
from engram.participant.demo.cast import AUTHORS, COIN, COPYCAT, FOUNDER, LEAKER, WITNESS
from engram.participant.demo.data import NEW_CLASSES, OLD_CLASSES, SEALED, VALIDATION
from engram.participant.demo.report import ScoreRow
from engram.participant.demo.scene import Scene
from engram.participant.epoch_reports import EpochReport
from engram.participant.notices import Notice
from engram.participant.opener import Opener
from engram.participant.parts import RoundSecrets, split_parts
from engram.participant.reconnect import watch
from engram.participant.round_terms import Caps, RoundWindows, round_terms
from engram.participant.task import Strategy
from engram.participant.training.architect import dense_network
from engram.participant.training.shapes import Reach
from engram.participant.view import ChainView
from engram.participant.witness import Witness
from engram.primitives.keys import parse_address
from engram.primitives.types import Hash
from engram.statemachine.records import Model, NamedWitness
from engram.statemachine.rounds.records import Round, RoundKind, RoundTerms
from engram.statemachine.rounds.terms import Founding
from engram.statemachine.transactions.open_round import OpenRound

T = TypeVar("T")

AUTHOR_BOND: Final = 5 * COIN
OPENER_BOND: Final = 25 * COIN
BOUNTY: Final = 50 * COIN
WITNESS_FEE: Final = COIN
Z_SQUARED: Final = 9
"""A gain must be three times its own scatter."""
OLD_ROWS: Final = 20
"""Rows of old classes in each sealed part of the GROW round, of at least 40."""
EPOCHS: Final = 2
WINDOWS: Final = RoundWindows(open=6, reveal=6, commit=8, update=8, witness=6, audit=6, score=8, gap=2)
"""The phases need not fit the machine, because the blocks wait for every actor. A phase has several blocks,
so that a transaction reaches the miners before its phase ends.
"""
SOFTMAX: Final = 1
"""The number of the loss softmax cross-entropy."""
THRESHOLD_PPM: Final = 200_000
"""The neurons freeze at a sealed loss of 0.2 * ln(classes) nats a row."""
EPSILON_PPM: Final = 150_000
"""A growth may lose 15 % of the old rows. There are few of them: one of 70 is more than 1 %."""
DELTA_PPM: Final = 250_000
"""A growth may raise the loss on old rows by 25 % of its bar."""


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
    """One candidate as it was judged on the unseen parts; losses in Q24 nats, summed over rows."""

    author: str
    epoch: int
    loss: int
    """The loss on the revealed parts."""
    unseen: int
    """The loss on the parts that its author could not see."""
    unseen_rows: int
    correct: int
    """How many of these rows it has right."""
    share: float | None
    """What is left of the baseline's loss, on the side where that is more; None if not scored."""
    reasons: tuple[str, ...]
    """Why it did not take the lead, as the codes of `node/rpc/outcomes.py`; empty if it did."""


@dataclass(frozen=True)
class DemoRound:
    """A round that has ended, and what came of it for everyone. Mappings are by actor's name."""

    round: Round
    reports: Mapping[str, list[EpochReport]]
    attempts: Mapping[str, list[Attempt]]
    standings: list[Standing]
    copied: str | None
    """The code with which the copycat was refused, "" if it was accepted; None if there was no copycat."""
    refused: list[ScoreRow]
    """The updates that were refused at once, in the order in which that happened."""


class Rounds:
    """Opens the rounds of one model and lets everyone play them."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._view = scene.view
        self._data = scene.data
        self._rng = np.random.default_rng(scene.seed)
        self._secrets_folder = scene.folder / "secrets"
        self._refused: list[ScoreRow] = []
        self._notes: set[str] = set()
        self._others = 0

    async def found(self, honest: Mapping[str, Strategy], cheats: Mapping[str, Strategy]) -> DemoRound:
        """Founds the model with its first TRAIN round, in which the copycat copies alice's reveal."""
        rows = self._data.founder_old
        spec, parameters = dense_network(rows, (self._data.size.hidden,), len(OLD_CLASSES), self._rng)
        template = Founding(spec, (), (), int(Policy.STRICT), SOFTMAX, THRESHOLD_PPM, EPSILON_PPM, DELTA_PPM)
        caps = Caps.for_network((await self._view.spec()).rules, spec, self._data.size.rows)
        secrets = self._secrets(rows, self._data.size.parts)
        terms = self._terms(secrets, RoundKind.TRAIN, self._data.size.rows, caps)
        payload = OpenRound(terms, founding=round_plan.founding_of(spec, parameters, template))
        return await self._play(payload, secrets, self._data.witness_old, honest, cheats, copies=True)

    async def grow(
        self, model_id: Hash, honest: Mapping[str, Strategy], cheats: Mapping[str, Strategy]
    ) -> DemoRound:
        """Plays a GROW round that adds the new classes."""
        model = await self._view.get(Model, model_id)
        head = await self._view.head_network(model)
        size, rules = self._data.size, (await self._view.spec()).rules
        caps = Caps.for_growth(
            rules, head.spec, size.neurons, len(NEW_CLASSES), size.rows, Reach(model.growth_policy)
        )
        secrets = self._secrets(self._data.founder_all, size.parts)
        payload = OpenRound.on(model, self._terms(secrets, RoundKind.GROW, size.rows, caps))
        return await self._play(payload, secrets, self._data.witness_all, honest, cheats, copies=False)

    async def _play(
        self,
        payload: OpenRound,
        secrets: RoundSecrets,
        sealed: Dataset,
        honest: Mapping[str, Strategy],
        cheats: Mapping[str, Strategy],
        *,
        copies: bool,
    ) -> DemoRound:
        self._refused.clear()
        self._others = len(honest) + len(cheats) - 1
        wallets, victim = self._scene.wallets, self._scene.cast.key(AUTHORS[0]).address
        opener = Opener(wallets[FOUNDER], self._secrets_folder, self._voice(FOUNDER))
        async with AsyncExitStack() as founders, asyncio.TaskGroup() as group:
            await founders.enter_async_context(wallets[FOUNDER].client.holding())
            round_id = await opener.open(payload, secrets)
            self._tell_opened(round_id, payload.terms)
            for wallet in wallets.values():
                await self._learn(wallet.client, round_id)
            # The founder holds the blocks until all others hold them, too: nobody can miss a phase.
            joined = asyncio.Barrier(len(honest) + len(cheats) + copies + 2)

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
            begin(wallets[WITNESS].client, partial(self._testify, round_id, self._secrets(sealed, 1)))
            copied = begin(wallets[COPYCAT].client, partial(self._copy, round_id, victim)) if copies else None
            await joined.wait()
            round_ = await opener.run(round_id)
            await founders.aclose()  # the others may need more blocks to end
        return DemoRound(
            round_,
            {name: task.result() for name, task in reports.items()},
            {name: task.result() for name, task in attempts.items()},
            await self._standings(round_id),
            copied.result() if copied else None,
            list(self._refused),
        )

    def _tell_opened(self, round_id: Hash, terms: RoundTerms) -> None:
        self._scene.say(
            FOUNDER,
            f"opened {RoundKind(terms.kind).name} round {round_id.hex()[:12]} with {len(terms.commitments)}"
            f" salted parts of {terms.rows} rows; the chain draws {terms.validation} to reveal before"
            f" training and {terms.sealed} to stay sealed",
        )

    async def _learn(self, client: RpcClient, round_id: Hash) -> None:
        """Waits until the head of this node holds the round.

        The node may be on another block of the round's height. Then only a block on top of either of them
        decides, for which the founder must be ready.
        """
        founder = self._scene.wallets[FOUNDER].client

        async def look() -> Round | None:
            found = await ChainView(client).find(Round, round_id)
            if found is None:
                height = await ChainView(client).height()
                if height >= await self._view.height():
                    await founder.ready(height + 1)
            return found

        await watch(client, look, "heads")

    async def _standings(self, round_id: Hash) -> list[Standing]:
        """All candidates, as the node judges them in the last state in which the round was open."""
        client = self._view.client
        verdicts = await client.call("round_verdicts", id=round_id)
        ended = {**await client.call("round_get", id=round_id), "verdicts": verdicts, "commits": []}
        hrp, name = (await self._view.spec()).hrp, self._scene.cast.name
        return [
            Standing(
                name(parse_address(verdict["author"], hrp)),
                verdict["epoch"],
                verdict["loss"],
                sum(group["loss"] for group in verdict["groups"]),
                sum(group["rows"] for group in verdict["groups"]),
                verdict["correct"],
                None if share is None else round(share["loss"] / share["baseline"], 4),
                tuple(told["reasons"]),
            )
            for verdict, told in zip(verdicts, outcomes(ended), strict=True)
            for share in (verdict["share"],)
        ]

    async def _cheat(self, name: str, strategy: Strategy, round_id: Hash) -> list[Attempt]:
        """Plays every epoch for a cheat, and records the balance before and after each.

        What the leaker has proposed is scored and withdrawn in the end, which is part of its last attempt.
        """
        author, attempts = self._author(name, strategy, checks=False), []
        for epoch in range(EPOCHS):
            before = await self._scene.balance(name)
            report = await author.play_epoch(round_id, epoch)
            attempts.append(Attempt(report, before, await self._scene.balance(name)))
            if report.code not in ("candidate_admitted", "sat_out"):
                self._catch(name, epoch, report.code)
        if name == LEAKER:
            await author.conclude(round_id)
            attempts.append(replace(attempts[-1], after=await self._scene.balance(name)))
        return attempts

    async def _copy(self, round_id: Hash, victim: bytes) -> str:
        code = await adversaries.copy_reveal(self._scene.wallets[COPYCAT], round_id, victim)
        answer = f"the node refused it [{code}]" if code else "the node accepted it"
        if code:
            self._catch(COPYCAT, 0, code)
        self._scene.say(COPYCAT, f"sent {AUTHORS[0]}'s reveal as its own; {answer}")
        return code

    def _catch(self, name: str, epoch: int, code: str) -> None:
        row = ScoreRow(self._scene.report.rounds + 1, name, epoch, None, None, None, None, "caught", code)
        self._refused.append(row)
        self._scene.stage.score(row)

    async def _testify(self, round_id: Hash, secrets: RoundSecrets) -> None:
        witness = Witness(self._scene.wallets[WITNESS], self._secrets_folder, self._voice(WITNESS))
        await witness.seal(round_id, secrets)
        await witness.open_sealed(round_id, secrets)

    def _author(self, name: str, strategy: Strategy, *, checks: bool = True) -> Author:
        return Author(self._scene.wallets[name], strategy, self._voice(name), checks=checks)

    def _voice(self, name: str) -> Callable[[str], None]:
        def say(line: str) -> None:
            if self._is_repeated(line):
                return
            if name in (FOUNDER, WITNESS):
                self._scene.say(name, line)
            else:
                self._scene.stage.together(name, line, self._others)

        return say

    def _is_repeated(self, line: str) -> bool:
        """Whether another author has been warned in the same words: the people who watch read them once."""
        if not isinstance(line, Notice) or line.event != "opener_decides":
            return False
        repeated = line in self._notes
        self._notes.add(line)
        return repeated

    def _secrets(self, rows: Dataset, parts: int) -> RoundSecrets:
        salted = split_parts(rows, parts, rows.rows // parts, self._rng, os.urandom)
        return RoundSecrets(os.urandom(32), tuple(salted))

    def _terms(self, secrets: RoundSecrets, kind: RoundKind, rows: int, caps: Caps) -> RoundTerms:
        return round_terms(
            secrets,
            kind=kind,
            new_classes=len(NEW_CLASSES) if kind == RoundKind.GROW else 0,
            rows=rows,
            old_rows=OLD_ROWS if kind == RoundKind.GROW else 0,
            validation=VALIDATION,
            sealed=SEALED,
            epochs=EPOCHS,
            windows=WINDOWS,
            caps=caps,
            opener_bond=OPENER_BOND,
            author_bond=AUTHOR_BOND,
            bounty=BOUNTY,
            witness_fee=WITNESS_FEE,
            z_squared=Z_SQUARED,
            witnesses=(NamedWitness(self._scene.cast.key(WITNESS).address, old_only=False),),
        )


async def _join(
    client: RpcClient, round_id: Hash, joined: asyncio.Barrier, play: Callable[[], Coroutine[Any, Any, T]]
) -> T:
    """Plays an actor's part, for which the blocks wait, once every actor knows the round."""
    async with client.holding():
        await ChainView(client).wait_record(Round, round_id)
        await joined.wait()
        return await play()
