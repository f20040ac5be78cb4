"""What the pure core may not contain, as a function from a syntax tree to violations.

Imports are import-linter's business; this looks at expressions: floats, division, hash order, process
state and mutable globals. Sets are recognised by literal, call and annotation, not by type inference.
"""

import ast
import re
from collections.abc import Iterator

FORBIDDEN_CALLS = frozenset(
    {"__import__", "breakpoint", "complex", "eval", "exec", "float", "hash", "id", "input", "open", "print"}
)
FLOAT_METHODS = frozenset({"mean", "std", "var"})
FLOAT_NUMPY = re.compile(
    r"^(float\w*|double|single|half|longdouble|complex\w*|c?longdouble|exp\w*|log\w*|sqrt|cbrt|sinh?|cosh?|tanh?"
    r"|arc\w+|mean|nanmean|average|median|std|var|quantile|percentile|divide|true_divide|reciprocal|linspace"
    r"|logspace|geomspace|interp|random|linalg|fft|nan|inf|e|pi)$"
)
FLOAT_DTYPE = re.compile(r"^([<>=|]?[fc](2|4|8|16)|[<>=|]?[efdg]|float\d*|double|complex\d*)$")
DTYPE_ARGUMENTS = frozenset({"astype", "dtype", "view", "frombuffer"})

MUTABLE_LITERALS = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
MUTABLE_CALLS = frozenset(
    {"Counter", "OrderedDict", "bytearray", "defaultdict", "deque", "dict", "list", "set"}
)
MUTABLE_ARRAYS = frozenset({"arange", "array", "asarray", "empty", "full", "ones", "zeros"})
READ_ONLY_ANNOTATIONS = re.compile(r"\b(Mapping|Sequence|Collection|Iterable|Set|AbstractSet)\[")
SET_ANNOTATION = re.compile(r"^(ClassVar\[|Final\[)?(frozenset|set|AbstractSet|Set|MutableSet)\b")
KEEPS_NO_ORDER = frozenset({"all", "any", "frozenset", "len", "max", "min", "set", "sorted", "sum"})
TAKES_ORDER = frozenset({"enumerate", "iter", "list", "map", "next", "reversed", "tuple", "zip", "dict"})


def float_violations(tree: ast.Module) -> Iterator[str]:
    """Places where a float could come into being."""
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=float() | complex()):
                yield _at(node, f"float literal {ast.unparse(node)}")
            case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
                yield _at(node, "true division")
            case ast.Call(func=ast.Name(id="float" | "complex" as name)):
                yield _at(node, f"call of {name}()")
            case ast.Attribute(value=ast.Name(id="float"), attr=name):
                yield _at(node, f"float.{name}")
            case ast.Attribute(value=ast.Name(id="np" | "numpy"), attr=name) if FLOAT_NUMPY.match(name):
                yield _at(node, f"float numpy name {name}")
            case ast.ImportFrom(module="numpy"):
                yield from (
                    _at(node, f"float numpy name {alias.name}")
                    for alias in node.names
                    if FLOAT_NUMPY.match(alias.name)
                )
            case ast.Call(func=ast.Attribute(attr=name)) if name in FLOAT_METHODS:
                yield _at(node, f"float method {name}()")
            case ast.Call():
                floats = filter(FLOAT_DTYPE.match, _dtype_strings(node))
                yield from (_at(node, f"float dtype {text!r}") for text in floats)


def order_violations(tree: ast.Module) -> Iterator[str]:
    """Places where the iteration order of a set, hence PYTHONHASHSEED, could reach a result."""
    names = _names_of_sets(tree)
    orderless = _orderless_comprehensions(tree)
    for node in ast.walk(tree):
        match node:
            case ast.For(iter=source) | ast.comprehension(iter=source) if _is_set(source, names):
                if node not in orderless:
                    yield _at(source, f"iteration over a set: {ast.unparse(source)}")
            case ast.Call(func=ast.Name(id=name), args=args) if name in TAKES_ORDER:
                sets = (arg for arg in args if _is_set(arg, names))
                yield from (_at(arg, f"{name}() of a set: {ast.unparse(arg)}") for arg in sets)
            case ast.Call(func=ast.Attribute(attr="join"), args=[arg]) if _is_set(arg, names):
                yield _at(arg, f"join() of a set: {ast.unparse(arg)}")
            case ast.Starred(value=value) if _is_set(value, names):
                yield _at(value, f"unpacking a set: {ast.unparse(value)}")
            case ast.Call(func=ast.Attribute(value=value, attr="pop"), args=[]) if _is_set(value, names):
                yield _at(value, f"pop() of a set: {ast.unparse(value)}")


