"""A proof says what it stands on: a bundle does not bring the rules by which it is judged.

A forger makes rules under which a digest costs nothing, gives all coins to names of their own, and plays
rounds there. The verifier means the real chain, whose proof of work is scrypt, and asks for work.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

import pytest

from engram.consensus import proof
from engram.consensus.bundle import ProofBundle
from engram.consensus.chainspec import Allocation, ChainSpec, spec_id
from engram.consensus.genesis import genesis
from engram.consensus.validation import MEDIAN_BLOCKS
from tests.support.attacks import crowd, fails, play_with
from tests.support.published import SPEC, Published, published, told
from tests.support.rounds import ALICE, COIN, OPENER, Play, network

_TWO_DIGESTS = (1 << 255).to_bytes(32, "big")
REAL: ChainSpec = replace(SPEC, pow="scrypt", genesis_target=_TWO_DIGESTS, max_target=_TWO_DIGESTS)
"""The chain that the verifier means; a block takes two digests of scrypt, to make the test short."""
ASKED = 2_000
"""Digests that the verifier asks for: of scrypt, a thousand real blocks; of SHA-256, no time at all."""


@cache
def real_chain() -> tuple[Play, Published]:
    """Alice's version 1 on the real chain."""
    play = Play()
    play.ok(play.found())
    play.reveal_validation()
    play.play_epoch((ALICE, network(play.inputs, 6)))
    play.decide()
    return play, published(play, REAL)


@cache
def own_play(names: int) -> Play:
    """Rounds on the forger's ledger, in which one of the names wins by a network that is much better."""
    strangers = crowd(names)
    play = play_with(strangers)
    play.ok(play.found())
    play.reveal_validation()
    play.play_epoch(*((name, network(play.inputs, 20 + place)) for place, name in enumerate(strangers)))
    play.decide(*strangers)
    return play


def own_rules(names: int, **changes: object) -> ChainSpec:
    """Rules of the forger: SHA-256 in place of scrypt, and a million coins for each name."""
    owners = sorted(name.address for name in (OPENER, *crowd(names)))
    rich = tuple(Allocation(owner, 10**6 * COIN) for owner in owners)
    easy = (1 << 245).to_bytes(32, "big")
    rules = replace(REAL, pow="sha256d", genesis_target=easy, max_target=easy, allocations=rich)
    return replace(rules, **changes)  # type: ignore[arg-type]  # fields by name


def from_genesis(rules: ChainSpec, names: int) -> ProofBundle:
    """A whole chain of the forger's."""
    return published(own_play(names), rules).bundle(own_play(names).model_id, depth=2)


def after_a_checkpoint(rules: ChainSpec, names: int) -> ProofBundle:
    """The real headers up to the verifier's checkpoint, and after them blocks by the forger's rules."""
    _, real = real_chain()
    play = own_play(names)
    forged = replace(real, spec=rules).mine(play.ledger.root, play.ledger.nodes, 3)
    bundle = forged.bundle(play.model_id, depth=2)
    return replace(bundle, headers=bundle.headers[-MEDIAN_BLOCKS - 3 :])


Forge = Callable[[ChainSpec, int], ProofBundle]


def cheap_rules(forge: Forge, names: int) -> None:
    """Whatever spec the bundle names, it is judged by the verifier's, and refused."""
    honest, real = real_chain()
    trusted = real.head.id
    true = told(real.bundle(honest.model_id), REAL, checkpoint=trusted)
    assert true.accepted
    rules = own_rules(names)
    made = forge(rules, names)
    checkpoint = trusted if forge is after_a_checkpoint else None
    for claim, code in ((rules, "wrong_spec"), (REAL, "")):
        bundle = replace(made, spec_id=spec_id(claim))
        said = told(bundle, REAL, checkpoint=checkpoint, min_work=ASKED)
        assert not said.accepted, "work by the forger's rules is no work by the verifier's"
        assert said.code in ((code,) if code else ("checkpoint_needed", "bad_target")), "refused by name"


def millions_of_ones_own(names: int) -> None:
    """Coins and blocks of a chain with the same rules but for its allocations are of another chain."""
    own = own_rules(names, pow=REAL.pow, genesis_target=_TWO_DIGESTS, max_target=_TWO_DIGESTS)
    assert genesis(own).id != genesis(REAL).id
    bundle = published(own_play(names), own).bundle(own_play(names).model_id)
    assert told(bundle, REAL, min_work=1).code == "wrong_spec"
    assert told(replace(bundle, spec_id=spec_id(REAL)), REAL, min_work=1).code == "checkpoint_needed"


CASES = [(from_genesis, 1), (from_genesis, 3), (after_a_checkpoint, 2)]


@pytest.mark.parametrize(("forge", "names"), CASES)
def test_cheap_rules(forge: Forge, names: int) -> None:
    cheap_rules(forge, names)


@pytest.mark.parametrize("names", [1, 4])
def test_millions_of_ones_own(names: int) -> None:
    millions_of_ones_own(names)


def brought(monkeypatch: pytest.MonkeyPatch, known: Sequence[ChainSpec]) -> None:
    """From now on a bundle is judged by the rules that it names."""
    judged, by_id = proof.verify_bundle, {spec_id(spec): spec for spec in known}

    def by_its_own(bundle: ProofBundle, spec: ChainSpec, now_ms: int, **anchor: object) -> object:
        return judged(bundle, by_id[bundle.spec_id], now_ms, **anchor)  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr(proof, "verify_bundle", by_its_own)


@pytest.mark.parametrize(("forge", "names"), CASES)
def test_where_a_bundle_brings_its_rules(forge: Forge, names: int, monkeypatch: pytest.MonkeyPatch) -> None:
    brought(monkeypatch, (REAL, own_rules(names)))
    fails(lambda: cheap_rules(forge, names))


@pytest.mark.parametrize("names", [1, 4])
def test_where_a_bundle_brings_its_allocations(names: int, monkeypatch: pytest.MonkeyPatch) -> None:
    own = own_rules(names, pow=REAL.pow, genesis_target=_TWO_DIGESTS, max_target=_TWO_DIGESTS)
    brought(monkeypatch, (REAL, own))
    fails(lambda: millions_of_ones_own(names))
