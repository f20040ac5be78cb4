"""Reveal update: the author of a commit shows the update, and every node computes its loss.

Only the author of a commit can reveal it. Somebody who copies a reveal has no commit that fits it, so no
block can hold the copy. By the commit, the author has promised that the update is exactly what the claim
says. If it turns out to be anything else, the receipt is FAILED and the author loses the bond.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from engram.nn.growth import prove_growth
from engram.primitives.codec import encode
from engram.primitives.errors import Invalid
from engram.primitives.types import U8, U64, Address, Blob, Hash, Trailing
from engram.statemachine.additions import Update, halves_of
from engram.statemachine.content import bring, hold
from engram.statemachine.context import BlockContext
from engram.statemachine.loading import composed_network, composition_of
from engram.statemachine.money import give
from engram.statemachine.parameters import Composition, GrownNetwork, WholeNetwork
from engram.statemachine.receipt import Event
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.candidates import validation_bar
from engram.statemachine.rounds.claims import (
    ROOT_BYTES,
    Claims,
    check_claim_steps,
    check_misplaced,
    old_loss,
    read_claims,
    reveal_macs,
    with_claims,
)
from engram.statemachine.rounds.entry import EnteredRound, check_epoch, enter
from engram.statemachine.rounds.errors import (
    BaseMismatch,
    CommitMismatch,
    CommitMissing,
    LossMismatch,
    NoImprovement,
    ParametersMismatch,
)
from engram.statemachine.rounds.records import NOBODY, Candidate, Claim, Commit, EpochResult, Round
from engram.statemachine.rounds.settlement import burn_bond
from engram.statemachine.rounds.union import HALF_RECORDS, check_union
from engram.statemachine.rounds.update import (
    UpdateClaim,
    base_macs,
    brought_tensors,
    check_update,
    commit_digest,
    opened_parts,
    proposal_rows,
    propose,
    update_macs,
    update_tensors,
)
from engram.statemachine.rules import Rules
from engram.statemachine.scoring import composing_macs
from engram.statemachine.state import State
from engram.statemachine.transaction import Cost, Outcome


@dataclass(frozen=True)
class RevealUpdate:
    """Carries the claim that the author committed to, and the update that it describes."""

    KIND: ClassVar[int] = 20
    NAME: ClassVar[str] = "reveal_update"
    round: Hash
    epoch: U8
    base: Hash
    parameters: Hash
    loss: U64
    salt: Hash
    update: Update
    claimed: Annotated[Blob, Trailing()] = b""
    """On a model with `ClaimTerms`, the head and the claimed rows of the validation parts, see
    docs/protocol/claims.md; else nothing.
    """

    def check(self, rules: Rules) -> None:
        """Checks nothing: whether the values are right depends on the round."""

    def cost(self, state: State, ctx: BlockContext, sender: Address) -> Cost:
        """The MACs of the update on the k validation parts; none if its shape alone shows that it is wrong.

        In GROW, a block also needs room for version t on these parts, which reveal_part has paid for. Where
        the rows are claimed, the MACs are those of reading the parts and of checking the numbers, and there
        has to be room for putting version t together, which open_round has paid for.

        Records are the candidate's and the version's that it may become, those of tensors that travel, two
        references for each tensor, and what a rung makes for the author of each half.

        Raises what `enter` raises, `CommitMissing`, `CommitMismatch`, `ClaimMisplaced`, `ClaimMalformed`,
        `OtherPartsClaimed`.
        """
        entry, _ = self._enter(state.child(), ctx, sender)
        size = entry.record_bytes + 2 * len(encode(replace(self.update, tensors=())))
        if self.claimed:
            size += ROOT_BYTES * entry.round.terms.validation
        records = 1 + len(self.update.tensors) + 2 * len(update_tensors(self.update))
        records += HALF_RECORDS * len(halves_of(self.update))
        base = composition_of(state, ctx, entry.version)
        own = self._macs(state, ctx.rules, entry, base)
        known = self._paid_macs(ctx.rules, entry, base) if own else 0
        return Cost(macs=own + known, paid_macs=known, records=records, record_bytes=size)

    def apply(self, state: State, ctx: BlockContext, sender: Address, txid: Hash) -> Outcome:
        """Scores the update. If the claim is wrong, the receipt is FAILED and the bond is burned.

        If the claim is true but the loss is not below the baseline's, the bond returns and nothing else
        happens; where the author also claims what version t loses, the bond is burned. Otherwise the update
        becomes a candidate. Raises what `cost` raises, and `MissingBlob`.
        """
        entry, commit = self._enter(state, ctx, sender)
        state.delete(commit)
        round_ = entry.round
        try:
            network = self._judge(state, ctx, entry, sender)
        except Invalid as error:
            lost = burn_bond(state, round_, sender, commit.bond)
            return Outcome((*entry.events, *lost), failed=error.code)
        if not self.claimed and self.loss >= validation_bar(round_, entry.model):
            give(state, sender, commit.bond)
            event = Event("no_improvement", self.round, (self.epoch, self.loss), (sender.hex(),))
            return Outcome((*entry.events, event))
        happened = self._admit(state, ctx, entry, commit, network)
        if (noted := _with_result(round_, self, commit)) is not round_:
            state.put(noted)
        return Outcome((*entry.events, *happened), blobs=brought_tensors(self.update.tensors))

    def fault(self, state: State, ctx: BlockContext, sender: Address) -> Invalid | None:
        """What is wrong with the claim, with what is true instead; None if it is true. Changes nothing.

        `apply` leaves only a code in the receipt. Whoever has the state before the block can ask here what
        was expected. Raises what `cost` raises, and `MissingBlob`.
        """
        trial = state.child()
        entry, _ = self._enter(trial, ctx, sender)
        try:
            self._judge(trial, ctx, entry, sender)
        except Invalid as error:
            return error
        return None

    def _enter(self, state: State, ctx: BlockContext, sender: Address) -> tuple[EnteredRound, Commit]:
        entry = enter(state, ctx, self.round, Phase.UPDATE)
        check_epoch(entry, self.epoch)
        commit = find_commit(state, self.round, self.epoch, sender)
        claim = UpdateClaim(
            ctx.chain_id, sender, self.round, self.epoch, self.base, self.parameters, self.loss, self.salt
        )
        check_digest(commit, claim)
        check_misplaced(entry.model, self.claimed)
        if self.claimed:
            self._claims(entry)
        return entry, commit

    def _claims(self, entry: EnteredRound) -> tuple[Claims, ...]:
        """What is claimed of each validation part. Raises `ClaimMalformed`, `OtherPartsClaimed`."""
        return read_claims(entry.round, entry.round.validation_opened, self.claimed)

    def _base_loss(self, state: State, ctx: BlockContext, entry: EnteredRound) -> int:
        """The claimed loss of version t on the old rows of the validation parts."""
        opened = opened_parts(state, ctx, [part.commitment for part in entry.round.validation_opened])
        return sum(
            old_loss(entry.round, part.load().labels, base)
            for part, (base, _) in zip(opened, self._claims(entry), strict=True)
        )

    def _macs(self, state: State, rules: Rules, entry: EnteredRound, base: Composition) -> int:
        terms = entry.round.terms
        try:
            check_update(rules, entry.round, entry.model, base, self.update)
            if self.claimed:
                check_claim_steps(rules, entry.round, entry.model, base, self.update)
            check_union(state, entry.round, base.spec, self.epoch, self.update)
        except Invalid:
            return 0
        if self.claimed:
            return reveal_macs(rules, base, entry.round, self.update)
        return terms.validation * update_macs(rules, base.spec, self.update, terms.rows)

    def _paid_macs(self, rules: Rules, entry: EnteredRound, base: Composition) -> int:
        """MACs for which there has to be room, and which others have paid for."""
        return composing_macs(base) if self.claimed else base_macs(rules, entry.round, base)

    def _judge(
        self, state: State, ctx: BlockContext, entry: EnteredRound, author: Address
    ) -> WholeNetwork | GrownNetwork:
        """The proposed network. Raises `Invalid` for anything that is not as claimed."""
        round_, model, base = entry.round, entry.model, composition_of(state, ctx, entry.version)
        check_base(round_, self.base)
        check_update(ctx.rules, round_, model, base, self.update)
        if self.claimed:
            check_claim_steps(ctx.rules, round_, model, base, self.update)
        check_union(state, round_, base.spec, self.epoch, self.update)
        network = propose(state, ctx, composed_network(ctx, base), self.update, author)
        check_parameters_root(self.parameters, network.root)
        if self.claimed:
            check_numbers(network)
            check_loss(self.loss, sum(own.total.loss for _, own in self._claims(entry)))
            check_below(self.loss, validation_bar(round_, model, self._base_loss(state, ctx, entry)))
            return network
        loss = sum(
            proposal_rows(ctx, round_, model, network, part).total.loss
            for part in opened_parts(state, ctx, [part.commitment for part in round_.validation_opened])
        )
        check_loss(self.loss, loss)
        return network

    def _admit(
        self,
        state: State,
        ctx: BlockContext,
        entry: EnteredRound,
        commit: Commit,
        network: WholeNetwork | GrownNetwork,
    ) -> tuple[Event, ...]:
        """Makes the update a candidate, which holds the bond and its own tensors."""
        claim = None
        if self.claimed:
            opened = range(len(entry.round.validation_opened))
            claim = Claim((), ctx.tick)
            claim = with_claims(entry.round, entry.model, claim, opened, self.claimed, ctx.tick)
        for raw in self.update.tensors:
            bring(state, ctx, raw)
        for tensor in update_tensors(self.update):
            hold(state, tensor)
        state.put(
            Candidate(
                round=self.round,
                epoch=self.epoch,
                author=commit.author,
                committed=commit.height,
                root=network.root,
                update=replace(self.update, tensors=()),
                loss=self.loss,
                bond=commit.bond,
                sent_tensor_bytes=sum(len(raw) for raw in self.update.tensors),
                claim=claim,
            )
        )
        return (Event("candidate_admitted", self.round, (self.epoch, self.loss), (commit.author.hex(),)),)


def find_commit(state: State, round_id: Hash, epoch: int, author: Address) -> Commit:
    """The commit of this author in this epoch, not revealed yet. Raises `CommitMissing`.

    The author is part of the record's key, so nobody can reveal the commit of somebody else.
    """
    commit = state.find(Commit, round_id, bytes([epoch]), author)
    if commit is None:
        raise CommitMissing(got=author)
    return commit


def check_digest(commit: Commit, claim: UpdateClaim) -> None:
    """Raises `CommitMismatch` unless the author committed to exactly this claim."""
    if (got := commit_digest(claim)) != commit.digest:
        raise CommitMismatch(expected=commit.digest, got=got)


def check_base(round_: Round, base: Hash) -> None:
    """Raises `BaseMismatch` unless the update was made for version t, with every weight of it unchanged."""
    if base != round_.base:
        raise BaseMismatch(expected=round_.base, got=base)


def check_parameters_root(claimed: Hash, root: Hash) -> None:
    """Raises `ParametersMismatch` unless version t with the update has the parameters root of the claim."""
    if claimed != root:
        raise ParametersMismatch(expected=claimed, got=root)


def check_numbers(network: WholeNetwork | GrownNetwork) -> None:
    """Reads and checks what is new of a network that is not run. Raises `BadTensor`, `MissingBlob`, and what
    proving its bounds raises.
    """
    if isinstance(network, GrownNetwork):
        prove_growth(network.base.spec, network.growth, network.load_growth())
    else:
        network.load()


def check_loss(claimed: int, loss: int) -> None:
    """Raises `LossMismatch` unless the claim equals the loss on the validation parts, to the last unit."""
    if claimed != loss:
        raise LossMismatch(expected=loss, got=claimed)


def check_below(loss: int, bar: int) -> None:
    """Raises `NoImprovement` unless the loss is below the bar that the author has claimed.

    Nobody has computed that bar. If the bond returned, authors could claim a low one in order to have the
    bond back without having shown anything.
    """
    if loss >= bar:
        raise NoImprovement(expected=bar - 1, got=loss)


def _with_result(round_: Round, reveal: RevealUpdate, commit: Commit) -> Round:
    """The round, with this update as the result of its epoch if none with a lower loss was revealed before.

    In a tie the earlier commit counts, then the lower address.
    """
    found = EpochResult(commit.author, reveal.parameters, reveal.loss, commit.height)
    held = round_.results[reveal.epoch]
    if held.author != NOBODY and _order(held) <= _order(found):
        return round_
    results = [found if epoch == reveal.epoch else old for epoch, old in enumerate(round_.results)]
    return replace(round_, results=tuple(results))


def _order(result: EpochResult) -> tuple[int, int, Address]:
    return result.loss, result.committed, result.author