def state_violations(tree: ast.Module) -> Iterator[str]:
    """Process state: builtins that reach outside, `global`, and mutable module-level values.

    A module-level dict or list is accepted where its annotation is read-only (`Mapping[...]`,
    `Sequence[...]`), since strict mypy then refuses every write; an array where the module makes it
    read-only with `setflags`.
    """
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in FORBIDDEN_CALLS - {"float", "complex"}:
                yield _at(node, f"call of {name}()")
            case ast.Global(names=names):
                yield _at(node, f"global {', '.join(names)}")
    read_only = set(re.findall(r"^(\w+)\.setflags\(write=False\)", ast.unparse(tree), re.MULTILINE))
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                annotation = ""
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value, annotation=written):
                annotation = ast.unparse(written)
            case _:
                continue
        declared_read_only = READ_ONLY_ANNOTATIONS.search(annotation) or name in {"__all__", *read_only}
        if _is_mutable(value) and not declared_read_only:
            yield _at(statement, f"mutable global {name}")


def _at(node: ast.AST, what: str) -> str:
    return f"line {getattr(node, 'lineno', '?')}: {what}"


def _dtype_strings(call: ast.Call) -> Iterator[str]:
    """String constants given to a call as a dtype: by keyword, or as the argument of astype and its like."""
    for keyword in call.keywords:
        if keyword.arg == "dtype" and isinstance(keyword.value, ast.Constant):
            yield str(keyword.value.value)
    if isinstance(call.func, ast.Attribute) and call.func.attr in DTYPE_ARGUMENTS:
        constants = (arg.value for arg in call.args if isinstance(arg, ast.Constant))
        yield from (value for value in constants if isinstance(value, str))


def _names_of_sets(tree: ast.Module) -> frozenset[str]:
    """Names that are a set somewhere in the module: by annotation or by what is assigned to them."""
    names: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.arg(arg=name, annotation=ast.expr() as written) if _names_a_set(written):
                names.add(name)
            case ast.AnnAssign(target=target, annotation=written) if _names_a_set(written):
                names.add(ast.unparse(target))
            case ast.Assign(targets=[target], value=value) if _is_set(value, frozenset()):
                names.add(ast.unparse(target))
    return frozenset(names)


def _names_a_set(annotation: ast.expr) -> bool:
    return SET_ANNOTATION.match(ast.unparse(annotation)) is not None


def _is_set(node: ast.expr, names: frozenset[str]) -> bool:
    match node:
        case ast.Set() | ast.SetComp():
            return True
        case ast.Call(func=ast.Name(id="set" | "frozenset")):
            return True
        case ast.Name() | ast.Attribute():
            return ast.unparse(node) in names
        case ast.BinOp(op=ast.BitOr() | ast.BitAnd() | ast.Sub() | ast.BitXor(), left=left, right=right):
            return any(_is_set(side, names) or _is_keys(side) for side in (left, right))
    return False


def _is_keys(node: ast.expr) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(attr="keys" | "items")):
            return True
    return False


def _orderless_comprehensions(tree: ast.Module) -> frozenset[ast.AST]:
    """Comprehensions whose result forgets the order: in a set, or given to sum() and its like."""
    found: set[ast.AST] = set()
    for node in ast.walk(tree):
        match node:
            case ast.SetComp(generators=generators):
                found.update(generators)
            case ast.Call(func=ast.Name(id=name), args=[ast.GeneratorExp() | ast.ListComp() as made, *_]):
                if name in KEEPS_NO_ORDER:
                    found.update(made.generators)
    return frozenset(found)


def _is_mutable(value: ast.expr) -> bool:
    match value:
        case ast.Call(func=ast.Name(id=name)):
            return name in MUTABLE_CALLS
        case ast.Call(func=ast.Attribute(value=ast.Name(id="np" | "numpy"), attr=name)):
            return name in MUTABLE_ARRAYS
    return isinstance(value, MUTABLE_LITERALS)
