"""Writes docs/rpc/reference.md and reference.html: `python -m tests.support.rpc_reference`."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from engram.node.client import call_once
from engram.node.config import Config
from engram.node.decimals import DECIMAL_PATTERN
from engram.node.rpc.openrpc import DISCOVER
from engram.node.rpc.parameters import ID as PARAMETER_ID
from engram.node.rpc.results.schemas import ADDRESS, CODE, HEX, ID
from engram.node.threaded import running_node
from tests.support.dev_node import dev_spec
from tests.support.rpc_examples import EVENTS
from tests.support.rpc_examples import FILE as EXAMPLES
from tests.support.rpc_page import page, slug
from tests.support.rpc_shown import shown, shown_value
from tests.support.source_tree import ROOT

FILE: Final = ROOT / "docs/rpc/reference.md"
PAGE: Final = ROOT / "docs/rpc/reference.html"
_HEAD: Final = """# RPC reference

Written by `python -m tests.support.rpc_reference` from the document that a node serves as `rpc.discover`
(`engram rpc rpc.discover`); a test compares the two. `engram rpc METHOD NAME=VALUE...` calls any method.

Requests are JSON-RPC 2.0: by POST to `/`, or over a WebSocket at `/ws`, where a client can also subscribe
to topics. Methods marked *admin* need the header `Authorization: Bearer TOKEN` with the token in the file
`rpc.token` of the data directory. An id is 64 hexadecimal digits; a parameter that is one takes no other
length. Ids and bytes are hexadecimal text; amounts are sparks, of which a coin has
100,000,000. Kinds, statuses and policies are numbers in records of the chain, and words in the events of
topics. Epochs, parts and chunks of a round count from 0, and epochs from 1 in texts for people such as `why`.
What a method gives is described under it; the objects of which it consists stand at the end, each
with its fields, their types and units, and what they mean. The served document has the same as JSON Schemas.
The examples are answers of real nodes, recorded by `python -m tests.support.rpc_examples`: `params` is what a
request had, where it had any. Here long texts and lists are cut, which `…` shows; `docs/rpc/examples.json`
and `docs/rpc/events.json` have them whole.

    curl -s http://127.0.0.1:8645/ -H 'Content-Type: application/json' \\
      -d '{"jsonrpc": "2.0", "id": 1, "method": "chain_header", "params": {"height": 0}}'

Over a WebSocket, a client sends the same requests as messages. This Python program, which needs aiohttp,
subscribes to two topics and prints what comes: first the reply, then one message for each event. Under
[Topics](#topics) stands a message of each. In a program that has Engram, `chain.subscribed` does this
(`docs/library.md`).

    import asyncio, aiohttp
    async def main():
        async with aiohttp.ClientSession() as http, http.ws_connect("http://127.0.0.1:8645/ws") as socket:
            params = {"topics": ["rounds", "versions"]}
            await socket.send_json({"jsonrpc": "2.0", "id": 1, "method": "subscribe", "params": params})
            async for message in socket:
                print(message.data)
    asyncio.run(main())

Commands print what they ask in another form with `--json` (`docs/json.md`): they add names and turn numbers
into words.

Both transports answer the same text alike, and strictly. The text is UTF-8 JSON of at most 2 MiB by POST
and 256 KiB in a WebSocket message, with arrays and objects at most 64 deep and 20,000 in all; `NaN` and
`Infinity` are no JSON. Each request names `"jsonrpc": "2.0"`. An `id` is text, a whole number or null; a
request without one is a notification, which is obeyed and never answered. `params` is an object, an array
or null, which is the same as none. A number that does not fit into 64 bits and an object with one key
twice are refused, in a batch only the request that holds them. A batch holds at most 100 requests, which
are carried out in their order; once its replies are longer than 16 MiB the rest of it is refused with
-32002. Events of a subscription begin after the reply to `subscribe`.

A node has 64 requests, 16 more for blobs, and 4 bodies beyond 64 KiB, or packed ones, in hand at once;
others wait for their turn and are refused with 503 after 10 s. Up to 8 messages of one WebSocket are
answered at once, as they are ready. Predictions, proofs and verdicts compute in threads of their own, 16
at most in hand; further ones are refused with -32003, and so is the rest of a batch that has taken 10 s.
Requests with the token have places of their own, and `/health` and `/ready` need none. A client that does
not take a reply within 10 s is cut, sooner if 64 MiB of replies wait for slow readers.

What is refused before it is read as JSON-RPC has an HTTP status (400, 401, 403, 404, 405, 408, 413, 415,
417, 503) and the same error object in its body, with the id null. `Content-Type` must be
`application/json`, its charset, if any, UTF-8; the body may be packed with gzip or deflate.

A request whose `Host` the node does not know, or with an `Origin`, which browsers add for web pages, is
refused with 403. The exception is the explorer, the page that the node serves at `/explore/`: from its own
origin it may open the WebSocket, where it can call whatever changes nothing.
"""
_WIDTH: Final = 140
_TITLE: Final = "Methods: "
_INTEGERS: Final = "Integers as decimal text"
_NAME: Final = re.compile(r"`([A-Z]\w+)(?:\.\w+)?`")
_CHAPTER: Final = re.compile(r"(docs/protocol/(\w+\.md))")
_FORMS: Final = {
    DECIMAL_PATTERN: "decimal text",
    ID.pattern: "id",
    PARAMETER_ID.schema["pattern"]: "id",
    ADDRESS.pattern: "address",
    CODE.pattern: "code",
}
"""What a text of a pattern is called; others are hexadecimal."""
_SAID: Final = {each.text for each in (ID, HEX, ADDRESS, CODE)}
"""What the type of a field says already."""
_OBJECTS: Final = """Objects of results, by their names. An id is 64 hexadecimal digits, an address the text
of an account's address, and a code the word of an error or a reason, empty for none."""
_OTHER: Final = ("Refusal", "Decimal")
"""Schemas that are no objects of results."""


def served() -> dict[str, Any]:
    """The document that a real node serves."""
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder)
        with running_node(Config(data_dir=data_dir, rpc_port=0, p2p_port=0), dev_spec()) as node:
            assert node.info is not None
            document: dict[str, Any] = call_once(node.info.rpc_url, data_dir, DISCOVER)
            return document


