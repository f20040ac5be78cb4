"""What was verified before a restart binds the nodes after it."""

from __future__ import annotations

from pathlib import Path

import pytest

from engram.participant.memory.errors import ShorterChain, TrustPointDamaged, TrustPointForeign
from engram.participant.memory.slow import SlowMemory
from engram.participant.memory.trust_point import load_trust_point, save_trust_point
from engram.participant.view import ChainView
from tests.support.proven_model import LineNode, ProvenModel, trust_of
from tests.support.recalling import digits_model

MODEL = digits_model()
TRUST = trust_of()


def founded() -> ProvenModel:
    return ProvenModel(MODEL.spec, MODEL.parameters)


async def verified(path: Path, blocks: int, later_ms: int = 0) -> SlowMemory:
    """A slow memory that begins with what the file holds, asks a node with so many blocks, and saves."""
    model = founded()
    line = model.line(blocks, later_ms=later_ms)
    point = load_trust_point(path, TRUST.spec, TRUST.model)
    slow = SlowMemory(TRUST, lambda: line.head.timestamp_ms + 10**6, point)
    await slow.refresh(ChainView(LineNode(line, model)))
    save_trust_point(path, TRUST.spec, TRUST.model, slow.verified.point)
    return slow


async def test_a_point_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "trust.json"
    assert load_trust_point(path, TRUST.spec, TRUST.model) is None
    slow = await verified(path, 12)
    assert load_trust_point(path, TRUST.spec, TRUST.model) == slow.verified.point


async def test_after_a_restart_a_node_with_less_work_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "trust.json"
    before = (await verified(path, 14)).verified.point
    with pytest.raises(ShorterChain):
        await verified(path, 13, later_ms=1_000)
    assert load_trust_point(path, TRUST.spec, TRUST.model) == before
    assert (await verified(path, 15)).verified.point.chain_work > before.chain_work


async def test_a_point_of_another_chain_or_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "trust.json"
    await verified(path, 12)
    with pytest.raises(TrustPointForeign):
        load_trust_point(path, TRUST.spec, b"\x2a" * 32)
    for content in ("", "{}", path.read_text().replace('"base_work": "', '"base_work": "x')):
        path.write_text(content)
        with pytest.raises(TrustPointDamaged):
            load_trust_point(path, TRUST.spec, TRUST.model)
