"""Results about the node itself: its state, its miner and its methods."""

from __future__ import annotations

from typing import Annotated, TypedDict

from engram.node.logs import LEVELS
from engram.node.rpc.results.schemas import AddressText, Code, Id, Words

Level = Annotated[str, Words(tuple(LEVELS))]


class NodeHead(TypedDict):
    """The best block of the node."""

    height: int
    id: Id
    state_root: Id
    timestamp_ms: int
    work: int


class WaitingBytes(TypedDict):
    """How much waits in the mempool."""

    count: int
    bytes: int


class NodeResult(TypedDict):
    """The node, its chain, and its head."""

    version: str
    name: str
    """Of the chain."""
    chain_id: int
    spec_id: Id
    hrp: str
    """First letters of every address of the chain."""
    has_work: bool
    """Whether blocks of the chain cost work."""
    genesis: Id
    node_id: Id
    """The public key by which peers know it."""
    head: NodeHead
    syncing_to: int | None
    """The height up to which it fetches blocks; null while it has all that it knows of."""
    peers: int
    mempool: WaitingBytes
    mining: bool
    rpc_port: int
    p2p_port: int | None
    explorer: bool
    """Whether it serves pages under /explore/."""
    engine: str
    """What evaluates networks: numpy, torch, cuda, or integers where nothing faster is exact."""
    data_dir: str
    rss_bytes: int
    """Memory of the process."""
    uptime_s: float


class StopResult(TypedDict):
    """The node ends."""

    stopping: bool


class LevelResult(TypedDict):
    """The least important kind of log line that is written."""

    level: Level


class ProfileResult(TypedDict):
    """Where the node's threads spent some seconds."""

    seconds: int
    every_s: float
    """Time between two looks."""
    stacks: dict[str, int]
    """How often each stack was seen."""


class PaceResult(TypedDict):
    """For which programs the blocks of a test network wait."""

    limit: int | None
    """No block above this height, the least that a program is ready for; null if no program holds."""
    programs: int
    finished: int
    """How many programs have said here, since the node started, that they have done their part."""
    muster: int
    """How many must hold on the whole network before blocks without transactions are made, as was asked of
    this node; who has finished since it was met is no longer counted. 0 if nobody has asked."""
    met: bool
    """Whether so many have held at once since it was asked: whoever is missing now has left."""
    left: int | None
    """How many on the whole network have left before they had finished, so that blocks wait for as many; null
    where nobody is waited for."""
    work: int


class MinerResult(TypedDict):
    """The miner's settings, and what came of them."""

    mining: bool
    paused: bool
    """Whether it waits until blocks of peers have been fetched."""
    waits: str | None
    """Why it does not mine, or no block without transactions, although it is on, in words that continue a
    sentence."""
    on_demand: bool
    threads: int
    max_hashes_per_s: int
    """0 means no limit."""
    hashes: int
    """Since the node started."""
    blocks: int
    """Since the node started."""
    address: AddressText | None
    pace: PaceResult | None
    """Null unless the node waits for programs."""


class StatusHead(TypedDict):
    """The best block of the node, and its age."""

    height: int
    age_s: float
    """Negative if its time is ahead of the node's clock."""
    work: int
    ticks: int
    id: Id


class BlockPace(TypedDict):
    """How fast blocks come."""

    due_s: float
    on_demand: bool
    """Whether this node makes blocks only while transactions wait or a round runs."""
    mean_s: float | None
    """Of the last blocks; null where there is none yet."""
    blocks: int
    """Over how many blocks it is the mean."""
    network_hashes_per_s: int | None
    """Null where blocks cost no work, too."""


class PeerCounts(TypedDict):
    """How many sessions there are."""

    inbound: int
    outbound: int
    dialled: int
    """Addresses that the node dials."""


class ClockResult(TypedDict):
    """This machine's clock against those of peers."""

    ahead_s: float | None
    """How far theirs are ahead; null if too few have told."""
    voices: int


class BackfillResult(TypedDict):
    """Bodies of blocks from before a snapshot."""

    base: int
    left: int
    """How many are still to be fetched."""


class IndexedHeights(TypedDict):
    """Which blocks the index of accounts holds."""

    from_height: int
    to_height: int


class MempoolFill(TypedDict):
    """How full the mempool is."""

    count: int
    parked: int
    bytes: int
    max_bytes: int


class FeesResult(TypedDict):
    """What any transaction costs at least."""

    least: int
    exponent: int


class StatusMiner(TypedDict):
    """How the miner fares."""

    mining: bool
    paused: bool
    waits: str | None
    address: AddressText | None
    hashes_per_s: int
    blocks: int


class StatusRound(TypedDict):
    """An open round."""

    id: Id
    model: Id
    phase: str
    epoch: int
    ticks_left: int | None
    epochs: int
    """How many epochs the round has."""


class DiskResult(TypedDict):
    """What the node takes on its disk."""

    database_bytes: int
    block_files_bytes: int
    free_bytes: int


class MemoryResult(TypedDict):
    """The memory of the process."""

    resident_bytes: int
    anonymous_bytes: int


class ReorganisationCounts(TypedDict):
    """Reorganisations since the node started."""

    count: int
    deepest: int


class EngineResult(TypedDict):
    """What evaluates networks."""

    name: str
    """numpy, torch, cuda, or integers where nothing faster is exact."""
    setting: str
    """What the operator has asked for."""
    wrong: list[str]
    """The engines that have computed a wrong bit at the start and are not used."""


class WarningResult(TypedDict):
    """What needs attention."""

    code: Code
    message: str
    """The fact and the remedy."""


class NodeStatusResult(TypedDict):
    """How the node fares."""

    version: str
    name: str
    """Of the chain."""
    has_work: bool
    """Whether blocks of the chain cost work."""
    node_id: Id
    uptime_s: float
    head: StatusHead
    pace: BlockPace
    peers: PeerCounts
    clock: ClockResult
    syncing_to: int | None
    backfill: BackfillResult
    account_index: IndexedHeights | None
    """Null without the setting account_index."""
    mempool: MempoolFill
    fees: FeesResult
    miner: StatusMiner
    rounds: list[StatusRound]
    disk: DiskResult
    memory: MemoryResult
    reorgs: ReorganisationCounts
    engine: EngineResult
    warnings: list[WarningResult]
    """The most serious first."""


class ListedParameter(TypedDict):
    """A parameter of a method."""

    name: str
    type: str
    required: bool
    nullable: bool


class ListedMethod(TypedDict):
    """A method."""

    name: str
    params: list[ListedParameter]
    summary: str
    admin: bool
    """Whether it needs the token."""
