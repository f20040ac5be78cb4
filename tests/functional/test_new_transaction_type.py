"""The paper's modularity: a copy of the tree gets a new transaction type by a file, a line and a vector.

The copy applies it from its activation height on, and its vector tests hold the new type to its vector. The
tree as it stands, on the same chain, stops by name at that height.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from engram.primitives.errors import Invalid
from engram.statemachine.errors import UpgradeRequired
from engram.statemachine.transactions import TX_TYPES
from engram.statemachine.transactions.transfer import Transfer
from engram.statemachine.upgrades import FROM_GENESIS
from tests.support.ledger import Ledger, key
from tests.support.source_tree import ROOT

KIND, HEIGHT = 1_000, 4
NEW_FILE = '''"""Burn: the sender destroys sparks of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engram.primitives.types import U64, Address, Hash
from engram.statemachine import money
from engram.statemachine.context import BlockContext
from engram.statemachine.rules import Rules
from engram.statemachine.state import State
from engram.statemachine.transaction import Cost, Outcome


@dataclass(frozen=True)
class Burn:
    KIND: ClassVar[int] = 1_000
    NAME: ClassVar[str] = "burn"
    amount: U64

    def check(self, rules: Rules) -> None:
        return None

    def cost(self, state: State, ctx: BlockContext, sender: Address) -> Cost:
        return Cost(funds=self.amount)

    def apply(self, state: State, ctx: BlockContext, sender: Address, txid: Hash) -> Outcome:
        money.take(state, sender, self.amount)
        money.burn(state, self.amount)
        return Outcome()
'''
PROBE = """
import json
from engram.primitives.errors import Invalid
from engram.statemachine.records import Supply
from engram.statemachine.transactions.burn import Burn
from engram.statemachine.upgrades import FROM_GENESIS
from tests.support.ledger import key
from tests.support.tx_vectors import FOLDER, RecordingLedger

ledger = RecordingLedger({key(1): 10**9})
ledger.active = tuple(pair for pair in FROM_GENESIS if pair[0] != 1_000) + ((1_000, 4),)
codes = []
for _ in range(4):
    try:
        codes.append(ledger.send(key(1), Burn(7)).code)
    except Invalid as error:
        codes.append(error.code)
        ledger.block()
(FOLDER / "tx_burn.json").write_text(json.dumps(ledger.cases))
print(json.dumps({"codes": codes, "burned": ledger.state.get(Supply).burned}))
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The core and its tests in a folder of their own, with the new type."""
    tree = tmp_path / "engram"
    for name in ("primitives", "nn", "statemachine", "tests/support", "tests/vectors"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    vector_tests = "tests/unit/statemachine/test_vectors.py"
    for name in ("__init__.py", "pyproject.toml", "tests/conftest.py", vector_tests):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tree / name)
    registry = tree / "statemachine/transactions/__init__.py"
    text = registry.read_text("utf-8")
    assert text.count("    Transfer,\n") == 1
    (tree / "statemachine/transactions/burn.py").write_text(NEW_FILE, "utf-8")
    imports = "from engram.statemachine.transactions.burn import Burn\n_TYPES: "
    text = text.replace("    Transfer,\n", "    Transfer,\n    Burn,\n").replace("_TYPES: ", imports, 1)
    registry.write_text(text, "utf-8")
    return tree


def run(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python in the copy, which stands before every other `engram`."""
    paths = os.pathsep.join([str(tree.parent), str(tree)])
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_one_file_one_line_one_vector(copy: Path) -> None:
    suite = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/unit/statemachine/test_vectors.py")
    without = run(copy, *suite, "-k", "every_type or burn")
    assert without.returncode == 1, without.stdout + without.stderr
    assert "test_every_type_has_a_vector" in without.stdout

    played = run(copy, "-c", PROBE)
    assert played.returncode == 0, played.stderr
    assert json.loads(played.stdout) == {"codes": ["not_activated"] * 3 + [""], "burned": 7 + 10_240 * 7 // 8}

    with_vector = run(copy, *suite, "-k", "every_type or burn")
    assert with_vector.returncode == 0, with_vector.stdout + with_vector.stderr
    assert "4 passed" in with_vector.stdout


def test_the_tree_without_it_stops_at_the_height() -> None:
    assert KIND not in TX_TYPES
    ledger = Ledger({key(1): 10**9})
    ledger.active = (*FROM_GENESIS, (KIND, HEIGHT))
    ledger.skip_to(HEIGHT)
    with pytest.raises(UpgradeRequired) as caught:
        ledger.block(ledger.pay(key(1), Transfer(bytes(20), 1)))
    assert (caught.value.code, caught.value.expected) == ("upgrade_required", KIND)
    assert not isinstance(caught.value, Invalid)
