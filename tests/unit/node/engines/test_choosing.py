"""Which engine is chosen: the fastest exact one or the one that is named, and never one with a wrong bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from engram.nn.engine import FAST, REFERENCE, Engine, Frozen, NumpyEngine
from engram.nn.fixed import Int64Array
from engram.nn.gemm import FLOATS, INTEGERS
from engram.nn.parameters import Parameters
from engram.nn.spec import NetworkSpec
from engram.node.config import SETTINGS
from engram.node.engines import choosing, registry
from engram.node.engines.choosing import WORTH_MACS, choose, engine_for, tell, wrong_check
from engram.node.engines.registry import ENGINES
from engram.node.errors import EngineInexact, EngineMissing
from engram.node.logs import get_logger
from tests.support.inexact import inexact, without_last_bit


class OneWrongBit(NumpyEngine):
    """The fast engine, but that the last bit of one logit of all is turned over."""

    def logits(
        self, spec: NetworkSpec, parameters: Parameters, peaks: Sequence[int], start: Frozen
    ) -> Int64Array:
        found = super().logits(spec, parameters, peaks, start)
        if found.size:
            found[-1, -1] ^= 1
        return found


class Broken(NumpyEngine):
    """An engine whose library ends with an error."""

    def logits(
        self, spec: NetworkSpec, parameters: Parameters, peaks: Sequence[int], start: Frozen
    ) -> Int64Array:
        raise RuntimeError("no kernel image is available")


class Foreign:
    """An engine of another library, as far as the self-check sees: it is asked for everything."""

    def __init__(self, inner: NumpyEngine) -> None:
        self.name, self.keeps_bytes = inner.name, None
        self.logits, self.scores, self.keep = inner.logits, inner.scores, inner.keep


def _the(engine: Engine) -> Engine:
    return engine


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts other engines into the registry, in this order. They race on few rows: plain integers are slow."""
    monkeypatch.setattr(choosing, "RACE_ROWS", 64)

    def put(**made: Engine) -> None:
        for name in list(ENGINES):
            monkeypatch.delitem(ENGINES, name)
        for name, engine in made.items():
            monkeypatch.setitem(ENGINES, name, partial(_the, engine))

    return put


def test_the_setting_has_every_engine_and_auto() -> None:
    (setting,) = (each for each in SETTINGS if each.name == "engine")
    assert set(setting.choices) == {"auto", *ENGINES}
    assert setting.default == "auto"


def test_the_faster_of_two_exact_engines_wins_whatever_their_order(engines: Callable[..., None]) -> None:
    quick, slow = NumpyEngine("quick", FLOATS), NumpyEngine("slow", INTEGERS)
    engines(quick=quick, slow=slow)
    chosen = choose()
    assert chosen.engine is quick
    assert chosen.race_ms["quick"] < chosen.race_ms["slow"]
    engines(slow=slow, quick=quick)
    assert choose().engine is quick


@pytest.mark.parametrize(
    "bad",
    [
        Foreign(OneWrongBit("bad", FLOATS)),
        inexact(without_last_bit),
        Foreign(Broken("bad", FLOATS)),
    ],
)
def test_one_wrong_bit_disqualifies_an_engine_with_a_line_of_the_log(
    engines: Callable[..., None], bad: Engine
) -> None:
    engines(bad=bad, numpy=FAST)
    with capture_logs() as logs:
        chosen = choose()
        tell(chosen, get_logger("engine"))
    assert chosen.engine is FAST
    assert list(chosen.wrong) == ["bad"]
    (line,) = (each for each in logs if each["log_level"] == "error")
    assert (line["engine"], line["code"]) == ("bad", "engine_inexact")
    assert line["check"] == wrong_check(bad)
    with pytest.raises(EngineInexact) as refused:
        choose("bad")
    assert refused.value.got == "bad"
    assert "auto" in refused.value.message


def test_if_no_engine_is_exact_plain_integers_remain(engines: Callable[..., None]) -> None:
    engines(numpy=inexact(without_last_bit))
    with capture_logs() as logs:
        chosen = choose()
        tell(chosen, get_logger("engine"))
    assert chosen.engine is REFERENCE
    assert "slower" in next(line["remedy"] for line in logs if line["event"] == "engine chosen")


def test_what_is_not_installed_is_passed_over_by_auto_and_refused_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registry, "find_spec", lambda name: None)
    chosen = choose()
    assert chosen.engine is FAST
    assert set(chosen.absent) == {"cuda", "torch"}
    for name in ("torch", "cuda"):
        with pytest.raises(EngineMissing) as refused:
            choose(name)
        assert refused.value.got == name


def test_a_processor_without_int8_instructions_is_told_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    old = tmp_path / "cpuinfo"
    old.write_text("flags\t\t: fpu sse2 avx2 avx512f\n")
    monkeypatch.setattr(registry, "_PROCESSOR", old)
    monkeypatch.setattr(registry, "find_spec", lambda name: object())
    assert registry.worth_trying("torch") is not None
    with pytest.raises(EngineMissing) as refused:
        choose("torch")
    assert "numpy" in refused.value.message
    old.write_text("flags\t\t: fpu sse2 avx2 avx512f avx512_vnni\n")
    assert registry.worth_trying("torch") is None


def test_numpy_by_name_is_numpy() -> None:
    assert choose("numpy").engine is FAST


def test_a_program_without_a_node_is_told_once_of_wrong_engines(
    engines: Callable[..., None], caplog: pytest.LogCaptureFixture, unknown: None
) -> None:
    engines(bad=inexact(without_last_bit), numpy=FAST)
    assert engine_for("auto") is FAST
    assert engine_for("auto") is FAST
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert "the engine bad computes wrongly" in record.getMessage()


def test_little_work_is_done_by_numpy_without_a_look_at_others(
    engines: Callable[..., None], unknown: None
) -> None:
    quick, slow = NumpyEngine("quick", FLOATS), NumpyEngine("numpy", INTEGERS)
    engines(quick=quick, numpy=slow)
    assert engine_for("auto", WORTH_MACS - 1) is slow
    assert engine_for("auto", WORTH_MACS) is quick
    assert engine_for("quick", 1) is quick


@pytest.fixture
def unknown() -> Iterator[None]:
    """No engine has been chosen in this process before, nor is the one of this test known afterwards."""
    choosing.forget()
    yield
    choosing.forget()
