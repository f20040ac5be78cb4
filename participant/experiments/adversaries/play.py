"""One attack by so many attackers, in a real round on one node, and what comes of it for everybody."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from engram.nn.data import parse_part
from engram.nn.growth import Policy
from engram.nn.loss import LossKind
from engram.participant.arena.arena import WINDOWS, Arena, key_of
from engram.participant.arena.examining import Marks, examine, publish
from engram.participant.datasets import Dataset, concatenate
from engram.participant.experiments.adversaries.attacks import (
    Attack,
    Foe,
    Side,
    decoys_of,
    until_ended,
)
from engram.participant.experiments.adversaries.foes import TARGET, marked, noise_rows
from engram.participant.experiments.setting import NEW, OLD, PaperSetting, Shares
from engram.participant.opener import secrets_path, settle_round
from engram.participant.parts import ROUNDS_DIRECTORY, RoundSecrets, load_secrets, split_parts
from engram.participant.round_plan import DraftedRound, ModelPlan, RoundPlan, draft_founding, draft_round
from engram.participant.selection import GivenRows
from engram.participant.strategies import Plan, honest
from engram.participant.task import Strategy
from engram.participant.training.qat import Budget
from engram.participant.view import ChainView
from engram.participant.wallet import Wallet
from engram.participant.witness import Witness
from engram.primitives.types import Hash
from engram.statemachine.records import NamedWitness
from engram.statemachine.rounds.records import Round, RoundStatus
from engram.statemachine.rules import Rules

COIN: Final = 10**8
BOUNTY: Final = 50 * COIN
FEE: Final = 2 * COIN
"""What each witness gets out of the bounty."""
OPENER, EXAMINER = "opener", "examiner"
RULES: Final = Rules(draw_ticks=2, min_gap_ticks=1, min_window_ticks=1, maturity_blocks=3)
"""Those of a private chain with short phases; the limits of rows, parts and proofs are the usual ones."""
TEST_ROWS: Final = 2_000
MARKED: Final = "marked"
"""Test rows of other classes with the mark of the backdoor, labelled with its target."""

Act = Callable[[Wallet], Awaitable[object]]


@dataclass(frozen=True, eq=False)
class Fought:
    """What came of it."""

    round: Round
    winner: str
    """honest, attackers or nobody"""
    marks: Mapping[str, Marks]
    """Of the model's current version, on sets of test rows."""
    gains: Mapping[str, int]
    """What each actor has more than before the round, in sparks."""
    hostile: frozenset[str]
    """The names of the attackers."""
    codes: Mapping[str, int]
    """How often an attacker was answered so."""


def author(number: int) -> str:
    """The name of an author."""
    return f"author {number}"


def alias(number: int, name: int) -> str:
    """Another name of an author."""
    return f"{author(number)}, name {name}"


def witness(number: int) -> str:
    """The name of a witness."""
    return f"witness {number}"


