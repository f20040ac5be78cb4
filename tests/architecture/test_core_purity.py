"""The pure core computes with integers only and depends on its arguments only."""

import ast

import pytest

from tests.support.core_purity import float_violations, order_violations, state_violations
from tests.support.source_tree import PURE_CORE, files_under

# The fence: who may name floats, and why that cannot change a result. An entry without need fails.
FLOAT_FENCE = {
    "nn/gemm.py": "hands integers below 2**53 (2**24) to float BLAS, where every partial sum is exact",
}
# The same for builtins that reach outside the arguments.
STATE_FENCE = {
    "primitives/codegen.py": "compiles codecs from the annotations of dataclasses, as dataclasses does",
}


def test_no_float_outside_the_fence() -> None:
    found = [
        f"{file.path} {violation}"
        for file in files_under(*PURE_CORE)
        if file.path not in FLOAT_FENCE
        for violation in float_violations(file.tree)
    ]
    assert found == []


def test_the_fence_has_no_open_gate() -> None:
    needed = {file.path for file in files_under("nn") if list(float_violations(file.tree))}
    assert FLOAT_FENCE.keys() - needed == set(), "these files need no floats: take them off FLOAT_FENCE"


def test_the_core_depends_on_no_order_of_sets() -> None:
    found = [
        f"{file.path} {violation}"
        for file in files_under(*PURE_CORE)
        for violation in order_violations(file.tree)
    ]
    assert found == []


def test_the_core_keeps_and_reads_no_process_state() -> None:
    found = {file.path: list(state_violations(file.tree)) for file in files_under(*PURE_CORE)}
    outside = {path: violations for path, violations in found.items() if path not in STATE_FENCE}
    assert {path: violations for path, violations in outside.items() if violations} == {}
    assert [path for path in STATE_FENCE if not found.get(path)] == [], "take these off STATE_FENCE"


@pytest.mark.parametrize(
    "source",
    [
        "x = 0.5",
        "x = 2j",
        "y = a / b",
        "a /= 2",
        "y = float(a)",
        "y = float.fromhex(a)",
        "y = np.exp(x)",
        "y = np.log2(x)",
        "y = np.float64(3)",
        "from numpy import float32",
        "y = x.mean()",
        "y = x.astype('float64')",
        "y = np.zeros(3, dtype='<f8')",
        "y = np.random.default_rng(1)",
    ],
)
def test_floats_are_found(source: str) -> None:
    assert list(float_violations(ast.parse(source)))


@pytest.mark.parametrize(
    "source",
    [
        "for x in {1, 2}: f(x)",
        "for x in set(items): f(x)",
        "ys = [f(x) for x in frozenset(items)]",
        "seen = set()\nfor x in seen: f(x)",
        "def g(keys: frozenset[int]): return [f(k) for k in keys]",
        "class A:\n    keys: frozenset[int]\ndef g(a): return tuple({1} | {2})",
        "for key in old.keys() - new.keys(): f(key)",
        "first = next(iter({1, 2}))",
        "raw = b''.join({b'a', b'b'})",
        "ys = [*{1, 2}]",
        "seen = {1}\nx = seen.pop()",
    ],
)
def test_order_of_sets_is_found(source: str) -> None:
    assert list(order_violations(ast.parse(source)))


@pytest.mark.parametrize(
    "source",
    [
        "for x in sorted({1, 2}): f(x)",
        "n = len(set(items))",
        "ok = all(f(x) for x in {1, 2})",
        "ys = {f(x) for x in {1, 2}}",
        "for x in old.keys(): f(x)",
        "for x in a | b: f(x)",
    ],
)
def test_uses_of_sets_that_keep_no_order_pass(source: str) -> None:
    assert list(order_violations(ast.parse(source))) == []


@pytest.mark.parametrize(
    "source",
    [
        "TABLE = {}",
        "TABLE: dict[str, int] = {'a': 1}",
        "SEEN = set()",
        "QUEUE = deque()",
        "TABLE = np.array([1, 2])",
        "def f():\n    global counter\n    counter = 1",
        "h = hash(key)",
        "f = open('x')",
        "print(1)",
    ],
)
def test_process_state_is_found(source: str) -> None:
    assert list(state_violations(ast.parse(source)))


@pytest.mark.parametrize(
    "source",
    [
        "TABLE: Mapping[str, int] = {'a': 1}",
        "TABLE = MappingProxyType({'a': 1})",
        "NAMES = ('a', 'b')",
        "TABLE = np.array([1, 2])\nTABLE.setflags(write=False)",
        "__all__ = ['a']",
        "def f(): return {}",
    ],
)
def test_read_only_globals_pass(source: str) -> None:
    assert list(state_violations(ast.parse(source))) == []
