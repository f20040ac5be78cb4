"""`engram.verify` on a mined line of headers: anchors, the chain that is meant, and what is refused."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import engram
from engram.consensus.bundle import seal_bundle
from engram.consensus.chainspec import dump_spec, spec_id
from engram.consensus.errors import (
    CheckpointMissing,
    CheckpointNeeded,
    InsufficientWork,
    ProofDamaged,
    WrongSpec,
)
from engram.library.errors import OptionInvalid, SpecNotGiven
from engram.library.model import Proof
from engram.primitives.errors import ChainError
from tests.support.proof_chain import RECORDS, SPEC, bundle_of, mined_line, tree_of

TREE = tree_of(*RECORDS)
LINE = mined_line(SPEC, 4, TREE.root, depth=1)
RAW = seal_bundle(bundle_of(LINE, TREE, depth=1))


@pytest.fixture(autouse=True)
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody without a node, whose data directory is empty."""
    monkeypatch.setenv("ENGRAM_DATA_DIR", str(tmp_path / "none"))


def test_a_proof_is_bytes_a_file_or_what_a_model_gives(tmp_path: Path) -> None:
    file = Proof(RAW, {}).save(tmp_path / "model.proof")
    verdicts = [engram.verify(given, chain=SPEC) for given in (RAW, file, str(file), Proof(RAW, {}))]
    assert [verdict.facts["root"] for verdict in verdicts] == [verdicts[0].facts["root"]] * 4
    assert not any(verdict.accepted for verdict in verdicts)


def test_only_an_anchor_makes_a_proof_accepted() -> None:
    nothing = engram.verify(RAW, chain=SPEC)
    assert str(nothing).startswith("consistent, not anchored\nchain\n  name ")
    text = str(nothing)
    assert "\n\nWhat this proves: nothing.\n- The file does not contradict itself" in text
    assert "\n\nWhat the file claims:\n- In the state after that block" in text
    assert "\n\nWhat it would not prove with an anchor either:\n- " in text
    assert (nothing.proves, bool(nothing.file_claims)) == ((), True)
    block = nothing.facts["block"]["id"]
    anchors: tuple[dict[str, Any], ...] = (
        {"checkpoint": block},
        {"checkpoint": bytes.fromhex(block)},
    )
    for anchor in anchors:
        verdict = engram.verify(RAW, chain=SPEC, **anchor)
        assert verdict.accepted
        assert verdict.facts["verdict"] == "accepted"
        assert str(verdict).startswith("accepted\nchain\n  name ")
        assert "\n\nWhat this proves:\n- Your checkpoint is" in str(verdict)
        assert (verdict.proves, verdict.file_claims) == (nothing.file_claims, ())
        assert str(verdict).endswith(verdict.does_not_prove[-1])
        assert verdict.network is None
        assert "check the file with --model" in verdict.does_not_prove[-1]
    with pytest.raises(CheckpointMissing):
        engram.verify(RAW, chain=SPEC, checkpoint="ab" * 32)
    with pytest.raises(InsufficientWork):
        engram.verify(RAW, chain=SPEC, min_work=10**9)


def test_the_text_names_whole_what_an_auditor_writes_down() -> None:
    block = engram.verify(RAW, chain=SPEC).facts["block"]["id"]
    verdict = engram.verify(RAW, chain=SPEC, checkpoint=block)
    told = [re.split("  +", line.strip()) for line in str(verdict).splitlines()]
    named = {"your checkpoint": block, "id of that block": block}
    named |= {"parameters root": verdict.facts["root"], "id": verdict.facts["model"]}
    named |= {"founder": verdict.facts["founder"], "spec_id": verdict.facts["spec_id"]}
    named |= {"its author": verdict.facts["author"], "opener of its round": verdict.facts["opener"]}
    for name, value in named.items():
        assert [name, value] in told, name
    sentences = "\n".join((*verdict.anchor, *verdict.proves))
    for name in ("spec_id", "checkpoint", "model", "root", "founder", "author", "opener"):
        assert verdict.facts[name] in sentences, name


def test_one_file_is_told_in_the_same_words_every_time() -> None:
    texts = {str(engram.verify(RAW, chain=SPEC, min_work=5_000)) for _ in range(3)}
    assert len(texts) == 1
    assert "second" not in texts.pop(), "how fast a machine is says nothing about the file"


@pytest.mark.parametrize(
    ("anchor", "refusal", "remedy"),
    [
        ({"checkpoint": "ab" * 32}, CheckpointMissing, "engram model prove --checkpoint"),
        ({"min_work": 10**9}, InsufficientWork, "more blocks stand on top"),
    ],
)
def test_a_refusal_says_what_to_ask_for(
    anchor: dict[str, Any], refusal: type[ChainError], remedy: str
) -> None:
    with pytest.raises(refusal, match=remedy):
        engram.verify(RAW, chain=SPEC, **anchor)


def test_a_proof_for_a_checkpoint_names_no_block_that_could_be_taken_for_it() -> None:
    line = bundle_of(LINE, TREE, depth=1)
    late = seal_bundle(replace(line, headers=line.headers[1:]))
    with pytest.raises(CheckpointNeeded, match="name a block that you trust") as caught:
        engram.verify(late, chain=SPEC)
    assert (caught.value.expected, caught.value.got) == (None, None)


def test_the_chain_is_the_one_that_the_verifier_means(tmp_path: Path) -> None:
    with pytest.raises(SpecNotGiven):
        engram.verify(RAW)
    folder = tmp_path / "mine"
    folder.mkdir()
    file = folder / "chain.json"
    file.write_text(dump_spec(SPEC))
    by_file, by_folder = engram.verify(RAW, chain=file), engram.verify(RAW, data_dir=folder)
    assert by_file.facts["spec_id"] == by_folder.facts["spec_id"]
    for preset in ("main", "test"):
        with pytest.raises(WrongSpec, match=f"your ChainSpec, of the chain {preset}, has") as caught:
            engram.verify(RAW, chain=preset)
        assert f"with the spec_id {spec_id(SPEC).hex()};" in str(caught.value)
        assert "expected" not in str(caught.value), "each id is told whose it is"


@pytest.mark.parametrize("asked", [1, 5_000])
def test_work_that_everybody_can_do_is_no_anchor(asked: int) -> None:
    verdict = engram.verify(RAW, chain=SPEC, min_work=asked)
    assert (verdict.accepted, verdict.verdict) == (False, "consistent, not anchored")
    assert "So little work is no anchor" in "\n".join(verdict.anchor)
    assert verdict.proves == ()


def test_a_changed_byte_is_refused() -> None:
    for place in (0, len(RAW) // 2, len(RAW) - 1):
        changed = bytearray(RAW)
        changed[place] ^= 1
        with pytest.raises(ProofDamaged):
            engram.verify(bytes(changed), chain=SPEC, min_work=1)


@pytest.mark.parametrize("wrong", ["", "00b1f2", "zz" * 32, b"\x00" * 31])
def test_the_beginning_of_an_id_is_no_checkpoint(wrong: str | bytes) -> None:
    with pytest.raises(OptionInvalid):
        engram.verify(RAW, chain=SPEC, checkpoint=wrong)


def test_work_is_not_negative() -> None:
    with pytest.raises(OptionInvalid):
        engram.verify(RAW, chain=SPEC, min_work=-1)
