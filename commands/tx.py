"""`engram tx`: sends coins, follows transactions, prices, signs and decodes them apart from a node."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engram.commands.support.files import check_free
from engram.commands.support.lookup import check_beginning
from engram.commands.support.options import Group, choosing_key, with_key, with_session
from engram.commands.support.sending import Fee, send, show_status, with_fee
from engram.commands.support.session import CommandSession
from engram.commands.support.stdin import hex_argument, json_argument
from engram.commands.support.units import COINS, in_coins
from engram.participant.finding import find_id

if TYPE_CHECKING:
    from engram.node.client import RpcClient
    from engram.statemachine.transaction import TxPayload


@click.group("tx", cls=Group, example="engram tx send bob 12.5 --key alice\nengram tx status 6fd0…")
def command() -> None:
    """Send coins and follow transactions; sign them on one machine and submit them on another.

    A transaction is named by its id, which `engram tx send` prints, or by the first four or more of its 64
    hexadecimal digits.
    """


@command.command("send", example="engram tx send carol 12.5 --key alice\nengram tx send bob 0.1 --no-wait")
@click.argument("to")
@click.argument("amount", type=COINS)
@with_fee
@with_key
@with_session
def send_coins(session: CommandSession, to: str, amount: int, fee: Fee, wait: bool) -> None:
    """Send AMOUNT coins from the account of --key to another account.

    TO is an address or the name of a key in the data directory. AMOUNT may have up to eight decimals. The
    command waits until a block holds the transaction, unless you give --no-wait.
    """
    from engram.primitives.keys import parse_address
    from engram.statemachine.transactions.transfer import Transfer

    target = parse_address(session.address(to), session.hrp)
    send(session, Transfer(target, amount), fee=fee, wait=wait)


@command.command("status", example="engram tx status 6fd0…")
@click.argument("txid")
@with_session
def status(session: CommandSession, txid: str) -> None:
    """Show what became of a transaction: pending, included, failed, dropped or unknown.

    A pending transaction waits in the mempool. "waits" gives the code of what keeps it out of the next
    blocks: fee_too_low if full blocks have raised the minimum fee above its --max-fee; it returns when that
    has fallen. An included one took effect in a block. A failed one is in a block, too, and paid its fee, but
    did not do what it was sent for; its code says why. The node gave up a dropped one, and knows nothing of
    an unknown one.
    """

    check_beginning("transaction", txid)

    async def action(client: RpcClient) -> dict[str, Any]:
        whole = await find_id(client, "transaction", txid)
        return {"txid": whole, **await client.call("tx_status", txid=whole)}

    show_status(session, session.run(action))


@command.command("show", example="engram tx show 6fd0… --json")
@click.argument("txid")
@with_session
def show(session: CommandSession, txid: str) -> None:
    """Show a transaction: sender, nonce, the most it may cost, its tip and the decoded payload.

    The node finds transactions of its blocks and of its mempool. Amounts are shown in coins, with --json in
    sparks.
    """

    check_beginning("transaction", txid)

    async def action(client: RpcClient) -> dict[str, Any]:
        found: dict[str, Any] = await client.call("tx_get", txid=await find_id(client, "transaction", txid))
        return found

    result = session.run(action)
    session.show(result, in_coins(result).items())


@command.command("submit", example="engram tx submit 97cf…\nengram tx submit - < signed.tx")
@click.argument("raw")
@click.option(
    "--replace",
    is_flag=True,
    help="Push aside a waiting transaction of the same sender and nonce, whose cap and tip must be exceeded "
    "by a tenth. Without it, such a transaction is refused with nonce_occupied.",
)
@with_session
def submit(session: CommandSession, raw: str, replace: bool) -> None:
    """Submit a transaction that was signed elsewhere to the node.

    RAW is the encoded transaction in hexadecimal, as `engram tx sign` writes it; - reads it from standard
    input. The command shows the transaction's status and does not wait for a block. The same bytes submitted
    twice are one transaction; "known" says that the node had it.
    """
    content = hex_argument(raw)

    async def action(client: RpcClient) -> dict[str, Any]:
        answer = await client.call("tx_submit", raw=content, replace=replace)
        status = await client.call("tx_status", txid=answer["txid"])
        return {"txid": answer["txid"], "known": answer["known"], **status}

    show_status(session, session.run(action))


@command.command(
    "estimate",
    example='engram tx estimate transfer \'{"target": "bob", "amount": 500}\' --key alice',
)
@click.argument("kind", metavar="TYPE")
@click.argument("payload")
@click.option(
    "--sender",
    metavar="ACCOUNT",
    help="Who would send it, an address or a key's name. Default: the account of --key.",
)
@choosing_key
@with_session
def estimate(session: CommandSession, kind: str, payload: str, sender: str | None) -> None:
    """Show what a transaction would cost in the next block, without signing or sending it.

    TYPE and PAYLOAD are as `engram tx show --json` shows them: a name such as transfer, and a JSON object
    whose amounts are in sparks; - reads it from standard input. An address may also be the name of a key.
    "minimum" is the least that the next block charges, "max_fee" and "tip" are what a wallet would offer,
    "macs" are the multiply-accumulates that the transaction uses.
    """
    from engram.primitives.codec import encode

    made = _payload(session, kind, payload)
    result = session.call("tx_estimate", kind=made.KIND, payload=encode(made), sender=session.address(sender))
    session.show(result, in_coins(result).items())


@command.command(
    "sign",
    example='engram tx sign transfer \'{"target": "bob", "amount": 500}\' --nonce 4 --max-fee 0.01\n'
    "engram tx sign transfer - --nonce 4 --max-fee 0.01 -o signed.tx < payload.json",
)
@click.argument("kind", metavar="TYPE")
@click.argument("payload")
@click.option(
    "--nonce",
    type=click.IntRange(0),
    required=True,
    help="How many transactions of the account come before this one: `engram account show` says it.",
)
@click.option("--max-fee", type=COINS, metavar="COINS", required=True, help="The most to pay.")
@click.option(
    "--tip", type=COINS, metavar="COINS", default=0, help="What the miner gets besides; default: 0."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the signed transaction to this file, for `engram tx submit -`.",
)
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@with_key
@with_session
def sign(
    session: CommandSession,
    kind: str,
    payload: str,
    nonce: int,
    max_fee: int,
    tip: int,
    output: Path | None,
    force: bool,
) -> None:
    """Sign a transaction on a machine without a node, for `engram tx submit` on another one.

    TYPE and PAYLOAD are as `engram tx estimate` takes them. The data directory needs the chain's chain.json
    and the key, nothing else. The transaction can be sent once, by anybody; it is for this chain only.
    """
    from engram.consensus.chainspec import chain_id
    from engram.node.datadir import read_spec
    from engram.node.files import write_public
    from engram.primitives.codec import encode
    from engram.statemachine.transaction import sign as signed

    if output is not None:
        check_free(output, force=force)
    number, made = chain_id(read_spec(session.data_dir)), _payload(session, kind, payload)
    raw = encode(signed(session.unlock(), number, nonce, max_fee, tip, made))
    if output is not None:
        write_public(output, (raw.hex() + "\n").encode())
    result = {**_decoded(session, raw), "raw": raw.hex()}
    shown = {**in_coins(result), "file": str(output)} if output is not None else in_coins(result)
    session.show(result, shown.items())


@command.command("decode", example="engram tx decode 97cf…\nengram tx decode - < signed.tx")
@click.argument("raw")
@with_session
def decode(session: CommandSession, raw: str) -> None:
    """Show what is in an encoded transaction, without sending it.

    RAW is the transaction in hexadecimal, or - to read it from standard input. The data directory's chain is
    enough; no node is asked. "signature" says whether the sender has signed exactly this, "of_this_chain"
    whether it is for the directory's chain. Amounts are shown in coins, with --json in sparks.
    """
    result = _decoded(session, hex_argument(raw))
    session.show(result, in_coins(result).items())


def _payload(session: CommandSession, kind: str, word: str) -> TxPayload:
    from engram.node.payloads import parse_payload
    from engram.primitives.keys import parse_address

    def account(text: str) -> bytes:
        return parse_address(session.address(text), session.hrp)

    return parse_payload(kind, json_argument(word), account)


def _decoded(session: CommandSession, raw: bytes) -> dict[str, Any]:
    """What a transaction holds. Raises `CodecError` for bytes that are none."""
    from engram.consensus.chainspec import chain_id
    from engram.node.datadir import read_spec
    from engram.node.rpc.render import Renderer
    from engram.primitives.errors import BadPublicKey, BadSignature
    from engram.statemachine.transaction import decode_transaction, verify_transaction

    spec = read_spec(session.data_dir)
    tx = decode_transaction(raw)
    try:
        verify_transaction(tx)
        signature = "valid"
    except (BadSignature, BadPublicKey) as error:
        signature = error.code
    shown = Renderer(spec.hrp, spec.rules).transaction(tx, len(raw))
    return {**shown, "signature": signature, "of_this_chain": tx.chain_id == chain_id(spec)}
