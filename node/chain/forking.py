"""Begins a chain for development with the state of another chain: of a data directory, or of a running node.

The new chain has the rules, accounts, models and rounds of the other one, and coins for its own accounts. Its
blocks cost no work, and no transaction is valid on both.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Final, Protocol

from engram.consensus.chainspec import Allocation, ChainSpec, Origin, load_spec, spec_id
from engram.consensus.genesis import genesis
from engram.node.chain.errors import ForkUnreadable
from engram.node.chain.recovery import check_end, write_genesis
from engram.node.chain.snapshot import named_content
from engram.node.chain.statewriter import StateWriter
from engram.node.client import RpcClient
from engram.node.config import SPEC_NAME
from engram.node.datadir import read_spec
from engram.node.errors import ChainExists
from engram.node.files import make_folder
from engram.node.storage.db import Batch, LevelDatabase
from engram.node.storage.memoryfiles import MemoryBlockFiles
from engram.node.storage.schema import CONTENT
from engram.node.storage.store import BLOCKS_DIRECTORY, ChainStore, open_store
from engram.node.storage.swap import BUILDING, DATABASE_DIRECTORY, finish_swap, swap
from engram.primitives import smt
from engram.primitives.packing import pack
from engram.primitives.types import ZERO_HASH, Hash
from engram.statemachine.content import blob_id, chunk_hash
from engram.statemachine.rebasing import rebased
from engram.statemachine.record import Record
from engram.statemachine.records import Account, Supply
from engram.statemachine.registry import parse_record
from engram.statemachine.rules import MAX_ISSUED
from engram.statemachine.state import State

RECORDS: Final = 2_000
"""Records that are written in one batch."""
NODES: Final = 256
"""Tree nodes that one call asks a running node for, at most."""


@dataclass(frozen=True)
class Forked:
    """After which block of the other chain the state was taken, and how much it is."""

    height: int
    block: Hash
    records: int
    content: int
    """Tensors, data parts and chunks of unfinished uploads."""


class ForkSource(Protocol):
    """A chain whose state can be read."""

    spec: ChainSpec
    height: int
    block: Hash
    root: Hash
    """Root of the state after the block."""

    async def nodes(self, names: Sequence[Hash]) -> list[bytes]:
        """The first of these nodes of the state's tree, at least one. At most `NODES` are asked for."""
        ...

    async def content(self, name: Hash) -> bytes:
        """Content that a record of the state names."""
        ...


class DirectorySource:
    """The data directory of a stopped node."""

    def __init__(self, directory: Path) -> None:
        """Raises `ChainNotFound`, `DataDirLocked`, and what `open_store` raises."""
        self.spec = read_spec(directory)
        self._store = open_store(directory, spec_id(self.spec), genesis(self.spec).id)
        head = check_end(self._store)
        self.height, self.block, self.root = head.height, head.id, head.state_root

    async def nodes(self, names: Sequence[Hash]) -> list[bytes]:
        return [self._store.get_node(name) for name in names]

    async def content(self, name: Hash) -> bytes:
        return self._store.get_blob(name)

    def close(self) -> None:
        self._store.close()


class NodeSource:
    """A running node, by its RPC. Nothing that it says is believed but which block is its head."""

    def __init__(self, client: RpcClient, spec: ChainSpec, head: dict[str, object]) -> None:
        self._client = client
        self.spec = spec
        self.height = int(str(head["height"]))
        self.block, self.root = (bytes.fromhex(str(head[name])) for name in ("id", "state_root"))

    async def nodes(self, names: Sequence[Hash]) -> list[bytes]:
        given = await self._client.call("state_nodes", ids=[name.hex() for name in names])
        with self._client.understood("nodes of the state"):
            nodes = [bytes.fromhex(raw) for raw in given]
            if not nodes or [smt.node_hash(node) for node in nodes] != list(names[: len(nodes)]):
                raise ValueError("they have other hashes")
        return nodes

    async def content(self, name: Hash) -> bytes:
        plain = await self._client.blob(name)
        if name not in (blob_id(plain), chunk_hash(plain)):
            raise ForkUnreadable("the node gives content that is not what its hash says", got=name)
        return plain


@asynccontextmanager
async def fork_source(place: str) -> AsyncIterator[ForkSource]:
    """What `--fork` names: the address of a node that runs, or the data directory of one that does not.

    Raises what reading a data directory raises, `NodeUnreachable`, `ForkUnreadable`.
    """
    if not place.startswith(("http://", "https://")):
        directory = DirectorySource(Path(place))
        try:
            yield directory
        finally:
            directory.close()
        return
    async with RpcClient(place) as client:
        with client.understood("its ChainSpec"):
            spec = load_spec(json.dumps(await client.call("chain_spec")))
        yield NodeSource(client, spec, await client.call("chain_head"))


