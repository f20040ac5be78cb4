"""Whether a round runs."""

from __future__ import annotations

from engram.node.chain.chain import Chain
from engram.node.storage.recordindex import records
from engram.node.storage.store import BlockRef
from engram.primitives.types import ZERO_HASH
from engram.statemachine.records import Model
from engram.statemachine.roundclock import round_clock
from engram.statemachine.rounds.calendar import Calendar, Phase
from engram.statemachine.rounds.records import Round


def round_runs(chain: Chain, head: BlockRef) -> bool:
    """Whether the next block on `head` stands in the calendar of an open round. It reads the disk."""
    state, rules = chain.state(head), chain.spec.rules
    models = records(chain.store.database, state, Model)
    rounds = [state.get(Round, model.open_round) for model in models if model.open_round != ZERO_HASH]
    tick = round_clock(state).ticks
    return any(Calendar.of(round_, rules).at(tick).phase is not Phase.CLOSED for round_ in rounds)
