"""What can be seen of a round on a `Ledger`."""

from __future__ import annotations

from collections.abc import Sequence

from engram.nn.loss import Score
from engram.primitives import keys
from engram.primitives.types import ZERO_HASH, Address, Hash
from engram.statemachine.additions import TrainUpdate, parameters_root
from engram.statemachine.content import blob_id
from engram.statemachine.loading import composition_of, open_part
from engram.statemachine.parameters import Composition, GrownNetwork, WholeNetwork
from engram.statemachine.receipt import Event
from engram.statemachine.record import u32
from engram.statemachine.records import Account, Badge, Maturing, Model, Part, RecentBlock, Version
from engram.statemachine.rounds.calendar import Calendar, Phase, Span
from engram.statemachine.rounds.draw import draw_parts, draw_seed
from engram.statemachine.rounds.records import (
    NOBODY,
    Candidate,
    OpenedPart,
    Round,
)
from engram.statemachine.rules import Rules
from engram.statemachine.scoring import Scorer
from tests.support.ledger import Ledger
from tests.support.round_matter import ACTORS, NONCE, PURSE, SMALL_RULES, SecretPart, Weights, make_part


class RoundView:
    """One round of one model on a ledger, as everyone can see it, and the secret parts of its opener."""

    def __init__(
        self, *, parts: int = 4, rules: Rules = SMALL_RULES, ledger: Ledger | None = None, classes: int = 2
    ) -> None:
        self.ledger = ledger or Ledger({actor: PURSE for actor in ACTORS}, rules=rules)
        self.inputs = 2 + parts
        self.parts = [make_part(index, parts=parts, classes=classes) for index in range(parts)]
        self.seed = 0
        self.id: Hash = ZERO_HASH
        self.model_id: Hash = ZERO_HASH
        self.events: list[Event] = []
        self.fees: dict[Address, int] = {}
        """What each actor was charged for its transactions."""
        self.charged: list[int] = []
        """What each transaction was charged."""
        self.secrets: dict[Hash, tuple[SecretPart, keys.PrivateKey]] = {}
        """The parts that witnesses have sealed, by commitment."""

    @property
    def round(self) -> Round:
        return self.ledger.state.get(Round, self.id)

    @property
    def model(self) -> Model:
        return self.ledger.state.get(Model, self.model_id)

    @property
    def height(self) -> int:
        """Height of the next block."""
        return self.ledger.height + 1

    @property
    def tick(self) -> int:
        """What transactions of the next block see."""
        return self.ledger.clock.ticks

    def version(self, number: int) -> Version:
        return self.ledger.state.get(Version, self.model_id, u32(number))

    def candidate(self, author: keys.PrivateKey, epoch: int = 0) -> Candidate:
        return self.ledger.state.get(Candidate, self.id, bytes([epoch]), author.address)

    def account(self, actor: keys.PrivateKey) -> Account:
        return self.ledger.state.account(actor.address)

    def maturing(self, actor: keys.PrivateKey) -> int:
        """Rewards of an actor that have not been claimed."""
        state, rules = self.ledger.state, self.ledger.rules
        heights = range(self.ledger.height + rules.maturity_blocks + 1)
        found = (state.find(Maturing, actor.address, height.to_bytes(8, "big")) for height in heights)
        return sum(reward.amount for reward in found if reward)

    def spent(self, actor: keys.PrivateKey) -> int:
        """What an actor has lost or has tied up, fees aside."""
        return PURSE - self.account(actor).balance - self.fees.get(actor.address, 0)

    def badges(self, actor: keys.PrivateKey, version: int) -> set[int]:
        found = (
            self.ledger.state.find(Badge, self.model_id, u32(version), actor.address, bytes([kind]))
            for kind in range(5)
        )
        return {badge.badge for badge in found if badge}

    @property
    def calendar(self) -> Calendar:
        return Calendar.of(self.round, self.ledger.rules)

    def span(self, phase: Phase, epoch: int = 0) -> Span:
        """The span as the round stands now; it moves when a phase before it ends early."""
        return self.calendar.span(phase, epoch)

    def block_id(self, tick: int) -> Hash:
        """Id of the block that made this tick."""
        clock = self.ledger.clock
        if (tick, clock.ticked) == (clock.ticks, self.ledger.height):
            return self.ledger.parent
        return self.ledger.state.get(RecentBlock, u32(tick % self.ledger.rules.tick_ring)).block

    def drawn_parts(self) -> tuple[list[SecretPart], list[SecretPart]]:
        """Validation and sealed parts, known once the blocks of the draw are there."""
        terms = self.round.terms
        seed = draw_seed([self.block_id(tick) for tick in self.calendar.draw_ticks], NONCE)
        drawn = draw_parts(seed, terms.commitments, terms.validation, terms.sealed)
        validation, sealed = ([self.secret(part) for part in parts] for parts in drawn)
        return validation, sealed

    def secret(self, commitment: Hash) -> SecretPart:
        return next(secret for secret in self.parts if secret.commitment == commitment)

    def leaking_feature(self) -> int:
        """The feature that tells the label in the validation part and lies elsewhere."""
        return 2 + self.parts.index(self.secret(self.round.validation_opened[0].commitment))

    def composition(self, number: int) -> Composition:
        """The whole network of a version, without the numbers."""
        return composition_of(self.ledger.state, self.ledger.ctx, self.version(number))

    def root(self, weights: Weights, author: keys.PrivateKey = ACTORS[1]) -> Hash:
        """The parameters root of what an author's update makes of the version of the round."""
        return parameters_root(self.round.base, author.address, weights.update)

    def networks(
        self, weights: Weights, author: keys.PrivateKey = ACTORS[1]
    ) -> tuple[WholeNetwork, WholeNetwork | GrownNetwork]:
        """Version t, and what an author's update makes of it, off the chain."""
        update, brought = weights.update, {blob_id(raw): raw for raw in weights.tensors}

        def read(tensor: Hash) -> bytes:
            return brought[tensor] if tensor in brought else self.ledger.blobs[tensor]

        below, root = self.composition(self.round.version), self.root(weights, author)
        base = WholeNetwork(below.root, below.spec, below.segments, read)
        if isinstance(update, TrainUpdate):
            return base, WholeNetwork(root, update.spec, (*update.hidden, *update.outputs), read)
        return base, GrownNetwork(root, base, update, read)

    def loss_of(self, weights: Weights, opened: Sequence[OpenedPart] | None = None) -> int:
        """What the chain will find on opened parts (the validation parts), computed off the chain."""
        _, candidate = self.networks(weights)
        parts = self.round.validation_opened if opened is None else opened
        return sum(self.score(candidate, part.commitment).loss for part in parts)

    def score(self, network: WholeNetwork | GrownNetwork, part: Hash, classes: int | None = None) -> Score:
        """A network on a published part, computed off the chain."""
        state, ctx = self.ledger.state, self.ledger.ctx
        rows = open_part(state, ctx, state.get(Part, part))
        return Scorer().score_network(network, rows, classes or self.round.classes, self.model.loss_function)

    def reasons(self, author: keys.PrivateKey) -> tuple[str, ...]:
        """Why the last judgement of an author's candidate went against it; nothing if it is eligible."""
        judged = [event for event in self.named("update_judged") if event.text[0] == author.address.hex()]
        return judged[-1].text[1:]

    def best(self, epoch: int = 0) -> Address | None:
        """The author of the best eligible candidate of an epoch so far."""
        author = self.round.best[epoch].author
        return None if author == NOBODY else author

    def named(self, name: str) -> list[Event]:
        """Events of this name, in order."""
        return [event for event in self.events if event.name == name]
