"""For commands that send a transaction: options for the fee and --wait, sending, and the outcome."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from engram.commands.support.session import CommandSession
from engram.commands.support.units import COINS
from engram.participant.coins import format_coins

if TYPE_CHECKING:
    from engram.participant.wallet import Wallet
    from engram.primitives.types import Hash
    from engram.statemachine.transaction import TxPayload


def with_fee(function: Callable[..., None]) -> Callable[..., None]:
    """Adds --max-fee, --tip and --wait/--no-wait. The first two arrive together, as `fee`."""

    @functools.wraps(function)
    def wrapped(max_fee: int | None, tip: int | None, **rest: Any) -> None:
        function(fee=Fee(max_fee, tip), **rest)

    cap = click.option(
        "--max-fee",
        type=COINS,
        metavar="COINS",
        help="The most to pay. Charged are the block's minimum fee and the tip. Default: room for a minimum "
        "fee of six times the present one.",
    )
    tip = click.option(
        "--tip",
        type=COINS,
        metavar="COINS",
        help="What the miner gets besides the minimum fee; the higher, the sooner. Default: 1/64 of it.",
    )
    return cap(tip(with_wait(wrapped)))


@dataclass(frozen=True)
class Fee:
    """What the user said about the fee, in sparks; None where the node's suggestion counts."""

    max_fee: int | None
    tip: int | None


def with_wait(function: Callable[..., None]) -> Callable[..., None]:
    """Adds --wait/--no-wait."""
    wait = click.option(
        "--wait/--no-wait", default=True, show_default=True, help="Wait until a block holds the transaction."
    )
    return wait(function)


def send(session: CommandSession, payload: TxPayload, *, fee: Fee, wait: bool) -> None:
    """Sends a payload with the chosen key and prints the transaction's status.

    Raises as `Wallet.send` and `Wallet.confirm` do.
    """

    async def make(wallet: Wallet) -> TxPayload:
        return payload

    send_made(session, make, fee=fee, wait=wait)


def send_made(
    session: CommandSession, make: Callable[[Wallet], Awaitable[TxPayload]], *, fee: Fee, wait: bool
) -> None:
    """As `send`, for a payload that `make` builds with the open wallet."""

    async def action(wallet: Wallet) -> dict[str, Any]:
        txid = await wallet.send(await make(wallet), max_fee=fee.max_fee, tip=fee.tip)
        return await settled(session, wallet, txid, wait=wait)

    show_status(session, session.run_wallet(action))


async def settled(session: CommandSession, wallet: Wallet, txid: Hash, *, wait: bool) -> dict[str, Any]:
    """The status of a transaction that was sent; with `wait`, only after a block holds it."""
    if wait:
        session.note(f"sent {txid.hex()}, waiting for a block")
        await wallet.confirm(txid)
    status: dict[str, Any] = await wallet.client.call("tx_status", txid=txid)
    return {"txid": txid.hex(), **status}


def show_status(session: CommandSession, status: dict[str, Any]) -> None:
    """Prints the answer of `tx_status`, with the receipt's fee in coins and its events."""
    receipt = status.get("receipt") or {}
    fields = {name: status.get(name) for name in ("txid", "status", "waits", "code", "height", "block")}
    if receipt:
        fields |= {"fee": format_coins(receipt["fee"]), "macs": receipt["macs"]}
    shown = [(name, value) for name, value in fields.items() if value not in (None, "")]
    session.show(status, [*shown, *[(event["name"], _event(event)) for event in receipt.get("events", [])]])


_VALUES: Final = {
    "version_scored": ("version", "loss", "correct", "rows"),
    "rewards_claimed": ("sparks", "rewards"),
    "part_published": ("rows", "inputs", "classes"),
}
"""Names of an event's first values, by the event's name."""


_CLASSES: Final = 3
"""How many classes of a prediction are printed, the most probable first."""


def _event(event: dict[str, Any]) -> str:
    if event["name"] == "prediction":
        return _prediction(*event["values"])
    names = _VALUES.get(event["name"], ())
    words = [event["subject"]]
    for index, value in enumerate(event["values"]):
        words += [*names[index : index + 1], str(value)]
    return " ".join([*words, *event["text"]])


def _prediction(version: int, row: int, label: int, *logits: int) -> str:
    from engram.node.rpc.explain import probabilities

    chances = probabilities(logits)
    others = sorted((number for number in range(len(chances)) if number != label), key=lambda n: -chances[n])
    likely = [f"{number}: {chances[number]:.3f}" for number in (label, *others[: _CLASSES - 1])]
    return f"row {row} class {label} ({', '.join(likely)}) by version {version}"
