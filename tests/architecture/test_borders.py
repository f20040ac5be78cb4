"""Each third-party library is imported at its own border; p2p stands on primitives alone."""

import re

import pytest

from tests.support.source_tree import (
    files_under,
    project,
    shipped_files,
)

# Import name -> the files, or folders ending in "/", that may import it.
BORDERS = {
    "PIL": ("participant/tables/images.py",),
    "aiohttp": (
        "node/client.py",
        "node/holding.py",
        "node/unreachable.py",
        "node/rpc/connection.py",
        "node/rpc/server.py",
        "p2p/transport.py",
        "participant/learn/endpoint.py",
    ),
    "click": ("cli.py", "commands/"),
    "cryptography": ("node/keystore.py", "node/sealing.py", "p2p/certificate.py", "primitives/keys.py"),
    "distributed": ("participant/experiments/cluster.py",),
    "google_crc32c": ("node/",),
    "markdown_it": ("participant/experiments/rendering.py",),
    "matplotlib": ("participant/experiments/plotting.py",),
    "msgpack": ("primitives/codec.py",),
    "numpy": (
        "library/",
        "nn/",
        "node/engines/",
        "participant/",
        "statemachine/rounds/",
        "statemachine/scoring.py",
    ),
    "onnx": ("library/network.py", "library/onnx_"),
    "onnxruntime": ("library/onnx_format.py",),
    "platformdirs": ("node/config.py",),
    "plyvel": ("node/storage/db.py",),
    "prometheus_client": ("node/metrics.py",),
    "psutil": ("node/", "participant/"),
    "pyarrow": ("participant/tables/parquet.py",),
    "rich": ("cli.py", "commands/"),
    "sklearn": ("library/sklearn_format.py",),
    "sortedcontainers": ("node/",),
    "structlog": ("node/",),
    "torch": (
        "library/torch_",
        "node/engines/torch_",
        "participant/training/torch_fit.py",
        "participant/training/torch_network.py",
    ),
}


def declared_libraries() -> set[str]:
    """Import names of the runtime dependencies and extras: nearly always the distribution's."""
    given = project()["project"]
    extras = (line for lines in given["optional-dependencies"].values() for line in lines)
    names = (re.match(r"[\w-]+", requirement) for requirement in (*given["dependencies"], *extras))
    plain = {name[0] for name in names if name is not None}
    imported = {"markdown-it-py": "markdown_it", "pillow": "PIL", "scikit-learn": "sklearn"}
    return {imported.get(name, name.replace("-", "_")) for name in plain}


def test_libraries_are_imported_at_their_borders_only() -> None:
    strangers = [
        f"{file.path} imports {library}"
        for file in shipped_files()
        for library in sorted(file.libraries)
        if not file.path.startswith(BORDERS.get(library, ()))
    ]
    assert strangers == []


def test_every_border_belongs_to_a_declared_dependency() -> None:
    assert set(BORDERS) == declared_libraries()


@pytest.mark.parametrize("library", sorted(BORDERS))
def test_every_declared_dependency_is_used(library: str) -> None:
    users = [file.path for file in shipped_files() if library in file.libraries]
    assert users, f"nothing imports {library}: take it out of pyproject.toml"


def test_p2p_knows_no_rule_of_the_chain() -> None:
    rules = [
        f"{file.path} imports {name}"
        for file in files_under("p2p")
        for name in sorted(file.imported)
        if name.startswith("engram.") and not name.startswith(("engram.p2p.", "engram.primitives."))
    ]
    assert rules == []


def test_no_bare_or_relative_import_of_an_own_package() -> None:
    own = {file.path.partition("/")[0].removesuffix(".py") for file in shipped_files()}
    everything = (*shipped_files(), *files_under("tests", "benchmarks"))
    bare = [
        f"{file.path} imports {name}"
        for file in everything
        for name in sorted(file.imported)
        if name.partition(".")[0] in own | {"None"}
    ]
    assert bare == []
