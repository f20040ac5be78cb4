"""A proof says what it stands on: a header does not vouch for its own state root.

Anybody can write a state root into a header and find a nonce for it. A checkpoint covers the block that the
verifier trusts and all before it, so a forger puts the state of a ledger of their own into the block after
it, or into the trusted block itself.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest

from engram.consensus import proof
from engram.consensus.bundle import ProofBundle
from engram.statemachine.rounds.records import Round
from tests.support.attacks import fails
from tests.support.published import Published, published, rewritten, told
from tests.support.rounds import ALICE, BOB, Play, network


@cache
def played(*, gain: int) -> Play:
    """Alice's version 1; Bob's update was worse, and he got nothing."""
    play = Play()
    play.ok(play.found())
    play.reveal_validation()
    play.play_epoch((ALICE, network(play.inputs, gain)), (BOB, network(play.inputs, 2)))
    play.decide()
    assert (play.round.winner, play.maturing(BOB)) == (ALICE.address, 0)
    return play


def improved(play: Play, factor: int) -> Round:
    """The round as the forger would like to have it: the baseline was so much worse."""
    groups = tuple(
        replace(
            group,
            growth=replace(group.growth, baseline=group.growth.baseline * factor),
            frequencies=replace(group.frequencies, baseline=group.frequencies.baseline * factor),
        )
        for group in play.round.winner_groups
    )
    return replace(play.round, winner_groups=groups)


def on_top(real: Published, play: Play, record: Round, blocks: int) -> ProofBundle:
    """Blocks of the forger after the trusted one."""
    return real.mine(*rewritten(play, record), blocks).bundle(play.model_id, depth=blocks - 1)


def in_place(real: Published, play: Play, record: Round, blocks: int) -> ProofBundle:
    """The trusted block, its proof of work and those before it stay; its state root is another one."""
    root, nodes = rewritten(play, record)
    head = replace(real.head, state_root=root)
    forged = Published(real.spec, (*real.line[:-1], head), nodes)
    return forged.bundle(play.model_id, depth=0)


def under_it(real: Published, play: Play, record: Round, blocks: int) -> ProofBundle:
    """The trusted block stays, and those under it are the forger's."""
    branch = real.cut(real.head.height - 1 - blocks)
    bundle = branch.mine(*rewritten(play, record), blocks).bundle(play.model_id, depth=0)
    return replace(bundle, headers=(*bundle.headers, real.head), depth=1)


Forge = Callable[[Published, Play, Round, int], ProofBundle]


def a_state_of_ones_own(forge: Forge, factor: int, blocks: int) -> None:
    """The forged bundle says nothing that the verifier's checkpoint covers; the honest one does."""
    play = played(gain=6)
    real = published(play)
    trusted = real.head.id
    true = told(real.bundle(play.model_id, depth=2), checkpoint=trusted)
    assert true.accepted
    assert "its id fixes that block and the state after it" in true.proved
    bundle = forge(real, play, improved(play, factor), blocks)
    said = told(bundle, checkpoint=trusted)
    assert not said.accepted, "no anchor of the verifier covers the forged state"
    if not said.code:
        assert said.facts["opener_baseline"] == factor * true.facts["opener_baseline"]
        assert "anybody could have made it" in said.proved
        assert "comes before that block, so it does not vouch for it" in said.proved
    assert not told(bundle).accepted, "without a checkpoint it is anybody's file"


FORGERIES = [(on_top, 3, 1), (on_top, 50, 3), (in_place, 3, 1), (under_it, 3, 2)]


@pytest.mark.parametrize(("forge", "factor", "blocks"), FORGERIES)
def test_a_state_of_ones_own(forge: Forge, factor: int, blocks: int) -> None:
    a_state_of_ones_own(forge, factor, blocks)


@pytest.mark.parametrize(("forge", "factor", "blocks"), FORGERIES[:2])
def test_where_a_checkpoint_vouches_for_what_follows_it(
    forge: Forge, factor: int, blocks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = proof._checked_line

    def to_the_end(bundle: ProofBundle, *given: object) -> object:
        line = checked(bundle, *given)  # type: ignore[arg-type]  # passed on
        known = line.checkpoint >= 0
        return replace(line, checkpoint=bundle.headers[-1].height) if known else line

    monkeypatch.setattr(proof, "_checked_line", to_the_end)
    fails(lambda: a_state_of_ones_own(forge, factor, blocks))


@pytest.mark.parametrize(("forge", "factor", "blocks"), FORGERIES)
def test_where_a_header_counts_whatever_it_leads_to(
    forge: Forge, factor: int, blocks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither its place, nor its parent, nor its proof of work is looked at."""

    def at_face_value(bundle: ProofBundle, *_: object) -> object:
        return proof._Line(bundle.headers[0].parent, bundle.headers[-1].height, 0, 0)

    monkeypatch.setattr(proof, "_checked_line", at_face_value)
    fails(lambda: a_state_of_ones_own(forge, factor, blocks))
