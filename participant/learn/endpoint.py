"""A learner over HTTP on loopback: JSON in, JSON out; and the client that the commands use.

    POST /answer  {"rows": [[…], …]}                 {"answers": [{"label", "class", "name", "memory", …}]}
    POST /learn   {"rows", "labels", "names"?: {…}}  {"rows": n, "kept": n}
    GET  /status                                     what the learner is and does
    GET  /outlook                                    what it would do now, and what that would cost

Every request carries the token that stands in a file beside the learner's own: rows and answers are private.
As at the node (`node/rpc/server.py`), requests with a foreign Host or an Origin are refused, because a web
page can send them.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol, Self

import aiohttp
import numpy as np
import numpy.typing as npt
from aiohttp import web

from engram.node.datadir import find_run_info, load_token
from engram.node.errors import RemoteError
from engram.node.listening import listen
from engram.p2p.acceptor import Acceptor
from engram.participant.learn.consolidator import Outlook
from engram.participant.learn.errors import LearnerMissing, QueryInvalid, QueryTooLarge
from engram.participant.learn.lines import numbers_of
from engram.participant.learn.memories import Answer, LearnedBatch
from engram.participant.learn.threads import in_thread
from engram.primitives.errors import ChainError, Invalid

HOST: Final = "127.0.0.1"
MAX_BODY_BYTES: Final = 32 << 20
MAX_ROWS: Final = 10_000
"""The most rows of one request."""
BODY_S: Final = 30.0
"""Time for the body of a request to arrive."""
CLOSE_S: Final = 1.0
TIMEOUT_S: Final = 600.0
"""How long the client waits for an answer: the first one after many examples may fit the gate anew."""
_LABEL: Final = re.compile("[0-9]{1,18}")
_LABELS: Final = range(-(2**63), 2**63)
_NAMES: Final = frozenset({"localhost", HOST})

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Served(Protocol):
    """What is served: a `Learner`."""

    async def learn(
        self, rows: npt.NDArray[Any], labels: npt.NDArray[Any], names: Mapping[int, str] | None = None
    ) -> LearnedBatch: ...
    async def answer(self, rows: npt.NDArray[Any]) -> list[Answer]: ...
    async def status(self) -> dict[str, Any]: ...
    async def outlook(self) -> Outlook: ...


class LearnEndpoint:
    """Serves one learner. Once `serving` is set, `port` is the real port."""

    def __init__(self, learner: Served, token: str, port: int = 0) -> None:
        """Port 0 takes a free one."""
        assert token, "an empty token would let every program of this machine ask"
        self._learner = learner
        self._token = token.encode()
        self.port = port
        self.serving = asyncio.Event()

    async def run(self) -> None:
        """Listens until it is cancelled. Raises `PortTaken`, `AddressUnusable`."""
        application = web.Application(middlewares=[self._guard], client_max_size=MAX_BODY_BYTES)
        application.router.add_post("/answer", self._answer)
        application.router.add_post("/learn", self._learn)
        application.router.add_get("/status", self._status)
        application.router.add_get("/outlook", self._outlook)
        runner = web.AppRunner(
            application,
            access_log=None,
            handle_signals=False,
            shutdown_timeout=CLOSE_S,
            auto_decompress=False,  # a damaged body would be logged as a bug
        )
        await runner.setup()
        assert runner.server is not None, "`setup` has just made the server"
        async with Acceptor(runner.server) as acceptor:
            try:
                self.port = await listen(acceptor, HOST, self.port, "choose another --port, or 0")
                self.serving.set()
                await asyncio.Event().wait()
            finally:
                self.serving.clear()
                acceptor.stop()
                await runner.cleanup()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        if request.headers.get("Host", "").lower().rsplit(":", 1)[0] not in _NAMES:
            raise web.HTTPForbidden(text=f"unknown Host; expected {HOST}")
        if "Origin" in request.headers:
            raise web.HTTPForbidden(text="requests from web pages are refused")
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        given = token.encode("utf-8", "surrogateescape")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given, self._token):
            raise web.HTTPUnauthorized(
                text="the token is missing or wrong; it is in the file rpc.token of the learner's folder",
                headers={"WWW-Authenticate": "Bearer"},
            )
        try:
            return await handler(request)
        except ChainError as error:
            status = 400 if isinstance(error, Invalid) else 503
            return web.json_response({"error": error.to_json()}, status=status)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        content = await _content(request, frozenset({"rows"}))
        rows = await in_thread(lambda: rows_of(content["rows"]))
        answers = await self._learner.answer(rows)
        return web.json_response({"answers": [answer.to_json() for answer in answers]})

    async def _learn(self, request: web.Request) -> web.StreamResponse:
        content = await _content(request, frozenset({"rows", "labels"}), frozenset({"names"}))
        rows = await in_thread(lambda: rows_of(content["rows"]))
        labels, names = content["labels"], content.get("names", {})
        if not isinstance(labels, list) or not all(
            type(label) is int and label in _LABELS for label in labels
        ):
            raise QueryInvalid("labels is a list of whole numbers of 64 bits", got=type(labels).__name__)
        learned = await self._learner.learn(rows, np.array(labels, dtype=np.int64), names_of(names))
        return web.json_response({"rows": learned.rows, "kept": learned.kept})

    async def _status(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(await self._learner.status())

    async def _outlook(self, request: web.Request) -> web.StreamResponse:
        return web.json_response((await self._learner.outlook()).to_json())


def rows_of(given: Any) -> Any:
    """The rows of a request as an array (n, inputs). Raises `QueryInvalid`, `QueryTooLarge`."""
    if not isinstance(given, list) or not given or not all(isinstance(row, list) for row in given):
        raise QueryInvalid("rows is a list of rows, each a list of numbers", got=type(given).__name__)
    if len(given) > MAX_ROWS:
        raise QueryTooLarge(expected=MAX_ROWS, got=len(given))
    return numbers_of(given)


def names_of(given: Any) -> dict[int, str]:
    """The names of labels in a request. Raises `QueryInvalid`."""
    if not isinstance(given, dict) or not all(isinstance(name, str) for name in given.values()):
        raise QueryInvalid("names is an object of label and name", got=type(given).__name__)
    if foreign := [label for label in given if not _LABEL.fullmatch(label)]:
        raise QueryInvalid("a label is a whole number", got=foreign[0][:40])
    return {int(label): name for label, name in given.items()}


async def _content(
    request: web.Request, wanted: frozenset[str], allowed: frozenset[str] = frozenset()
) -> dict[str, Any]:
    try:
        async with asyncio.timeout(BODY_S):
            body = await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout(text="the body of the request did not arrive in time") from None
    except web.RequestPayloadError:
        raise QueryInvalid("the body is not what the request's headers say: send it anew") from None
    if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise QueryInvalid("the body is packed: send it without Content-Encoding")
    try:
        content = await in_thread(lambda: json.loads(body))
    except (ValueError, RecursionError) as error:
        raise QueryInvalid(f"the body is no JSON: {error}") from error
    if not isinstance(content, dict) or not wanted <= content.keys() <= wanted | allowed:
        raise QueryInvalid("the body is no object with these names", expected=sorted(wanted | allowed))
    return content


class LearnClient:
    """Asks the learner that runs on a folder. Open it with `async with`."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"}
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    def of_folder(cls, own: Path) -> LearnClient:
        """A client of the learner whose own folder this is. Raises `LearnerMissing` if none runs there."""
        running = find_run_info(own)
        if running is None:
            raise LearnerMissing(
                f"no `engram learn` runs on {own.parent}: start it first", got=str(own.parent)
            )
        return cls(running.rpc_url, load_token(own))

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        self._session = aiohttp.ClientSession(headers=self._headers, timeout=timeout)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, path: str) -> dict[str, Any]:
        """The answer to a GET. Raises `RemoteError` with the learner's code, `LearnerMissing`."""
        return await self._ask("GET", path, None)

    async def post(self, path: str, content: dict[str, Any]) -> dict[str, Any]:
        """The answer to a POST. Raises as `get` does."""
        return await self._ask("POST", path, json.dumps(content).encode())

    async def _ask(self, method: str, path: str, body: bytes | None) -> dict[str, Any]:
        assert self._session is not None, "a LearnClient is used only inside its `async with`"
        headers = {"Content-Type": "application/json"}
        try:
            async with self._session.request(
                method, self._url + path, data=body, headers=headers
            ) as response:
                text, status = await response.text(), response.status
        except (aiohttp.ClientError, TimeoutError) as error:
            raise LearnerMissing(f"the learner at {self._url} does not answer: {error}") from error
        if status == 200:
            found: dict[str, Any] = json.loads(text)
            return found
        try:
            refused = json.loads(text)["error"]
        except (ValueError, KeyError):
            raise RemoteError(text.strip(), code=f"http_{status}") from None
        raise RemoteError(
            refused["message"], code=refused["code"], expected=refused["expected"], got=refused["got"]
        )
