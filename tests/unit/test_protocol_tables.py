"""The tables of docs/protocol are those of the code: kinds, payloads, records, rules, tags, codes, events."""

from __future__ import annotations

import math
import re
from dataclasses import asdict, fields
from typing import Any

import pytest

import engram.commands.support.errors
import engram.participant.errors  # noqa: F401  (registers its codes, as the line before)
from engram.consensus import chainspec
from engram.primitives.errors import Invalid, error_classes
from engram.primitives.hashing import Tag
from engram.statemachine.records import GrowthLimits, NamedWitness, RetentionPart
from engram.statemachine.registry import RECORDS
from engram.statemachine.rounds.records import (
    ClassRows,
    EpochBest,
    EpochResult,
    GroupScore,
    HalfWeight,
    OpenedPart,
    RoundTerms,
    RoundWitness,
    Tally,
)
from engram.statemachine.rounds.terms import Founding
from engram.statemachine.rules import Rules, bounds
from engram.statemachine.transactions import TX_TYPES
from tests.support.codec_samples import Empty, Envelope, Everything, Note, Pay
from tests.support.protocol_text import chapter, rows, section
from tests.support.source_tree import ROOT

MINUS, NO_BOUND, NO_CHANGE = " \u2212 ", "\u2013", "-"
STATE_MACHINE = sorted((ROOT / "statemachine").rglob("*.py"))
EVENT = re.compile(r"\b_?[Ee]vent\(\s*\"(\w+)\"")


def names(listed: str) -> list[str]:
    """The field names of `name type · name type · …`; a field that is named by its type alone is that."""
    return [re.match(r"\w+", each.strip())[0] for each in listed.split("·")]  # type: ignore[index]  # all match


def field_names(cls: type[Any]) -> list[str]:
    return [field.name for field in fields(cls)]


def test_transaction_types_and_their_payloads() -> None:
    table = [row for row in rows(section("encoding", "Payloads")) if row[0].isdigit()]
    assert [(int(kind), name) for kind, name, _ in table] == [
        (t.KIND, t.NAME) for _, t in sorted(TX_TYPES.items())
    ]
    for kind, _, payload in table:
        assert names(payload) == field_names(TX_TYPES[int(kind)])


@pytest.mark.parametrize(
    ("heading", "cls"), [("Terms of a round", RoundTerms), ("Foundings", Founding)], ids=["terms", "founding"]
)
def test_terms_and_foundings(heading: str, cls: type[Any]) -> None:
    assert [field for field, *_ in rows(section("encoding", heading))] == field_names(cls)


def test_records() -> None:
    table = [row for row in rows(section("fees-rules-records", "Records")) if row[0].isdigit()]
    assert [(int(kind), name) for kind, name, *_ in table] == [
        (k, cls.__name__) for k, cls in sorted(RECORDS.items())
    ]


@pytest.mark.parametrize("cls", RECORDS.values(), ids=lambda cls: cls.__name__)
def test_fields_of_records(cls: type[Any]) -> None:
    table = rows(section("fees-rules-records", cls.__name__))
    assert [field for field, *_ in table] == field_names(cls)


@pytest.mark.parametrize(
    "cls",
    [
        RetentionPart,
        NamedWitness,
        GrowthLimits,
        RoundWitness,
        OpenedPart,
        EpochResult,
        EpochBest,
        HalfWeight,
        Tally,
        GroupScore,
        ClassRows,
    ],
)
def test_what_stands_in_records(cls: type[Any]) -> None:
    (listed,) = re.findall(
        rf"\b{cls.__name__} += \[(.*?)\]",
        section("fees-rules-records", "Records that stand in other records"),
    )
    assert names(listed) == field_names(cls)


def test_what_a_growth_may_append_where_nobody_says_otherwise() -> None:
    text = section("fees-rules-records", "Records that stand in other records")
    (said,) = re.findall(r"the defaults of this implementation are ([^.]+)\.", text)
    assert [int(each.replace(",", "")) for each in re.findall(r"[\d,]*\d", said)] == list(
        asdict(GrowthLimits()).values()
    )


