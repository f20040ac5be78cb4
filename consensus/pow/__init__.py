"""The registry of proof-of-work functions, each in a file of its own: header bytes in, 32-byte digest out.

A new function is one file, one line in `POW` and one vector in tests/vectors/consensus_pow.json.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from engram.consensus.pow.none import none
from engram.consensus.pow.scrypt import scrypt
from engram.consensus.pow.sha256d import sha256d

PowFunction = Callable[[bytes], bytes]

POW: Final[Mapping[str, PowFunction]] = MappingProxyType({"scrypt": scrypt, "sha256d": sha256d, "none": none})
"""Name in the ChainSpec -> function from an encoded header to its 32-byte digest."""


NO_WORK: Final = "none"
"""The function of chains whose blocks carry no work."""


def pow_digest(name: str, header: bytes) -> bytes:
    """The 32-byte digest of an encoded header. Raises `KeyError` for a name that `POW` lacks."""
    return POW[name](header)


def meets_target(digest: bytes, target: int) -> bool:
    """True if the digest, read as a big-endian number, is at most the target."""
    return int.from_bytes(digest, "big") <= target
