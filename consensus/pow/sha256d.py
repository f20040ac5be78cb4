"""Double SHA-256 as proof of work, for chains whose blocks must be cheap to check."""

from __future__ import annotations

import hashlib


def sha256d(header: bytes) -> bytes:
    """SHA-256(SHA-256(header)), 32 bytes."""
    return hashlib.sha256(hashlib.sha256(header).digest()).digest()
