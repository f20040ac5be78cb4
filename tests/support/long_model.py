"""A model that grows again and again, each time in a real round on a `Ledger`, under the rules of a preset.

The rows belong to contexts: the first features spell the number of the context in bits, one feature more
tells the label, and one is noise. A model knows nothing of a context that nobody has taught. Every growth
teaches it one more: two neurons, one for each label, fire on the rows of that context alone. So each growth
is a true improvement, however long the model is, and harms nothing that stands.

    python -m tests.support.long_model --preset consortium --growths 2000
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from engram.consensus import chainspec
from engram.nn.data import part_bytes
from engram.nn.growth import Growth, Policy
from engram.nn.layers import DenseRelu, Output
from engram.nn.network import NetworkSpec
from engram.node.chain.verification import VerificationCache
from engram.participant.scoring import scorings
from engram.primitives import keys
from engram.statemachine.loading import version_network
from engram.statemachine.receipt import Receipt
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.records import RoundKind, RoundTerms
from engram.statemachine.rounds.terms import least_author_bond, least_opener_bond
from engram.statemachine.rules import Rules
from engram.statemachine.scoring import Scorer, network_macs
from engram.statemachine.state import leaf_value
from engram.statemachine.transaction import TxPayload
from engram.statemachine.transactions.score_update import ScoreUpdate
from tests.support.ledger import Ledger
from tests.support.rounds import (
    ALICE,
    CAROL,
    COIN,
    OPENER,
    Play,
    SecretPart,
    Weights,
    block,
    distinct,
    train_terms,
)

BITS = 12
LABEL, NOISE, INPUTS = BITS, BITS + 1, BITS + 2
MOST_GROWTHS = 2**BITS
MOST_SCORINGS = 24
"""Ticks for scoring: a retained part can take a block of its own."""
ACTORS = (OPENER, ALICE, CAROL)
PURSE = 10**6 * COIN
SURE = 100
"""Output weight of a neuron that knows the label."""


@dataclass(frozen=True)
class Measured:
    """One growth: what it cost and took, and the size of what it left in the state."""

    growth: int
    version_bytes: int
    model_bytes: int
    reveal_fee: int
    """Sparks charged for the reveal of the growth."""
    reveal_s: float
    """Seconds that applying it took."""
    round_fees: int
    """Sparks charged for all transactions of the round."""
    network_macs: int
    """MACs of the whole network on one part of the round."""
    half_block: int
    """The most MACs that a step of a round may have."""


def rules_of(preset: str) -> Rules:
    """The rules of a preset, with the shortest windows: how long people have is not what is played here."""
    spec = {"consortium": chainspec.consortium((), 0), "main": chainspec.main()}[preset]
    return replace(spec.rules, min_window_ticks=1, min_gap_ticks=0, draw_ticks=2, maturity_blocks=3)


def rows_of(contexts: Sequence[int], seed: int) -> bytes:
    """A part: a row of each of these contexts; three of five rows have label 0, the others label 1."""
    numbers = np.array(contexts)
    labels = (np.arange(len(numbers)) % 5 > 2).astype(np.uint16)
    features = np.zeros((len(numbers), INPUTS), dtype=np.uint8)
    features[:, :BITS] = 255 * (numbers[:, None] >> np.arange(BITS) & 1)
    features[:, LABEL] = 255 * labels
    features[:, NOISE] = np.random.default_rng(seed).integers(0, 256, len(numbers))
    return part_bytes(features, labels)


def teaching(context: int) -> Weights:
    """A growth by two neurons, which fire on the rows of a context, each at one label.

    The first one brings class 1; all later ones feed both classes.
    """
    bits = [context >> place & 1 for place in range(BITS)]
    columns = [[*(1 if bit else -1 for bit in (*bits, label)), 0] for label in (0, 1)]
    weights = [[column[row] for column in columns] for row in range(INPUTS)]
    hidden, hidden_tensors = block(weights, [255 - 255 * (sum(bits) + label) for label in (0, 1)])
    first, classes = 2 * context, int(context == 0)
    feeds = [[-SURE], [SURE]] if classes else [[SURE, -SURE], [-SURE, SURE]]
    outputs, output_tensors = block(feeds, [0] * (2 - classes))
    segment = Output(1, first, first + 2, classes, 2 - classes, -4, 8)
    growth = Growth(classes, (DenseRelu(1, 0, INPUTS, 2, 0, 8, 8),), (segment,), ())
    return Weights(growth, (hidden,), (outputs,), distinct(*hidden_tensors, *output_tensors))


class LongModel(Play):
    """A model of one class at its founding, which every growth teaches one context."""

    def __init__(self, ledger: Ledger) -> None:
        """The ledger's rules are those of a preset, as `rules_of` gives them; `ACTORS` have coins on it."""
        super().__init__(ledger=ledger)
        self.reveal_s = 0.0

    @classmethod
    def of_preset(cls, preset: str) -> LongModel:
        """On a ledger in memory, without blocks."""
        purses = {actor: PURSE for actor in ACTORS}
        return cls(Ledger(purses, rules=rules_of(preset), scorer=Scorer(VerificationCache())))

    def send_all(self, payloads: Sequence[tuple[keys.PrivateKey, TxPayload]]) -> list[Receipt]:
        """As `Play.send_all`, without counting all coins after every block."""
        txs = [self.ledger.pay(sender, payload) for sender, payload in payloads]
        begun = time.perf_counter()
        result = self.ledger.block(*txs)
        self.reveal_s = time.perf_counter() - begun
        self.charged += [receipt.fee for receipt in result.receipts]
        self.events += result.events
        return list(result.receipts)

    def grow(self) -> Measured:
        """Plays one round, in which one author teaches the next context."""
        context = self.model.head if self.events else 0
        self.events, self.charged = [], []
        self.parts = self._parts(context)
        terms = self._terms(context)
        self.ok(self.open(terms) if context else self._found(terms))
        self.reveal_validation()
        revealed = self.play_epoch((ALICE, teaching(context)))
        assert self.named("candidate_admitted"), revealed
        reveal_s = self.reveal_s
        ended = self.decide(ALICE)
        assert ended.new_version == context + 1, (ended, self.reasons(ALICE))
        self.withdraw(ALICE)
        rules = self.ledger.rules
        return Measured(
            growth=ended.new_version,
            version_bytes=len(leaf_value(self.version(ended.new_version))),
            model_bytes=len(leaf_value(self.model)),
            reveal_fee=revealed[0].fee,
            reveal_s=reveal_s,
            round_fees=sum(self.charged),
            network_macs=network_macs(rules, self.composition(ended.new_version), self._rows, 2),
            half_block=rules.max_block_macs // 2,
        )

    def load_s(self) -> float:
        """Seconds to put the whole network together from its records, read its numbers and prove bounds."""
        state, ctx = self.ledger.state, replace(self.ledger.ctx, scorer=Scorer())
        begun = time.perf_counter()
        version_network(state, ctx, self.version(self.model.head)).load()
        return time.perf_counter() - begun

    @property
    def _rows(self) -> int:
        return -(-self.ledger.rules.min_sealed_rows // self.ledger.rules.min_sealed)

    def _parts(self, context: int) -> list[SecretPart]:
        """The opener's parts: half of each is the new context, half are known ones."""
        found, count = [], self.ledger.rules.min_parts
        for number in range(count):
            known = np.random.default_rng((context, number)).integers(0, max(context, 1), self._rows)
            mixed = np.where(np.arange(self._rows) % 10 < 5, context, known).tolist()
            salt = hashlib.sha256(b"%d %d" % (context, number)).digest()
            found.append(SecretPart(salt, rows_of(mixed, context * count + number)))
        return found

    def _found(self, terms: RoundTerms) -> Receipt:
        outputs, tensors = block([[0] for _ in range(INPUTS)], [0])
        spec = NetworkSpec(INPUTS, 1, (), (), (Output(0, 0, INPUTS, 0, 1, 0, 8),))
        weights = Weights(spec, (), (outputs,), distinct(*tensors))
        return self.found(weights, terms, policy=int(Policy.GATED), threshold_ppm=900_000)

    def score_all(self, *authors: keys.PrivateKey) -> None:
        """Has each candidate scored on every part, in transactions that each take half a block at most."""
        self.at(Phase.SCORE)
        base = self.composition(self.round.version)
        for author in authors:
            batches = scorings(self.ledger.rules, self.round, self.model, base, self.candidate(author))
            for numbers in batches:
                self.ok(self.send(author, ScoreUpdate(self.id, 0, author.address, numbers)))

    def _terms(self, context: int) -> RoundTerms:
        rules = self.ledger.rules
        terms = train_terms(
            self.parts,
            kind=int(RoundKind.GROW),
            new_classes=int(context == 0),
            rows=self._rows,
            old_rows=-(-rules.min_old_rows // rules.min_sealed),
            validation=rules.min_validation,
            sealed=rules.min_sealed,
            reveal_window=rules.min_validation + 1,
            audit_window=rules.min_sealed + 1,
            score_window=MOST_SCORINGS,
            opener_bond=least_opener_bond(rules, 20 * COIN),
            author_bond=100 * COIN,
            z_squared=rules.min_z_squared,
            max_update_macs=60_000_000,
        )
        if not context:
            return terms
        head = self.composition(context)
        return replace(terms, author_bond=least_author_bond(rules, terms, head, 2, self.model.retention))


def measured(preset: str, growths: int) -> Iterator[tuple[Measured, float | None]]:
    """Every growth; with the first, each hundredth and the last, how long loading the whole takes."""
    model = LongModel.of_preset(preset)
    for number in range(1, growths + 1):
        found = model.grow()
        yield found, model.load_s() if number in (10, growths) or number % 100 == 0 else None


def main() -> int:
    """Plays the growths and prints a line for each that was loaded."""
    parser = argparse.ArgumentParser(prog="long_model", description=__doc__.splitlines()[0])
    parser.add_argument("--preset", choices=("consortium", "main"), default="consortium")
    parser.add_argument("--growths", type=int, default=2_000)
    given = parser.parse_args()
    for found, load_s in measured(given.preset, given.growths):
        if load_s is not None:
            print(json.dumps({**asdict(found), "load_s": round(load_s, 4)}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
