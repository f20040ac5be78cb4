"""A sender's next nonce lies behind all of his that waits, also while the mempool looks at it again."""

import threading
from collections.abc import Callable

import pytest

from engram.node.mempool.admission import Admission, Checked
from engram.node.storage.store import BlockRef
from engram.primitives.types import Hash
from engram.statemachine.transaction import Transaction
from engram.statemachine.transactions.transfer import Transfer
from tests.support.memory_chain import COIN, MemoryChain
from tests.support.node_chain import ALICE, BOB, SPEC, running, settled

Check = Callable[[Admission, Hash, Transaction, BlockRef], Checked]


class Gate:
    """Holds the mempool's worker at a transaction's check until it is let go."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self.held: Hash = b""
        self.reached = threading.Event()
        self.open = threading.Event()

    def check(self, admission: Admission, name: Hash, tx: Transaction, head: BlockRef) -> Checked:
        if name == self.held:
            self.reached.set()
            self.open.wait()
        return self._check(admission, name, tx, head)


async def test_an_entry_keeps_its_place_while_it_is_priced_again(monkeypatch: pytest.MonkeyPatch) -> None:
    branch = MemoryChain(SPEC)
    first, second = (branch.sign(ALICE, Transfer(BOB.address, 5), nonce=nonce) for nonce in (0, 1))
    gate = Gate(Admission.check)
    monkeypatch.setattr(Admission, "check", lambda admission, *rest, **_: gate.check(admission, *rest))
    async with running() as node:
        assert (await node.mempool.admit(first)).accepted
        assert (await node.mempool.admit(second)).accepted, "priced by bytes alone: it is not next"
        gate.held = second.id
        try:
            await node.take(branch.mine([first]))
            while not gate.reached.is_set():
                await settled()
            assert node.mempool.get(second.id) is second
            assert node.mempool.next_nonce(ALICE.address) == 2
        finally:
            gate.open.set()
        while any(entry.tentative for entry in node.mempool.entries()):
            await settled()
        assert node.mempool.candidates() == [second]


async def test_what_waits_in_vain_says_why() -> None:
    branch = MemoryChain(SPEC)
    half = 500 * COIN
    first, second = (branch.sign(ALICE, Transfer(BOB.address, 5), nonce=nonce) for nonce in (0, 1))
    costly = branch.sign(ALICE, Transfer(BOB.address, 5), nonce=2, max_fee=half + COIN, tip=half)
    async with running() as node:
        for tx in (costly, first):
            assert (await node.mempool.admit(tx)).accepted
        assert await node.mempool.hindrances([ALICE.address]) == {costly.id: "nonce_mismatch"}
        assert (await node.mempool.admit(second)).accepted
        assert await node.mempool.hindrances([ALICE.address]) == {}
        elsewhere = branch.sign(ALICE, Transfer(BOB.address, half + COIN), nonce=0)
        await node.take(branch.mine([elsewhere]))
        while node.mempool.get(first.id) is not None or any(
            entry.tentative for entry in node.mempool.entries()[:1]
        ):
            await settled()
        assert node.mempool.get(second.id) is second, "not given up for what stands behind it"
        assert await node.mempool.hindrances([ALICE.address]) == {costly.id: "insufficient_balance"}
