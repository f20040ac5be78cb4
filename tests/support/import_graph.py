"""Which module of the package imports which, and the cycles in that: by module, or by what holds modules."""

from collections.abc import Callable, Iterable, Mapping
from functools import cache

from tests.support.source_tree import shipped_files

Graph = Mapping[str, frozenset[str]]


@cache
def modules() -> Graph:
    """Each module by its dotted name without `engram.`, and the modules it imports, wherever it does so."""
    files = {_name_of(file.path): file for file in shipped_files()}
    return {name: frozenset(_imported(file.imported, files.keys()) - {name}) for name, file in files.items()}


def _name_of(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _imported(names: Iterable[str], known: Iterable[str]) -> set[str]:
    """`engram.a.b.C` is the module `a.b`; what is no module of the package is left out."""
    found, known = set(), frozenset(known)
    for name in names:
        if not name.startswith("engram."):
            continue
        dotted = name.removeprefix("engram.")
        while dotted and dotted not in known:
            dotted = dotted.rpartition(".")[0]
        found |= {dotted} if dotted else set()
    return found


def collapsed(graph: Graph, holder: Callable[[str], str]) -> Graph:
    """The graph between holders of modules, such as packages; what a holder imports of itself is left out."""
    found: dict[str, set[str]] = {}
    for module, imported in graph.items():
        found.setdefault(holder(module), set()).update(map(holder, imported))
    return {name: frozenset(others - {name}) for name, others in found.items()}


def cycle(graph: Graph) -> list[str]:
    """One cycle as the names along it, the first again at the end; empty if the graph goes one way."""
    done: set[str] = set()

    def walk(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return []
        for other in sorted(graph.get(name, ())):
            if found := walk(other, [*path, name]):
                return found
        done.add(name)
        return []

    for name in sorted(graph):
        if found := walk(name, []):
            return found
    return []
