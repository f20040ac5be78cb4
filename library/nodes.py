"""Nodes to try things on: one in this process, or a network of processes, for a `with` block."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from engram.consensus.chainspec import Allocation, ChainSpec, dev, local
from engram.library.chain import AsyncChain
from engram.library.checks import items
from engram.library.dev_keys import dev_key
from engram.library.errors import OptionInvalid
from engram.library.portal import Portal
from engram.library.sync import SyncChain
from engram.node.chain.forking import fork_chain, fork_source
from engram.node.config import SPEC_NAME, Config
from engram.node.datadir import read_spec, write_spec
from engram.node.localnet.localnet import Localnet
from engram.node.threaded import running_node
from engram.primitives.keys import format_address

COINS: Final = 10**6
"""What each account of such a chain has at its beginning."""
SPARKS: Final = 10**8
_ACCOUNTS: Final = 'a list of one or more different names, such as ("alice", "bob")'
WINDOWS: Final = MappingProxyType(
    {
        **{"open": 4, "reveal": 4, "commit": 4, "update": 4},
        **{"witness": 4, "audit": 4, "score": 4, "gap": 2},
    }
)
"""Phases of a few blocks. They wait for everybody who plays, so they need not last."""
MINER: Final = "miner"
"""The account that earns the blocks of `dev_node`."""
BLOCK_MS: Final = 250
"""The pace of a round that one program plays alone; two or more go on as fast as they are ready."""


def dev_spec(accounts: Sequence[str]) -> ChainSpec:
    """A new chain whose coins belong to the keys of these accounts, with blocks that cost no work."""
    return replace(dev(_allocations(accounts), time.time_ns() // 1_000_000), block_time_ms=BLOCK_MS)


@contextmanager
def dev_node(
    accounts: Sequence[str] = ("alice", "bob", "carol"),
    *,
    folder: str | Path | None = None,
    fork: str | Path | None = None,
) -> Iterator[SyncChain]:
    """A node in this process with a chain of its own, at free ports; yields it for the first account.

    `chain.using(name)` acts for another account. Blocks come when transactions wait, and while rounds are
    played they wait for everybody who plays. Everything is removed at the end, unless `folder` says where to
    keep it; a chain that it holds already goes on. With `fork`, the chain begins with the accounts, models
    and rounds of another chain after its last block: of a stopped node's data directory, or of the running
    node at this address.

    Raises `OptionInvalid` unless accounts are one or more different names, or if the chain in `folder` was
    made for others; with `fork` what reading the other chain raises, and `ChainExists` if `folder` holds one.
    """
    _check_names(accounts)
    with _kept(folder) as path:
        spec = _spec_in(path, accounts, dev_spec) if fork is None else _forked_into(path, accounts, str(fork))
        miner = format_address(dev_key(MINER).address, spec.hrp)
        config = Config(
            data_dir=path, rpc_port=0, p2p_port=0, mine=True, miner_address=miner, miner_waits=True
        )
        with (
            running_node(config, spec, names={dev_key(name).address: name for name in (*accounts, MINER)}),
            SyncChain(_acting(path, accounts, named=(*accounts, MINER))) as chain,
        ):
            yield chain


@contextmanager
def localnet(
    nodes: int = 3,
    accounts: Sequence[str] = ("alice", "bob", "carol"),
    *,
    folder: str | Path | None = None,
) -> Iterator[tuple[SyncChain, ...]]:
    """A network of node processes that mine; yields it as each of its nodes shows it, for the first account.

    Otherwise as `dev_node`: a network that `folder` holds already goes on.
    """
    _check_names(accounts)
    with _kept(folder) as path:
        portal = Portal()
        try:
            net = Localnet(path, _spec_in(path / "node0", accounts, _local_spec), nodes=nodes)
            portal.enter(net)
            with ExitStack() as stack:
                chains = [_acting(node.data_dir, accounts, named=accounts) for node in net.nodes]
                yield tuple(stack.enter_context(SyncChain(chain, portal)) for chain in chains)
        finally:
            portal.close()


def _check_names(accounts: Sequence[str]) -> None:
    names = items("accounts", accounts, _ACCOUNTS)
    if not names or len(set(names)) < len(names):
        raise OptionInvalid(f"accounts is {_ACCOUNTS}", got=names)


def _acting(data_dir: Path, accounts: Sequence[str], named: Sequence[str]) -> AsyncChain:
    """The chain as the node on this data directory shows it, for the first account."""
    return AsyncChain(None, data_dir=data_dir, key=accounts[0], windows=WINDOWS, keys=dev_key, accounts=named)


def _local_spec(accounts: Sequence[str]) -> ChainSpec:
    return local(_allocations(accounts), time.time_ns() // 1_000_000)


def _spec_in(folder: Path, accounts: Sequence[str], make: Callable[[Sequence[str]], ChainSpec]) -> ChainSpec:
    """The chain that a folder holds, or else one that is made now. Raises `OptionInvalid`, `BadSpec`."""
    if not (folder / SPEC_NAME).exists():
        return make(accounts)
    spec = read_spec(folder)
    holders = {allocation.address for allocation in spec.allocations}
    if strangers := [name for name in accounts if dev_key(name).address not in holders]:
        raise OptionInvalid(
            f"the chain in {folder} was made for other accounts: name those, or take another folder",
            got=strangers,
        )
    return spec


def _forked_into(folder: Path, accounts: Sequence[str], place: str) -> ChainSpec:
    """A new chain in a folder that begins with the state of another one."""

    async def make() -> ChainSpec:
        async with fork_source(place) as source:
            spec, _ = await fork_chain(folder, source, dev_spec(accounts))
        write_spec(folder, spec)
        return spec

    portal = Portal()
    try:
        return portal.run(make())
    finally:
        portal.close()


def _allocations(accounts: Sequence[str]) -> tuple[Allocation, ...]:
    return tuple(Allocation(dev_key(name).address, COINS * SPARKS) for name in accounts)


@contextmanager
def _kept(folder: str | Path | None) -> Iterator[Path]:
    """The folder to use: a new one that is removed at the end, if none is given."""
    if folder is not None:
        yield Path(folder)
        return
    path = Path(tempfile.mkdtemp(prefix="engram-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
