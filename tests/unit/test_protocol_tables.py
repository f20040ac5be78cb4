"""The tables of PROTOCOL.md are those of the code: kinds, payloads, records, rules, tags, codes."""

from __future__ import annotations

import math
import re
from dataclasses import fields
from typing import Any

import pytest

from engram.consensus import chainspec
from engram.primitives.errors import Invalid, error_classes
from engram.primitives.hashing import Tag
from engram.statemachine.record import Lineage
from engram.statemachine.records import RetentionPart
from engram.statemachine.registry import RECORDS
from engram.statemachine.rounds.records import (
    CandidateId,
    EpochResult,
    OpenedPart,
    PartScore,
    RetentionScore,
    RoundTerms,
    SealedByOther,
)
from engram.statemachine.rounds.terms import Founding
from engram.statemachine.rules import Rules, bounds
from engram.statemachine.transactions import TX_TYPES
from tests.support.source_tree import ROOT

MINUS, NO_BOUND = " \u2212 ", "\u2013"
TEXT = (ROOT / "PROTOCOL.md").read_text("utf-8")


def chapter(title: str) -> str:
    start = TEXT.index(f"# {title}\n")
    return TEXT[start : TEXT.index("\n# ", start)]


def rows(text: str) -> list[list[str]]:
    """Cells of every row of the tables in a text, without heads and rules."""
    lines = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line] for line in lines]


def names(listed: str) -> list[str]:
    """The field names of `name type · name type · …`; a field that is named by its type alone is that."""
    return [re.match(r"\w+", each.strip())[0] for each in listed.split("·")]  # type: ignore[index]  # all match


def field_names(cls: type[Any]) -> list[str]:
    return [field.name for field in fields(cls)]


def test_transaction_types_and_their_payloads() -> None:
    table = [row for row in rows(chapter("Transactions and receipts")) if row[0].isdigit()]
    assert [(int(kind), name) for kind, name, _ in table] == [
        (t.KIND, t.NAME) for _, t in sorted(TX_TYPES.items())
    ]
    for kind, _, payload in table:
        assert names(payload) == field_names(TX_TYPES[int(kind)])


@pytest.mark.parametrize(("name", "cls"), [("terms", RoundTerms), ("founding", Founding)])
def test_terms_and_foundings(name: str, cls: type[Any]) -> None:
    (listed,) = re.findall(rf"^    {name} +=\s*\[(.*?)\]$", chapter("Transactions and receipts"), re.M | re.S)
    assert names(listed) == field_names(cls)


def test_records_and_their_fields() -> None:
    table = [row for row in rows(chapter("Records")) if row[0].isdigit()]
    assert [(int(kind), name) for kind, name, *_ in table] == [
        (k, cls.__name__) for k, cls in sorted(RECORDS.items())
    ]
    for kind, _, _, listed in table:
        assert names(listed) == field_names(RECORDS[int(kind)])


@pytest.mark.parametrize(
    "cls",
    [RetentionPart, Lineage, SealedByOther, PartScore, OpenedPart, CandidateId, EpochResult, RetentionScore],
)
def test_what_stands_in_records(cls: type[Any]) -> None:
    (listed,) = re.findall(rf"\b{cls.__name__} += \[(.*?)\]", chapter("Records"))
    assert names(listed) == field_names(cls)


def flat(record: Any, prefix: str = "") -> list[tuple[str, int]]:
    values = [(field.name, getattr(record, field.name)) for field in fields(record)]
    return [
        item
        for name, value in values
        for item in ([(prefix + name, value)] if isinstance(value, int) else flat(value, f"{name}: "))
    ]


def number(text: str) -> int:
    base, _, exponent = text.replace(",", "").rpartition("10^")
    return int(base.strip("·") or 1) * 10 ** int(exponent) if "^" in text else int(exponent)


def test_rules_and_their_defaults() -> None:
    table = [row for row in rows(chapter("Rules")) if len(row) == 6 and row[0] != "field"]
    columns = [(row[0], row[2]) for row in table] + [(row[3], row[5]) for row in table if row[3]]
    assert [(name, number(value)) for name, value in columns] == flat(Rules())


def bound(text: str, known: dict[str, int], absent: int) -> int:
    """What a cell like `256·chunk_bytes` or 2^63 less 1 comes to under these rules."""
    if text == NO_BOUND:
        return absent
    if MINUS in text:
        first, less = (bound(each, known, absent) for each in text.split(MINUS))
        return first - less
    if "+" in text:
        return sum(bound(each, known, absent) for each in text.split(" + "))
    if "·" in text:
        return math.prod(bound(each, known, absent) for each in text.split("·"))
    base, _, exponent = text.replace(",", "").partition("^")
    return known[base] if base in known else int(base) ** int(exponent or 1)


@pytest.mark.parametrize("spec", [chainspec.main(), chainspec.test(), chainspec.local((), 0)])
def test_rules_and_their_bounds(spec: chainspec.ChainSpec) -> None:
    known = dict(flat(spec.rules))
    table = [row for row in rows(chapter("Rules")) if len(row) == 3 and row[0] != "rule"]
    said = [(name, bound(low, known, 0), bound(high, known, 2**64 - 1)) for name, low, high in table]
    assert said == [(name, low, high) for name, _, low, high in bounds(spec.rules)]


def test_rules_of_the_presets() -> None:
    table = [row for row in rows(chapter("Rules")) if len(row) == 2]
    said = {row[0].strip("`"): row[1].split(" · ") for row in table}
    for spec in (chainspec.main(), chainspec.test(), chainspec.local((), 0)):
        changes = (change.split(" ") for change in said[spec.name])
        changed = set(flat(spec.rules)) - set(flat(Rules()))
        assert {(name, number(value)) for name, value in changes} == changed


def test_tags() -> None:
    (listed,) = re.findall(r"Tags: (.*?)\.\n", TEXT)
    said = {f"engram/{name}" for name in re.findall(r"`(\w+)`", listed)}
    local = {Tag.PRIVATE_KEY, Tag.BLOCK_SPEC, Tag.RECEIPT, Tag.WALLET_CHECK, Tag.SHORT_ID, Tag.CACHE}
    assert said == set(Tag) - local, "tags that no two nodes need to agree on are not listed"


def test_codes() -> None:
    known = {cls.code for cls in error_classes() if issubclass(cls, Invalid)}
    state = "".join(map(chapter, ("Content: blobs, chunks, parts", "Networks in integers", "Rounds")))
    quoted = set(re.findall(r"\(`([a-z_]+)`[),;]", state))
    assert len(quoted) > 50
    assert quoted <= known
