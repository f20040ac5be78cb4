"""From a data set to salted, committed parts, and the file that keeps an opener's secrets. No network, no
node.

What a round's opener or auditor must not lose (salts, nonce, the parts themselves) is written to disk and
synced before the round is opened: after a crash he can still reveal, and keeps his bond.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import numpy as np

from engram.nn.data import part_bytes, part_commitment
from engram.node.keystore import write_private
from engram.participant.datasets import Dataset
from engram.participant.errors import NotEnoughRows, SecretsInvalid, SecretsNotFound
from engram.primitives.codec import decode, encode
from engram.primitives.errors import CodecError
from engram.primitives.types import Hash, Size

ROUNDS_DIRECTORY: Final = "rounds"
"""Folder of a data directory for the secrets of rounds, sealed parts and commits."""

Entropy = Callable[[int], bytes]
"""Gives that many random bytes."""


@dataclass(frozen=True)
class SaltedPart:
    """One part of a data set, ready to be committed to and revealed."""

    salt: Hash
    raw: Annotated[bytes, Size(1, 2**26)]
    """Canonical bytes."""

    @property
    def commitment(self) -> Hash:
        """What stands on the chain until the part is revealed."""
        return part_commitment(self.salt, self.raw)


@dataclass(frozen=True)
class RoundSecrets:
    """What only the opener (or an auditor) of a round knows until he reveals it."""

    nonce: Hash
    parts: Annotated[tuple[SaltedPart, ...], Size(1, 256)]

    def part(self, commitment: Hash) -> SaltedPart | None:
        """The part with this commitment, if it is one of ours."""
        return next((part for part in self.parts if part.commitment == commitment), None)


def split_parts(
    data: Dataset, count: int, rows: int, rng: np.random.Generator, entropy: Entropy
) -> list[SaltedPart]:
    """`count` disjoint parts of exactly `rows` rows, every class spread over all parts as evenly as it goes.

    Raises `NotEnoughRows`.
    """
    if data.rows < count * rows:
        raise NotEnoughRows("the data set is too small for these parts", expected=count * rows, got=data.rows)
    chosen = deal(data.shuffled(rng), count, rows)
    return [SaltedPart(entropy(32), part_bytes(part.features, part.labels)) for part in chosen]


def deal(data: Dataset, count: int, rows: int) -> list[Dataset]:
    """`count` disjoint sets of exactly `rows` rows, dealt class by class like cards, so that all look
    alike.
    """
    taken = data.interleaved().take(np.arange(count * rows))
    cards = np.argsort(taken.labels, kind="stable")
    return [taken.take(cards[start::count]) for start in range(count)]


def save_secrets(path: Path, secrets: RoundSecrets) -> None:
    """Write the file, readable by its owner only, and sync it. A crash leaves no half file."""
    write_private(path, encode(secrets))


def load_secrets(path: Path) -> RoundSecrets:
    """Read what `save_secrets` wrote. Raises `SecretsNotFound`, `SecretsInvalid`."""
    try:
        return decode(RoundSecrets, path.read_bytes(), max_bytes=2**30)
    except FileNotFoundError as error:
        raise SecretsNotFound(f"there is no {path}; without it the round cannot be revealed") from error
    except CodecError as error:
        raise SecretsInvalid(f"{path} is damaged: {error}") from error
