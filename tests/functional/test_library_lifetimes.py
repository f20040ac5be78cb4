"""What a chain of the library does at the edges of its life: closed, forgotten, copied, forked, stopped."""

from __future__ import annotations

import asyncio
import copy
import gc
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import engram
from engram import AsyncChain, SyncChain, dev_key
from engram.library.errors import ChainClosed, OptionInvalid, ReportMustNotWait
from engram.library.portal import Portal, Running
from engram.node.errors import RemoteError
from engram.participant.errors import KeyMissing, RecordMissing, TransactionDropped
from engram.participant.notices import Notice
from tests.support.until import until

pytestmark = pytest.mark.xdist_group("library")


@pytest.fixture(scope="module")
def chain() -> Iterator[SyncChain]:
    with engram.dev_node(("alice", "bob")) as made:
        yield made


def portals() -> int:
    return sum(thread.name == "engram-library" for thread in threading.enumerate())


def test_a_closed_chain_says_so(chain: SyncChain) -> None:
    closed = engram.connect(chain.url)
    closed.close()
    closed.close()
    for use in (closed.head, lambda: next(closed.events("heads")), lambda: closed.using(dev_key("bob"))):
        with pytest.raises(ChainClosed):
            use()
    with pytest.raises(ChainClosed), closed:
        pass
    assert repr(closed).endswith(", not open>")


async def test_an_asynchronous_chain_is_used_while_it_is_open(chain: SyncChain) -> None:
    other = AsyncChain(chain.url, key=dev_key("bob"))
    for _ in range(2):
        with pytest.raises(ChainClosed):
            await other.head()
        with pytest.raises(ChainClosed):
            _ = other.wallet
        async with other:
            first = await other.call("chain_header", height=0)  # the head may move between two looks
            assert first == chain.call("chain_header", height=0)
            assert (await other.head()).height <= chain.head().height
            assert other.address in repr(other)


async def test_a_chain_that_nobody_closes_ends_with_its_last_user(chain: SyncChain) -> None:
    """The thread, the loop and the connections stayed for ever, and nothing was said."""
    before = portals()
    held = [engram.connect(chain.url).events("heads")]
    gc.collect()
    assert portals() == before + 1, "what is in use stays"
    with pytest.warns(ResourceWarning, match="not closed"):
        held.clear()
    await until(lambda: portals() == before)


def test_a_chain_is_not_copied(chain: SyncChain) -> None:
    for made in (chain, copy.copy(chain)):
        with pytest.raises(TypeError, match="connect again"):
            copy.deepcopy(made)
        with pytest.raises(TypeError, match="connect again"):
            pickle.dumps(made)


def test_a_forked_process_connects_anew(chain: SyncChain) -> None:
    """It has no thread that would answer, and waited for ever."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # whatever goes wrong here, the test ends
        try:
            chain.head()
        except ChainClosed:
            with engram.connect(chain.url) as own:
                os.write(write, own.call("chain_header", height=0)["id"].encode())
            chain.close()  # is the parent's
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as told:
        assert told.read() == chain.call("chain_header", height=0)["id"]
    assert os.waitpid(child, 0)[1] == 0


def test_a_report_that_asks_its_chain_is_an_error(chain: SyncChain) -> None:
    """It waited for the thread that waited for it, for ever."""
    data = engram.load_data("digits").of_classes(range(2))
    opened = chain.open_round(data.features, data.labels, hidden=(2,), rows=50)
    seen: list[int] = []

    def ask(notice: Notice) -> None:
        seen.append(chain.head().height)

    with pytest.raises(ReportMustNotWait):
        opened.run(ask)
    assert seen == []
    assert chain.head().height > 0


def test_an_opener_that_has_stopped_is_named_where_the_block_fails(chain: SyncChain) -> None:
    with engram.connect(chain.url) as reader:
        opened = reader.round("0" * 64)
        with pytest.raises(ZeroDivisionError) as caught, opened.running():
            assert 1 / (reader.head().height * 0)
    assert any("KeyMissing" in note for note in caught.value.__notes__)
    with engram.connect(chain.url) as reader, pytest.raises(KeyMissing), reader.round("0" * 64).running():
        reader.head()


async def test_who_stops_waiting_for_a_transfer_learns_its_name(chain: SyncChain) -> None:
    """Whoever repeats it pays twice, and the id was lost."""
    async with AsyncChain(chain.url, key=dev_key("alice")) as alice, alice.client.holding():
        async with alice.client.subscribe("transactions") as events:
            paying = asyncio.create_task(alice.transfer(alice.address, 1))
            _, sent = await anext(events)
        paying.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await paying
    assert any(sent["txid"] in note for note in caught.value.__notes__)


async def test_a_wait_for_a_round_is_repeated_without_paying_again(chain: SyncChain) -> None:
    rows = engram.load_data("digits").of_classes(range(3))
    async with AsyncChain(chain.url, data_dir=None, key=dev_key("alice")) as alice:
        before = len(await alice.rounds())
        async with alice.client.holding(), alice.client.subscribe("transactions") as events:
            opening = asyncio.create_task(alice.open_round(rows.features, rows.labels, bounty=3))
            _, sent = await anext(events)
            opening.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await opening
            (note,) = caught.value.__notes__
            assert f"chain.opened_round('{sent['txid']}')" in note
        opened = await alice.opened_round(sent["txid"])
        assert (await alice.opened_round(sent["txid"])).id == opened.id
        assert [each.id for each in await alice.rounds()][before:] == [opened.id]
        assert (await opened.info())["opener"] == alice.address
        assert (await alice.confirmed(sent["txid"]))["status"] == "ok"
        with pytest.raises(OptionInvalid, match="64 hexadecimal digits"):
            await alice.confirmed("zz")
        with pytest.raises(TransactionDropped):
            await alice.opened_round("00" * 32)


def test_who_interrupts_a_call_learns_what_it_has_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C cancels the call, and what it had sent was lost with its cancellation."""
    began = threading.Event()

    def interrupted(running: Running[None]) -> None:
        began.wait()
        raise KeyboardInterrupt

    monkeypatch.setattr(Running, "result", interrupted)

    async def work() -> None:
        try:
            began.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            error.add_note("it was sent")
            raise

    portal = Portal()
    try:
        with pytest.raises(KeyboardInterrupt) as caught:
            portal.run(work())
        assert caught.value.__notes__ == ["it was sent"]
    finally:
        monkeypatch.undo()
        portal.close()


