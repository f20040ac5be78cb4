"""The wheel holds the package `engram` and nothing else, and runs from an empty environment."""

import json
import shutil
import signal
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

import engram
from engram.node.explorer.serving import STATIC
from tests.support.node_process import NodeCommand, processes
from tests.support.source_tree import (
    NOT_SHIPPED,
    ROOT,
    declared_packages,
    module_name,
    needs_torch,
    package_folder,
    project,
    shipped_files,
)

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("wheel")]


def run(command: Sequence[str | Path], cwd: Path) -> str:
    """Run to the end and return its output; a failure shows that output."""
    done = subprocess.run(
        command, cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built by way of a source distribution, from a copy: a left-over build/ would get into it."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source-tree"  # not a Python name, as a clone's folder may not be
    skipped = shutil.ignore_patterns(*(NOT_SHIPPED - {"docs", "tests"}), ".*", "__pycache__", "*.egg-info")
    shutil.copytree(ROOT, source, ignore=skipped)
    run([sys.executable, "-m", "build", "--no-isolation", "--outdir", folder / "dist", source], cwd=folder)
    (built,) = (folder / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    """The bin folder of a new environment: the wheel is installed, its dependencies are borrowed."""
    environment = wheel.parents[1] / "environment"
    run([sys.executable, "-m", "venv", "--without-pip", environment], cwd=wheel.parent)
    install: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        environment / "bin" / "python",
        "install",
    ]
    run([*install, "--quiet", "--no-deps", "--no-index", wheel], cwd=wheel.parent)
    (site_packages,) = environment.glob("lib/python*/site-packages")
    # A path line adds the folder without running its .pth files: the editable install there stays unseen.
    (site_packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return environment / "bin"


def test_the_wheel_holds_the_listed_packages_and_their_data(wheel: Path) -> None:
    data_patterns = project()["tool"]["setuptools"]["package-data"]
    expected = {
        path.relative_to(ROOT).as_posix()
        for package in declared_packages()
        for pattern in ["*.py", *data_patterns.get(package, [])]
        for path in package_folder(package).glob(pattern)
    }
    names = [name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name]
    assert {name.partition("/")[0] for name in names} == {"engram"}
    assert {name.removeprefix("engram/") for name in names} == expected
    data = {name for name in expected if not name.endswith(".py")}
    folders = ("participant/data/", "node/explorer/static/")
    assert {name for name in data if not name.startswith(folders)} == {
        "py.typed",
        "docs/glossary.md",
        "docs/json.md",
    }
    pages = {path.relative_to(ROOT).as_posix() for path in STATIC.rglob("*") if path.is_file()}
    assert {name for name in data if name.startswith("node/explorer/static/")} == pages


def test_the_wheel_carries_its_licence(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert [name for name in names if name.endswith(".dist-info/licenses/LICENSE")]


def test_the_installed_command_runs_outside_the_checkout(installed: Path, tmp_path: Path) -> None:
    assert run([installed / "engram", "--version"], cwd=tmp_path) == f"engram, version {engram.__version__}\n"
    where = run([installed / "python", "-c", "import engram; print(engram.__file__)"], cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(installed.parent)


def test_every_installed_module_imports(installed: Path, tmp_path: Path) -> None:
    left_out = [module_name(file) for file in shipped_files() if needs_torch(file)]
    program = (
        "import importlib, pkgutil, engram\n"
        "for module in pkgutil.walk_packages(engram.__path__, 'engram.'):\n"
        f"    if module.name in {left_out}: continue\n"
        "    importlib.import_module(module.name)\n"
        "    print(module.name)\n"
    )
    imported = run([installed / "python", "-W", "error", "-c", program], cwd=tmp_path).split()
    assert set(declared_packages()) - {"engram"} <= set(imported)


def test_a_node_of_the_wheel_mines_and_stops(installed: Path, tmp_path: Path) -> None:
    node = NodeCommand(tmp_path, "--dev", program=[str(installed / "engram")])
    with processes(node):
        assert node.call("chain_head")["height"] == 0
        mined = run(
            [installed / "engram", "miner", "mine", "1", "--data-dir", tmp_path, "--json"], cwd=tmp_path
        )
        (header,) = json.loads(mined)
        assert node.call("chain_head")["id"] == header["id"]
        assert node.stop(signal.SIGINT) == 0


def test_the_locked_packages_satisfy_the_wheel(installed: Path, tmp_path: Path) -> None:
    run([sys.executable, "-m", "pip", "--python", installed / "python", "check"], cwd=tmp_path)