@pytest.mark.parametrize("cls", [Pay, Note, Empty, Envelope, Everything])
def test_types_of_the_codec_vectors(cls: type[Any]) -> None:
    form = rf"(?ms)^    {cls.__name__} += \[(.*?)\](?=\n\n|\n    \w+ +=)"
    (listed,) = re.findall(form, section("vectors", "Primitives"))
    assert (names(listed) if listed else []) == field_names(cls)


def test_every_file_of_vectors_is_described() -> None:
    described = re.findall(r"`((?:primitives|nn|consensus|p2p)_\w+)`", chapter("vectors"))
    files = {path.stem for path in (ROOT / "tests/vectors").glob("*.json") if path.stem != "error_codes"}
    assert set(described) == {name for name in files if not name.startswith("tx_")}


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
    table = [row for row in rows(section("fees-rules-records", "Rules")) if len(row) == 4]
    assert [(name, number(value)) for name, _, value, _ in table] == flat(Rules())


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


PRESETS = (
    *(chainspec.main(), chainspec.test()),
    *(make((), 0) for make in (chainspec.consortium, chainspec.cluster, chainspec.local)),
)


@pytest.mark.parametrize("spec", PRESETS)
def test_rules_and_their_bounds(spec: chainspec.ChainSpec) -> None:
    known = dict(flat(spec.rules))
    table = rows(section("fees-rules-records", "Bounds of the rules"))
    said = [(name, bound(low, known, 0), bound(high, known, 2**64 - 1)) for name, low, high in table]
    assert said == [(name, low, high) for name, _, low, high in bounds(spec.rules)]


def test_rules_of_the_presets() -> None:
    text = section("fees-rules-records", "Rules of the presets")
    named = re.findall(r"`(\w+)` \|", text)
    table, specs = rows(text), {spec.name: spec for spec in PRESETS}
    assert set(named) == set(specs)
    for column, name in enumerate(named, 1):
        said = {
            rule: number(value)
            for row in table
            if row[column] != NO_CHANGE
            for rule, value in zip(row[0].split(" · "), row[column].split(" · "), strict=True)
        }
        known = set(flat(specs[name].rules))
        assert known - set(flat(Rules())) <= set(said.items()) <= known


def test_tags() -> None:
    said = {f"engram/{name.strip('`')}" for name, _ in rows(section("encoding", "Hashes"))}
    local = {Tag.PRIVATE_KEY, Tag.BLOCK_SPEC, Tag.RECEIPT, Tag.WALLET_CHECK, Tag.SHORT_ID, Tag.CACHE}
    local |= {Tag.BANK, Tag.STATISTICS, Tag.MIXTURES, Tag.STATEMENT}
    assert said == set(Tag) - local, "tags that no two nodes need to agree on are not listed"


def test_codes() -> None:
    known = {cls.code for cls in error_classes() if issubclass(cls, Invalid)}
    content = section("fees-rules-records", "Content: blobs, chunks, parts")
    state = content + chapter("networks") + chapter("rounds")
    quoted = set(re.findall(r"\(`([a-z_]+)`[),;]", state))
    assert len(quoted) > 50
    assert quoted <= known


def test_codes_of_blocks_proofs_and_simple_transactions() -> None:
    known = {cls.code for cls in error_classes()} | {
        f"missing_{cls.__name__.lower()}" for cls in RECORDS.values()
    }
    text = "".join(map(chapter, ("encoding", "chain", "fees-rules-records", "proofs")))
    quoted = set(re.findall(r"\(`([a-z_]+)`[),;]", text))
    assert len(quoted) > 50
    assert quoted <= known


def test_events_of_rounds() -> None:
    said = {name.partition(" ")[0] for name, *_ in rows(section("rounds", "10. Events"))}
    made = {name for path in STATE_MACHINE for name in EVENT.findall(path.read_text("utf-8"))}
    outside = section("fees-rules-records", "Content: blobs, chunks, parts") + section(
        "fees-rules-records", "Transactions outside rounds"
    )
    assert said <= made
    assert {name for name in made - said if name not in outside} == set()
