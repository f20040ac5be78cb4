"""The OpenRPC document that a node serves says of every method what it takes, gives and refuses."""

import json
import random
import re
import tempfile
from collections.abc import Iterator
from typing import Any
from urllib.request import Request, urlopen

import pytest
from jsonschema import Draft202012Validator

from engram.commands.support.shapes import load_page
from engram.node.decimals import DECIMAL_FIELDS, with_decimals
from engram.node.rpc import refusals
from engram.node.rpc.events import TOPICS
from engram.node.rpc.jsonrpc import CHAIN_ERROR, CODES
from engram.node.rpc.openrpc import TOPIC_TEXTS
from engram.node.rpc.parameters import ID
from engram.node.rpc.results.units import UNITS
from tests.support.cli import Shell
from tests.support.dev_node import address_of, served_shell
from tests.support.faults import inputs
from tests.support.rpc_examples import FILE as EXAMPLES
from tests.support.rpc_examples import record

pytestmark = pytest.mark.xdist_group("rpc_reference")
NOWHERE = "00" * 32


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    with served_shell(tmp_path_factory.mktemp("node")) as made:
        made.text("miner", "mine")
        yield made


@pytest.fixture(scope="module")
def document(shell: Shell) -> dict[str, Any]:
    served: dict[str, Any] = shell.json("rpc", "rpc.discover")
    return served


def fits(value: Any, schema: dict[str, Any], document: dict[str, Any]) -> bool:
    """Whether a result that the client has read is sent as the served document says."""
    return holds(with_decimals(value), schema, document)


def holds(value: Any, schema: dict[str, Any], document: dict[str, Any]) -> bool:
    """Whether a value as it is sent is of this schema of the served document."""
    whole = {**schema, "components": document["components"]}
    return next(Draft202012Validator(whole).iter_errors(value), None) is None


def methods(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in document["methods"] if "x-transport" not in each}


def test_it_describes_the_methods_that_there_are(shell: Shell, document: dict[str, Any]) -> None:
    listed = {each["name"]: each for each in shell.json("rpc", "rpc_methods")}
    described = methods(document)
    assert described.keys() == listed.keys() | {"rpc.discover"}
    for name, each in listed.items():
        params = [(param["name"], param["required"]) for param in described[name]["params"]]
        assert params == [(param["name"], param["required"]) for param in each["params"]]
        assert described[name]["x-admin"] is each["admin"]
    assert [topic["name"] for topic in document["x-topics"]] == list(TOPICS)
    assert set(TOPIC_TEXTS) == set(TOPICS)
    assert document["openrpc"].startswith("1.")


def test_no_description_is_cut_short(document: dict[str, Any]) -> None:
    cut = [each["name"] for each in document["methods"] if not each["summary"].endswith((".", ")"))]
    assert cut == []


def test_references_within_the_document_lead_somewhere(document: dict[str, Any]) -> None:
    for each in document["methods"]:
        for error in each["errors"]:
            place: Any = document
            for step in error["$ref"].removeprefix("#/").split("/"):
                place = place[step]
            assert place["code"] < 0


def test_every_number_and_code_of_an_error_is_listed(shell: Shell, document: dict[str, Any]) -> None:
    """The page promised all codes, and those that JSON-RPC and HTTP give were not there."""
    components = document["components"]
    listed = components["schemas"]["Refusal"]["properties"]["code"]["anyOf"][0]["enum"]
    assert {*CODES.values(), *refusals.CODES.values(), refusals.BLOB_MISSING} <= set(listed)
    assert {each["code"] for each in components["errors"].values()} == {*CODES, CHAIN_ERROR}
    asked = json.loads(shell.run("rpc", "no_such_method", "--json").stdout)["error"]
    assert asked["code"] == "method_not_found"
    assert asked["code"] in listed
    gone = json.loads(shell.run("rpc", "round_get", f"id={'0' * 64}", "--json").stdout)["error"]
    assert gone["code"] == "missing_round"
    assert "expected" not in gone["message"], "what was asked for is what the state got"
    probability = components["schemas"]["PredictionResult"]["properties"]["probability"]
    assert (probability["minimum"], probability["maximum"]) == (0, 1)


def objects(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    schemas = document["components"]["schemas"]
    return {name: schema for name, schema in schemas.items() if "properties" in schema}


def test_every_result_is_described_to_its_last_field(document: dict[str, Any]) -> None:
    """No method says of its result only that it is an object, and no field has no type."""
    told = [each["result"]["schema"] for each in document["methods"] if each["name"] != "rpc.discover"]
    told += [topic["schema"] for topic in document["x-topics"]]
    for name, schema in objects(document).items():
        if name != "Refusal":
            assert schema["description"], name
            assert schema["additionalProperties"] is False, name
            told += [each for each in schema["properties"].values() if each != ANYTHING]
    for schema in told:
        Draft202012Validator.check_schema(schema)
        assert TELLING & schema.keys() or schema["type"] in ("string", "integer", "number", "boolean"), schema


def test_references_of_schemas_lead_somewhere(document: dict[str, Any]) -> None:
    named = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)))
    assert named <= document["components"]["schemas"].keys()
    assert named >= objects(document).keys() - {"Refusal"}, "and none is there for nothing"


