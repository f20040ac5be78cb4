"""The union of two growths of one network: both stand beside each other, and their outputs are averaged.

Two authors who share no rows can each make a growth of the same network. Each growth states the sums that it
adds to the components. The union adds the mean of the two: so its logits have the scale of those of either
half, and what is noise in only one of them counts half.

Old neurons keep their index. The new neurons of the first half come next, then those of the second, which
move up by what the first one adds to their layer. A half reads old neurons and its own new ones, as it did
alone, and never those of the other half.

Every output is halved by a shift that is one higher. That is exact while the shift of the half is negative;
otherwise each output of a row is rounded once, so a sum is the mean but for half a unit an output segment.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from engram.nn.errors import GrowthsDisagree
from engram.nn.growth import Growth
from engram.nn.layers import HiddenSegment, Interval, Output
from engram.nn.layers.moving import reading
from engram.nn.spec import NetworkSpec, layer_widths


def unite(spec: NetworkSpec, first: Growth, second: Growth) -> Growth:
    """The union of two growths of `spec`, each of which `growth.append` has accepted.

    Its segments, and so its parameters, are those of the first half in order, then those of the second:
    hidden segments and output segments each. An interval of the second half that holds old and new neurons
    becomes two. Checks no limits: `append` does, as for every growth, and refuses a shift above its range.

    Raises `GrowthsDisagree` if the halves do not add the same classes and components, in the same order.
    """
    expected, got = ((growth.classes, _components(spec, growth)) for growth in (first, second))
    if expected != got:
        raise GrowthsDisagree(expected=expected, got=got)
    moved = _moving(spec, first)
    hidden = tuple(reading(segment, moved(segment)) for segment in second.hidden)
    outputs = tuple(reading(segment, moved(segment)) for segment in second.outputs)
    halved = tuple(replace(output, shift=output.shift + 1) for output in (*first.outputs, *outputs))
    return Growth(first.classes, first.hidden + hidden, halved, first.components)


def _components(spec: NetworkSpec, growth: Growth) -> tuple[int, ...]:
    """The new components of a growth, also where the list is ()."""
    return growth.components or tuple(range(spec.classes, spec.classes + growth.classes))


def _moving(spec: NetworkSpec, first: Growth) -> Callable[[HiddenSegment | Output], list[Interval]]:
    """What a segment of the second half reads, where the neurons of the first stand before its own."""
    widths, made = layer_widths(spec), dict[int, int]()
    for segment in first.hidden:
        made[segment.layer] = made.get(segment.layer, 0) + segment.width

    def parts(each: Interval) -> list[Interval]:
        old = widths[each.layer] if each.layer < len(widths) else 0
        shift = made.get(each.layer, 0)
        if not shift or each.hi <= old:
            return [each]
        own = Interval(each.layer, max(each.lo, old) + shift, each.hi + shift)
        return [Interval(each.layer, each.lo, old), own] if each.lo < old else [own]

    return lambda segment: [part for each in segment.intervals for part in parts(each)]
