"""The demonstration on MNIST, on one node. The one on digits is in tests/e2e."""

from pathlib import Path

import pytest

from tests.support.mnist import mnist_folder
from tests.support.played_demo import check, play


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_paper_on_mnist_on_one_node(tmp_path: Path) -> None:
    options = ("--data", str(mnist_folder()), "--nodes", "1", "--keep", str(tmp_path / "kept"))
    report, _ = play(tmp_path / "report.json", *options)
    check(report, 1)
    assert report["data"] == "MNIST"
    assert report["test"]["rows"] == 10_000
    assert report["test"]["accuracy"] > 0.85
