"""The explorer's files and its WebSocket over real sockets: which origin may do what, and what nobody may."""

import json
from collections.abc import AsyncIterator, Mapping

import aiohttp
import pytest
from yarl import URL

from engram.node.explorer.serving import HEADERS, PREFIX, STATIC, TYPES, read_pages
from engram.node.rpc.limits import RpcLimits
from tests.support.rpc_door import TOKEN, Door, handshake_status, opened

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
BEARER = {"Authorization": f"Bearer {TOKEN}"}
FOREIGN = (
    "null",
    "",
    "http://evil.example",
    "http://evil.example:{port}",
    "http://127.0.0.1",
    "http://127.0.0.1:1{port}",
    "http://localhost:{port}",
    "http://127.0.0.1:{port}/",
    "http://127.0.0.1:{port}.evil.example",
    "ftp://127.0.0.1:{port}",
    "file://",
    "http://127.0.0.1:{port}, http://evil.example",
)
"""Origins of no page of the node that answers at 127.0.0.1."""


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with opened(pages=read_pages()) as door:
        yield door


async def get(
    door: Door, path: str, method: str = "GET", **headers: str
) -> tuple[int, Mapping[str, str], bytes]:
    url = URL(door.url + path, encoded=True)
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, headers=headers, allow_redirects=False) as response,
    ):
        return response.status, response.headers, await response.read()


async def test_every_file_is_served_with_the_policy(door: Door) -> None:
    files = [path for path in STATIC.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == set(TYPES)
    for path in files:
        name = path.relative_to(STATIC).as_posix()
        status, headers, body = await get(door, PREFIX + name)
        assert (status, body) == (200, path.read_bytes()), name
        assert {key: headers[key] for key in HEADERS} == dict(HEADERS)
        assert headers["Content-Type"] == TYPES[path.suffix]
    assert (await get(door, PREFIX))[2] == (STATIC / "index.html").read_bytes()


async def test_the_policy_forbids_what_is_not_the_nodes_own() -> None:
    rules = dict(rule.split(" ", 1) for rule in HEADERS["Content-Security-Policy"].split("; "))
    assert rules["default-src"] == rules["frame-ancestors"] == rules["form-action"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == "'self'"
    document = (STATIC / "index.html").read_text()
    assert "style=" not in document
    assert document.count("<script") == document.count('<script type="module" src=') == 1


async def test_a_browser_asks_whether_a_file_has_changed(door: Door) -> None:
    _, headers, _ = await get(door, PREFIX + "app.js")
    tag = headers["ETag"]
    for seen in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        status, again, body = await get(door, PREFIX + "app.js", **{"If-None-Match": seen})
        assert (status, body, again["ETag"]) == (304, b"", tag), seen
        assert again["Content-Security-Policy"] == HEADERS["Content-Security-Policy"]
    assert (await get(door, PREFIX + "app.js", **{"If-None-Match": '"other"'}))[0] == 200
    status, headers, body = await get(door, PREFIX + "app.js", method="HEAD")
    assert (status, headers["ETag"], body) == (200, tag, b"")
    assert int(headers["Content-Length"]) == (STATIC / "app.js").stat().st_size


@pytest.mark.parametrize("path", ["/", PREFIX.rstrip("/")])
async def test_the_nodes_address_leads_to_the_pages(door: Door, path: str) -> None:
    status, headers, _ = await get(door, path)
    assert (status, headers["Location"]) == (307, PREFIX)
    assert (await door.post(document=PING))[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "../serving.py",
        "%2e%2e/serving.py",
        "..%2fserving.py",
        "..%5cserving.py",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "views/../../serving.py",
        "views",
        "views/",
        "static/app.js",
        "app.js%00",
        "app.js/",
        "APP.JS",
        "x" * 4000,
    ],
)
async def test_no_path_leads_to_another_file(door: Door, path: str) -> None:
    status, _, body = await get(door, PREFIX + path)
    assert status == 404
    assert json.loads(body)["error"]["data"]["code"] == "not_found"


async def test_the_files_are_read_only(door: Door) -> None:
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert (await get(door, PREFIX + "app.js", method=method))[0] == 405


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_page_of_the_node_reads_and_commands_nothing(door: Door, scheme: str) -> None:
    """Not even with the token, which a proxy might add; and by the WebSocket alone."""
    own = {"Origin": f"{scheme}://127.0.0.1:{door.server.port}", **BEARER}
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(door.url + "/ws", headers=own) as socket,
    ):
        await socket.send_json(PING)
        assert (await socket.receive_json())["result"] == "pong"
        await socket.send_json(PING | {"method": "subscribe", "params": ["heads"]})
        assert (await socket.receive_json())["result"] == "1"
        for method in ("stop", "publish"):
            await socket.send_json(PING | {"method": method, "params": {}})
            assert (await socket.receive_json())["error"]["data"]["code"] == "method_not_found"
    assert (await get(door, PREFIX + "app.js", **own))[0] == 200
    for path in ("/metrics", "/hold", "/health"):
        assert (await get(door, path, **own))[0] == 403
    assert (await door.post(document=PING, headers=own))[0] == 403


@pytest.mark.fault(id=30)
async def test_pages_of_others_are_refused(door: Door) -> None:
    for origin in FOREIGN:
        named = {"Origin": origin.format(port=door.server.port)}
        for extra in ({}, BEARER):
            assert await handshake_status(door, named | extra) == 403, origin
            assert (await get(door, PREFIX + "app.js", **named, **extra))[0] == 403, origin


async def test_a_name_that_a_stranger_points_here_opens_nothing(door: Door) -> None:
    """DNS rebinding: the page's origin is the Host that its browser asks for, and neither is known."""
    name = f"evil.example:{door.server.port}"
    assert await handshake_status(door, {"Host": name, "Origin": f"http://{name}"}) == 403
    assert (await get(door, PREFIX, Host=name))[0] == 403


async def test_behind_a_proxy_the_pages_have_its_name() -> None:
    async with opened(pages=read_pages(), names=["node.example"]) as door:
        own = {"Host": "node.example", "Origin": "https://node.example"}
        assert await handshake_status(door, own) == 101
        assert await handshake_status(door, own | {"Origin": "https://other.example"}) == 403
        hidden = {"Origin": "https://node.example"}
        assert await handshake_status(door, hidden) == 403, "the proxy hides the Host"


async def test_files_have_their_turn_as_all_requests_have() -> None:
    """A flood of readers of files waits with the others, and is refused when that takes too long."""
    async with opened(pages=read_pages(), limits=RpcLimits(requests=1, place_s=0.01)) as door:
        async with aiohttp.ClientSession() as session, session.ws_connect(door.url + "/ws") as socket:
            await socket.send_json(PING | {"method": "wait"})
            while not door.waiting:
                await socket.ping()
                await get(door, "/health")
            status, headers, _ = await get(door, PREFIX + "app.js")
            assert (status, headers["Retry-After"]) == (503, "5")
            door.released.set()
            assert (await socket.receive_json())["result"] == ""
        assert (await get(door, PREFIX + "app.js"))[0] == 200


async def test_without_the_explorer_there_is_no_page() -> None:
    async with opened() as door:
        assert (await get(door, PREFIX))[0] == 404
        assert await handshake_status(door, {"Origin": f"http://127.0.0.1:{door.server.port}"}) == 403