def forked_spec(source: ChainSpec, usual: ChainSpec, origin: Origin) -> ChainSpec:
    """A spec for development with the rules of another chain, which begins with its state."""
    upgrades = tuple(
        replace(upgrade, height=max(0, upgrade.height - origin.height)) for upgrade in source.upgrades
    )
    return replace(usual, hrp=source.hrp, rules=source.rules, upgrades=upgrades, origin=origin)


async def fork_chain(directory: Path, source: ForkSource, usual: ChainSpec) -> tuple[ChainSpec, Forked]:
    """Makes the database of a directory that holds no chain; the caller writes the spec there afterwards.

    `usual` is a spec for development: the new chain has its pace and its allocations.

    What an earlier attempt has left that was cut off is replaced. Raises `ChainExists` if the directory holds
    a chain, `ForkUnreadable` if more coins than there may be would be made, what reading the source raises,
    `DiskFull`, `DiskFailure`.
    """
    if (directory / SPEC_NAME).exists():
        raise ChainExists(f"{directory} holds a chain already: fork into a new directory")
    finish_swap(directory)
    make_folder(directory)
    building = directory / BUILDING
    shutil.rmtree(building, ignore_errors=True)
    try:
        database = LevelDatabase(building)
        try:
            store = ChainStore(database, MemoryBlockFiles())
            spec, forked = await _written(store, source, usual)
        finally:
            database.close()
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    make_folder(directory / BLOCKS_DIRECTORY)
    shutil.rmtree(directory / DATABASE_DIRECTORY, ignore_errors=True)
    make_folder(directory / DATABASE_DIRECTORY)
    swap(directory)
    return spec, forked


async def _written(store: ChainStore, source: ForkSource, usual: ChainSpec) -> tuple[ChainSpec, Forked]:
    records, named = [], set[Hash]()
    async for value in _leaves(source):
        records.append(parse_record(value))
        named |= named_content(value)
    writer, moved = StateWriter(store, 0), iter(rebased(records, source.height))
    while some := list(islice(moved, RECORDS)):
        _add(writer, store, some)
    _add(writer, store, _funded(State(store, writer.root), usual.allocations))
    for name in sorted(named):
        packed = pack(await source.content(name))
        store.write(Batch({CONTENT + name: packed}), sync=False)
    origin = Origin(spec_id(source.spec), source.block, source.height, writer.root)
    spec = forked_spec(source.spec, usual, origin)
    write_genesis(spec, genesis(spec), store)
    return spec, Forked(source.height, source.block, len(records), len(named))


async def _leaves(source: ForkSource) -> AsyncIterator[bytes]:
    """The values of all leaves of the source's state.

    No node of a true tree stands in it twice. Otherwise there could be more leaves below than anybody can
    read, so whoever gives such a node is refused: `ForkUnreadable`.
    """
    wanted = [source.root] if source.root != ZERO_HASH else []
    seen = set(wanted)
    while wanted:
        asked, wanted = wanted[-NODES:], wanted[:-NODES]
        given = await source.nodes(asked)
        wanted += asked[len(given) :]
        for node in given:
            below = smt.children(node)
            if len(set(below)) < len(below) or not seen.isdisjoint(below):
                raise ForkUnreadable("a node stands twice in the tree of its state", got=smt.node_hash(node))
            seen.update(below)
            wanted.extend(below)
            if not below:
                yield smt.leaf_of(node)


def _add(writer: StateWriter, store: ChainStore, records: Iterable[Record]) -> None:
    state = State(store, writer.root)
    for record in records:
        state.put(record)
    writer.add(state.changes())


def _funded(state: State, own: Sequence[Allocation]) -> list[Record]:
    """The accounts that get coins on the new chain, and the supply with these coins."""
    supply = state.find(Supply) or Supply()
    issued = supply.issued + sum(allocation.amount for allocation in own)
    if issued >= MAX_ISSUED:
        raise ForkUnreadable("there would be too many coins", expected=MAX_ISSUED - 1, got=issued)
    accounts = [state.account(allocation.address) for allocation in own]
    return [
        replace(supply, issued=issued),
        *(
            Account(account.address, account.balance + allocation.amount, account.nonce)
            for account, allocation in zip(accounts, own, strict=True)
        ),
    ]
