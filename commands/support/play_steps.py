"""The steps of `engram play`: what each says, what one would type by hand, what it does, when it is done.

A step acts by the library, as the commands do, and whether it is done is read from the chain: so the play
goes on where it was, whatever ended it, and nothing is paid twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from engram.library.chain import AsyncChain
from engram.library.rounds import AsyncRound
from engram.node.datadir import KEYS_DIRECTORY, find_hrp
from engram.node.keystore import Keystore
from engram.participant.datasets import Dataset
from engram.participant.notices import Report
from engram.participant.selection import Selection
from engram.primitives.keys import PrivateKey
from engram.statemachine.rounds.records import RoundStatus

DEV: Final = "dev"
PEOPLE: Final = ("alice", "bob", "carol")
COINS: Final = 60
"""What each of them is given."""
OLD_CLASSES: Final = tuple(range(6))
BLOCKS: Final = 4
WINDOWS: Final = {
    **dict.fromkeys(("open", "reveal", "commit", "update", "witness", "audit", "score"), BLOCKS),
    "gap": 2,
}
STEPS: Final = 300
"""Training steps of each author."""
PLAYERS: Final = (4, 2)
"""How many programs play the first round and the second one; no block passes before all of them are there."""


class Game:
    """The chain of a play, and the keys of the people who play it."""

    def __init__(self, folder: Path, passphrase: str, report: Callable[[str], Report]) -> None:
        """`report` gives for a name what is told what this person does."""
        self.folder: Final = folder
        self.report: Final = report
        self._passphrase = passphrase
        self._keystore = Keystore(folder / KEYS_DIRECTORY, find_hrp(folder))
        self._keys: dict[str, PrivateKey] = {}

    def has_keys(self) -> bool:
        """Whether everybody has a key."""
        return {*PEOPLE} <= {entry.name for entry in self._keystore.entries()}

    def make_keys(self) -> None:
        """Makes the keys that are missing."""
        there = {entry.name for entry in self._keystore.entries()}
        for name in PEOPLE:
            if name not in there:
                self._keystore.create(name, self._passphrase)

    def address(self, name: str) -> str:
        """The address of somebody's key."""
        return self._keystore.entry(name).address_text

    def name(self, address: str | None) -> str:
        """The name of the key with this address, or the address; "nobody" if there is none."""
        if address is None:
            return "nobody"
        return {entry.address_text: entry.name for entry in self._keystore.entries()}.get(address, address)

    @asynccontextmanager
    async def chain(self, name: str | None = None) -> AsyncIterator[AsyncChain]:
        """The chain, acting for somebody; for nobody without a name."""
        key = None
        if name is not None:
            if name not in self._keys:
                self._keys[name] = await asyncio.to_thread(self._keystore.load, name, self._passphrase)
            key = self._keys[name]
        async with AsyncChain(None, data_dir=self.folder, key=key, windows=WINDOWS) as chain:
            yield chain

    async def rounds(self) -> list[dict[str, Any]]:
        """The rounds of the chain, the oldest first."""
        async with self.chain() as chain:
            return list(await chain.client.call("round_list"))


@dataclass(frozen=True)
class Step:
    """One step of the play."""

    id: str
    chapter: int
    title: str
    text: str
    commands: Sequence[str]
    act: Callable[[Game], Coroutine[Any, Any, Mapping[str, object]]]
    """Does it, and gives what came of it as names and values."""
    is_done: Callable[[Game], Coroutine[Any, Any, bool]]


async def muster(game: Game) -> None:
    """Lets no block without transactions pass before everybody plays the open round, if there is one."""
    rounds = await game.rounds()
    running = rounds and rounds[-1]["status"] == RoundStatus.OPEN
    async with game.chain() as chain:
        await chain.client.call("miner_muster", programs=PLAYERS[len(rounds) > 1] if running else 0)


async def _has_keys(game: Game) -> bool:
    return game.has_keys()


async def _make_keys(game: Game) -> Mapping[str, object]:
    await asyncio.to_thread(game.make_keys)
    return {name: game.address(name) for name in PEOPLE}


async def _poor(game: Game) -> list[str]:
    """Those to whom nothing was ever sent. Nobody can spend all that they have: a fee would be missing."""
    async with game.chain() as chain:
        balances = {name: (await chain.account(game.address(name))).balance for name in PEOPLE}
    return [name for name, balance in balances.items() if not balance]


