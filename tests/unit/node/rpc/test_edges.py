"""JSON-RPC at its edges: by HTTP and by WebSocket the same text is answered alike, and nothing is a bug."""

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from engram.node.rpc.jsontext import LEAST_INTEGER, MAX_CONTAINERS, MAX_DEPTH, MOST_INTEGER
from tests.support.faults import Played
from tests.support.rpc_door import Door, opened

pytestmark = pytest.mark.fault(id=50)
Expected = tuple[str, object] | None
"""Of one reply: "result" or the stable code of its error, and its id; None where nothing is answered."""


def call(**members: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": "ping"} | members


def text(identity: str = "1", params: str = "[]", method: str = "ping") -> str:
    return f'{{"jsonrpc":"2.0","id":{identity},"method":"{method}","params":{params}}}'


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


GOOD: dict[str, object] = {
    text('"a"'): "a",
    text("null"): None,
    text("0"): 0,
    text("-7"): -7,
    text(str(MOST_INTEGER)): MOST_INTEGER,
    text(str(LEAST_INTEGER)): LEAST_INTEGER,
    text('""'): "",
    text('"\\u00e9\\ud83d\\ude00"'): "é😀",
    text(params="null"): 1,
    text(params="{}"): 1,
    '{"jsonrpc":"2.0","id":1,"method":"ping"}': 1,
    '{"jsonrpc":"2.0","id":1,"method":"ping","further":{"a":1}}': 1,
    '  {"jsonrpc":"2.0","id":1,"method":"ping"}\n': 1,
    text('"' + "[" * 500 + '"'): "[" * 500,
    text('"' + '\\"{' * 500 + '"'): '"{' * 500,
}
NO_JSON = (
    "",
    " ",
    "{",
    "nonsense",
    "[" * 100_000,
    nested(MAX_DEPTH + 1),
    '{"a":' * 1_000 + "1" + "}" * 1_000,
    "[" + "[]," * MAX_CONTAINERS + "1]",
    text("NaN"),
    text("Infinity"),
    text("-Infinity"),
    text(params="[NaN]"),
    '{"a":"' + '\\"' * 1_000,
    "[1,]",
    "{'jsonrpc':'2.0'}",
    "01",
    "\ufeff" + text(),
    text() + text(),
)
NO_REQUEST = (
    "1",
    "null",
    '"ping"',
    "{}",
    "[]",
    text("1.5"),
    text("1.0"),
    text("1e3"),
    text("1e999"),
    text("true"),
    text("[1]"),
    text("{}"),
    text(str(MOST_INTEGER + 1)),
    text(str(LEAST_INTEGER - 1)),
    text("9" * 5_000),
    text('"\\ud800"'),
    '{"id":1,"method":"ping"}',
    '{"jsonrpc":"1.0","id":1,"method":"ping"}',
    '{"jsonrpc":2.0,"id":1,"method":"ping"}',
    '{"jsonrpc":null,"id":1,"method":"ping"}',
    '{"jsonrpc":"2.0","id":1}',
    '{"jsonrpc":"2.0","id":1,"method":null}',
    '{"jsonrpc":"2.0","id":1,"method":["ping"]}',
    '{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}',
    '{"jsonrpc":"2.0","id":1,"method":"ping","method":"stop"}',
    '{"jsonrpc":"2.0","method":1}',
    json.dumps([call()] * 101),
)
NO_PARAMS = (
    text(params="1"),
    text(params='"x"'),
    text(params="true"),
    text(params="[1]"),
    text(params="1e999"),
    text(params='{"further":1}'),
    text(params='{"a":1,"a":2}'),
    text(params="9" * 5_000),
    *(
        text(method="echo", params=params)
        for params in (
            "[]",
            "{}",
            "[1]",
            "[null]",
            '["0"]',
            '["zz"]',
            '["00 ff"]',
            '["00",1]',
            '{"raw":"00","raw":"01"}',
            f"[{MOST_INTEGER + 1}]",
            "[" + "9" * 5_000 + "]",
            "[-1e999]",
            "[" + nested(MAX_DEPTH - 2) + "]",
        )
    ),
    *(text(method="count", params=params) for params in (f"[[{'9' * 30}]]", '[[[{"a":1,"a":2}]]]')),
    text(method="subscribe", params='["weather"]'),
)
SILENT = (
    '{"jsonrpc":"2.0","method":"ping"}',
    '{"jsonrpc":"2.0","method":"nowhere"}',
    '{"jsonrpc":"2.0","method":"echo","params":[1]}',
    '{"jsonrpc":"2.0","method":"ping","params":7}',
    '{"jsonrpc":"2.0","method":"stop"}',
    '{"jsonrpc":"2.0","method":"subscribe","params":["weather"]}',
    json.dumps([{"jsonrpc": "2.0", "method": "ping"}] * 3),
)
CASES: dict[str, list[Expected]] = {
    **{raw: [("result", identity)] for raw, identity in GOOD.items()},
    **{raw: [("parse_error", None)] for raw in NO_JSON},
    **{raw: [("invalid_request", None)] for raw in NO_REQUEST},
    **{raw: [("invalid_params", 1)] for raw in NO_PARAMS},
    **{raw: [None] for raw in SILENT},
    text(method="nowhere"): [("method_not_found", 1)],
    text(method="x" * 10_000): [("method_not_found", 1)],
    text(method="stop"): [("unauthorized", 1)],
    text(method="refuse"): [("nonce_mismatch", 1)],
    f"[{text()},7,{SILENT[0]},{text('1e999')},{text('2', '[1]')},{text('3', '{') + '}'}]": [
        ("result", 1),
        ("invalid_request", None),
        ("invalid_request", None),
        ("invalid_params", 2),
        ("result", 3),
    ],
}


def said(reply: dict[str, Any]) -> Expected:
    assert reply["jsonrpc"] == "2.0"
    return ("result" if "result" in reply else reply["error"]["data"]["code"]), reply["id"]


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with opened() as door:
        yield door


async def over_http(session: aiohttp.ClientSession, url: str, raw: str) -> Any:
    headers = {"Content-Type": "application/json"}
    async with session.post(url + "/", data=raw.encode(), headers=headers) as response:
        body = await response.text()
        assert response.status == (200 if body else 204)
        return json.loads(body, parse_constant=pytest.fail) if body else None


async def over_websocket(socket: aiohttp.ClientWebSocketResponse, raw: str) -> Any:
    """The reply to the text; None if the reply to a question asked after it is the next message."""
    await socket.send_str(raw)
    await socket.send_str(text('"after"'))
    first = json.loads((await socket.receive()).data, parse_constant=pytest.fail)
    if first == {"jsonrpc": "2.0", "id": "after", "result": "pong"}:
        return None
    assert (await socket.receive_json())["id"] == "after"
    return first


async def test_both_transports_answer_alike(door: Door, fault: Played) -> None:
    async with aiohttp.ClientSession() as session, session.ws_connect(door.url + "/ws") as socket:
        for raw, expected in CASES.items():
            replies = await over_http(session, door.url, raw), await over_websocket(socket, raw)
            for reply in replies:
                found = [said(each) for each in reply] if isinstance(reply, list) else [reply and said(reply)]
                if "subscribe" in raw and reply is replies[0] and reply is not None:
                    assert found == [("method_not_found", 1)]  # only a connection can subscribe
                else:
                    assert found == expected, raw[:200]
    assert door.bugs == []
    fault.tell(2 * len(CASES), code="invalid_request")


async def test_a_number_beyond_64_bits_is_named(door: Door) -> None:
    status, reply = await door.post(document=call(method="echo", params=[2**64]))
    assert status == 200
    assert reply["error"]["message"] == f"raw cannot be used: the number {2**64} does not fit into 64 bits"


async def test_who_subscribes_by_http_is_told_where_it_can_be_done(door: Door) -> None:
    for method in ("subscribe", "unsubscribe"):
        _, reply = await door.post(document=call(method=method, params=["heads"]))
        assert reply["error"]["message"] == f"no method {method} here; it needs a WebSocket at /ws"


async def test_a_subscription_begins_after_its_reply(door: Door) -> None:
    """Also in a batch, in which the event is published before the reply is complete."""
    batch = [
        call(id="a", method="subscribe", params=["heads"]),
        call(id="b", method="publish", params=["heads"]),
        {"jsonrpc": "2.0", "method": "subscribe", "params": {"topics": ["rounds", "peers"]}},
        call(id="c", method="unsubscribe", params=["3"]),
        call(id="d", method="publish", params=["peers"]),
    ]
    async with aiohttp.ClientSession() as session, session.ws_connect(door.url + "/ws") as socket:
        await socket.send_json(batch)
        replies = await socket.receive_json()
        assert [(each["id"], each["result"]) for each in replies] == [
            ("a", "1"),
            ("b", None),
            ("c", False),
            ("d", None),
        ]
        events = [(await socket.receive_json())["params"] for _ in range(2)]
        heard = {(event["subscription"], event["topic"]) for event in events}
        assert heard == {("1", "heads"), ("2", "peers")}
        await socket.send_json(call(id="e", method="unsubscribe", params={"subscription": "2"}))
        assert (await socket.receive_json())["result"] is True


async def test_a_subscription_that_ends_in_its_own_batch_never_begins(door: Door) -> None:
    batch = [
        call(id="a", method="subscribe", params=[["heads"]]),
        call(id="b", method="unsubscribe", params=["1"]),
        call(id="c", method="publish", params=["heads"]),
    ]
    async with aiohttp.ClientSession() as session, session.ws_connect(door.url + "/ws") as socket:
        await socket.send_json(batch)
        assert [each["id"] for each in await socket.receive_json()] == ["a", "b", "c"]
        await socket.send_json(call(id="d"))
        assert (await socket.receive_json())["id"] == "d"
