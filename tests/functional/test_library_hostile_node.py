"""A node that is broken or hostile ends every call of the library with an error that names the node."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest
from aiohttp import web

import engram
from engram import SyncChain
from engram.node import client as client_module
from engram.node.errors import AnswerInvalid, ForeignAnswer, NodeUnreachable, RemoteError
from engram.node.holding import HOLD_REFUSED_STATUS
from engram.participant.errors import BlobMismatch
from engram.participant.reconnect import MOST_FOREIGN_STREAMS
from tests.support.rpc_shapes import strangers_let_be

pytestmark = pytest.mark.xdist_group("library_hostile_node")
ID = "ab" * 32
HONEST: dict[str, Any] = {
    "node_info": {"chain_id": 1, "spec_id": ID, "hrp": "deng"},
    "chain_head": {"height": 7, "id": ID, "ticks": 7, "exponent": 0},
    "model_list": [{"id": ID}],
    "model_get": {"id": ID, "head": 0, "loss_kind": 1},
}
"""What this node says of itself until it turns."""

Answer = Callable[[web.Request, int], Awaitable[web.StreamResponse]]


class HostileNode:
    """A real HTTP server in a thread of its own: honest until it has `turned`."""

    def __init__(self) -> None:
        self.turned: Answer | None = None
        self.only: str | None = None
        """The method for which it has turned; all, if None."""
        self.streams = 0
        self.event: str | None = None
        """What it sends to who subscribes, before it ends the stream."""
        self.redirected = 0
        self._loop = asyncio.new_event_loop()
        self._port: Future[int] = Future()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> HostileNode:
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._port.result()}"
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        async def start() -> web.AppRunner:
            app = web.Application()
            app.router.add_post("/", self._post)
            app.router.add_get("/ws", self._subscribe)
            app.router.add_get("/hold", self._hold)
            app.router.add_get("/elsewhere", self._elsewhere)
            app.router.add_get("/blob/{id}", self._blob)
            runner = web.AppRunner(app, shutdown_timeout=0)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self._port.set_result(runner.addresses[0][1])
            return runner

        runner = self._loop.run_until_complete(start())
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()

    async def _post(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        if self.turned is not None and self.only in (None, asked["method"]):
            return await self._turned(request, asked["id"])
        result = HONEST.get(asked["method"])
        return web.json_response({"jsonrpc": "2.0", "id": asked["id"], "result": result})

    async def _blob(self, request: web.Request) -> web.StreamResponse:
        return await self._turned(request, 0)

    async def _turned(self, request: web.Request, number: int) -> web.StreamResponse:
        assert self.turned is not None
        return await self.turned(request, number)

    async def _subscribe(self, request: web.Request) -> web.StreamResponse:
        self.streams += 1
        if self.event == "redirect":
            raise web.HTTPFound("/elsewhere")
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.receive()
        await socket.send_str(json.dumps({"jsonrpc": "2.0", "id": 0, "result": True}))
        if self.event is not None:
            await socket.send_str(self.event)
        await socket.close()
        return socket

    async def _hold(self, request: web.Request) -> web.StreamResponse:
        return web.Response(status=HOLD_REFUSED_STATUS)  # as every node outside test networks

    async def _elsewhere(self, request: web.Request) -> web.StreamResponse:
        self.redirected += 1
        return web.Response()


@pytest.fixture(scope="module")
def node() -> Iterator[HostileNode]:
    with strangers_let_be(), HostileNode() as made:
        yield made


@pytest.fixture
def chain(node: HostileNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SyncChain]:
    """The chain as the node shows it, which is honest while it is connected to."""
    node.turned, node.only, node.streams, node.event, node.redirected = None, None, 0, None, 0
    folder, key = tmp_path_factory.mktemp("data"), engram.dev_key("alice")
    with engram.connect(node.url, data_dir=folder, key=key, patience_s=0) as made:
        yield made


def says(body: bytes, status: int = 200, **headers: str) -> Answer:
    async def answer(request: web.Request, number: int) -> web.StreamResponse:
        return web.Response(body=body, status=status, headers=headers)

    return answer


def result(value: str) -> Answer:
    """An answer of JSON-RPC with this text as its result."""
    return says(b'{"jsonrpc":"2.0","id":1,"result":' + value.encode() + b"}")


async def endless(request: web.Request, number: int) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" " * 65_536)


async def trickling(request: web.Request, number: int) -> web.StreamResponse:
    """A byte at a time, for as long as anybody reads."""
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" ")
        await asyncio.sleep(0.02)


async def hanging_up(request: web.Request, number: int) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


ANSWERS: dict[str, tuple[Answer, type[Exception]]] = {
    "no JSON": (says(b"<html>welcome</html>"), ForeignAnswer),
    "nothing": (says(b""), ForeignAnswer),
    "no text": (says(b"\xff\xfe\x00"), ForeignAnswer),
    "half an answer": (says(b'{"jsonrpc":"2.0","id":1,"result":{"height"'), ForeignAnswer),
    "no answer of JSON-RPC": (says(b'{"height":7}'), ForeignAnswer),
    "deep brackets": (says(b"[" * 200_000), ForeignAnswer),
    "a number of 5,000 digits": (result('{"height":' + "9" * 5_000 + "}"), ForeignAnswer),
    "a number that is none": (result('{"height":NaN}'), ForeignAnswer),
    "null": (result("null"), AnswerInvalid),
    "text": (result('"' + "x" * 100_000 + '"'), AnswerInvalid),
    "a list of other things": (result("[7, null, {}]"), AnswerInvalid),
    "no fields": (result("{}"), AnswerInvalid),
    "fields of another type": (
        result('{"height":"7","id":7,"ticks":[],"exponent":{},"hrp":"x1","balance":"a","rules":7}'),
        AnswerInvalid,
    ),
    "fractions": (result('{"height":1e999,"id":0.5,"ticks":-1,"balance":1.5}'), AnswerInvalid),
    "a redirection": (says(b"", 302, Location="/elsewhere"), RemoteError),
    "a server's error": (says(b"<h1>Bad \x1b[31mGateway</h1>" * 100_000, 502), RemoteError),
    "a refusal without a reason": (
        says(b'{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"no"}}'),
        ForeignAnswer,
    ),
    "a refusal of another form": (
        says(b'{"id":1,"error":{"data":{"code":7,"message":[],"expected":0,"got":0}}}'),
        ForeignAnswer,
    ),
    "an end in the middle": (hanging_up, NodeUnreachable),
}
CALLS: dict[str, Callable[[SyncChain], Any]] = {
    "head": lambda chain: chain.head(),
    "spec": lambda chain: chain.spec(),
    "account": lambda chain: chain.account(),
    "transfer": lambda chain: chain.transfer(chain.address, 1),
    "models": lambda chain: chain.models(),
    "rounds": lambda chain: chain.rounds(),
    "round": lambda chain: chain.round().id,
    "versions": lambda chain: chain.model(ID).versions,
    "lineage": lambda chain: chain.model(ID).lineage,
    "info": lambda chain: chain.model(ID).info()["head"],
    "pull": lambda chain: chain.model(ID).pull(),
    "predict": lambda chain: chain.model(ID).predict([[0]]),
    "evaluate": lambda chain: chain.model(ID).evaluate([[0]], [0]),
    "prove": lambda chain: chain.model(ID).prove(),
    "run": lambda chain: chain.round(ID).run(),
    "wait": lambda chain: chain.round(ID).wait(),
    "open_round": lambda chain: chain.open_round([[0, 1]] * 99, [0, 1, 2] * 33, sure=True),
}
NO_STREAM = ("run", "wait")
"""Calls that follow a stream, which is tested below. That there is no record is an honest answer to them."""


@pytest.mark.parametrize("kind", ANSWERS)
def test_whatever_a_node_answers_the_error_names_it(chain: SyncChain, node: HostileNode, kind: str) -> None:
    node.turned, expected = ANSWERS[kind]
    for name, call in CALLS.items():
        if name in NO_STREAM and (kind == "null" or expected in (ForeignAnswer, NodeUnreachable)):
            continue
        with pytest.raises((expected, AnswerInvalid), match=r"127\.0\.0\.1") as refused:
            call(chain)
        assert node.url in str(refused.value), name
        assert len(str(refused.value)) < 1_000, name
        assert str(refused.value).isprintable(), name


@pytest.mark.parametrize("kind", ANSWERS)
def test_it_is_so_at_the_first_word(node: HostileNode, kind: str) -> None:
    node.turned, node.only = ANSWERS[kind][0], None
    with pytest.raises(engram.ChainError, match=node.url):
        engram.connect(node.url)


@pytest.mark.parametrize(
    ("method", "told", "call"),
    [
        ("model_get", {"id": ID, "head": 2**40, "loss_kind": 99}, "evaluate"),
        ("model_versions", [{"number": 0}], "versions"),
        ("model_version", {"lineage": [{"version": 0, "neurons": 3, "author": 7, "classes": []}]}, "lineage"),
        ("model_prove", {"bundle": "xyz"}, "prove"),
        ("record_get", "00", "pull"),
        ("record_get", "c0" * 40, "pull"),
        ("chain_spec", {"rules": {}, "hrp": "deng"}, "spec"),
        ("chain_spec", {"rules": {}, "hrp": "deng"}, "transfer"),
        ("model_list", [{"id": "../../etc"}], "models"),
        ("round_list", [{"id": ID, "status": -1}], "rounds"),
        ("round_get", {"id": ID, "model": ID, "status": 77}, "wait"),
        ("account_get", {"balance": 5, "maturing": [{}], "next_nonce": 0, "pending": []}, "account"),
    ],
)
def test_a_lie_in_one_answer_is_named(
    chain: SyncChain, node: HostileNode, method: str, told: Any, call: str
) -> None:
    """All others are honest, so the call gets as far as this one."""
    node.turned, node.only = result(json.dumps(told)), method
    with pytest.raises((AnswerInvalid, BlobMismatch), match=node.url):
        CALLS[call](chain)


def test_an_answer_without_end_is_not_read_to_its_end(
    chain: SyncChain, node: HostileNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "MAX_ANSWER_BYTES", 2**20)
    node.turned = endless
    with pytest.raises(AnswerInvalid, match="without end"):
        chain.head()


def test_an_answer_in_drops_is_given_up(node: HostileNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "REQUEST_TIMEOUT_S", 0.2)
    node.turned, node.only = trickling, None
    with pytest.raises(NodeUnreachable, match=rf"{node.url}: it has not answered within 0\.2 seconds"):
        engram.connect(node.url)


@pytest.mark.parametrize(
    "event",
    [
        "welcome",
        "{}",
        '{"params":7}',
        '{"params":{"topic":"heads","result":{"height":"x"}}}',
        '{"params":{"topic":["heads"],"result":{}}}',
    ],
)
def test_a_stream_that_is_none_ends(
    chain: SyncChain, node: HostileNode, event: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engram.participant.reconnect._FIRST_PAUSE_S", 0.001)
    node.event = event
    with pytest.raises(ForeignAnswer, match=node.url):
        next(chain.events("heads"))
    assert node.streams == MOST_FOREIGN_STREAMS


def test_nobody_is_led_elsewhere(chain: SyncChain, node: HostileNode) -> None:
    """Else a node could reach, through its clients, what only they reach."""
    node.event = "redirect"
    node.turned, node.only = says(b"no", 500), "chain_head"
    with pytest.raises(RemoteError):
        next(chain.events("heads"))
    assert node.redirected == 0
