"""Moves sparks between balances, escrow and maturing rewards, and burns them. Decides no amounts.

No spark appears or vanishes by mistake: issued - burned = all balances + all `Maturing` records + everything
that other records hold. To hold an amount in escrow, a caller calls `take` and writes the amount into a
record. When the record is removed, the caller calls `give`, `mature` or `burn` for the same amount.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from engram.primitives.types import Address
from engram.statemachine.context import BlockContext
from engram.statemachine.errors import InsufficientBalance
from engram.statemachine.record import u64
from engram.statemachine.records import Account, Maturing, Supply
from engram.statemachine.state import State

MINER_SHARE: Final = 8
"""A miner gets one of so many equal parts of a price; the others are burned."""


def take(state: State, address: Address, amount: int) -> None:
    """Removes sparks from a balance; the caller says where they go. Raises `InsufficientBalance`."""
    account = state.account(address)
    if account.balance < amount:
        raise InsufficientBalance(expected=amount, got=account.balance)
    state.put(Account(address, account.balance - amount, account.nonce))


def give(state: State, address: Address, amount: int) -> None:
    """Adds sparks to a balance, spendable at once."""
    if amount:
        account = state.account(address)
        state.put(Account(address, account.balance + amount, account.nonce))


def move(state: State, source: Address, target: Address, amount: int) -> None:
    """Moves sparks from one balance to another. Raises `InsufficientBalance`."""
    take(state, source, amount)
    give(state, target, amount)


def mature(state: State, ctx: BlockContext, address: Address, amount: int) -> None:
    """Gives a reward that the address can claim `maturity_blocks` after this block."""
    if amount:
        height = ctx.height + ctx.rules.maturity_blocks
        held = state.find(Maturing, address, u64(height))
        state.put(Maturing(address, height, amount + (held.amount if held else 0)))


def pay_work(state: State, ctx: BlockContext, price: int, tip: int = 0) -> None:
    """Gives the block's miner the tip and an eighth of a price, and burns the rest of the price.

    What the miner gets matures like the subsidy of the block. If miners got the whole price, they could fill
    their own blocks for nothing; if they got nothing of it, an empty block would be their best one.
    """
    share = price // MINER_SHARE
    burn(state, price - share)
    mature(state, ctx, ctx.miner, share + tip)


def issue(state: State, amount: int) -> None:
    """Counts new sparks as issued; the caller gives them to someone."""
    supply = state.find(Supply) or Supply()
    state.put(replace(supply, issued=supply.issued + amount))


def burn(state: State, amount: int) -> None:
    """Counts sparks as burned that were taken before."""
    if amount:
        supply = state.find(Supply) or Supply()
        state.put(replace(supply, burned=supply.burned + amount))
