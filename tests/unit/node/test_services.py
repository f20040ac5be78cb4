"""What a node makes of its machine at the start: an inexact BLAS costs speed, never the right result."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from engram.consensus.genesis import genesis
from engram.nn.data import parse_part
from engram.nn.engine import FAST, REFERENCE, Engine
from engram.nn.loss import LossKind
from engram.node.config import Config
from engram.node.engines.registry import ENGINES
from engram.node.services import opened
from engram.primitives.types import ZERO_HASH
from engram.statemachine.additions import parameters_root
from engram.statemachine.content import blob_id
from engram.statemachine.loading import open_network
from engram.statemachine.scoring import DataPart, Scorer
from tests.support import chain_models as models
from tests.support.inexact import far_off, inexact
from tests.support.nn_samples import TWO_LAYERS, network_parameters
from tests.support.node_chain import SPEC

RAW = models.raw_part()
PART = DataPart(blob_id(RAW), lambda: parse_part(RAW, rows=20, inputs=12, classes=3))


@pytest.mark.parametrize("engine", [FAST, inexact(far_off)])
async def test_scores_are_right_on_any_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: Engine
) -> None:
    ledger, parameters = models.model_ledger(RAW), network_parameters(TWO_LAYERS)
    update = models.whole(TWO_LAYERS, parameters)
    root = parameters_root(ZERO_HASH, models.FOUNDER, update)
    network = open_network(ledger.state, ledger.ctx, root, update, models.tensor_blobs(parameters))
    right = Scorer(engine=REFERENCE).score_network(network, PART, 3, LossKind.SOFTMAX_CROSS_ENTROPY)
    monkeypatch.setitem(ENGINES, "numpy", lambda: engine)
    for name in ("torch", "cuda"):
        monkeypatch.delitem(ENGINES, name)
    with capture_logs() as logs:
        async with opened(SPEC, genesis(SPEC), Config(data_dir=tmp_path, engine="auto")) as base:
            assert base.scorer.score_network(network, PART, 3, LossKind.SOFTMAX_CROSS_ENTROPY) == right
    wrong = [line for line in logs if line["log_level"] == "error"]
    if engine is FAST:
        assert wrong == []
        assert base.chosen.engine is FAST
    else:
        assert Scorer(engine=engine).score_network(network, PART, 3, LossKind.SOFTMAX_CROSS_ENTROPY) != right
        assert [(line["engine"], line["code"]) for line in wrong] == [("numpy", "engine_inexact")]
        assert base.chosen.engine is REFERENCE
