"""What the steps of the guided play do, by the library, and what the chain shows once they are done.

A step that was cut off is begun again, and a person may have done it by hand meanwhile: so each looks at the
chain first, and does what is missing. `settle` waits before that for what an earlier run had sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from engram.commands.guided.openings import FOUNDING, GROWTH, Opening
from engram.commands.guided.playground import Playground
from engram.commands.guided.playing import count_players, is_open, is_played, play
from engram.commands.support.dev_chain import DEV_KEY
from engram.commands.support.errors import PlayStuck

if TYPE_CHECKING:
    from engram.library.chain import AsyncChain

PLAYERS: Final = ("alice", "bob", "carol")
COINS: Final = 20
PROOF_NAME: Final = "model.proof"
NETWORK_NAME: Final = "model.npz"
QUESTION: Final = 100
"""The row of the data that the founded model is asked about: a 4."""
NEW_QUESTION: Final = 108
"""The row that the grown model is asked about: a 7, which the first owners never taught."""

Facts = dict[str, Any]


async def settle(ground: Playground) -> None:
    """Begins to mine, and waits for the blocks that hold what an earlier run had sent.

    No phase of a round passes meanwhile, nor later while the person reads: blocks without transactions wait
    for everybody who has a part in the round.
    """
    from engram.node.client import RpcClient
    from engram.participant.reconnect import watch

    async with await ground.chain() as chain:
        rounds = await ground.rounds(chain.client)
        opening = FOUNDING if not rounds or (len(rounds) == 1 and is_open(rounds[0])) else GROWTH
        plays = bool(rounds) and is_open(rounds[-1]) and (len(rounds) > 1 or bool(rounds[0]["witnesses"]))
        programs = count_players(opening, rounds[-1]) if plays else opening.programs
        async with RpcClient.of_data_dir(chain.url, ground.folder) as admin:
            await admin.call("miner_muster", programs=programs)
            await admin.call("miner_start")
        if plays:
            return  # what is waiting now is the players' own matter

        async def look() -> bool | None:
            return None if await _waiting(ground, chain) else True

        await watch(chain.client, look, "heads", "transactions")


async def _waiting(ground: Playground, chain: AsyncChain) -> bool:
    """Whether a transaction of the players waits for nothing but a block."""
    for name in (DEV_KEY, *PLAYERS):
        if not ground.has_key(name):
            continue
        account = await chain.client.call("account_get", address=ground.address(name))
        for entry in account["pending"]:
            found = await chain.client.call("tx_status", txid=entry["txid"])
            if found["status"] == "pending" and found["waits"] is None:
                return True
    return False


async def make_keys(ground: Playground) -> Facts:
    """Makes the keys that are missing."""
    for name in PLAYERS:
        if not ground.has_key(name):
            ground.make_key(name)
    return {"addresses": {name: ground.address(name) for name in (DEV_KEY, *PLAYERS)}}


async def have_keys(ground: Playground) -> bool:
    """Whether everybody has a key."""
    return all(ground.has_key(name) for name in PLAYERS)


async def send_coins(ground: Playground) -> Facts:
    """Sends coins to those who have had none."""
    async with await ground.chain() as chain:
        for name in PLAYERS:
            if not await _was_paid(ground, chain, name):
                await chain.transfer(ground.address(name), COINS)
        accounts = {name: await chain.account(ground.address(name)) for name in PLAYERS}
        return {"balances": {name: str(account.balance) for name, account in accounts.items()}}


async def have_coins(ground: Playground) -> bool:
    """Whether everybody has been paid."""
    async with await ground.chain() as chain:
        return all([await _was_paid(ground, chain, name) for name in PLAYERS])


async def _was_paid(ground: Playground, chain: AsyncChain, name: str) -> bool:
    found = await chain.client.call("account_get", address=ground.address(name))
    return bool(int(found["balance"]) or found["nonce"])


async def found_model(ground: Playground) -> Facts:
    """dev opens the round that founds the model."""
    names = {"witnesses": [ground.address("carol")], "members": [ground.address("bob")]}
    return await _open(ground, FOUNDING, 0, None, {**names, "classes": len(FOUNDING.classes)})


async def grow_model(ground: Playground) -> Facts:
    """bob opens the round that grows it."""
    async with await ground.chain() as chain:
        model = (await chain.model()).id
    return await _open(ground, GROWTH, 1, model, {})


async def _open(ground: Playground, opening: Opening, number: int, model: str | None, more: Facts) -> Facts:
    """Opens the round, unless the chain has so many rounds already: the person may have typed the command."""
    rows = opening.rows(opening.opener)
    async with await ground.chain(opening.opener) as chain:
        there = await chain.rounds()
        if len(there) > number:
            opened = there[number]
        else:
            opened = await chain.open_round(
                rows.features,
                rows.labels,
                model=model,
                wait_for=opening.programs,
                windows=opening.windows,
                **{**opening.options, **more},
            )
        found = await opened.info()
    terms = found["terms"]
    parts = {"parts": len(terms["commitments"]), "rows": terms["rows"]}
    return {"round": opened.id, "model": found["model"], **parts}


async def is_founded(ground: Playground) -> bool:
    """Whether the first round has been opened."""
    return await _count(ground) >= 1


async def is_growing(ground: Playground) -> bool:
    """Whether the second round has been opened."""
    return await _count(ground) > 1


async def _count(ground: Playground) -> int:
    async with await ground.chain() as chain:
        return len(await chain.rounds())


async def seal_part(ground: Playground) -> Facts:
    """carol seals a part of her own."""
    rows = FOUNDING.rows("carol")
    async with await ground.chain("carol") as chain:
        round_ = (await chain.rounds())[0]
        if sealed := (await round_.info())["witnesses"]:
            return {"commitment": sealed[0]["commitment"]}
        return {"commitment": await round_.seal(rows.features, rows.labels)}


async def is_sealed(ground: Playground) -> bool:
    """Whether carol has done so."""
    async with await ground.chain() as chain:
        rounds = await ground.rounds(chain.client)
        return bool(rounds and rounds[0]["witnesses"])


async def play_founding(ground: Playground) -> Facts:
    """Everybody plays the first round."""
    return await _play(ground, FOUNDING, 0)


async def play_growth(ground: Playground) -> Facts:
    """Everybody plays the second round."""
    return await _play(ground, GROWTH, 1)


async def _play(ground: Playground, opening: Opening, number: int) -> Facts:
    async with await ground.chain() as chain:
        round_id = (await chain.rounds())[number].id
    await play(ground, opening, round_id)
    return await _outcome(ground, round_id)


async def is_founding_played(ground: Playground) -> bool:
    """Whether the first round is over for everybody."""
    return await _is_played(ground, FOUNDING, 0)


async def is_growth_played(ground: Playground) -> bool:
    """Whether the second round is over for everybody."""
    return await _is_played(ground, GROWTH, 1)


async def _is_played(ground: Playground, opening: Opening, number: int) -> bool:
    async with await ground.chain() as chain:
        rounds = await chain.rounds()
        return len(rounds) > number and await is_played(ground, opening, chain.client, rounds[number].id)


async def _outcome(ground: Playground, round_id: str) -> Facts:
    """How the round has ended, and why. Raises `PlayStuck` if it has made no version."""
    from engram.commands.support.round_fields import status_name
    from engram.commands.support.verdicts import with_verdicts
    from engram.node.rpc.outcomes import outcomes, reasons
    from engram.statemachine.rounds.records import RoundKind

    async with await ground.chain() as chain:
        ended = await with_verdicts(chain.client, await chain.client.call("round_get", id=round_id))
    status = status_name(ended["status"])
    if status != "decided":
        why = "; ".join(map(ground.named, reasons(ended)))
        raise PlayStuck(
            f"the round is {status}, so there is no version to go on with: {why}. Begin anew, after"
            f" `rm -r {ground.folder}`",
            got=round_id,
        )
    told = [
        {"author": ground.named(each["author"]), "paid": each["paid"], "why": each["why"]}
        for each in outcomes(ended)
    ]
    won = next(each for each in reversed(ended["verdicts"]) if each["rung"])
    grows = ended["terms"]["kind"] == RoundKind.GROW
    forgotten = sum(group["forgotten"] for group in won["groups"])
    return {
        "round": round_id,
        "status": status,
        "winner": ground.named(str(ended["winner"])),
        "updates": told,
        "old_rows": sum(part["old"] for part in ended["unseen"]) if grows else 0,
        "forgotten": forgotten,
    }


async def show_model(ground: Playground) -> Facts:
    """The versions of the model."""
    async with await ground.chain() as chain:
        model = await chain.model()
        frozen, found = (await model.info())["frozen"], await model.versions()
    versions = [
        {
            "version": each.number,
            "author": None if each.author is None else ground.named(each.author),
            "classes": each.classes,
            "neurons": each.neurons,
            "accuracy": each.accuracy,
        }
        for each in found
    ]
    return {"model": model.id, "frozen": bool(frozen), "versions": versions}


async def ask_model(ground: Playground) -> Facts:
    """A prediction of the founded model, and whose neurons made it."""
    return await _ask(ground, QUESTION)


async def ask_again(ground: Playground) -> Facts:
    """A prediction that the founded model could not have made."""
    return await _ask(ground, NEW_QUESTION)


async def _ask(ground: Playground, row: int) -> Facts:
    from engram.commands.support.explaining import explained_rows
    from engram.commands.support.predictions import RowsOfFile, chosen_rows

    chosen = chosen_rows((), RowsOfFile("digits"), row, 1)
    async with await ground.chain() as chain:
        result = await explained_rows(chain.client, (await chain.model()).id, chosen.features, None)
    chosen.explain(result["predictions"])
    return {"row": row, **result}


async def prove_model(ground: Playground) -> Facts:
    """Takes home a proof and the integers of the model, and checks both without the node."""
    from engram.library.verifying import verify
    from engram.node.files import write_public

    proof_path, network_path = ground.folder / PROOF_NAME, ground.folder / NETWORK_NAME
    async with await ground.chain() as chain:
        trusted = (await chain.head()).id
        model = await chain.model()
        network = await model.pull()
        proof = await model.prove(checkpoint=trusted)
        network.save(network_path)
        verdict = verify(proof, chain=await chain.spec(), checkpoint=trusted, network=network)
    write_public(proof_path, proof.raw)  # last: it says that the step is done
    return {
        "accepted": verdict.accepted,
        "checkpoint": trusted,
        "proof": str(proof_path),
        "network": str(network_path),
        "proves": list(verdict.proves),
    }


async def is_proved(ground: Playground) -> bool:
    """Whether the proof is there."""
    return (ground.folder / PROOF_NAME).is_file()
