"""scrypt as proof of work. OpenSSL computes it without the GIL, so a Python miner is as fast as one in C."""

from __future__ import annotations

import hashlib
from typing import Final

N: Final = 1024
R: Final = 1
P: Final = 1


def scrypt(header: bytes) -> bytes:
    """scrypt(header, salt = header, N = 1024, r = 1, p = 1), 32 bytes (RFC 7914). 128 KiB of memory."""
    return hashlib.scrypt(header, salt=header, n=N, r=R, p=P, dklen=32)
