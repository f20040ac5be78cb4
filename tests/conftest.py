"""Settings every test shares: one BLAS thread, Ctrl-C, hypothesis profiles, the event-loop watchdog."""

import gc
import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from pathlib import Path
from typing import Any

# Before numpy is imported, and inherited by the nodes that tests start.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# A script's background jobs ignore Ctrl-C, and so would the processes that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# Under nohup, they would ignore a hang-up. A handler, unlike an order to ignore, is not inherited.
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda number, frame: None)

import pytest
from hypothesis import HealthCheck, settings

from tests.support import faults
from tests.support.loop_watchdog import LoopWatchdog

# More examples for a night's run: ENGRAM_TEST_EXAMPLES=5000 make test ARGS=tests/property
USUAL_EXAMPLES = 50
EXAMPLES = int(os.environ.get("ENGRAM_TEST_EXAMPLES", USUAL_EXAMPLES))
# Inputs that come slowly are no failure on a machine that is busy.
PATIENT: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow],
    "max_examples": EXAMPLES,
}
settings.register_profile("local", **PATIENT)
settings.register_profile("ci", **PATIENT, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests first, then groups, however the rest is shuffled: else the last of them runs alone at the
    end.
    """
    first = ("slow", "xdist_group")
    items.sort(key=lambda item: [item.get_closest_marker(mark) is None for mark in first])


def pytest_collection_finish() -> None:
    """Keeps the collector away from what has been imported and collected, some 400,000 objects.

    They stay until the end. Many tests collect garbage to see whether something is gone, and would look
    through all of these each time: that took a quarter of the time of all tests.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def answers_held() -> Iterator[None]:
    """Whatever a test asks a node is held against the schema that the node gives of it."""
    from tests.support.rpc_shapes import every_answer_held

    with every_answer_held():
        yield


@pytest.fixture
async def loop_watchdog() -> AsyncIterator[LoopWatchdog]:
    """Fails the test that asks for it if anything blocks its event loop for half a second."""
    with LoopWatchdog() as watchdog:
        yield watchdog
    if watchdog.stacks:
        pytest.fail("\n".join(watchdog.stacks))


@pytest.fixture
def fault(record_property: Callable[[str, Any], None]) -> faults.Played:
    """What a test with the mark `fault(id=N)` tells of the inputs that were survived."""
    return faults.Played(record_property)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Under `make faults`, notes what became of each test that plays a fault."""
    report = yield
    rows = os.environ.get(faults.ROWS_VARIABLE)
    # A test that fails in its set-up or is skipped there has no call.
    if rows and (report.when == "call" or (report.when == "setup" and not report.passed)):
        lines = [json.dumps(faults.row(report, mark)) for mark in item.iter_markers("fault")]
        with Path(rows).open("a") as out:
            out.write("".join(line + "\n" for line in lines))
    return report
