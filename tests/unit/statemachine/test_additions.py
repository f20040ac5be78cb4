"""What a parameters root commits to, and lines of additions: which are networks, and what these are."""

from dataclasses import replace

import pytest

from engram.nn.contributions import Owners
from engram.nn.dtypes import INT8
from engram.nn.growth import Growth, grown_spec
from engram.nn.layers import DenseRelu, Output
from engram.nn.seeded import Seeded, generation_macs
from engram.nn.tensor import Explicit
from engram.primitives.types import ZERO_HASH, Address
from engram.statemachine.additions import (
    Addition,
    GrowUpdate,
    Half,
    SegmentSources,
    Update,
    addition,
    parameters_root,
)
from engram.statemachine.errors import LineBroken
from engram.statemachine.parameters import NeuronGroup, compose, compose_line
from tests.support import chain_models as models
from tests.support.nn_samples import GROWTH, TWO_LAYERS, growth_parameters, network_parameters

ALICE, BOB, CAROL = (bytes([number]) * 20 for number in (1, 2, 3))
PARENT = b"\x0a" * 32
OTHER = Explicit(b"\x01" * 32)
WHOLE = models.whole(TWO_LAYERS, network_parameters(TWO_LAYERS))
_SOURCES = models.sources(growth_parameters(TWO_LAYERS, GROWTH))
GROWN = GrowUpdate(GROWTH, _SOURCES[: len(GROWTH.hidden)], _SOURCES[len(GROWTH.hidden) :])


def changed_sources(update: Update) -> list[Update]:
    """The update with one source changed, in every way in which one can."""
    changed: list[Update] = []
    for place in range(len(update.hidden)):
        for tensor in ("weights", "bias"):
            hidden = list(update.hidden)
            hidden[place] = replace(hidden[place], **{tensor: OTHER})
            changed.append(replace(update, hidden=tuple(hidden)))
    for place in range(len(update.outputs)):
        for tensor in ("weights", "bias"):
            outputs = list(update.outputs)
            outputs[place] = replace(outputs[place], **{tensor: OTHER})
            changed.append(replace(update, outputs=tuple(outputs)))
    return changed


@pytest.mark.parametrize("update", [WHOLE, GROWN])
def test_a_root_commits_to_the_author_and_every_source(update: Update) -> None:
    changed = changed_sources(update)
    assert len(changed) == 2 * (len(update.hidden) + len(update.outputs))
    roots = [parameters_root(PARENT, ALICE, other) for other in (update, *changed)]
    roots.append(parameters_root(PARENT, BOB, update))
    assert len(set(roots)) == len(roots)


def test_a_root_commits_to_the_shape() -> None:
    first = TWO_LAYERS.hidden[0]
    assert isinstance(first, DenseRelu)
    shapes: list[Update] = [
        WHOLE,
        replace(WHOLE, spec=replace(TWO_LAYERS, components=())),
        replace(WHOLE, spec=replace(TWO_LAYERS, hidden=(replace(first, shift=6),))),
        GROWN,
        replace(GROWN, growth=replace(GROWTH, classes=3)),
        replace(GROWN, growth=replace(GROWTH, components=(3, 4, 4))),
        replace(GROWN, growth=replace(GROWTH, outputs=(replace(GROWTH.outputs[0], shift=2),))),
    ]
    assert len({parameters_root(PARENT, ALICE, update) for update in shapes}) == len(shapes)


def test_a_root_commits_to_the_parent_of_a_growth_alone() -> None:
    """A whole network replaces what was there before, so it does not matter what that was."""
    parents = (PARENT, b"\x0b" * 32, ZERO_HASH)
    assert len({parameters_root(parent, ALICE, GROWN) for parent in parents}) == 3
    assert len({parameters_root(parent, ALICE, WHOLE) for parent in parents}) == 1
    assert addition(PARENT, ALICE, WHOLE).parent == ZERO_HASH
    assert addition(PARENT, ALICE, GROWN).parent == PARENT


@pytest.mark.parametrize("update", [WHOLE, GROWN])
def test_a_root_is_the_same_whether_tensors_travel_or_were_uploaded(update: Update) -> None:
    travelling = replace(update, tensors=(b"\x01", b"\x02\x03"))
    assert parameters_root(PARENT, ALICE, travelling) == parameters_root(PARENT, ALICE, update)
    assert addition(PARENT, ALICE, travelling) == Addition(
        PARENT if isinstance(update, GrowUpdate) else ZERO_HASH, ALICE, update
    )


SEEDED = Seeded(2, bytes(32), INT8, (12, 1))


