"""The keys of accounts of `dev_node` and `localnet`, which everybody can compute from their names."""

from __future__ import annotations

import hashlib

from engram.consensus.chainspec import ChainSpec, has_work
from engram.primitives.keys import PrivateKey


def dev_key(name: str) -> PrivateKey:
    """The key of an account of `dev_node` and `localnet`, for programs that act there from elsewhere.

    `engram.connect(url, key=engram.dev_key("bob"))` acts as bob. Everybody can compute the key from the name:
    it guards nothing, so never let it hold coins of another chain.
    """
    return PrivateKey.from_seed(hashlib.sha256(f"engram dev {name}".encode()).digest())


def dev_account(name: str, spec: ChainSpec) -> bytes | None:
    """The address of the account of this name, if `dev_node` may have made the chain for it, else None.

    A chain without work says nothing of names. But if it began with coins at the address of the name's key,
    it was made for that name: nobody else would give coins to a key that everybody can compute.
    """
    address = dev_key(name).address
    began_with = {allocation.address for allocation in spec.allocations}
    return address if not has_work(spec) and address in began_with else None
