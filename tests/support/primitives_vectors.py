"""Writes tests/vectors/primitives_*.json: run `python -m tests.support.primitives_vectors` from the root.

The files are frozen: a changed vector is a changed protocol. Everything in them is JSON values and lower-case
hex, so that a second implementation can read them without this package.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engram.primitives import smt
from engram.primitives.codec import decode, encode, to_json
from engram.primitives.errors import ChainError
from engram.primitives.hashing import Tag, tagged_hash
from engram.primitives.keys import PrivateKey, format_address, verify
from engram.primitives.merkle import list_root, prove_item
from engram.primitives.packing import unpack
from engram.primitives.types import ZERO_HASH
from tests.support import ed25519_reference as reference
from tests.support.codec_samples import PAY, SAMPLES, Pay
from tests.support.p2p_samples import DEFLATED_BLOCK
from tests.support.smt_reference import Nodes

FOLDER = Path(__file__).resolve().parents[1] / "vectors"
KEYS = [hashlib.sha256(bytes([index])).digest() for index in range(8)]
ITEMS = [b"", b"a", b"bc", bytes(32), b"\xff" * 65]


def hashing() -> list[dict[str, Any]]:
    messages = [[], [b""], [b"engram"], [bytes(32), b"\xff" * 33]]
    return [
        {"tag": tag, "chunks": [chunk.hex() for chunk in chunks], "hash": tagged_hash(tag, *chunks).hex()}
        for tag in Tag
        for chunks in (messages if tag is Tag.HEADER else messages[2:3])
    ]


def codec() -> list[dict[str, Any]]:
    values = [
        {"type": type(value).__name__, "value": to_json(value), "bytes": encode(value).hex()}
        for value in SAMPLES
    ]
    raw = encode(PAY)
    refused = {
        "trailing byte": raw + b"\x00",
        "last byte missing": raw[:-1],
        "array16 header": b"\xdc\x00\x02" + raw[1:],
        "bin16 header": raw[:1] + b"\xc5\x00\x14" + raw[3:],
        "uint64 for 5": raw[:23] + b"\xcf" + bytes(7) + b"\x05",
        "true for 1": raw[:23] + b"\xc3",
        "float for 1": raw[:23] + b"\xca\x3f\x80\x00\x00",
        "field missing": b"\x91" + raw[1:23],
        "field too many": b"\x93" + raw[1:] + b"\x00",
        "negative": raw[:23] + b"\xff",
        "19 bytes": b"\x92\xc4\x13" + raw[4:],
        "map": b"\x82\x00\x00\x01\x00",
        "nothing": b"",
    }
    return values + [
        {"type": "Pay", "case": case, "bytes": data.hex(), "code": refusal(decode, Pay, data)}
        for case, data in refused.items()
    ]


def ed25519() -> list[dict[str, Any]]:
    key = PrivateKey.from_seed(bytes(range(32)))
    message = b"engram"
    good = key.sign(message)
    s = int.from_bytes(good[32:], "little")
    point = reference.decode_point(key.public_key) or reference.NEUTRAL
    small = [reference.encode_point(each) for each in reference.small_order_points()]
    odd = {f"small order {index}": each for index, each in enumerate(small)}
    odd |= {f"negative zero, y = {y}": (y % reference.P | 1 << 255).to_bytes(32, "little") for y in (1, -1)}
    odd |= {f"y = p + {more}": (reference.P + more).to_bytes(32, "little") for more in (0, 1, 3, 18)}
    cases = {"good": (key.public_key, good), "empty": (key.public_key, b"")}
    cases |= {f"key: {name}": (each, small[0] + bytes(32)) for name, each in odd.items()}
    no_point = next(y for y in range(2, 99) if reference.decode_point(y.to_bytes(32, "little")) is None)
    cases |= {"key: no point": (no_point.to_bytes(32, "little"), good)}
    cases |= {f"R: {name}": (key.public_key, each + good[32:]) for name, each in odd.items()}
    cases |= {
        f"S + {times}·L": (key.public_key, good[:32] + (s + times * reference.L).to_bytes(32, "little"))
        for times in (1, 2, 14)
    }
    cases |= {
        f"key plus torsion {index}": (reference.encode_point(reference.add(point, each)), good)
        for index, each in enumerate(reference.small_order_points())
    }
    return [
        {
            "case": case,
            "public_key": public_key.hex(),
            "message": message.hex(),
            "signature": signature.hex(),
            "code": refusal(verify, public_key, message, signature),
        }
        for case, (public_key, signature) in cases.items()
    ]


def address() -> list[dict[str, Any]]:
    keys = [PrivateKey.from_seed(bytes([seed]) * 32) for seed in (0, 1, 255)]
    return [
        {
            "public_key": key.public_key.hex(),
            "address": key.address.hex(),
            "hrp": hrp,
            "text": format_address(key.address, hrp),
        }
        for key in keys
        for hrp in ("eng", "tst")
    ]


def merkle() -> list[dict[str, Any]]:
    return [
        {
            "items": [item.hex() for item in items],
            "root": list_root(items).hex(),
            "proofs": [to_json(prove_item(items, index)) for index in range(len(items))],
        }
        for items in (ITEMS[:count] for count in range(len(ITEMS) + 1))
    ]


def sparse() -> list[dict[str, Any]]:
    twins = {bytes([0, 0, third]) + bytes(29): bytes([third]) for third in (0, 128)}
    by_key = {key: key[:index] for index, key in enumerate(KEYS)}
    models: list[Mapping[bytes, bytes]] = [{}, {KEYS[0]: b""}, dict(list(by_key.items())[:3]), by_key, twins]
    return [tree(model) for model in models]


def tree(model: Mapping[bytes, bytes]) -> dict[str, Any]:
    reader = Nodes()
    root, nodes = smt.update(reader, ZERO_HASH, model)
    reader.update(nodes)
    asked = [*sorted(model)[:3], hashlib.sha256(b"absent").digest(), hashlib.sha256(b"missing").digest()]
    values = {key: smt.get(reader, root, key) for key in asked}
    return {
        "leaves": {key.hex(): value.hex() for key, value in sorted(model.items())},
        "root": root.hex(),
        "nodes": {node_hash.hex(): node.hex() for node_hash, node in sorted(nodes.items())},
        "proofs": [
            {
                "key": key.hex(),
                "value": None if value is None else value.hex(),
                "proof": to_json(smt.prove(reader, root, key)),
            }
            for key, value in values.items()
        ],
    }


def refusal(judge: Any, *arguments: Any) -> str | None:
    try:
        judge(*arguments)
    except ChainError as error:
        return error.code
    return None


def packing() -> list[dict[str, Any]]:
    most = 2_000
    accepted = {
        "nothing": b"\x00",
        "plain": b"\x00plain",
        "at the limit": bytes(most + 1),
        "deflated": DEFLATED_BLOCK,
    }
    number, stream = DEFLATED_BLOCK[1:5], DEFLATED_BLOCK[5:]
    refused = {
        "no byte": b"",
        "no number": DEFLATED_BLOCK[:4],
        "no stream": DEFLATED_BLOCK[:5],
        "unknown form": b"\x02" + DEFLATED_BLOCK[1:],
        "not shorter": b"\x01\x00\x00\x00\x27" + stream,
        "too large": bytes(most + 2),
        "too large if inflated": b"\x01\x00\x00\x07\xd1" + stream,
        "one fewer declared": b"\x01\x00\x00\x05\x13" + stream,
        "one more declared": b"\x01\x00\x00\x05\x15" + stream,
        "last byte missing": DEFLATED_BLOCK[:-1],
        "trailing byte": DEFLATED_BLOCK + b"\x00",
        "checksum": DEFLATED_BLOCK[:-1] + b"\x00",
        "no zlib head": b"\x01" + number + stream[2:],
    }
    return [
        {"case": case, "packed": packed.hex(), "most_bytes": most, "plain": unpack(packed, most).hex()}
        for case, packed in accepted.items()
    ] + [
        {"case": case, "packed": packed.hex(), "most_bytes": most, "code": refusal(unpack, packed, most)}
        for case, packed in refused.items()
    ]


MAKERS = {
    "hashing": hashing,
    "codec": codec,
    "ed25519": ed25519,
    "address": address,
    "merkle": merkle,
    "smt": sparse,
    "packing": packing,
}


def main() -> None:
    for name, make in MAKERS.items():
        text = json.dumps(make(), indent=1, ensure_ascii=False) + "\n"
        (FOLDER / f"primitives_{name}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
