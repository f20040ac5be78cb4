"""What came of an epoch for an author, in codes and in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from engram.participant.committing import ADMITTED, NO_IMPROVEMENT, REVEALED
from engram.participant.errors import SecretsNotFound
from engram.primitives.types import Hash

SAT_OUT: Final = "sat_out"
"""Code of an epoch for which the strategy proposed nothing."""
NOT_WORTH: Final = "not_below_baseline"
"""Code of an epoch for which the strategy proposed nothing that can become a candidate."""
CLAIMED: Final = "the update is a candidate, with the loss that its rows are claimed to have"
"""What `ADMITTED` means where no node has computed the loss."""
IN_WORDS: Final = {
    ADMITTED: "every node has verified the loss, and the update is a candidate",
    NO_IMPROVEMENT: "the loss is not below the baseline on the revealed parts; nothing is lost but the entry",
    NOT_WORTH: "the loss is not below the baseline on the revealed parts, so nothing was committed",
    REVEALED: "an earlier run has committed, and the chain holds no candidate of it",
    SAT_OUT: "no update is proposed in this epoch",
    SecretsNotFound.code: "the secret of the commit is not on this disk, so it cannot be revealed",
}
"""What an `EpochReport.code` means. Any other code is that of the rule by which the reveal was refused."""


@dataclass(frozen=True)
class EpochReport:
    """What came of one epoch for an author."""

    epoch: int
    code: str
    """`candidate_admitted`, or the name of another event that says what became of the reveal; `revealed` if
    an earlier run revealed and no candidate stands; `sat_out` if the strategy proposed nothing, and
    `not_below_baseline` if nothing that the chain would admit; or the code of the error that kept the update
    out.
    """
    loss: int
    """The claimed loss on the validation parts in Q24 nats, summed over rows; 0 if nothing was committed."""
    commit: Hash
    """Id of the transaction that committed; empty if this run sent none."""
    reveal: Hash
    """Id of the transaction that revealed; empty if this run sent none."""
