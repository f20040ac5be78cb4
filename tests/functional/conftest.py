"""Fixtures of tests with whole nodes."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.node_network import NodeNetwork, node_network


@pytest.fixture
async def network(tmp_path: Path) -> AsyncIterator[NodeNetwork]:
    """Nodes in one loop; all of them must end well."""
    async with node_network(tmp_path) as network:
        yield network
