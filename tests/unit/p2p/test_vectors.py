"""The golden bytes of every message, of the registry and of a handshake."""

import json
from typing import Any

import pytest

from engram.p2p.handshake import Role, bound_digest, handshake_digest
from engram.p2p.messages import MESSAGES, SPECS, Hello, MessagePhase, decode_frame, encode_frame
from engram.primitives.codec import from_json
from engram.primitives.keys import PrivateKey, verify
from tests.support.p2p_vectors import FOLDER, MAKERS


def vectors(name: str) -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = json.loads((FOLDER / f"p2p_{name}.json").read_text(encoding="utf-8"))
    return cases


@pytest.mark.parametrize("name", MAKERS)
def test_the_files_are_what_the_package_makes(name: str) -> None:
    assert vectors(name) == json.loads(json.dumps(MAKERS[name]()))


def test_every_message_has_a_vector() -> None:
    assert {case["type"] for case in vectors("messages")} == {spec.cls.__name__ for spec in MESSAGES}


@pytest.mark.parametrize("case", vectors("messages"), ids=lambda case: case["name"])
def test_golden_bytes(case: dict[str, Any]) -> None:
    (cls,) = [spec.cls for spec in MESSAGES if spec.cls.__name__ == case["type"]]
    message = from_json(cls, case["value"])
    phase = MessagePhase.HANDSHAKE if SPECS[cls].phase is MessagePhase.HANDSHAKE else MessagePhase.SESSION
    assert encode_frame(message).hex() == case["frame"]
    assert decode_frame(bytes.fromhex(case["frame"]), phase) == message
    assert bytes.fromhex(case["frame"])[0] == case["tag"]


def test_golden_handshake() -> None:
    dialer, acceptor = vectors("handshake")
    hellos = (from_json(Hello, dialer["hello"]), from_json(Hello, acceptor["hello"]))
    for side, role in ((dialer, Role.DIALER), (acceptor, Role.ACCEPTOR)):
        key = PrivateKey.from_seed(bytes.fromhex(side["seed"]))
        made = [(side, handshake_digest(role, *hellos))]
        for case in side["bound"].values():
            channel = None if case["channel"] is None else bytes.fromhex(case["channel"])
            made.append((case, bound_digest(role, *hellos, channel)))
        for said, digest in made:
            assert digest.hex() == said["digest"]
            assert key.sign(digest).hex() == said["signature"]
            verify(from_json(Hello, side["hello"]).node_key, digest, bytes.fromhex(said["signature"]))
        assert len({digest for _, digest in made}) == 3
