"""What a block tells about accounts: an entry for each account that a transaction of it touches.

Only the block and its receipts are read, never a state, so that the blocks of many years can be read again.
They tell who sent a transaction and what it was charged, what a transfer moved, what an opened round took,
which rewards were claimed, what a block gave its miner, and every event that names an account. They do not
tell the bonds of updates, the bonds and fees of witnesses, the deposits of uploads, what a round gives its
opener back, and the part of a burned bond that pays for the withdrawal.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Final

from engram.consensus.block import Block
from engram.consensus.chainspec import ChainSpec
from engram.node.storage.schema import AccountEntry
from engram.primitives import keys
from engram.primitives.codec import decode
from engram.primitives.keys import ADDRESS_BYTES
from engram.primitives.types import Address
from engram.statemachine.money import MINER_SHARE
from engram.statemachine.receipt import Event, Receipt, Status
from engram.statemachine.rules import Rules, subsidy_at
from engram.statemachine.transaction import Transaction
from engram.statemachine.transactions.open_round import OpenRound
from engram.statemachine.transactions.transfer import Transfer

NOBODY: Final = bytes(ADDRESS_BYTES)
_ADDRESS_DIGITS: Final = 2 * ADDRESS_BYTES


class AccountRole(IntFlag):
    """What an account had to do with a transaction or a block."""

    SENDER = 1
    RECIPIENT = 2
    MINER = 4
    BOUNTY = 8
    BOND_RETURNED = 16
    BOND_BURNED = 32
    BADGE = 64
    NAMED = 128
    """Another event names it, for instance because its update was scored."""
    GENESIS = 256
    """The chain began with a balance of it."""


class Told(IntEnum):
    """What is known of whether a transaction did what it asked for."""

    OK = Status.OK
    FAILED = Status.FAILED
    UNKNOWN = 2
    """The block is from before a snapshot, so that this node has no receipts of it."""


def genesis_entries(spec: ChainSpec) -> Iterator[tuple[Address, int, AccountEntry]]:
    """Account, number and entry of each balance with which the chain begins."""
    for number, given in enumerate(spec.allocations):
        role, told = int(AccountRole.GENESIS), int(Told.OK)
        yield (
            given.address,
            number,
            AccountEntry(role, told, 0, 0, 0, 0, given.amount, 0, 0, b"", b""),
        )


@dataclass
class _Part:
    """An account's part in one transaction while its entry is being made."""

    roles: int = 0
    sent: int = 0
    received: int = 0
    reward: int = 0
    burned: int = 0
    other: bytes = b""


def entries_of(
    block: Block, receipts: Sequence[Receipt] | None, rules: Rules
) -> Iterator[tuple[Address, int | None, AccountEntry]]:
    """Account, index of the transaction and entry; the index is None for mining the block.

    Without receipts, amounts are what the transactions ask for, and what the miner got is not told.
    """
    reward = None if receipts is None else subsidy_at(rules, block.header.height)
    for index, tx in enumerate(block.transactions):
        receipt = None if receipts is None else receipts[index]
        for address, entry in _of_transaction(tx, receipt):
            yield address, index, entry
        if reward is not None and receipt is not None:
            reward += (receipt.fee - tx.tip) // MINER_SHARE + tx.tip
    if block.header.miner != NOBODY and block.header.height:
        told = Told.UNKNOWN if reward is None else Told.OK
        yield (
            block.header.miner,
            None,
            AccountEntry(int(AccountRole.MINER), int(told), 0, 0, 0, 0, 0, reward or 0, 0, b"", b""),
        )


def _of_transaction(tx: Transaction, receipt: Receipt | None) -> Iterator[tuple[Address, AccountEntry]]:
    sender = keys.address(tx.sender)
    parts = {sender: _Part(int(AccountRole.SENDER))}
    told = Told.UNKNOWN if receipt is None else Told(receipt.status)
    if told is not Told.FAILED:
        _add_payload(parts, sender, tx)
    for event in () if receipt is None else receipt.events:
        _add_event(parts, event)
    for address, part in parts.items():
        fee = receipt.fee if receipt is not None and address == sender else 0
        yield (
            address,
            AccountEntry(
                int(part.roles),
                int(told),
                tx.kind,
                tx.nonce,
                fee,
                part.sent,
                part.received,
                part.reward,
                part.burned,
                part.other,
                tx.id if receipt is None else receipt.txid,
            ),
        )


def _add_payload(parts: dict[Address, _Part], sender: Address, tx: Transaction) -> None:
    if tx.kind == Transfer.KIND:
        transfer = decode(Transfer, tx.payload)
        parts[sender].sent += transfer.amount
        parts[sender].other = transfer.target
        target = parts.setdefault(transfer.target, _Part())
        target.roles |= AccountRole.RECIPIENT
        target.received += transfer.amount
        target.other = sender
    elif tx.kind == OpenRound.KIND:
        terms = decode(OpenRound, tx.payload).terms
        parts[sender].sent += terms.opener_bond + terms.bounty


def _add_event(parts: dict[Address, _Part], event: Event) -> None:
    for address in dict.fromkeys(_named(event)):
        part = parts.setdefault(address, _Part())
        match event.name:
            case "rewards_claimed":
                part.received += event.values[0]
            case "bounty_paid":
                part.roles |= AccountRole.BOUNTY
                part.reward += event.values[1]
            case "bond_returned":
                part.roles |= AccountRole.BOND_RETURNED
                part.received += event.values[0]
            case "bond_burned":
                part.roles |= AccountRole.BOND_BURNED
                part.burned += event.values[0]
            case "claim_refuted":
                part.roles |= AccountRole.NAMED
                if address.hex() == event.text[1]:  # the challenger, who may be the author too
                    part.received += event.values[-1]
            case "badge_given":
                part.roles |= AccountRole.BADGE
            case _:
                part.roles |= AccountRole.NAMED


def _named(event: Event) -> Iterator[Address]:
    """The accounts that an event names. Ids of anything else are longer."""
    if len(event.subject) == ADDRESS_BYTES:
        yield event.subject
    for text in event.text:
        if len(text) == _ADDRESS_DIGITS and set(text) <= set("0123456789abcdef"):
            yield bytes.fromhex(text)