def neuron(number: int) -> GrowUpdate:
    """A growth of the sample, or of what it has grown to, by one neuron with a seeded tensor."""
    width = 10 + number
    growth = Growth(0, (DenseRelu(1, 0, 12, 1, 4, 8, 8),), (Output(1, width, width + 1, 0, 4, 0, 8),), ())
    bias = Explicit(bytes([number]) * 32)
    return GrowUpdate(growth, (SegmentSources(SEEDED, bias),), (SegmentSources(OTHER, bias),))


def line_of(*authors: Address) -> tuple[Addition, ...]:
    """The sample's network by the first of the authors, then a growth by each of the others."""
    line = [addition(ZERO_HASH, authors[0], WHOLE)]
    for number, author in enumerate(authors[1:]):
        line.append(addition(line[-1].root, author, neuron(number)))
    return tuple(line)


def test_a_line_is_the_network_of_all_that_it_adds() -> None:
    line = line_of(ALICE, BOB, CAROL, BOB)
    found, spec = compose_line(line), TWO_LAYERS
    for added in line[1:]:
        assert isinstance(added.update, GrowUpdate)
        spec = grown_spec(spec, added.update.growth)
    assert (found.root, found.spec, found.steps) == (line[-1].root, spec, 3)
    assert found.spec.totals == replace(spec).totals, "what is kept is what is counted afresh"
    sources = [(segment.weights, segment.bias) for segment in found.segments]
    updates = [added.update for added in line]
    hidden = [source for update in updates for source in update.hidden]
    outputs = [source for update in updates for source in update.outputs]
    assert sources == [(source.weights, source.bias) for source in (*hidden, *outputs)]
    made = [(segment.step, segment.author) for segment in found.hidden]
    assert made == [(0, ALICE)] * 3 + [(1, BOB), (2, CAROL), (3, BOB)]
    assert found.seeded_macs == 3 * generation_macs(SEEDED)
    again = compose(compose_line(line[:-1]), line[-1])
    assert (again.root, again.spec, again.segments) == (found.root, found.spec, found.segments)


@pytest.mark.parametrize("last", [3, 4, 9])
def test_who_made_what_in_which_version(last: int) -> None:
    """The numbers of the versions end with that of the whole; TRAIN rounds before count as versions."""
    found = compose_line(line_of(ALICE, BOB, CAROL, BOB))
    assert found.makers(last) == [
        (last - 3, ALICE, 15),
        (last - 2, BOB, 1),
        (last - 1, CAROL, 1),
        (last, BOB, 1),
    ]


def test_groups_say_whose_each_segment_is_and_which_classes_came_with_it() -> None:
    line = [addition(ZERO_HASH, BOB, WHOLE)]
    for author, update in ((ALICE, GROWN), (CAROL, neuron(0)), (BOB, neuron(1))):
        line.append(addition(line[-1].root, author, update))
    found = compose_line(line)
    groups, owners = found.groups(3)
    assert groups == (
        NeuronGroup(0, BOB, 15, range(3)),
        NeuronGroup(1, ALICE, 9, range(3, 5)),
        NeuronGroup(2, CAROL, 1, range(5, 5)),
        NeuronGroup(3, BOB, 1, range(5, 5)),
    )
    assert owners == Owners(4, (0, 0, 0, 1, 1, 1, 2, 3), (0, 0, 0, 1, 1, 2, 3))
    inherited, of_fork = found.groups(0)
    assert inherited == tuple(
        NeuronGroup(0, author, neurons, range(5)) for author, neurons in ((ALICE, 9), (BOB, 16), (CAROL, 1))
    )
    assert of_fork == Owners(3, (1, 1, 1, 0, 0, 0, 2, 1), (1, 1, 1, 0, 0, 2, 1))


def test_what_a_fork_has_inherited_belongs_to_its_version_zero() -> None:
    found = compose_line(line_of(ALICE, BOB, CAROL, BOB))
    assert found.makers(1) == [(0, ALICE, 15), (0, BOB, 1), (0, CAROL, 1), (1, BOB, 1)]
    assert found.makers(0) == [(0, ALICE, 15), (0, BOB, 2), (0, CAROL, 1)]


@pytest.mark.parametrize(
    ("counts", "made"),
    [
        (((1, 0), (1, 1)), {BOB: (1, 0), CAROL: (1, 1)}),
        (((0, 1), (2, 0)), {BOB: (0, 1), CAROL: (2, 0)}),
        (((1, 1), (0, 0)), {BOB: (1, 1), ALICE: (1, 0)}),
        (((9, 9), (65_535, 65_535)), {BOB: (2, 1)}),
    ],
)
def test_the_halves_of_a_union_have_made_its_segments(
    counts: tuple[tuple[int, int], tuple[int, int]], made: dict[Address, tuple[int, int]]
) -> None:
    """A line that nobody has checked may state any numbers: what no half has made is the sender's."""
    one = neuron(0)
    growth = replace(one.growth, hidden=one.growth.hidden * 2)
    halves = tuple(Half(author, *count) for author, count in zip((BOB, CAROL), counts, strict=True))
    union = replace(one, growth=growth, hidden=one.hidden * 2, halves=halves)
    base = line_of(ALICE)
    found = compose_line((*base, addition(base[0].root, ALICE, union)))
    new = [each.author for each in found.hidden[3:]], [each.author for each in found.outputs[3:]]
    assert {name: (new[0].count(name), new[1].count(name)) for name in (*new[0], *new[1])} == made


