"""JSON-RPC 2.0: the specification's own rules, parameters by annotation, errors with stable codes."""

import json
from typing import Any

import pytest

from engram.node.rpc import jsonrpc
from engram.node.rpc.dispatcher import MAX_BATCH, Dispatcher
from engram.node.rpc.jsonrpc import method_of, method_table, methods_of, rpc_method
from engram.statemachine.errors import NonceMismatch


async def add(first: int, second: int = 10) -> int:
    """The sum of two numbers."""
    return first + second


async def every_kind(
    number: int, flag: bool, text: str, raw: bytes, rows: list[list[int]], height: int | None = None
) -> list[Any]:
    """What arrived."""
    return [number, flag, text, raw.hex(), rows, height]


async def refuse() -> None:
    """Refuses."""
    raise NonceMismatch(expected=7, got=9)


async def crash() -> None:
    """Has a bug."""
    raise LookupError("a bug")


async def secret() -> str:
    """For the operator."""
    return "done"


METHODS = method_table(
    (
        method_of("add", add),
        method_of("every_kind", every_kind),
        method_of("refuse", refuse),
        method_of("crash", crash),
        method_of("secret", secret, admin=True),
    )
)


class Server:
    """A dispatcher, and the bugs it reported."""

    def __init__(self) -> None:
        self.bugs: list[tuple[str, Exception]] = []
        self.dispatcher = Dispatcher(METHODS, lambda name, error: self.bugs.append((name, error)))

    async def raw(self, text: str | bytes, *, admin: bool = False) -> Any:
        reply = await self.dispatcher.answer(text, admin=admin)
        return None if reply is None else json.loads(reply)

    async def call(self, method: str, params: Any = None, *, admin: bool = False) -> Any:
        request = {"jsonrpc": "2.0", "id": 1, "method": method}
        return await self.raw(
            json.dumps(request | ({} if params is None else {"params": params})), admin=admin
        )

    async def code(self, method: str, params: Any = None, *, admin: bool = False) -> tuple[int, str]:
        error = (await self.call(method, params, admin=admin))["error"]
        return error["code"], error["data"]["code"]


@pytest.fixture
def server() -> Server:
    return Server()


async def test_parameters_by_name_and_by_position(server: Server) -> None:
    assert await server.call("add", {"first": 1, "second": 2}) == {"jsonrpc": "2.0", "id": 1, "result": 3}
    assert (await server.call("add", [1, 2]))["result"] == 3
    assert (await server.call("add", [1]))["result"] == 11


async def test_each_kind_of_parameter(server: Server) -> None:
    given = {"number": 1, "flag": True, "text": "é", "raw": "00ff", "rows": [[1]], "height": None}
    assert (await server.call("every_kind", given))["result"] == [1, True, "é", "00ff", [[1]], None]


@pytest.mark.parametrize(
    "params",
    [
        {"first": True},
        {"first": 1.0},
        {"first": "one"},
        {"first": None},
        {"first": [1]},
        {},
        {"first": 1, "third": 3},
        [1, 2, 3],
        "1",
        7,
    ],
)
async def test_wrong_parameters(server: Server, params: Any) -> None:
    assert await server.code("add", params) == (-32602, "invalid_params")


@pytest.mark.parametrize(
    ("name", "value"), [("raw", "0"), ("raw", "zz"), ("raw", 5), ("text", 5), ("flag", 1)]
)
async def test_wrong_kinds(server: Server, name: str, value: Any) -> None:
    given = {"number": 1, "flag": True, "text": "", "raw": "", "rows": []}
    assert await server.code("every_kind", given | {name: value}) == (-32602, "invalid_params")


async def test_a_wrong_parameter_is_named(server: Server) -> None:
    unknown = (await server.call("add", {"first": 1, "third": 3}))["error"]["data"]
    assert unknown["expected"] == ["first", "second"]
    assert unknown["got"] == "third"
    assert "first" in (await server.call("add", {}))["error"]["message"]


@pytest.mark.parametrize("text", ["", "{", "nonsense", b"\xff", "[" * 100_000, '{"id": NaN}', '"\\ud800'])
async def test_what_is_not_json(server: Server, text: str | bytes) -> None:
    reply = await server.raw(text)
    assert reply["id"] is None
    assert (reply["error"]["code"], reply["error"]["data"]["code"]) == (-32700, "parse_error")


