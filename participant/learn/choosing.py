"""Which classes a consolidation is about, and whether a round of it can begin. Nothing is sent or saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from engram.participant.learn.errors import RowsMissing
from engram.participant.learn.matching import matched
from engram.participant.learn.memories import Memories, Numbering
from engram.participant.view import ChainView
from engram.primitives.types import ZERO_HASH, Address
from engram.statemachine.records import Model
from engram.statemachine.rounds.calendar import Calendar, Phase
from engram.statemachine.rounds.records import Round, RoundKind, RoundStatus


def ready_labels(memories: Memories, least_rows: int) -> list[int]:
    """The labels of classes that the chain lacks with at least so many examples, rising."""
    return sorted(label for label, count in memories.unknown().items() if count >= least_rows)


def classes_to_teach(memories: Memories, record: Model, least_rows: int) -> dict[int, int]:
    """Which labels a round of one's own teaches, and as which classes of the chain.

    Where labels are numbered as on the chain, the classes that come next there must be learned first. Raises
    `RowsMissing` if no class can be taught.
    """
    first = record.classes
    ready = ready_labels(memories, least_rows)[: record.growth_limits.classes]
    numbered = {label: first + place for place, label in enumerate(ready)}
    if memories.numbering is Numbering.OWN:
        return numbered
    kept: dict[int, int] = {}
    for label, number in numbered.items():
        if label != number:
            break
        kept[label] = number
    if not kept:
        raise RowsMissing(
            f"class {first} comes next on the chain, and there are too few examples of it",
            expected=first,
            got=ready[0] if ready else None,
        )
    return kept


async def joinable(view: ChainView, memories: Memories, record: Model, least_rows: int) -> Round | None:
    """The open round of the model if its new classes were learned here and authors can still commit."""
    if record.open_round == ZERO_HASH:
        return None
    round_ = await view.get(Round, record.open_round)
    rules, new = (await view.spec()).rules, round_.terms.new_classes
    if round_.status != RoundStatus.OPEN or round_.terms.kind != RoundKind.GROW or not new:
        return None
    if Calendar.of(round_, rules).is_over(await view.tick(), Phase.COMMIT, round_.terms.epochs - 1):
        return None
    ready = set(ready_labels(memories, least_rows))
    if memories.numbering is Numbering.OWN:
        return round_ if len(ready) >= new else None
    return round_ if set(range(round_.old_classes, round_.classes)) <= ready else None


async def hindrance(view: ChainView, record: Model, address: Address, *, opens: bool) -> str | None:
    """Why no round of one's own can be opened now, in words.

    A round whose end is due is none: opening another one settles it.
    """
    running = record.open_round != ZERO_HASH
    if running and await view.due(await view.get(Round, record.open_round)) is None:
        return "a round is open on the model: it has to end first"
    if not opens:
        return "no round is open, and --open was not given: it waits until somebody opens one"
    if address not in (record.founder, *record.members):
        return "no round is open, and this key may open none: the model's founder and members may"
    if not record.frozen:
        return "the model is not frozen yet, so it cannot grow"
    return None


def agreeing(memories: Memories, before: int, became: Mapping[int, int]) -> list[int]:
    """The labels whose examples below `before` the proven version answers with the class they became.

    The most frequent answer counts. A label without examples agrees.
    """
    known = memories.examples()
    mine = known.where(np.isin(known.labels, list(became)) & (known.numbers < before))
    answers = memories.slow.answer(mine.rows).classes
    found = matched(mine.labels, answers, list(became), least=0.0)
    present = set(mine.labels.tolist())
    return [label for label, number in became.items() if label not in present or found.get(label) == number]


def numbered_alike(memories: Memories, labels: Sequence[int]) -> dict[int, int]:
    """Those of these labels that the proven version answers with the class of the same number."""
    same = {label: label for label in labels}
    return {label: label for label in agreeing(memories, 2**63 - 1, same)}
