"""Proof-of-work functions against public vectors."""

import hashlib
import json
from pathlib import Path

import pytest

from engram.consensus.pow import POW, meets_target, pow_digest

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "consensus_pow.json").read_text())


@pytest.mark.parametrize("case", VECTORS["digests"], ids=lambda case: f"{case['pow']}-{case['about']}")
def test_vector(case: dict[str, str]) -> None:
    assert pow_digest(case["pow"], bytes.fromhex(case["header"])).hex() == case["digest"]


def test_every_function_has_a_vector() -> None:
    assert {case["pow"] for case in VECTORS["digests"]} == POW.keys()


def test_this_python_computes_scrypt_as_rfc_7914_says() -> None:
    case = VECTORS["rfc7914"]
    key = hashlib.scrypt(
        case["password"].encode(), salt=case["salt"].encode(), n=case["n"], r=case["r"], p=case["p"], dklen=64
    )
    assert key.hex() == case["key"]


def test_litecoin_block_meets_its_own_target() -> None:
    """scrypt(1024, 1, 1) with the header as salt is the function of Litecoin too."""
    case = next(case for case in VECTORS["digests"] if case["about"] == "litecoin-genesis")
    digest = pow_digest("scrypt", bytes.fromhex(case["header"]))
    assert meets_target(digest[::-1], 0x0FFFF << 220)  # Litecoin reads digests little-endian


def test_digest_equal_to_the_target_meets_it() -> None:
    digest = bytes(31) + b"\x07"
    assert meets_target(digest, 7)
    assert not meets_target(digest, 6)


def test_unknown_function_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        pow_digest("md5", b"")
