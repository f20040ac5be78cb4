"""What a person reads of the records that a proof shows: a few groups of lines, with their units.

`library/proof_facts.py` has the same facts for programs, `library/proof_words.py` the sentences that say what
they mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from engram.library.claim_words import claim_words
from engram.library.proof_keys import key_words
from engram.library.proof_words import witness_words
from engram.node.amounts import NO_WORK, accuracy, mean_loss

_FROZEN: Final = {
    True: "yes: no later version changes its weights",
    False: "no: a later version may change its weights",
    None: "this proof does not tell",
}
_MADE: Final = {"train": "all weights trained", "grow": "neurons added to the version before"}


def record_fields(known: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Names and values to print; `known` is what `facts` gives. Lines that say nothing are left out."""
    fields = (
        ("chain", _chain(known)),
        ("model", _model(known)),
        ("measured in its round", _measured(known)),
        ("weights", _weights(known["tensors"])),
    )
    return [(name, value) for name, value in fields if value]


def record_lines(known: Mapping[str, Any]) -> list[str]:
    """The same as lines of text, those of a group indented below its name; ids and keys stand there whole."""
    lines = []
    for group, fields in record_fields(known):
        width = max((len(name) for name, value in fields.items() if not isinstance(value, list)), default=0)
        lines.append(group)
        for name, value in fields.items():
            if isinstance(value, list):
                lines += [f"  {name}", *(f"    {item}" for item in value)]
            else:
                lines.append(f"  {name.ljust(width)}  {value}")
    return lines


def _chain(known: Mapping[str, Any]) -> dict[str, Any]:
    block, head, above = known["block"], known["head"], known["confirmations"]
    return _said(
        {
            "name": known["chain"],
            "spec_id": known["spec_id"],
            "its first block": known["genesis"],
            "proven block": f"at height {block['height']}, of {block['time']}",
            "id of that block": block["id"],
            "blocks on top": f"{above:,}, up to height {head['height']}" if above else "none",
            "your checkpoint": known["checkpoint"],
            "work to forge it": _work(known),
        }
    )


def _work(known: Mapping[str, Any]) -> str | None:
    if not known["has_work"]:
        return NO_WORK
    asked = f"; you asked for {known['min_work']:,}" if known["min_work"] else ""
    return f"{known['work']:,} hash attempts{asked}" if known["work"] else None


def _model(known: Mapping[str, Any]) -> dict[str, Any]:
    fork = known["fork_of"]
    standing = "the current one" if known["current"] else "no longer the current one"
    made = "" if known["version"] == 0 else f", {_MADE[known['kind']]}"
    return _said(
        {
            "id": known["model"],
            "fork of": None if fork is None else f"version {known['fork_of_version']} of {fork}",
            "founder": known["founder"],
            "version": f"{known['version']}, {standing} at that block{made}",
            "frozen": _FROZEN[known["frozen"]],
            "its author": known["author"],
            "unites growths of": known["halves"],
            "opener of its round": known["opener"],
            "one key": key_words(known),
            "classes": known["classes"],
            "its scores": claim_words(known["claims"]),
            "hidden neurons": [
                f"{each['neurons']:,} since version {each['version']}, by {each['author']}"
                for each in known["lineage"]
            ],
            "parameters root": known["root"],
        }
    )


def _measured(known: Mapping[str, Any]) -> dict[str, Any]:
    """Mean losses in nats a row; nothing of a version that no round has made."""
    if known["version"] == 0:
        return {}
    right = accuracy(known["sealed_correct"], known["sealed_rows"])
    return _said(
        {
            "rows opened before training": _loss(known, "validation"),
            "rows sealed till the end": f"{_loss(known, 'sealed')}, {right} right",
            "on the witnesses' side": _beside(known, "witness"),
            "on the opener's side": _beside(known, "opener"),
            "witnesses": [witness_words(witness) for witness in known["witnesses"]] or "none opened a part",
        }
    )


def _loss(known: Mapping[str, Any], whose: str) -> str:
    rows = known[f"{whose}_rows"]
    return f"{rows:,} rows, mean loss {mean_loss(known[f'{whose}_loss'], rows)} nats"


def _beside(known: Mapping[str, Any], whose: str) -> str:
    """A loss and that of the baseline."""
    rows = known[f"{whose}_rows"]
    if not rows:
        return "none"
    return f"{_loss(known, whose)}, the baseline's {mean_loss(known[f'{whose}_baseline'], rows)}"


def _weights(tensors: list[str]) -> dict[str, Any]:
    """The tables of whole numbers that the version brought, by the hash of their bytes."""
    count = len(tensors)
    return {f"{count:,} tables of integers (tensors), each known by the hash of its bytes": tensors}


def _said(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in (None, [], "")}