def test_a_unit_is_the_same_for_rpc_and_for_commands() -> None:
    """A name has one unit wherever it stands, in both documents; some names of commands have none here."""
    page = load_page()
    words = {
        "sparks": "sparks",
        "ppm": "millionths",
        "macs": "multiply-accumulate operations",
        "work": "expected hash attempts",
        "bytes": "bytes",
        "height": "height of a block",
        "ticks": "ticks of the round clock",
        "seconds": "seconds",
        "time_ms": "milliseconds since 1970",
        "time_s": "seconds since 1970",
        "q24": "sum over rows, in units of 2^-24 nat",
        "logit": "in units of 2^-16 nat",
    }
    both = {name: kind for name, kind in page.fields.items() if name in UNITS and kind in words}
    assert {name: UNITS[name] for name in both} == {name: words[kind] for name, kind in both.items()}
    assert len(both) > 60


TELLING = {"$ref", "anyOf", "enum", "const", "items", "prefixItems", "additionalProperties"}
"""One of these says what an object, a list or a choice is."""
ANYTHING = {"description": "any JSON value"}
"""What an error expected and got has no type."""
GOOD = {
    "account_get": {"address": address_of("alice")},
    "account_updates": {"address": address_of("alice")},
    "chain_find": {"kind": "block", "beginning": "abcd"},
    "chain_headers": {"first": 0, "count": 2},
    "miner_mine": {"blocks": 1},
    "record_get": {"kind": 0, "key": ""},
    "round_list": {"model": NOWHERE},
    "tx_status": {"txid": NOWHERE},
    "peer_add": {"address": "127.0.0.1:1"},
    "peer_remove": {"address": "127.0.0.1:1"},
}
"""Parameters with which methods succeed here; others succeed without any, or need what this chain lacks."""
ENDS = ("node_stop",)


def test_results_and_errors_are_as_described(shell: Shell, document: dict[str, Any]) -> None:
    """Each method is called well, if that is possible on a chain without models, and wrongly."""
    named, of_records = document["components"]["schemas"]["Refusal"]["properties"]["code"]["anyOf"]
    answered = []
    for name, each in methods(document).items():
        if name in ENDS:
            continue
        needed = [param["name"] for param in each["params"] if param["required"]]
        if name in GOOD or not needed:
            words = json.dumps(GOOD.get(name, {}))
            result = json.loads(shell.run("rpc", name, "-", "--json", typed=words).stdout)
            refused = isinstance(result, dict) and "error" in result
            assert refused or fits(result, each["result"]["schema"], document), name
            answered.append(name)
        unknown = shell.run("rpc", name, "-", "--json", typed='{"no_such_parameter": 1}')
        assert json.loads(unknown.stdout)["error"]["code"] == "invalid_params"
        if needed:
            assert shell.error("rpc", name, "-", typed="{}")[1] == "invalid_params"
            nowhere = {param["name"]: _of(param["schema"]) for param in each["params"] if param["required"]}
            answer = json.loads(shell.run("rpc", name, "-", "--json", typed=json.dumps(nowhere)).stdout)
            if isinstance(answer, dict) and "error" in answer:
                code = answer["error"]["code"]
                known = code in (*named["enum"], "invalid_params") or re.match(of_records["pattern"], code)
                assert known, f"{name}: {code}"
    assert len(answered) > 20


def test_every_schema_says_by_which_draft_it_is_written(document: dict[str, Any]) -> None:
    """OpenRPC means an older draft, in which `prefixItems` says nothing."""
    told = [param["schema"] for each in document["methods"] for param in each["params"]]
    told += [each["result"]["schema"] for each in document["methods"]]
    told += [topic["schema"] for topic in document["x-topics"]]
    told += document["components"]["schemas"].values()
    assert {schema["$schema"] for schema in told} == {Draft202012Validator.META_SCHEMA["$id"]}


def test_an_id_of_another_length_is_refused_by_its_name(shell: Shell, document: dict[str, Any]) -> None:
    """Seen: an id that was cut short was looked for, and the answer was that there is no such model."""
    tried = 0
    for name, each in methods(document).items():
        for param in each["params"]:
            if param["schema"].get("pattern") != ID.schema["pattern"]:
                continue
            nowhere = {one["name"]: _of(one["schema"]) for one in each["params"] if one["required"]}
            for wrong in (NOWHERE[:-2], NOWHERE + "00", "", "zz" * 32):
                words = json.dumps({**nowhere, param["name"]: wrong})
                told = json.loads(shell.run("rpc", name, "-", "--json", typed=words).stdout)["error"]
                assert told["code"] == "invalid_params", (name, wrong)
                assert told["message"] == f"{param['name']} must be of type id"
                assert told["expected"] == "64 hexadecimal digits"
            tried += 1
    assert tried > 20