async def _has_coins(game: Game) -> bool:
    return not await _poor(game)


async def _send_coins(game: Game) -> Mapping[str, object]:
    async with game.chain(DEV) as chain:
        for name in await _poor(game):
            await chain.transfer(game.address(name), COINS)
        return {name: (await chain.account(game.address(name))).balance for name in PEOPLE}


def _rows(share: int, classes: tuple[int, ...] = ()) -> Dataset:
    return Selection("digits", (share, 4), classes).rows_of(share)


async def _open_first(game: Game) -> Mapping[str, object]:
    async with game.chain(DEV) as chain:
        data = _rows(1, OLD_CLASSES)
        opened = await chain.open_round(
            *(data.features, data.labels),
            wait_for=PLAYERS[0],
            **{"hidden": (16,), "epsilon": 0.15, "epochs": 1, "bounty": 10, "rows": 40},  # type: ignore[arg-type]
            witnesses=[game.address("carol")],
            members=[game.address("alice")],
        )
        return {"round": opened.id}


async def _seal(game: Game) -> Mapping[str, object]:
    async with game.chain("carol") as chain:
        data = _rows(4, OLD_CLASSES)
        return {"sealed part": await (await chain.round()).seal(data.features, data.labels)}


async def _is_sealed(game: Game) -> bool:
    first = (await game.rounds())[0]
    return bool(first["witnesses"]) or first["status"] != RoundStatus.OPEN


async def _author(game: Game, name: str, share: int, found: dict[str, Any]) -> None:
    classes = OLD_CLASSES if found["opener"] == game.address(DEV) else ()
    data = _rows(share, classes)
    async with game.chain(name) as chain:
        await AsyncRound(chain, found["id"]).participate(
            data.features, data.labels, steps=STEPS, report=game.report(name)
        )


async def _play(game: Game, number: int) -> Mapping[str, object]:
    """Everybody plays their part of the round at once; who has played it to its end already does not."""
    found = (await game.rounds())[number]
    opener = (DEV, "alice")[number]
    authors = ({"alice": 2, "bob": 3}, {"bob": 3})[number]
    running = found["status"] == RoundStatus.OPEN
    if not running:
        owing = await _owing(game, found["id"])
        authors = {name: share for name, share in authors.items() if game.address(name) in owing}

    async def run() -> None:
        async with game.chain(opener) as chain:
            await AsyncRound(chain, found["id"]).run(game.report(opener))

    async def unseal() -> None:
        async with game.chain("carol") as chain:
            await AsyncRound(chain, found["id"]).unseal(game.report("carol"))

    await muster(game)
    async with asyncio.TaskGroup() as group:
        for name, share in authors.items():
            group.create_task(_author(game, name, share, found))
        if running:
            group.create_task(run())
        if running and number == 0:
            group.create_task(unseal())
    async with game.chain() as chain:
        outcome = await AsyncRound(chain, found["id"]).wait()
        told = await chain.client.call("round_outcomes", id=found["id"])
    winner = game.name(outcome.winner) if outcome.winner else None
    verdicts = {f"{game.name(each['author'])}'s update": each["why"] for each in told["updates"]}
    return {"status": outcome.status, "version": outcome.version, "winner": winner, **verdicts}


async def _owing(game: Game, round_id: str) -> set[str]:
    """The addresses whose updates are not withdrawn."""
    async with game.chain() as chain:
        return {each["author"] for each in await chain.client.call("round_candidates", id=round_id)}


async def _is_played(game: Game, number: int) -> bool:
    found = (await game.rounds())[number]
    return found["status"] != RoundStatus.OPEN and not await _owing(game, found["id"])


async def _open_second(game: Game) -> Mapping[str, object]:
    async with game.chain("alice") as chain:
        data = _rows(2)
        model = await chain.model()
        opened = await chain.open_round(
            *(data.features, data.labels),
            model=model.id,
            wait_for=PLAYERS[1],
            **{"new_classes": 4, "neurons": 32, "epochs": 1},  # type: ignore[arg-type]
        )
        return {"round": opened.id}


