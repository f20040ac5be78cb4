"""Fixtures of tests with whole nodes."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.node_network import NodeNetwork, node_network
from tests.support.played_scene import Scene, played_scene


@pytest.fixture
async def network(tmp_path: Path) -> AsyncIterator[NodeNetwork]:
    """Nodes in one loop; all of them must end well."""
    async with node_network(tmp_path) as network:
        yield network


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """One node for all modules that ask models on it; they belong to one group of xdist."""
    with played_scene(tmp_path_factory.mktemp("node")) as scene:
        yield scene
