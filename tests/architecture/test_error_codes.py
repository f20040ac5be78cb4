"""Every error class of the package has a code of its own, spelt as its name."""

import importlib
import json
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from engram.primitives.errors import FAMILIES, all_error_codes, error_classes
from tests.support.source_tree import module_name, needs_torch, shipped_files

PINNED = Path(__file__).parents[1] / "vectors/error_codes.json"
SHORT_CODES = {"ChainError": "chain", "CodecError": "codec", "StorageError": "storage"}


@cache
def import_everything() -> None:
    for file in shipped_files():
        if find_spec("torch") is not None or not needs_torch(file):
            importlib.import_module(module_name(file))


def package_error_codes() -> dict[str, set[str]]:
    import_everything()
    named = {
        code: {cls.__name__ for cls in classes if cls.__module__.startswith("engram.")}
        for code, classes in all_error_codes().items()
    }
    return {code: names for code, names in named.items() if names}


def test_the_codes_are_those_that_clients_know() -> None:
    """A code is a promise to clients. Whoever adds, renames or removes an error class says so in the file."""
    import_everything()
    classes = [cls for cls in error_classes() if cls.__module__.startswith("engram.")]
    assert {f"{cls.__module__}.{cls.__qualname__}": cls.code for cls in classes} == json.loads(
        PINNED.read_text()
    )


def test_no_two_errors_share_a_code() -> None:
    assert {code: names for code, names in package_error_codes().items() if len(names) > 1} == {}


def test_a_code_is_the_name_in_snake_case() -> None:
    wrong = {
        name: code
        for code, names in package_error_codes().items()
        for name in names
        if code != SHORT_CODES.get(name, re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower())
    }
    assert wrong == {}


def test_every_family_is_part_of_the_tree() -> None:
    assert set(error_classes()) >= FAMILIES


def test_every_error_says_what_it_means() -> None:
    import_everything()
    undocumented = [cls.__name__ for cls in error_classes() if "__doc__" not in vars(cls) or not cls.__doc__]
    assert undocumented == []