@pytest.mark.parametrize(
    "request_",
    [
        1,
        "add",
        None,
        {},
        {"jsonrpc": "2.0"},
        {"jsonrpc": "1.0", "method": "add", "id": 1},
        {"jsonrpc": "2.0", "method": 1, "id": 1},
        {"jsonrpc": "2.0", "method": "add", "id": [1]},
        {"jsonrpc": "2.0", "method": "add", "id": True},
        {"jsonrpc": "2.0", "method": "add", "id": 1.5},
    ],
)
async def test_what_is_no_request(server: Server, request_: Any) -> None:
    reply = await server.raw(json.dumps(request_))
    assert reply["id"] is None
    assert (reply["error"]["code"], reply["error"]["data"]["code"]) == (-32600, "invalid_request")


async def test_an_unknown_method(server: Server) -> None:
    assert await server.code("subtract") == (-32601, "method_not_found")


async def test_notifications_are_obeyed_and_not_answered(server: Server) -> None:
    assert await server.raw(json.dumps({"jsonrpc": "2.0", "method": "crash"})) is None
    assert [name for name, _ in server.bugs] == ["crash"]
    assert await server.raw(json.dumps({"jsonrpc": "2.0", "method": "missing"})) is None


async def test_batches(server: Server) -> None:
    one = {"jsonrpc": "2.0", "method": "add", "params": [1]}
    replies = await server.raw(json.dumps([one | {"id": "a"}, one, 5, one | {"id": 2}]))
    assert [(reply["id"], "result" in reply) for reply in replies] == [("a", True), (None, False), (2, True)]
    assert await server.raw(json.dumps([one, one])) is None


@pytest.mark.parametrize("count", [0, MAX_BATCH + 1])
async def test_batches_out_of_bounds(server: Server, count: int) -> None:
    one = {"jsonrpc": "2.0", "method": "add", "params": [1], "id": 1}
    assert (await server.raw(json.dumps([one] * count)))["error"]["code"] == -32600


async def test_the_largest_batch(server: Server) -> None:
    one = {"jsonrpc": "2.0", "method": "add", "params": [1], "id": 1}
    assert len(await server.raw(json.dumps([one] * MAX_BATCH))) == MAX_BATCH


async def test_a_chain_error_keeps_its_code_and_numbers(server: Server) -> None:
    error = (await server.call("refuse"))["error"]
    assert error["code"] == jsonrpc.CHAIN_ERROR
    assert (error["data"]["code"], error["data"]["expected"], error["data"]["got"]) == (
        "nonce_mismatch",
        "7",
        "9",
    )


async def test_a_bug_is_reported_and_not_told(server: Server) -> None:
    error = (await server.call("crash"))["error"]
    assert (error["code"], error["data"]["code"]) == (-32603, "internal_error")
    assert "a bug" not in json.dumps(error)
    [(name, bug)] = server.bugs
    assert (name, str(bug)) == ("crash", "a bug")


async def test_admin_methods_ask_for_the_token(server: Server) -> None:
    assert await server.code("secret") == (jsonrpc.UNAUTHORIZED, "unauthorized")
    assert (await server.call("secret", admin=True))["result"] == "done"


def test_a_method_describes_itself() -> None:
    method = method_of("add", add)
    assert method.summary == "The sum of two numbers."
    assert [(p.name, p.kind, p.required) for p in method.parameters] == [
        ("first", int, True),
        ("second", int, False),
    ]


async def takes_float(value: float) -> float:
    """Takes what JSON carries inexactly."""
    return value


async def takes_either(value: int | str) -> None:
    """Takes two kinds."""


@pytest.mark.parametrize("handler", [takes_float, takes_either])
def test_an_annotation_that_json_cannot_carry_is_found_at_start_up(handler: jsonrpc.Handler) -> None:
    with pytest.raises(TypeError):
        method_of("bad", handler)


def test_two_methods_of_one_name_are_found_at_start_up() -> None:
    with pytest.raises(ValueError, match="two methods are called add"):
        method_table((method_of("add", add), method_of("add", add)))


def test_a_method_is_registered_where_it_stands() -> None:
    class Doors:
        @rpc_method(bool)
        async def door_state(self) -> str:
            """Whether the door is open."""
            return "open"

        async def not_a_method(self) -> None:
            """Not marked."""

        @rpc_method(bool, admin=True)
        async def door_close(self, hard: bool = False) -> None:
            """Closes the door."""

    found = methods_of(Doors())
    assert [(method.name, method.admin) for method in found] == [("door_state", False), ("door_close", True)]
    assert found[1].to_json()["params"] == [
        {"name": "hard", "type": "boolean", "required": False, "nullable": False}
    ]