@pytest.mark.parametrize("number", [-1, 2**32])
def test_a_version_that_cannot_be_is_missing(chain: SyncChain, number: int) -> None:
    with pytest.raises(RecordMissing):
        chain.model("0" * 64).pull(number)
    with pytest.raises(RemoteError):
        chain.model("0" * 64).pull()


@pytest.mark.parametrize("accounts", ["alice", (), ("ann", "ann")])
def test_accounts_are_different_names(accounts: tuple[str, ...]) -> None:
    """A text was taken for accounts of one letter."""
    for made in (engram.dev_node(accounts), engram.localnet(1, accounts)):
        with pytest.raises(OptionInvalid), made:
            pass


_HELD: Final = {
    "a block that is left": """
with engram.connect(url) as chain:
    events = chain.events("versions", "rounds")
    for _ in itertools.chain([None], events):
        break
""",
    "a program that ends": """
chain = engram.connect(url)
events = chain.events("versions", "rounds")
""",
    "an asynchronous program": """
async def main():
    async with engram.AsyncChain(url) as chain:
        held.append(chain.subscribed("heads"))
        assert await anext(held[0]) is None
held = []
asyncio.run(main())
""",
}


@pytest.mark.parametrize("how", _HELD)
def test_events_that_somebody_still_holds_end_in_silence(chain: SyncChain, how: str) -> None:
    """A loop closed the generators of a stream all at once, and Python printed that one did not stop."""
    program = f"import asyncio, itertools, sys, engram\nurl = sys.argv[1]\n{_HELD[how]}\nprint('ended')"
    done = subprocess.run(
        [sys.executable, "-c", program, chain.url], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "ended\n", "")


def test_events_of_a_closed_account_say_so(chain: SyncChain) -> None:
    """Its stream outlived its connection, where the chain that shares the thread was still open."""
    other = chain.using("bob")
    events = other.events("heads")
    other.close()
    with pytest.raises(ChainClosed):
        next(events)


def test_the_nodes_of_a_localnet_show_one_chain_and_go_on_with_it(tmp_path: Path) -> None:
    with engram.localnet(2, ("ann", "ben"), folder=tmp_path) as (first, second):
        ben = second.using("ben")
        before, heads = ben.account().balance, second.events("heads")
        txid = first.transfer(ben.address, 7)
        while second.call("tx_status", txid=txid)["status"] != "included":
            next(heads)
        assert ben.account().balance == before + 7
    with engram.localnet(2, ("ann", "ben"), folder=tmp_path) as (first, _):
        assert first.using("ben").account().balance == before + 7
    with pytest.raises(OptionInvalid), engram.localnet(2, ("zoe",), folder=tmp_path):
        pass