async def _look(game: Game) -> Mapping[str, object]:
    async with game.chain() as chain:
        model = await chain.model()
        made = [f"{each.neurons} neurons by {game.name(each.author)}" for each in await model.lineage()]
        data = _rows(4)
        classes = int((await model.info())["classes"])
        data = data.of_classes(range(classes))
        right = await model.evaluate(data.features, data.labels)
        return {
            "neurons": ", ".join(made),
            f"right about the digits 0-{classes - 1}": f"{right.accuracy:.1%}",
        }


async def _never(game: Game) -> bool:
    return False


LENGTHS: Final = f"{BLOCKS}"
PREDICT: Final = "engram model predict --data digits --first 100 --rows 2"
STORY: Final = (
    Step(
        *("keys", 1, "Three people get a key each"),
        "An account belongs to whoever holds its key. dev, who owns all coins of this chain, has one "
        "already; "
        "alice and bob will train a network, and carol will judge them.",
        [f"engram key new {name}" for name in PEOPLE],
        *(_make_keys, _has_keys),
    ),
    Step(
        *("coins", 1, "dev gives them coins"),
        f"{COINS} coins each. They are what is at stake: who lies about a network loses a bond.",
        [f"engram tx send {name} {COINS} --key dev" for name in PEOPLE],
        *(_send_coins, _has_coins),
    ),
    Step(
        *("open", 1, "dev opens a round"),
        "dev asks for a network that reads the digits 0 to 5, and offers 10 coins. dev's own pictures will "
        "judge "
        "the answers, so they stay secret: only commitments to them are sent.",
        [
            "engram round open --data digits --share 1/4 --take-classes 0-5 --rows 40 --hidden 16"
            f" --epsilon 0.15 --epochs 1 --windows {LENGTHS} --bounty 10 --witness carol --member alice"
            " --wait-for 4 --key dev"
        ],
        _open_first,
        lambda game: _opened(game, 1),
    ),
    Step(
        *("seal", 1, "carol keeps pictures back, too"),
        "If dev alone judged, dev could tell a friend the pictures. carol is a witness: her pictures judge "
        "as "
        "well, and nobody sees them before all updates are revealed.",
        ["engram round seal --data digits --share 4/4 --take-classes 0-5 --key carol"],
        *(_seal, _is_sealed),
    ),
    Step(
        *("train", 1, "alice and bob train, and the chain judges"),
        "Each trains on pictures of their own, commits to the result, and reveals it. Every node computes "
        "the claimed loss again, bit for bit. Then the secret pictures are opened, and the best update wins.",
        [
            "engram round unseal --key carol &",
            "engram participate --data digits --share 2/4 --take-classes 0-5 --steps 300 --key alice &",
            "engram participate --data digits --share 3/4 --take-classes 0-5 --steps 300 --key bob &",
            "engram round run --key dev",
        ],
        lambda game: _play(game, 0),
        lambda game: _is_played(game, 0),
    ),
    Step(
        *("predict", 1, "The model answers"),
        "Everybody can ask the model. It knows the digits 0 to 5 only, and says one of these to any picture.",
        [PREDICT],
        *(_look, _never),
    ),
    Step(
        *("grow", 2, "alice opens a round in which the model grows"),
        "The network is frozen now: its numbers never change again. alice, whom dev has made a member, wants "
        "the digits 6 to 9, too. They come as new neurons beside the old ones.",
        [
            "engram round open MODEL --data digits --share 2/4 --new-classes 4 --neurons 32 --epochs 1"
            f" --windows {LENGTHS} --wait-for 2 --key alice"
        ],
        _open_second,
        lambda game: _opened(game, 2),
    ),
    Step(
        *("teach", 2, "bob teaches the new digits"),
        "bob trains new neurons, and the chain checks on secret pictures of the old digits that they are not "
        "forgotten.",
        [
            "engram participate --data digits --share 3/4 --steps 300 --key bob &",
            "engram round run --key alice",
        ],
        lambda game: _play(game, 1),
        lambda game: _is_played(game, 1),
    ),
    Step(
        *("again", 2, "The grown model answers"),
        "It has ten answers now, and those about the old digits come from the same numbers as before.",
        [PREDICT],
        *(_look, _never),
    ),
)


async def _opened(game: Game, rounds: int) -> bool:
    return len(await game.rounds()) >= rounds
