"""Settings every test shares: one BLAS thread, Ctrl-C, hypothesis profiles, the event-loop watchdog."""

import os
import signal
from collections.abc import AsyncIterator

# Before numpy is imported, and inherited by the nodes that tests start.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# A script's background jobs ignore Ctrl-C, and so would the processes that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import pytest
from hypothesis import settings

from tests.support.loop_watchdog import LoopWatchdog

# More examples for a night's run: ENGRAM_TEST_EXAMPLES=5000 make test ARGS=tests/property
USUAL_EXAMPLES = 50
EXAMPLES = int(os.environ.get("ENGRAM_TEST_EXAMPLES", USUAL_EXAMPLES))
settings.register_profile("local", deadline=None, max_examples=EXAMPLES)
settings.register_profile("ci", deadline=None, max_examples=EXAMPLES, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests first, then groups, however the rest is shuffled: else the last of them runs alone at the
    end.
    """
    first = ("slow", "xdist_group")
    items.sort(key=lambda item: [item.get_closest_marker(mark) is None for mark in first])


@pytest.fixture
async def loop_watchdog() -> AsyncIterator[LoopWatchdog]:
    """Fails the test that asks for it if anything blocks its event loop for half a second."""
    with LoopWatchdog() as watchdog:
        yield watchdog
    if watchdog.stacks:
        pytest.fail("\n".join(watchdog.stacks))
