"""Small rounds of `round_matter`, played over RPC on a node that mines on demand. Each step is one block."""

from __future__ import annotations

from dataclasses import dataclass

from engram.nn.data import parse_part
from engram.nn.loss import evaluate_loss
from engram.nn.network import forward
from engram.node.client import RpcClient
from engram.participant.view import ChainView
from engram.participant.wallet import Wallet
from engram.primitives.hashing import Tag, tagged_hash
from engram.primitives.types import Hash
from engram.statemachine.additions import addition, explicit_tensors
from engram.statemachine.content import Inline, blob_id
from engram.statemachine.parameters import WholeNetwork, compose
from engram.statemachine.record import u32
from engram.statemachine.records import Model, Version
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.records import Round
from engram.statemachine.rounds.update import UpdateClaim, commit_digest
from engram.statemachine.transactions.advance_round import AdvanceRound
from engram.statemachine.transactions.commit_update import CommitUpdate
from engram.statemachine.transactions.open_round import OpenRound
from engram.statemachine.transactions.reveal_part import RevealPart
from engram.statemachine.transactions.reveal_sealed import RevealSealed
from engram.statemachine.transactions.reveal_update import RevealUpdate
from engram.statemachine.transactions.score_update import ScoreUpdate
from engram.statemachine.transactions.withdraw import Withdraw
from tests.support.round_matter import (
    ALICE,
    NONCE,
    OPENER,
    SALT,
    SecretPart,
    Weights,
    founding,
    grow_terms,
    growth,
    make_part,
    network,
    train_terms,
)

PARTS = 4


@dataclass(frozen=True)
class PlayedRounds:
    """What stands on the chain after `play`."""

    model: Hash
    trained: Hash
    """Round that made version 1."""
    growing: Hash
    """Open round with one candidate."""


class RpcPlay:
    """Plays through the client of an admin, who can ask for blocks."""

    def __init__(self, client: RpcClient) -> None:
        self.client = client
        self.view = ChainView(client)
        self.opener, self.author = Wallet(client, OPENER), Wallet(client, ALICE)

    async def play(self) -> PlayedRounds:
        """Founds a model, trains version 1, and opens a GROW round that has one candidate."""
        inputs = 2 + PARTS
        parts = [make_part(index, parts=PARTS) for index in range(PARTS)]
        opening = OpenRound(train_terms(parts), founding=founding(network(inputs, 0)))
        trained = await self.open(opening)
        await self.propose(trained, parts, network(inputs, 8))
        await self.audit(trained, parts)
        model = await self.view.get(Model, (await self.view.get(Round, trained)).model)
        fresh = [make_part(index, parts=PARTS, classes=3, rows=9, seed=1) for index in range(PARTS)]
        growing = await self.open(OpenRound.on(model, grow_terms(fresh)))
        await self.propose(growing, fresh, growth(inputs, 8))
        return PlayedRounds(model.id, trained, growing)

    async def open(self, payload: OpenRound) -> Hash:
        """Opens a round; its id."""
        txid = await self.opener.send(payload)
        await self.opener.confirm(txid)
        return tagged_hash(Tag.ROUND, txid)

    async def propose(self, round_id: Hash, parts: list[SecretPart], weights: Weights) -> None:
        """The opener reveals the validation part; one author commits to the update and reveals it."""
        await self.at(round_id, Phase.REVEAL)
        round_ = await self.view.get(Round, round_id)
        validation, _ = await self.view.drawn_parts(round_, NONCE)
        for commitment in validation:
            part = _secret(parts, commitment)
            await self.opener.execute(RevealPart(round_id, NONCE, commitment, part.salt, Inline(part.raw)))
        await self.at(round_id, Phase.COMMIT)
        claim = await self.claim(round_id, weights, [_secret(parts, item).raw for item in validation])
        await self.author.execute(CommitUpdate(round_id, 0, commit_digest(claim)))
        await self.at(round_id, Phase.UPDATE)
        facts = claim.base, claim.parameters, claim.loss, claim.salt
        await self.author.execute(RevealUpdate(round_id, 0, *facts, weights.update))

    async def claim(self, round_id: Hash, weights: Weights, validation: list[bytes]) -> UpdateClaim:
        """An honest claim of the author."""
        round_ = await self.view.get(Round, round_id)
        base = await self.view.get(Version, round_.model, u32(round_.version))
        model = await self.view.get(Model, round_.model)
        update = weights.update
        added = addition(base.root, ALICE.address, update)
        whole = compose(await self.view.composition(base), added)
        brought = {blob_id(raw): raw for raw in weights.tensors}
        for tensor in set(explicit_tensors(whole.segments)) - set(brought):
            brought[tensor] = await self.view.blob(tensor)
        parameters, _ = WholeNetwork(whole.root, whole.spec, whole.segments, brought.__getitem__).load()
        loss = 0
        for raw in validation:
            part = parse_part(raw, rows=round_.terms.rows, inputs=whole.spec.inputs, classes=round_.classes)
            logits = forward(whole.spec, parameters, part.features)
            loss += evaluate_loss(model.loss_function, logits, part.labels)
        chain_id = (await self.author.facts()).chain_id
        return UpdateClaim(chain_id, ALICE.address, round_id, 0, round_.base, whole.root, loss, SALT)

    async def audit(self, round_id: Hash, parts: list[SecretPart]) -> None:
        """The opener opens the sealed part; the candidate is scored and, after the end, withdrawn."""
        await self.at(round_id, Phase.AUDIT)
        for commitment in (await self.view.get(Round, round_id)).sealed_drawn:
            part = _secret(parts, commitment)
            await self.opener.execute(RevealSealed(round_id, commitment, part.salt, Inline(part.raw)))
        await self.at(round_id, Phase.SCORE)
        unseen = len((await self.view.get(Round, round_id)).unseen)
        await self.author.execute(ScoreUpdate(round_id, 0, ALICE.address, tuple(range(unseen))))
        await self.at(round_id, Phase.CLOSED)
        await self.author.execute(AdvanceRound(round_id))
        await self.author.execute(Withdraw(round_id, 0, ALICE.address))

    async def at(self, round_id: Hash, phase: Phase) -> None:
        """Empty blocks, until the next one is the first of a phase."""
        round_ = await self.view.get(Round, round_id)
        missing = (await self.view.span(round_, phase)).first - await self.view.tick()
        if missing > 0:
            await self.client.call("miner_mine", blocks=missing)


def _secret(parts: list[SecretPart], commitment: Hash) -> SecretPart:
    return next(part for part in parts if part.commitment == commitment)