def test_a_root_commits_to_the_halves_and_to_the_statistics() -> None:
    halves = (Half(BOB, 1, 1), Half(CAROL, 2, 1))
    updates = [
        GROWN,
        replace(GROWN, halves=halves),
        replace(GROWN, halves=halves[::-1]),
        replace(GROWN, halves=(Half(BOB, 2, 1), Half(CAROL, 1, 1))),
        replace(GROWN, statistics=PARENT),
    ]
    assert len({parameters_root(PARENT, ALICE, update) for update in updates}) == len(updates)


def test_who_added_outputs_alone_made_no_neurons() -> None:
    base = line_of(ALICE)
    growth = Growth(0, (), (Output(0, 0, 12, 0, 4, 0, 8),), ())
    added = addition(base[0].root, BOB, GrowUpdate(growth, (), (SegmentSources(OTHER, OTHER),)))
    assert compose_line((*base, added)).makers(1) == [(0, ALICE, 15), (1, BOB, 0)]


HONEST = line_of(ALICE, BOB, CAROL)
BOTH = SegmentSources(OTHER, OTHER)
WIDE = GrowUpdate(Growth(40_000, (), (Output(0, 0, 12, 0, 4, 0, 8),), ()), (), (BOTH,))
SPLIT = replace(WIDE, growth=replace(WIDE.growth, classes=1, components=(3,) * 40_000))
HIDDEN = GrowUpdate(Growth(0, (DenseRelu(1, 0, 12, 1, 4, 8, 8),) * 256, (), ()), (BOTH,) * 256, ())
OUTPUTS = GrowUpdate(Growth(0, (), (Output(0, 0, 12, 0, 4, 0, 8),) * 256, ()), (), (BOTH,) * 256)


def grown_by(*updates: Update) -> tuple[Addition, ...]:
    """The sample's network and these updates, each naming the root of the one before."""
    line = [addition(ZERO_HASH, ALICE, WHOLE)]
    for update in updates:
        line.append(Addition(line[-1].root, ALICE, update))
    return tuple(line)


FIRST, NOT_MADE, ONE = "begins with a whole", "not made to the network", "one whole network"
BROKEN: dict[str, tuple[tuple[Addition, ...], str]] = {
    "nothing": ((), FIRST),
    "no whole network at the beginning": (HONEST[1:], FIRST),
    "a growth of nothing": ((Addition(ZERO_HASH, ALICE, GROWN),), ONE),
    "a whole network that names a parent": ((replace(HONEST[0], parent=PARENT),), FIRST),
    "a growth left out": ((HONEST[0], HONEST[2]), NOT_MADE),
    "growths in another order": ((HONEST[0], HONEST[2], HONEST[1]), NOT_MADE),
    "a growth twice": ((*HONEST, HONEST[2]), NOT_MADE),
    "another author at the beginning": ((replace(HONEST[0], author=BOB), *HONEST[1:]), NOT_MADE),
    "another author in the middle": ((HONEST[0], replace(HONEST[1], author=ALICE), HONEST[2]), NOT_MADE),
    "a second whole network": ((*HONEST, addition(HONEST[-1].root, BOB, WHOLE)), NOT_MADE),
    "a second whole network that names the one before": (grown_by(WHOLE, neuron(0)), ONE),
    "too many classes": (grown_by(WIDE, WIDE), "so many classes"),
    "too many components": (grown_by(SPLIT, SPLIT), "so many components"),
    "too many hidden segments": (grown_by(*[HIDDEN] * 64), "so many hidden"),
    "too many outputs": (grown_by(*[OUTPUTS] * 64), "so many output"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_line_that_is_no_network(case: str) -> None:
    line, words = BROKEN[case]
    with pytest.raises(LineBroken, match=words) as refusal:
        compose_line(line)
    assert refusal.value.code == "line_broken"


def test_a_line_may_be_as_long_as_its_network_may_be_large() -> None:
    found = compose_line(grown_by(*[HIDDEN] * 63, neuron(0)))
    assert len(found.hidden) == 63 * 256 + 4


def test_networks_of_other_numbers_have_other_roots() -> None:
    other = models.whole(TWO_LAYERS, network_parameters(TWO_LAYERS, seed=1))
    assert parameters_root(ZERO_HASH, ALICE, other) != parameters_root(ZERO_HASH, ALICE, WHOLE)