def test_a_list_of_more_or_other_items_than_its_schema_says_is_refused(
    shell: Shell, document: dict[str, Any]
) -> None:
    bare = [
        (each["name"], param["name"])
        for each in document["methods"]
        for param in each["params"]
        if param["schema"]["type"] == "array" and "items" not in param["schema"]
    ]
    assert bare == [], "every list says what it holds"
    contents = methods(document)["part_bytes"]["params"][0]["schema"]
    most, item = contents["maxItems"], NOWHERE
    assert len(shell.json("rpc", "part_bytes", "-", typed=json.dumps([[item] * most]))) == most
    for wrong in ([item] * (most + 1), ["ab"], [7], [item[:-1]]):
        assert shell.error("rpc", "part_bytes", "-", typed=json.dumps([wrong]))[1] == "invalid_params"


def test_every_method_has_an_example_of_the_form_that_it_says(document: dict[str, Any]) -> None:
    """They are recorded: where a method has changed, `python -m tests.support.rpc_examples` records anew."""
    examples = json.loads(EXAMPLES.read_text())
    assert examples.keys() == {each["name"] for each in document["methods"]}
    for each in document["methods"]:
        example, known = examples[each["name"]], {param["name"]: param for param in each["params"]}
        assert holds(example["result"], each["result"]["schema"], document), each["name"]
        assert set(example["params"]) <= set(known), each["name"]
        assert {name for name, param in known.items() if param["required"]} <= set(example["params"])
        for name, value in example["params"].items():
            assert holds(value, known[name]["schema"], document), (each["name"], name)


def test_examples_are_recorded_on_nodes_and_name_no_folder_of_theirs() -> None:
    found = record()
    kept = json.loads(EXAMPLES.read_text())
    assert {name: set(each["params"]) for name, each in found.items()} == {
        name: set(each["params"]) for name, each in kept.items()
    }
    assert tempfile.gettempdir() + "/" not in json.dumps(found)


def test_no_bare_integer_of_a_reply_is_beyond_what_javascript_holds(shell: Shell) -> None:
    """Asked without the client, which would turn the text back into integers."""
    url = f"http://127.0.0.1:{shell.json('node', 'info')['rpc_port']}/"
    for method in ("node_info", "chain_head", "chain_block", "chain_spec", "node_status", "mempool_list"):
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": None}
        asked = Request(url, json.dumps(request).encode(), {"Content-Type": "application/json"})
        with urlopen(asked) as response:
            numbers = list(integers(json.load(response)["result"]))
        assert [name for name, value in numbers if name in DECIMAL_FIELDS or abs(value) >= 2**53] == []
        assert numbers or method == "mempool_list"


def integers(value: Any, name: str = "") -> Iterator[tuple[str, int]]:
    """The JSON numbers in a reply, each with the field in which it stands."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from integers(item, key)
    elif isinstance(value, list):
        for item in value:
            yield from integers(item, name)
    elif type(value) is int:
        yield name, value


ODD: tuple[Any, ...] = (
    *(None, True, 0, -1, 2**32, 2**53, 2**63, 2**64 - 1, -(2**63), 1.5, 1e300),
    *(
        "",
        "0",
        "-1",
        str(2**64 - 1),
        "\0",
        "a\0b",
        "é",
        "😀",
        "x" * 5_000,
        "00",
        "ff" * 20,
        NOWHERE,
        "ff" * 33,
    ),
    *("[::1]:1", "127.0.0.1:99999", "é.example:1", "a" * 70 + ".example:1", "xn--:1", "..:1", "127.0.0.1/8"),
    *([], {}, [[]], [None], [1.5], [[1]], [[256]], [[-1] * 6], [NOWHERE], ["zz"], [{}]),
    *(address_of("alice"), "debug", "block", "transaction", "heads"),
)
LASTING = ("miner_mine", "miner_start", "node_profile", "node_log_level")
"""Methods that would do a great deal with some of these values, or change this whole process."""


@pytest.mark.fault(id=50, inputs=inputs(50, sample=200))
def test_odd_values_are_refused_by_name(shell: Shell, document: dict[str, Any]) -> None:
    """For each method some values that mean nothing to it; none may be a bug of the node."""
    chance, described = random.Random(50), methods(document)
    url = f"http://127.0.0.1:{shell.json('node', 'info')['rpc_port']}/"
    token = (shell.data_dir / "rpc.token").read_text().strip()
    names = [name for name in described if described[name]["params"] and name not in (*ENDS, *LASTING)]
    for number in range(inputs(50, sample=200)):
        name = names[number % len(names)]
        params = {each["name"]: chance.choice(ODD) for each in described[name]["params"]}
        request = json.dumps({"jsonrpc": "2.0", "id": number, "method": name, "params": params})
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        with urlopen(Request(url, request.encode(), headers)) as response:
            reply = json.load(response)
        assert reply["id"] == number
        assert "result" in reply or reply["error"]["data"]["code"] != "internal_error", request[:300]


def _of(schema: dict[str, Any]) -> Any:
    """A value of the type that names nothing."""
    kind = schema["type"] if isinstance(schema["type"], str) else schema["type"][0]
    return {"integer": 0, "boolean": False, "string": NOWHERE, "array": [], "object": {}}[kind]
