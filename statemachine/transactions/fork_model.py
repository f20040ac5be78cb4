"""Fork model: anybody makes a model of their own out of the current version of another.

The fork inherits all that the model is: its network, whether it is frozen, its policy, and what it must not
forget. Nobody can block, rent, freeze or bury the model of somebody else; whoever wants it otherwise forks.
The id of the fork is tagged_hash(MODEL, txid).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from engram.primitives.codec import encode
from engram.primitives.hashing import Tag, tagged_hash
from engram.primitives.types import U32, ZERO_HASH, Address, Hash
from engram.statemachine.additions import Inherited
from engram.statemachine.context import BlockContext
from engram.statemachine.loading import check_version_usable
from engram.statemachine.receipt import Event
from engram.statemachine.record import u32
from engram.statemachine.records import Members, Model, Version, Witnesses
from engram.statemachine.rounds.errors import ForkStale
from engram.statemachine.rounds.terms import check_names
from engram.statemachine.rules import Rules
from engram.statemachine.state import State
from engram.statemachine.transaction import Cost, Outcome


@dataclass(frozen=True)
class ForkModel:
    """Names the model and its current version, and whom the fork's founder names."""

    KIND: ClassVar[int] = 27
    NAME: ClassVar[str] = "fork_model"
    model: Hash
    version: U32
    """The current version; the transaction cannot be included once there is a later one."""
    members: Members = ()
    witnesses: Witnesses = ()

    def check(self, rules: Rules) -> None:
        """Raises `TermsInvalid` for an address that is listed twice."""
        check_names("member", self.members)
        check_names("witness", [witness.address for witness in self.witnesses])

    def cost(self, state: State, ctx: BlockContext, sender: Address) -> Cost:
        """The records of model and version.

        Raises `MissingRecord`, `ForkStale`, `BlobNotUsable`.
        """
        model, _ = self._source(state, ctx)
        return Cost(records=2, record_bytes=len(encode(self._fork(model, sender, ZERO_HASH))))

    def apply(self, state: State, ctx: BlockContext, sender: Address, txid: Hash) -> Outcome:
        """Writes the fork and its version 0, which adds nothing. Raises what `cost` raises.

        Versions stand for ever, and with them their tensors, so the fork need not hold these once more.
        """
        source, version = self._source(state, ctx)
        fork = self._fork(source, sender, tagged_hash(Tag.MODEL, txid))
        state.put(fork)
        state.put(
            replace(
                version,
                model=fork.id,
                number=0,
                parent=ZERO_HASH,
                added=_inherited(version),
                round=ZERO_HASH,
                height=ctx.height,
            )
        )
        event = Event("model_forked", fork.id, (self.version,), (self.model.hex(), sender.hex()))
        return Outcome((event,))

    def _source(self, state: State, ctx: BlockContext) -> tuple[Model, Version]:
        model = state.get(Model, self.model)
        if self.version != model.head:
            raise ForkStale(expected=model.head, got=self.version)
        version = state.get(Version, self.model, u32(self.version))
        check_version_usable(ctx, version)
        return model, version

    def _fork(self, model: Model, founder: Address, identity: Hash) -> Model:
        return replace(
            model,
            id=identity,
            founder=founder,
            head=0,
            open_round=ZERO_HASH,
            rounds=0,
            carried=0,
            members=self.members,
            witnesses=self.witnesses,
            parent=self.model,
            parent_version=self.version,
        )


def _inherited(version: Version) -> Inherited:
    """What version 0 of a fork of this version is."""
    if isinstance(version.added, Inherited):
        return version.added
    return Inherited(version.model, version.number)
