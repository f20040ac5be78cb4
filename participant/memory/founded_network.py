"""The whole network that a founding has learned, as a file: for the round that founds the model.

The file is MAGIC and the canonical bytes of a `TrainUpdate`, deflated. It holds nothing that does not become
public when the first round is played.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from engram.nn.network import Parameters
from engram.nn.parameters import prove_bounds
from engram.nn.seeded import Seeded
from engram.nn.spec import NetworkSpec
from engram.participant.memory.errors import FoundingMalformed
from engram.participant.memory.founding import Founded
from engram.participant.memory.head import whole_network
from engram.participant.memory.sources import sources_of
from engram.participant.memory.trunk import Trunk
from engram.primitives.codec import decode, encode
from engram.primitives.errors import ChainError
from engram.primitives.types import Hash
from engram.statemachine.additions import TrainUpdate
from engram.statemachine.content import blob_id
from engram.statemachine.parameters import read_parameters
from engram.statemachine.rounds.terms import Founding

FOUNDING_MAGIC: Final = b"engram founding 1\n"
MOST_FOUNDING_BYTES: Final = 2**26
"""The most canonical bytes of a founding."""


@dataclass(frozen=True, eq=False)
class FoundedNetwork:
    """A network, the numbers of all segments, and the seeds of hidden segments whose weights are drawn."""

    spec: NetworkSpec
    parameters: Parameters
    seeded: tuple[Seeded | None, ...]

    def update(self) -> TrainUpdate:
        """The update that brings the network."""
        return TrainUpdate(self.spec, *sources_of(self.seeded, self.parameters))

    def blank(self) -> FoundedNetwork:
        """The same network, whose outputs have learned nothing: their weights are 0."""
        split = len(self.spec.hidden)
        silent = (
            replace(given, weights=np.zeros_like(given.weights), bias=np.zeros_like(given.bias))
            for given in self.parameters[split:]
        )
        return replace(self, parameters=(*self.parameters[:split], *silent))

    def founding(self, template: Founding) -> Founding:
        """A founding of the blank network. The spec and the sources of `template` are replaced.

        A model of a single class is grown, and not trained, by the round that founds it. So it brings what it
        knows of its class.
        """
        made = (self.blank() if self.spec.classes > 1 else self).update()
        return replace(
            template, spec=made.spec, hidden=made.hidden, outputs=made.outputs, tensors=made.tensors
        )


def founded_network(trunk: Trunk, founded: Founded) -> FoundedNetwork:
    """The network of a trunk and the head that was founded on it."""
    spec, parameters = whole_network(trunk, founded.spec, founded.parameters)
    return FoundedNetwork(spec, parameters, (*trunk.seeded, *founded.made.seeded))


def write_founding(network: FoundedNetwork) -> bytes:
    """The bytes of a file."""
    return FOUNDING_MAGIC + zlib.compress(encode(network.update()))


def read_founding(raw: bytes) -> FoundedNetwork:
    """The network in a file. Raises `FoundingMalformed`."""
    if not raw.startswith(FOUNDING_MAGIC):
        raise FoundingMalformed(
            "this is no network of a founding", expected=FOUNDING_MAGIC, got=raw[: len(FOUNDING_MAGIC)]
        )
    engine = zlib.decompressobj()
    try:
        body = engine.decompress(raw[len(FOUNDING_MAGIC) :], MOST_FOUNDING_BYTES)
        if not engine.eof or engine.unused_data:
            raise FoundingMalformed("the file is too long or ends early", expected=MOST_FOUNDING_BYTES)
        update = decode(TrainUpdate, body)
        tensors: dict[Hash, bytes] = {blob_id(each): each for each in update.tensors}
        parameters = read_parameters((*update.hidden, *update.outputs), tensors.__getitem__)
        prove_bounds(update.spec, parameters)
    except (zlib.error, KeyError, ChainError) as error:
        if isinstance(error, FoundingMalformed):
            raise
        raise FoundingMalformed(f"the file is damaged: {error}") from error
    seeds = [each.weights if isinstance(each.weights, Seeded) else None for each in update.hidden]
    return FoundedNetwork(update.spec, parameters, tuple(seeds))
