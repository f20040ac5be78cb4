"""Writes tests/vectors/p2p_*.json: run `python -m tests.support.p2p_vectors` from the root.

The files are frozen: a changed vector is a changed protocol.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from engram.p2p.handshake import Role, bound_digest, handshake_digest
from engram.p2p.messages import MESSAGES, SPECS, Hello, encode_frame
from engram.primitives.codec import to_json
from engram.primitives.keys import PrivateKey
from tests.support.p2p_samples import SAMPLES, some_hash

FOLDER: Final = Path(__file__).resolve().parents[1] / "vectors"


def messages() -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "type": type(message).__name__,
            "tag": SPECS[type(message)].tag,
            "value": to_json(message),
            "frame": encode_frame(message).hex(),
        }
        for name, message in SAMPLES.items()
    ]


def registry() -> list[dict[str, Any]]:
    return [
        {
            "tag": spec.tag,
            "type": spec.cls.__name__,
            "max_bytes": spec.max_bytes,
            "phase": spec.phase.value,
            "rate": None if spec.rate is None else [spec.rate.per_s, spec.rate.burst],
            "reply": None if spec.reply is None else spec.reply.__name__,
        }
        for spec in MESSAGES
    ]


def handshake() -> list[dict[str, Any]]:
    numbered = list(enumerate(Role, 1))
    keys = {role: PrivateKey.from_seed(bytes([number]) * 32) for number, role in numbered}
    hellos = {
        role: Hello(
            version=1,
            chain_id=7,
            genesis=some_hash(0),
            node_key=keys[role].public_key,
            nonce=some_hash(10 + number),
            height=number,
            head=some_hash(20 + number),
            total_work=(1_000 * number).to_bytes(32, "big"),
            agent="engram/0.1",
        )
        for number, role in numbered
    }
    both = (hellos[Role.DIALER], hellos[Role.ACCEPTOR])
    channels = {"plain": None, "encrypted": some_hash(30)}
    return [
        {
            "role": role.name.lower(),
            "seed": keys[role].seed.hex(),
            "hello": to_json(hellos[role]),
            "hello_frame": encode_frame(hellos[role]).hex(),
            **_signed(keys[role], handshake_digest(role, *both)),
            "bound": {
                name: {
                    "channel": None if channel is None else channel.hex(),
                    **_signed(keys[role], bound_digest(role, *both, channel)),
                }
                for name, channel in channels.items()
            },
        }
        for role in Role
    ]


def _signed(key: PrivateKey, digest: bytes) -> dict[str, str]:
    return {"digest": digest.hex(), "signature": key.sign(digest).hex()}


MAKERS: Final[dict[str, Callable[[], list[dict[str, Any]]]]] = {
    "messages": messages,
    "registry": registry,
    "handshake": handshake,
}


def main() -> None:
    for name, make in MAKERS.items():
        text = json.dumps(make(), indent=1, ensure_ascii=False)
        (FOLDER / f"p2p_{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
