"""What stands in the blocks of a chain: a line for each transaction, with its size, its fee and its work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engram.node.client import RpcClient
from engram.primitives.keys import parse_address
from engram.primitives.types import Address


@dataclass(frozen=True)
class ChainEntry:
    """One transaction in a block."""

    height: int
    name: str
    """The type of the transaction."""
    sender: str
    """The name of the account; its address in hexadecimal if it has none."""
    size_bytes: int
    fee: int
    """Sparks that the sender was charged."""
    macs: int
    """Multiply-accumulates that were charged."""
    code: str
    """The code with which it FAILED; "" if it did what it asked for."""


async def entries_of(client: RpcClient, names: Mapping[Address, str], first: int = 1) -> list[ChainEntry]:
    """All transactions from a height up to the head, in their order; `names` are those of accounts."""
    head = int((await client.call("chain_head"))["height"])
    hrp = (await client.call("chain_spec"))["hrp"]
    found = []
    for height in range(first, head + 1):
        block = await client.call("chain_block", height=height)
        for tx in block["transactions"]:
            address, receipt = parse_address(tx["sender"], hrp), tx["receipt"]
            sender = names.get(address, address.hex())
            size, fee, macs = tx["size_bytes"], receipt["fee"], receipt["macs"]
            found.append(ChainEntry(height, tx["name"], sender, size, fee, macs, receipt["code"] or ""))
    return found