def reference(document: dict[str, Any]) -> str:
    """The reference as Markdown, with the examples that `rpc_examples` has recorded."""
    examples, events = json.loads(EXAMPLES.read_text()), json.loads(EVENTS.read_text())
    grouped: dict[str, list[dict[str, Any]]] = {}
    for each in document["methods"]:
        grouped.setdefault(_group(each), []).append(each)
    title, rest = _HEAD.split("\n\nRequests are", 1)
    parts = [f"{title}\n", *_contents(grouped), f"Requests are{rest}"]
    for group, methods in sorted(grouped.items()):
        parts.append(f"## {_TITLE}{group}\n")
        parts += [_method(each, examples[each["name"]]) for each in methods]
    parts.append("## Topics\n\n| topic | events | |\n|---|---|---|")
    parts += [
        f"| `{topic['name']}` | {_type(topic['schema'])} | {topic['description']} |"
        for topic in document["x-topics"]
    ]
    parts.append("\nOne message of each, as a client has got it:\n")
    for topic in document["x-topics"]:
        parts += [*shown_value(events[topic["name"]]), ""]
    parts += [f"## {_INTEGERS}\n", *_wrapped(_decimals(document))]
    parts.append(f"\n## Objects\n\n{_OBJECTS}\n")
    schemas = document["components"]["schemas"]
    objects = schemas.keys() - set(_OTHER)
    parts += [_object(name, schema, objects) for name, schema in schemas.items() if name in objects]
    parts.append("\n## Errors\n\n| number | meaning |\n|---|---|")
    parts += [f"| {each['code']} | {each['message']} |" for each in document["components"]["errors"].values()]
    codes = document["components"]["schemas"]["Refusal"]["properties"]["code"]["anyOf"][0]["enum"]
    parts.append(
        "\nThe `data` of an error has `code`, `message`, `expected` and `got`. If a record that was asked for"
    )
    parts.append("is not in the state, the code is `missing_` followed by the kind of the record, such as")
    parts.append("`missing_round`, and `got` is the key of the record. All other codes are:\n")
    parts += _wrapped(", ".join(f"`{code}`" for code in codes) + ".")
    return "\n".join(parts) + "\n"


def _contents(grouped: Mapping[str, Sequence[dict[str, Any]]]) -> list[str]:
    """A table of all methods, each with the way to it."""
    lines = ["| group | methods |", "|---|---|"]
    for group, methods in sorted(grouped.items()):
        links = ", ".join(f"[{each['name']}](#{slug(_heading(each))})" for each in methods)
        lines.append(f"| [{group}](#{slug(_TITLE + group)}) | {links} |")
    rest = ", ".join(f"[{title}](#{slug(title)})" for title in ("Topics", _INTEGERS, "Objects", "Errors"))
    return [*lines, "", f"Then follow {rest}.\n"]


