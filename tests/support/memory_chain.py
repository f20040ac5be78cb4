"""A chain in dictionaries: blocks built by `assemble`, mined, and taken in through every validation stage.

What a node does with a database and threads, in a few lines; tests of blocks build their chains with it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from engram.consensus.block import NONCE_BYTES, Block, BlockHeader, pow_prefix
from engram.consensus.builder import Template, assemble
from engram.consensus.chainspec import Allocation, ChainSpec, chain_id, local
from engram.consensus.compact import bits_to_target
from engram.consensus.context import block_context
from engram.consensus.difficulty import next_bits
from engram.consensus.genesis import genesis
from engram.consensus.pow import meets_target, pow_digest
from engram.consensus.validation import (
    MEDIAN_BLOCKS,
    ExecutedBlock,
    median_time_past,
    validate_body,
    validate_execution,
    validate_header,
)
from engram.primitives.keys import PrivateKey
from engram.statemachine.context import BlockContext
from engram.statemachine.errors import MissingBlob
from engram.statemachine.scoring import Scorer
from engram.statemachine.state import State
from engram.statemachine.transaction import Transaction, TxPayload, sign, verify_transaction

GENESIS_MS = 1_700_000_000_000
COIN = 10**8

EASY = (1 << 255).to_bytes(32, "big")
"""A target that every other digest meets."""


def key(number: int) -> PrivateKey:
    """The number-th test key."""
    return PrivateKey.from_seed(number.to_bytes(32, "big"))


def easy_spec(keys: Sequence[PrivateKey]) -> ChainSpec:
    """The local preset with the cheapest proof of work, and 1,000 coins for each key."""
    allocations = tuple(Allocation(each.address, 1_000 * COIN) for each in keys)
    return replace(local(allocations, GENESIS_MS), pow="sha256d", genesis_target=EASY, max_target=EASY)


def verify_each(transactions: Sequence[Transaction]) -> None:
    """The signatures, one after another."""
    for tx in transactions:
        verify_transaction(tx)


def search(spec: ChainSpec, header: BlockHeader) -> bytes:
    """The first nonce that meets the header's target."""
    prefix, target = pow_prefix(header), bits_to_target(header.target)
    nonce = 0
    while not meets_target(pow_digest(spec.pow, prefix + nonce.to_bytes(NONCE_BYTES, "big")), target):
        nonce += 1
    return nonce.to_bytes(NONCE_BYTES, "big")


class MemoryChain:
    """One branch from genesis. Also the `NodeReader` and the `BlobReader` of its own states."""

    def __init__(self, spec: ChainSpec, *, scorer: Scorer | None = None) -> None:
        made = genesis(spec)
        self.spec = spec
        self.chain_id = chain_id(spec)
        self.blocks = [made.block]
        self.executed: list[ExecutedBlock] = []
        self.nodes = dict(made.nodes)
        self.blobs: dict[bytes, bytes] = {}
        self.scorer = scorer or Scorer()

    def get_node(self, node_hash: bytes) -> bytes:
        return self.nodes[node_hash]

    def get_blob(self, blob_id: bytes) -> bytes:
        if blob_id not in self.blobs:
            raise MissingBlob(expected=blob_id)
        return self.blobs[blob_id]

    @property
    def tip(self) -> BlockHeader:
        return self.blocks[-1].header

    @property
    def height(self) -> int:
        return self.tip.height

    @property
    def state(self) -> State:
        """The state after the tip."""
        return State(self, self.tip.state_root)

    def median_time_ms(self) -> int:
        return median_time_past([block.header.timestamp_ms for block in self.blocks[-MEDIAN_BLOCKS:]])

    def next_bits(self) -> int:
        return next_bits(self.spec, self.tip, self.blocks[-2].header if len(self.blocks) > 1 else None)

    def sign(
        self,
        sender: PrivateKey,
        payload: TxPayload,
        *,
        nonce: int | None = None,
        max_fee: int = COIN,
        tip: int = 0,
    ) -> Transaction:
        """A transaction of `sender`, with the account's nonce at the tip unless one is given."""
        nonce = self.state.account(sender.address).nonce if nonce is None else nonce
        return sign(sender, self.chain_id, nonce, max_fee, tip, payload)

    def template(
        self,
        candidates: Iterable[Transaction] = (),
        *,
        miner: bytes = bytes(20),
        timestamp_ms: int | None = None,
    ) -> Template:
        """What `assemble` makes of the candidates on the tip; on schedule unless a timestamp is given."""
        return assemble(
            self.spec,
            self.tip,
            self,
            candidates,
            miner=miner,
            timestamp_ms=timestamp_ms or self.tip.timestamp_ms + self.spec.block_time_ms,
            bits=self.next_bits(),
            blobs=self,
            scorer=self.scorer,
        )

    def next_context(self) -> BlockContext:
        """What transactions of the next block see, mined by nobody."""
        return block_context(self.spec, self.tip, self.state, bytes(20), self, self.scorer)

    def mine(self, candidates: Iterable[Transaction] = (), *, miner: bytes = bytes(20)) -> Block:
        """Assembles, searches a nonce and takes the block in."""
        template = self.template(candidates, miner=miner)
        block = template.seal(search(self.spec, template.header))
        self.take(block)
        return block

    def take(
        self,
        block: Block,
        *,
        now_ms: int | None = None,
        verify: Callable[[Sequence[Transaction]], None] = verify_each,
    ) -> ExecutedBlock:
        """Validates a block on the tip, all three stages; then, and only then, keeps it."""
        now_ms = block.header.timestamp_ms if now_ms is None else now_ms
        validate_header(self.spec, block.header, self.tip, self.median_time_ms(), self.next_bits(), now_ms)
        checked = validate_body(self.spec, block, verify)
        executed = validate_execution(self.spec, self, self, self.tip, block, self.scorer, checked)
        self.blocks.append(block)
        self.executed.append(executed)
        self.nodes.update(executed.result.nodes)
        self.blobs.update(executed.result.blobs)
        return executed