class Battle:
    """A model whose round is attacked by the last so many of its authors or witnesses, or by its opener."""

    def __init__(
        self, arena: Arena, attack: Attack, attackers: int, setting: PaperSetting, shares: Shares
    ) -> None:
        self._arena, self._attack, self._attackers = arena, attack, attackers
        self._setting, self._shares = setting, shares
        self._model: Hash = b""
        self._codes: Counter[str] = Counter()

    async def fight(self) -> Fought:
        """Founds the model, if the attack is on a growth also by honest authors, and plays the attack."""
        if self._attack.growth:
            await self._play(0, attacked=False)
        names = [OPENER, *self._names(Side.AUTHORS), *self._names(Side.WITNESSES)]
        before = {name: await self._wealth(name) for name in names}
        round_ = await self._play(int(self._attack.growth), attacked=True)
        gains = {name: await self._wealth(name) - before[name] for name in names}
        marks = await self._examine(round_)
        hostile = frozenset(filter(self.hostile, names))
        return Fought(round_, self._winner(round_), marks, gains, hostile, dict(self._codes))

    def hostile(self, name: str) -> bool:
        """Whether this is the name of an attacker."""
        attack, last = self._attack, self._attackers
        match attack.side:
            case Side.OPENER:
                return name == OPENER and last > 0
            case Side.WITNESSES:
                return name in {witness(each) for each in self._last(attack.witnesses, last)}
            case Side.AUTHORS:
                return name.split(",")[0] in {
                    author(each) for each in self._last(self._setting.participants, last)
                }

    @staticmethod
    def _last(many: int, count: int) -> range:
        return range(many - count, many)

    def _names(self, side: Side) -> list[str]:
        if side is Side.WITNESSES:
            return [witness(each) for each in range(self._attack.witnesses)]
        whole = range(self._setting.participants)
        hostile = [each for each in whole if self.hostile(author(each))]
        more = [alias(each, name) for each in hostile for name in range(1, self._attack.names)]
        return [*map(author, whole), *more]

    def _winner(self, round_: Round) -> str:
        if round_.status != RoundStatus.DECIDED:
            return "nobody"
        names = {key_of(name).address: name for name in self._names(Side.AUTHORS)}
        return "attackers" if self.hostile(names[round_.winner]) else "honest"

    async def _wealth(self, name: str) -> int:
        """What an actor holds, with rewards that have not matured."""
        async with self._arena.client() as client:
            address = await Wallet(client, key_of(name)).address()
            account = await client.call("account_get", address=address, since=0)
        return int(account["balance"]) + sum(int(reward["amount"]) for reward in account["maturing"])

    async def _examine(self, round_: Round) -> dict[str, Marks]:
        """What nodes say of the current version, on clean and on marked test rows."""
        growth, made = self._attack.growth, round_.status == RoundStatus.DECIDED
        version = int(growth) + int(made)
        known = [*OLD, *NEW] if growth and made else list(OLD)
        clean = self._shares.test.of_classes(known)
        others = marked(clean.of_classes([label for label in known if label != TARGET]))
        aimed = Dataset(others.features, np.full_like(others.labels, TARGET))
        async with self._arena.actor(EXAMINER) as wallet:
            parts = await publish(wallet, {"clean": clean, MARKED: aimed}, TEST_ROWS)
            asked = [(version, name) for name in parts]
            marks = await examine(wallet, self._model, asked, parts)
        return {name: each for (_, name), each in marks.items()}

    async def _play(self, number: int, *, attacked: bool) -> Round:
        arena = self._arena
        round_id = await arena.open(OPENER, self._draft(number))
        authors: dict[str, Strategy] = {}
        others: dict[str, Act] = {}
        for each, own in enumerate(self._shares.own):
            plan = Plan(own, self._budget, self._setting.neurons, self._setting.seed + each)
            if not (attacked and self.hostile(author(each))):
                authors[author(each)] = honest(plan)
                continue
            for name in (author(each), *(alias(each, n) for n in range(1, self._attack.names))):
                others[name] = self._attacker(round_id, plan, each)
        for each in range(self._attack.witnesses):
            silent = attacked and self.hostile(witness(each))
            others[witness(each)] = self._witness(round_id, number, each, hostile=silent)
        opener = self._opener(round_id, hostile=attacked and self.hostile(OPENER))
        ended = await arena.play(round_id, opener, authors, others, OPENER)
        self._model = ended.round.model
        return ended.round

    @property
    def _budget(self) -> Budget:
        return Budget(self._setting.steps, self._setting.batch)

    def _draft(self, number: int) -> Callable[[Wallet], Awaitable[DraftedRound]]:
        setting, names = self._setting, range(self._attack.witnesses)
        plan = RoundPlan(
            GivenRows(self._shares.founder[number]),
            parts=setting.parts,
            rows=setting.part_rows,
            epochs=self._attack.epochs,
            windows=WINDOWS,
            new_classes=len(NEW) if number else 0,
            neurons=setting.neurons,
            bounty=BOUNTY,
            witnesses=tuple(
                sorted(
                    (NamedWitness(key_of(witness(each)).address, old_only=False) for each in names),
                    key=lambda named: named.address,
                )
            ),
            witness_fee=FEE,
            seed=setting.seed,
        )
        model = ModelPlan(
            loss_kind=LossKind.SOFTMAX_CROSS_ENTROPY,
            policy=Policy.STRICT,
            threshold_ppm=500_000,
            retention_epsilon_ppm=setting.epsilon_ppm,
            retention_delta_ppm=1_000_000,
            lost_cap_ppm=500_000,
            hidden=(setting.hidden,),
        )
        if number:
            return lambda wallet: draft_round(wallet, plan, self._model)
        return lambda wallet: draft_founding(wallet, plan, model)

    def _opener(self, round_id: Hash, *, hostile: bool) -> Callable[[Wallet], Awaitable[Round]]:
        async def play(wallet: Wallet) -> Round:
            opener = self._arena.opener(wallet)
            if not hostile:
                return await opener.run(round_id)
            round_ = await ChainView(wallet.client).get(Round, round_id)
            await opener.reveal(round_id, opener.secrets(round_))
            return await settle_round(opener.view, wallet, round_id)

        return play

    def _attacker(self, round_id: Hash, plan: Plan, number: int) -> Act:
        attack, arena = self._attack, self._arena
        victim = key_of(author(0)).address

        async def play(wallet: Wallet) -> None:
            if attack.act is not None:
                self._codes[await attack.act(wallet, round_id, victim)] += 1
                return
            assert attack.strategy is not None, "an attack by authors has a strategy or an act"
            decoys = decoys_of(plan.data.of_classes(OLD), 4 * self._setting.part_rows)
            told = self._told if attack.tells else None
            strategy = attack.strategy(Foe(plan, number, decoys, told))
            for report in await arena.author(wallet, strategy, checks=False).play(round_id):
                self._codes[report.code] += 1

        return play

    def _told(self, round_: Round) -> Dataset:
        """The rows of the opener's sealed parts that were drawn, which nobody else should know."""
        path = secrets_path(self._arena.folder / ROUNDS_DIRECTORY, round_.terms.nonce_hash)
        found = []
        for part in load_secrets(path).parts:
            if part.commitment in round_.sealed_drawn:
                inputs = self._shares.test.inputs
                rows = parse_part(part.raw, rows=round_.terms.rows, inputs=inputs, classes=round_.classes)
                found.append(Dataset(rows.features, rows.labels))
        return concatenate(found)

    def _witness(self, round_id: Hash, number: int, each: int, *, hostile: bool) -> Act:
        setting, arena = self._setting, self._arena
        whole = self._shares.witness[number]
        size = setting.part_rows
        rows = whole.take(np.arange(each * size, (each + 1) * size))
        silent = hostile and self._attack.silent
        if hostile and not silent:
            rows = noise_rows(size, whole.inputs, len(OLD), setting.seed + each)
        part = split_parts(rows, 1, size, np.random.default_rng(each), os.urandom)
        secrets = RoundSecrets(os.urandom(32), tuple(part))

        async def play(wallet: Wallet) -> None:
            player = Witness(wallet, arena.folder / ROUNDS_DIRECTORY, arena.report)
            await player.seal(round_id, secrets)
            if silent:
                await until_ended(wallet, round_id)
            else:
                await player.open_sealed(round_id, secrets)

        return play


def actors(attack: Attack, participants: int) -> tuple[str, ...]:
    """Everybody who could have an account."""
    authors = [author(each) for each in range(participants)]
    more = [alias(each, name) for each in range(participants) for name in range(1, attack.names)]
    return (OPENER, EXAMINER, *authors, *more, *map(witness, range(attack.witnesses)))