def _decimals(document: dict[str, Any]) -> str:
    """Which integers are text, and which are not."""
    fields = ", ".join(f"`{name}`" for name in document["x-decimal-fields"])
    return (
        f"{document['components']['schemas']['Decimal']['description']} These are the fields: {fields}. "
        "All other integers count what takes time or room, such as heights, ticks, milliseconds, nonces "
        "and bytes, and are numbers. The output of `engram rpc` and of the other commands with `--json` has "
        "every integer as a JSON number, digit by digit."
    )


def _group(method: dict[str, Any]) -> str:
    name = str(method["name"])
    return "WebSocket" if "x-transport" in method else name.replace(".", "_").partition("_")[0]


def _heading(method: dict[str, Any]) -> str:
    return f"{method['name']}{' *(admin)*' if method['x-admin'] else ''}"


def _method(method: dict[str, Any], example: dict[str, Any]) -> str:
    lines = [f"### {_heading(method)}\n"]
    for paragraph in method["description"].split("\n\n"):
        lines += [*_wrapped(paragraph), ""]
    if method["params"]:
        lines += ["| parameter | type | |", "|---|---|---|"]
        for each in method["params"]:
            needed = "required" if each["required"] else "optional"
            lines.append(f"| `{each['name']}` | {_type(each['schema'])} | {needed} |")
        lines.append("")
    lines += [f"Result: {_type(method['result']['schema'])}.\n", "Example:\n", *shown(example), ""]
    return "\n".join(lines)


def _type(schema: dict[str, Any]) -> str:
    """A schema in words; objects by their names."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[`{name}`](#{slug(name)})"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(map(_type, schema["anyOf"])))
    if "prefixItems" in schema:
        return f"array of {len(schema['prefixItems'])}: {', '.join(map(_type, schema['prefixItems']))}"
    if "type" not in schema:
        return "any"
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    text = " or ".join(dict.fromkeys(_plain(str(kind), schema) for kind in kinds))
    if "items" in schema:
        item, text = _type(schema["items"]), f"{text}{_how_many(schema)}"
        joined = " of" if text == "array" else ""
        named = item.startswith(("`", "[`")) or " or " in item
        return f"{text}{joined} {item if named else _plural(item)}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"{text} of {_plural(_type(schema['additionalProperties']))} by names"
    return text


def _plain(kind: str, schema: dict[str, Any]) -> str:
    if kind == "string" and "const" in schema:
        return f"`{schema['const']}`"
    if kind == "string" and "enum" in schema:
        return " or ".join(f"`{word}`" for word in schema["enum"])
    if kind == "string" and "pattern" in schema:
        kind = _FORMS.get(schema["pattern"], "hexadecimal text")
    unit = schema.get("x-unit")
    if unit is None and "minimum" in schema:
        unit = f"{schema['minimum']} to {schema['maximum']}"
    return kind if unit is None else f"{kind} ({unit})"


def _how_many(schema: dict[str, Any]) -> str:
    """How many items a list may have, where that is said."""
    least, most = schema.get("minItems", 0), schema.get("maxItems")
    if most is None:
        return f" of at least {least}" if least else ""
    return f" of {least} to {most:,}" if least else f" of at most {most:,}"


def _plural(text: str) -> str:
    if text.startswith("array "):
        return f"arrays {text.removeprefix('array ')}"
    if text == "any":
        return "any values"
    word, mark, rest = text.partition(" (")
    return f"{word}{'' if word.endswith('text') or '`' in word else 's'}{mark}{rest}"


def _object(name: str, schema: dict[str, Any], objects: Collection[str]) -> str:
    """An object of results: its fields as a table."""
    lines = [f"### {name}\n", *_wrapped(_linked(schema["description"], objects)), ""]
    if schema["properties"]:
        lines += ["| field | type | |", "|---|---|---|"]
    for field, told in schema["properties"].items():
        words = [] if field in schema["required"] else ["*may be missing*"]
        if "description" in told and told["description"] not in _SAID:
            words.append(_linked(told["description"].replace("|", "/").replace("*", "·"), objects))
        lines.append(f"| `{field}` | {_type(told)} | {'; '.join(words)} |")
    return "\n".join([*lines, ""])


def _wrapped(text: str) -> list[str]:
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > _WIDTH:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return [*lines, line]


def _linked(text: str, objects: Collection[str]) -> str:
    """A text of the document in which chapters of the protocol and names of objects are links."""

    def linked(found: re.Match[str]) -> str:
        return f"[{found[0]}](#{slug(found[1])})" if found[1] in objects else found[0]

    return _NAME.sub(linked, _CHAPTER.sub(r"[\1](../protocol/\2)", text))


def main() -> None:
    FILE.parent.mkdir(exist_ok=True)
    text = reference(served())
    FILE.write_text(text)
    PAGE.write_text(page(text))


if __name__ == "__main__":
    main()
