"""What a proof bundle says its version's network is made of: the root that is proven decides."""

from dataclasses import replace

import pytest

from engram.consensus.bundle import ProofBundle
from engram.consensus.errors import RecordMismatch
from engram.consensus.proof import ProofReport, verify_bundle
from engram.nn.growth import Growth
from engram.nn.layers import DenseRelu, Output
from engram.nn.tensor import Explicit
from engram.primitives.errors import Invalid
from engram.primitives.types import ZERO_HASH
from engram.statemachine.additions import Addition, GrowUpdate, SegmentSources, addition
from engram.statemachine.errors import LineBroken
from tests.support.proof_chain import (
    AUTHOR,
    LINE,
    MODEL_RECORD,
    ROUND_RECORD,
    SPEC,
    TENSORS,
    VERSION_RECORD,
    WITNESS,
    bundle_of,
    mined_line,
    tree_of,
)

GROWTH = Growth(0, (DenseRelu(1, 0, 4, 1, 4, 8, 8),), (Output(1, 0, 1, 0, 2, 0, 8),), ())
SOURCES = (SegmentSources(Explicit(TENSORS[0]), Explicit(TENSORS[1])),)
SWAPPED = (SegmentSources(Explicit(TENSORS[1]), Explicit(TENSORS[0])),)
WHOLE = LINE[0].update
FIRST = addition(ZERO_HASH, WITNESS, WHOLE)
SECOND = addition(FIRST.root, AUTHOR, GrowUpdate(GROWTH, SOURCES, SOURCES))
THIRD = addition(SECOND.root, AUTHOR, GrowUpdate(GROWTH, SOURCES, SWAPPED))


def bundle(proven: Addition, *line: Addition) -> ProofBundle:
    """The bundle of a version that this addition has made, with this for its line."""
    version = replace(VERSION_RECORD, parent=proven.parent, root=proven.root, added=proven.update)
    model = replace(MODEL_RECORD, root=proven.root)
    tree = tree_of(model, version, ROUND_RECORD)
    headers = mined_line(SPEC, 2, tree.root)
    return bundle_of(headers, tree, model=model, version=version, line_=line)


def check(proven: Addition, *line: Addition) -> ProofReport:
    return verify_bundle(bundle(proven, *line), SPEC, 10**15)


def test_a_line_proves_the_whole_network() -> None:
    report = check(THIRD, FIRST, SECOND, THIRD)
    assert (report.network.root, report.network.steps) == (report.version.root, 2)
    assert [segment.author for segment in report.network.hidden] == [AUTHOR, AUTHOR]
    assert [segment.author for segment in report.network.outputs] == [WITNESS, AUTHOR, AUTHOR]
    assert report.tensors == (TENSORS[0], TENSORS[1])


MORE = addition(THIRD.root, AUTHOR, SECOND.update)
OTHER_NUMBERS = addition(SECOND.root, AUTHOR, GrowUpdate(GROWTH, SOURCES, SOURCES))
OTHER_ROOTS: dict[str, tuple[Addition, ...]] = {
    "another network": (addition(ZERO_HASH, AUTHOR, WHOLE),),
    "a growth less": (FIRST, SECOND),
    "a growth more": (FIRST, SECOND, THIRD, MORE),
    "the last growth by somebody else": (FIRST, SECOND, replace(THIRD, author=WITNESS)),
    "the last growth with other numbers": (FIRST, SECOND, OTHER_NUMBERS),
    "the last growth with another parent": (FIRST, replace(THIRD, parent=FIRST.root)),
}
BROKEN: dict[str, tuple[Addition, ...]] = {
    "too short": (THIRD,),
    "the beginning left out": (SECOND, THIRD),
    "a growth left out": (FIRST, THIRD),
    "another whole network at the beginning": (replace(FIRST, author=AUTHOR), SECOND, THIRD),
    "a growth in the middle by somebody else": (FIRST, replace(SECOND, author=WITNESS), THIRD),
    "a growth in the middle with other numbers": (
        FIRST,
        replace(SECOND, update=GrowUpdate(GROWTH, SWAPPED, SOURCES)),
        THIRD,
    ),
    "a growth in the middle with another parent": (FIRST, replace(SECOND, parent=THIRD.root), THIRD),
    "a whole network in the middle": (FIRST, addition(FIRST.root, AUTHOR, WHOLE), THIRD),
    "something before the whole network": (SECOND, FIRST, SECOND, THIRD),
}


@pytest.mark.parametrize("case", OTHER_ROOTS)
def test_a_line_of_another_root(case: str) -> None:
    with pytest.raises(RecordMismatch) as refusal:
        check(THIRD, *OTHER_ROOTS[case])
    assert refusal.value.code == "record_mismatch"


@pytest.mark.parametrize("case", BROKEN)
def test_a_line_that_is_no_network(case: str) -> None:
    with pytest.raises(LineBroken) as refusal:
        check(THIRD, *BROKEN[case])
    assert refusal.value.code == "line_broken"
    assert isinstance(refusal.value, Invalid), "whoever made the bundle is wrong"


def test_a_whole_network_that_follows_another_is_no_growth() -> None:
    """Even where a state that no execution reaches says so."""
    named = Addition(FIRST.root, AUTHOR, WHOLE)
    grown = addition(named.root, AUTHOR, SECOND.update)
    with pytest.raises(LineBroken, match="one whole network and its growths"):
        check(grown, FIRST, named, grown)


def test_a_forged_network_is_refused_before_it_is_put_together() -> None:
    """A file of a few kilobytes, over blocks that a forger has mined, does not fill a verifier's memory."""
    huge, line = GrowUpdate(replace(GROWTH, classes=2**16 - 1), SOURCES, SOURCES), [FIRST]
    for _ in range(3):
        line.append(addition(line[-1].root, AUTHOR, huge))
    with pytest.raises(LineBroken, match="so many classes"):
        check(line[-1], *line)
