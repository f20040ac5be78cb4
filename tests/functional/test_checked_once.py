"""One header, one digest; one transaction, few encodings: what a node has checked it does not check again."""

import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from engram.consensus import validation
from engram.primitives import codegen
from engram.primitives.codegen import Functions
from engram.statemachine.transaction import Transaction
from engram.statemachine.transactions.transfer import Transfer
from tests.support.memory_chain import MemoryChain
from tests.support.node_chain import ALICE, BOB, SPEC
from tests.support.node_network import node_network
from tests.support.until import until

RECEIVERS = ("two", "three", "four", "five")


class Tally:
    """Counts from many threads."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, name: str) -> None:
        with self._lock:
            self.counts[name] += 1


@pytest.fixture
def tally(monkeypatch: pytest.MonkeyPatch) -> Tally:
    """Digests of headers that are checked, and encodings of transactions by themselves, in this process."""
    tally = Tally()
    digest: Callable[[str, bytes], bytes] = vars(validation)["pow_digest"]

    def counted_digest(name: str, raw: bytes) -> bytes:
        tally.add("digests")
        return digest(name, raw)

    monkeypatch.setattr(validation, "pow_digest", counted_digest)
    pair = codegen.functions(Transaction)

    def counted_write(tx: object) -> tuple[object, ...]:
        tally.add("encodings")
        return pair.write(tx)

    counted = Functions(counted_write, pair.reads)
    real: Callable[[type], Functions] = codegen.functions
    monkeypatch.setattr(
        "engram.primitives.codec.functions", lambda cls: counted if cls is Transaction else real(cls)
    )
    return tally


async def test_a_relayed_block_costs_every_node_one_digest(tmp_path: Path, tally: Tally) -> None:
    async with node_network(tmp_path) as network:
        first = await network.start("one")
        members = [await network.start(name, "one") for name in RECEIVERS]
        for member in members:
            await network.connected(member)
        tally.counts.clear()
        await first.mine()
        for member in members:
            await member.follow(first)
        assert tally.counts["digests"] == 1 + len(RECEIVERS)


async def test_a_synced_block_costs_one_digest(tmp_path: Path, tally: Tally) -> None:
    async with node_network(tmp_path) as network:
        first = await network.start("one")
        await first.mine(20)
        tally.counts.clear()
        late = await network.start("two", "one")
        await late.follow(first)
        assert tally.counts["digests"] == 20


async def test_a_transaction_is_encoded_few_times_on_its_way(tmp_path: Path, tally: Tally) -> None:
    """Through three nodes in a line, eight times.

    Until all wait: the first node for its id, two for their answer to the next one, two to check what they
    decoded, and three for their journals. Once mined, never again: all put the block together from what waits
    with them, and what was imported is handed on as it is.
    """
    async with node_network(tmp_path) as network:
        members = await network.line("one", "two", "three")
        payment = MemoryChain(SPEC).sign(ALICE, Transfer(BOB.address, 1), nonce=0, max_fee=100_000)
        tally.counts.clear()
        await members[0].admit(payment)
        await until(lambda: all(member.waits(payment) for member in members))
        await until(lambda: tally.counts["encodings"] >= 8)  # the journals are written a little later
        admitted = tally.counts["encodings"]
        await members[0].mine()
        for member in members:
            await member.follow(members[0])
        await until(lambda: not any(member.waits(payment) for member in members))
        assert (admitted, tally.counts["encodings"] - admitted) == (8, 0)
