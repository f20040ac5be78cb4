"""A client of a node's JSON-RPC: requests, subscriptions and blobs.

The commands, the participants and the localnet use it.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import aiohttp

from engram.node.answers import (
    MAX_ANSWER_BYTES,
    MAX_REFUSAL_BYTES,
    MOST_MESSAGE,
    Misread,
    check_event,
    check_probe,
    check_refusal,
    check_result,
    invalid,
    read_answer,
    shown,
)
from engram.node.errors import (
    AnswerInvalid,
    FileDamaged,
    ForeignAnswer,
    NodeUnreachable,
    RemoteError,
    SubscriberTooSlow,
)
from engram.node.files import read_plain
from engram.node.holding import HoldSocket
from engram.node.unreachable import unreachable
from engram.primitives.errors import ChainError, Invalid

TOKEN_NAME: Final = "rpc.token"
"""File in the data directory with the bearer token of admin methods; only its owner may read it."""
_MAX_TOKEN_BYTES: Final = 1024
REQUEST_TIMEOUT_S: Final = 60.0
HEARTBEAT_S: Final = 20.0
MAX_MESSAGE_BYTES: Final = 128 * 1024 * 1024
"""The largest WebSocket message that the client accepts."""
_UNREADY_STATUS: Final = 503
_JSON: Final = {"Content-Type": "application/json"}


class RpcClient:
    """Talks to one node. Open it with `async with`.

    Methods raise `RemoteError`, with the node's own error code, when the node refuses a request,
    `NodeUnreachable` when no node answers (`ForeignAnswer` if something else does), and `AnswerInvalid` when
    it answers with what no node says.
    """

    def __init__(self, url: str, token: str = "") -> None:
        self.url = url.rstrip("/")
        self._token = token
        self._ids = itertools.count(1)
        self._session: aiohttp.ClientSession | None = None
        self._hold: HoldSocket | None = None

    @classmethod
    def of_data_dir(cls, url: str, data_dir: Path) -> RpcClient:
        """A client that may call admin methods: it sends the bearer token from the node's data directory."""
        return cls(url, find_token(data_dir) or "")

    async def __aenter__(self) -> Self:
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
        self._session = aiohttp.ClientSession(
            headers=headers, timeout=timeout, trace_configs=[_no_redirects()]
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def call(self, method: str, **params: Any) -> Any:
        """The result of `method`. Raises `RemoteError` and `NodeUnreachable`.

        Integers that the node sends as decimal text are integers here, see `decimals`.
        Parameters of type bytes are sent as hexadecimal text; parameters that are None are not sent.
        """
        return await self.request(method, _plain(params))

    async def request(self, method: str, params: dict[str, Any] | list[Any]) -> Any:
        """As `call`, with the parameters as JSON values, by their names or in the method's order."""
        request = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
        body = BytesIO(json.dumps(request).encode())  # aiohttp warns if a large body is plain bytes
        try:
            async with self._open.post(
                self.url + "/",
                data=body,
                headers=_JSON,
                allow_redirects=False,  # the token goes nowhere else
            ) as response:
                if response.status != 200:
                    raise await self._refusal(response)
                reply = (await self._body(response)).decode(errors="replace")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise self._unreachable(error) from error
        with self._node_language():
            result = _result(read_answer(reply, self.url))
        with self.understood(method):
            check_result(method, result)
        return result

    async def blob(self, identity: bytes) -> bytes:
        """The bytes of a tensor, data part or chunk, by content id.

        Raises `RemoteError` if this node does not have it, `NodeUnreachable`.
        """
        return await self._fetched(f"blob/{identity.hex()}", 200)

    async def probe(self, **conditions: int) -> Any:
        """The answer of `/ready`; `conditions` as in `node/rpc/probes.py`. Raises as `blob` does."""
        query = "&".join(f"{name}={value}" for name, value in conditions.items())
        raw = await self._fetched(f"ready?{query}", 200, _UNREADY_STATUS)
        with self._node_language():
            answer = read_answer(raw.decode(errors="replace"), self.url)
            check_probe(answer)
        return answer

    async def _fetched(self, path: str, *statuses: int) -> bytes:
        """The body of what lies at a path, if the answer has one of these statuses."""
        try:
            async with self._open.get(f"{self.url}/{path}", allow_redirects=False) as response:
                if response.status not in statuses:
                    raise await self._refusal(response)
                return await self._body(response)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise self._unreachable(error) from error

    def subscribe(
        self, *topics: str, heartbeat_s: float | None = HEARTBEAT_S
    ) -> AbstractAsyncContextManager[AsyncIterator[tuple[str, Any]]]:
        """Every event of `topics` from the moment the `async with` block is entered, as (topic, event).

        A node that answers no ping for half of `heartbeat_s` counts as lost; with None, one that is only
        suspended does not.
        The iterator raises `NodeUnreachable` when the node stops or the connection is lost, and
        `SubscriberTooSlow` when the node has dropped this client because it did not keep up.
        """
        return _Subscription(self, topics, heartbeat_s)

    async def _subscribed(
        self, topics: Sequence[str], heartbeat_s: float | None
    ) -> aiohttp.ClientWebSocketResponse:
        """A WebSocket on which the events of these topics come."""
        socket = await self._open.ws_connect(
            self.url + "/ws", max_msg_size=MAX_MESSAGE_BYTES, heartbeat=heartbeat_s, autoping=True
        )
        try:
            await socket.send_json({"jsonrpc": "2.0", "id": 0, "method": "subscribe", "params": list(topics)})
            with self._node_language():
                _result(await self._receive(socket, REQUEST_TIMEOUT_S))
        except BaseException:
            await socket.close()
            raise
        return socket

    async def _events(self, socket: aiohttp.ClientWebSocketResponse) -> AsyncIterator[tuple[str, Any]]:
        while True:
            with self._node_language():
                params = (await self._receive(socket))["params"]
                topic, event = params["topic"], params["result"]
                check_event(topic, event)
            yield topic, event

    async def _receive(self, socket: aiohttp.ClientWebSocketResponse, timeout_s: float | None = None) -> Any:
        """The next message of a node. Only an answer has a time-out: events come when something happens."""
        try:
            message = await socket.receive(timeout=timeout_s)
        except TimeoutError as error:
            raise self._unreachable(error) from error
        if message.type is aiohttp.WSMsgType.CLOSE and message.data == aiohttp.WSCloseCode.POLICY_VIOLATION:
            raise SubscriberTooSlow
        if message.type is not aiohttp.WSMsgType.TEXT:
            why = shown(str(message.extra or "connection lost"))
            raise NodeUnreachable(f"the node at {self.url} ended the stream of events: {why}")
        return read_answer(message.data, self.url)

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        """The body of an answer, which is read no further than any answer of a node can be long."""
        parts, size = [], 0
        async for part in response.content.iter_any():
            size += len(part)
            if size > MAX_ANSWER_BYTES:
                raise AnswerInvalid(
                    f"the node at {self.url} sends an answer without end: ask another node",
                    expected=f"at most {MAX_ANSWER_BYTES:,} bytes",
                )
            parts.append(part)
        return b"".join(parts)

    async def _refusal(self, response: aiohttp.ClientResponse) -> ChainError:
        """Why a request was refused by its status; another program than a node may say it in any form."""
        raw = await response.content.read(MAX_REFUSAL_BYTES)
        text = raw.decode(errors="replace").strip()
        with suppress(ValueError, AnswerInvalid, TypeError, AttributeError, RecursionError):
            return _error(read_answer(text, self.url)["error"]["data"])
        said = shown(text) if text else "it says no reason"
        return RemoteError(
            f"what answers at {self.url} refuses the request with the HTTP status {response.status}: {said}",
            code=f"http_{response.status}",
        )

    def _unreachable(self, error: BaseException) -> NodeUnreachable:
        return unreachable(self.url, error, REQUEST_TIMEOUT_S)

    @contextmanager
    def understood(self, what: str) -> Iterator[None]:
        """Reads inside this block what the node has said of `what`: if it cannot be read, the node is wrong.

        Nothing may be awaited inside, and only the node's words may be read. Raises `AnswerInvalid`.
        """
        try:
            yield
        except (Invalid, ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
            raise invalid(self.url, what, str(error)) from error

    @contextmanager
    def _node_language(self) -> Iterator[None]:
        """What another program than a node answers is no bug of this one: it is a node that is not there."""
        try:
            yield
        except (ValueError, AnswerInvalid, TypeError, AttributeError, RecursionError) as error:
            why = f" ({error})" if isinstance(error, Misread) else ""
            raise ForeignAnswer(
                f"no node answers at {self.url}: what answers there speaks another language{why}"
            ) from None

    @asynccontextmanager
    async def holding(self) -> AsyncIterator[None]:
        """While the `async with` block runs, the miner of a test network waits for this client.

        At first it makes no block at all; whoever waits for a block calls `ready`, as `reconnect.watch` does.
        So the block must hold one sequence of steps; steps that run beside it need a client of their own. If
        the node's blocks wait for nobody, which is the rule outside test networks, this does nothing.

        Where the operator has asked for a muster, the blocks wait for a client whose block ends by an error
        or a cancellation, until another holds in its place: see `finish`.
        """
        assert self._hold is None, "a client is held by one `async with` at a time"
        self._hold = hold = HoldSocket(self._open, self.url, REQUEST_TIMEOUT_S)
        try:
            await hold.allow(0)
            yield
            await self.finish()
        finally:
            self._hold = None
            await hold.close()

    async def finish(self) -> None:
        """Ends the hold before its block does, because what the program had to do is done: no muster waits
        for it. Outside such a block this does nothing.
        """
        hold, self._hold = self._hold, None
        if hold is not None:
            await hold.finish()

    @property
    def is_waited_for(self) -> bool:
        """Whether a block of `holding` is running, and the node's blocks wait for it."""
        return self._hold is not None and self._hold.stands

    @property
    def holds(self) -> bool:
        """Whether a block of `holding` is running."""
        return self._hold is not None

    async def ready(self, height: int) -> None:
        """Tells the node, inside a block of `holding`, that blocks up to this height may be made.

        Raises `NodeUnreachable`.
        """
        if self._hold is not None:
            self._hold.url = self.url
            await self._hold.allow(height)

    @property
    def _open(self) -> aiohttp.ClientSession:
        assert self._session is not None, "an RpcClient is used only inside its `async with`"
        return self._session


class _Subscription(AbstractAsyncContextManager[AsyncIterator[tuple[str, Any]]]):
    """What `RpcClient.subscribe` gives. It is no generator: a loop that ends closes its generators at once,
    and one that another generator leaves while it is closed itself would be closed twice.
    """

    def __init__(self, client: RpcClient, topics: Sequence[str], heartbeat_s: float | None) -> None:
        self._client = client
        self._topics = topics
        self._heartbeat_s = heartbeat_s
        self._socket: aiohttp.ClientWebSocketResponse | None = None

    async def __aenter__(self) -> AsyncIterator[tuple[str, Any]]:
        try:
            self._socket = await self._client._subscribed(self._topics, self._heartbeat_s)
        except aiohttp.ClientError as error:
            raise self._client._unreachable(error) from error
        return self._client._events(self._socket)

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            await socket.close()
        if isinstance(error, aiohttp.ClientError):
            raise self._client._unreachable(error) from error


def find_token(data_dir: Path) -> str | None:
    """The token in a data directory; None if it holds none.

    Raises `FileDamaged` if the file holds something that no HTTP header could carry, `NotAFile`, `OSError`.
    """
    path = data_dir / TOKEN_NAME
    try:
        token = read_plain(path, _MAX_TOKEN_BYTES).strip()
    except FileNotFoundError:
        return None
    if not all(0x20 <= byte < 0x7F for byte in token):
        raise FileDamaged(f"{path} is no token: remove it, and the node makes a new one", got=len(token))
    return token.decode("ascii") or None


def call_once(url: str, data_dir: Path, method: str, **params: Any) -> Any:
    """One request with the admin's token, for commands that run no event loop of their own."""

    async def once() -> Any:
        async with RpcClient.of_data_dir(url, data_dir) as client:
            return await client.call(method, **params)

    return asyncio.run(once())


def _no_redirects() -> aiohttp.TraceConfig:
    """Follows no redirection, not even of a WebSocket: a node that could choose whom its clients ask next
    would reach through them what only they reach.
    """

    async def refuse(session: Any, context: Any, params: aiohttp.TraceRequestRedirectParams) -> None:
        raise aiohttp.ClientError("it leads to another address: name the address of the node itself")

    config = aiohttp.TraceConfig()
    config.on_request_redirect.append(refuse)
    return config


def _error(data: dict[str, Any]) -> RemoteError:
    check_refusal(data)
    return RemoteError(
        shown(data["message"], MOST_MESSAGE), code=data["code"], expected=data["expected"], got=data["got"]
    )


def _plain(params: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.hex() if isinstance(value, bytes) else value
        for name, value in params.items()
        if value is not None
    }


def _result(reply: dict[str, Any]) -> Any:
    if "error" not in reply:
        return reply["result"]
    raise _error(reply["error"]["data"])
