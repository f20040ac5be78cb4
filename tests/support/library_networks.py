"""Networks of the library for tests: plain ones, and one that has grown, with its line."""

from __future__ import annotations

from engram.library.founding import NOBODY
from engram.library.network import Network
from engram.nn.growth import Growth, grown_spec, merge_parameters
from engram.nn.spec import NetworkSpec
from engram.participant.export import SavedNetwork
from engram.primitives.types import ZERO_HASH
from engram.statemachine.additions import Addition, GrowUpdate
from engram.statemachine.parameters import compose_line
from tests.support.chain_models import sources, whole
from tests.support.nn_samples import RELATIVE, TWO_LAYERS, growth_parameters, network_parameters

AUTHOR = b"\xa0" * 20


def plain(spec: NetworkSpec = TWO_LAYERS, seed: int = 0, share: float = 2.0**-12) -> Network:
    """A network on no chain, whose integers a seed fixes."""
    return Network(spec, network_parameters(spec, seed, share))


def grown(growth: Growth = RELATIVE) -> Network:
    """`TWO_LAYERS` with a growth that another author has added, as a chain's line would bring it."""
    return Network.of_version(saved(growth))


def saved(growth: Growth = RELATIVE) -> SavedNetwork:
    """The same as a file would hold it."""
    old, added = network_parameters(TWO_LAYERS), growth_parameters(TWO_LAYERS, growth)
    founded = Addition(ZERO_HASH, NOBODY, whole(TWO_LAYERS, old))
    split, found = len(growth.hidden), sources(added)
    update = GrowUpdate(growth, found[:split], found[split:])
    line = (founded, Addition(founded.root, AUTHOR, update))
    network = compose_line(line)
    assert network.spec == grown_spec(TWO_LAYERS, growth)
    return SavedNetwork(None, line, network, merge_parameters(TWO_LAYERS, old, growth, added))
