"""What commands tell of a round of which the node has deleted the states."""

import json
from pathlib import Path

import pytest

import engram
from tests.support.cli import Shell

BEYOND = 400
"""Blocks after which a node keeps none of the states before them."""


class Gone(Exception):
    """An author has gone away with the bond still on the chain."""


def leave(line: str) -> None:
    if "scored" in line:
        raise Gone


def test_an_old_round_is_shown_without_its_verdicts(tmp_path: Path) -> None:
    data = engram.load_data("digits")
    first, second = slice(0, 300), slice(300, 600)
    with engram.dev_node(("alice", "bob"), folder=tmp_path) as alice:
        bob = alice.using("bob")
        opened = alice.open_round(data.features[first], data.labels[first], bounty=5)
        with opened.running(), pytest.raises(Gone):
            bob.round().participate(data.features[second], data.labels[second], steps=300, report=leave)
        ended = opened.wait()
        shell = Shell(tmp_path, {})
        fresh = shell.json("round", "show", opened.id)
        assert fresh["verdicts"]
        assert fresh["unjudged"] is None
        alice.advance(BEYOND)
        old = shell.json("round", "show", opened.id)
        assert old == {**old, "status": ended.status, "winner": ended.winner, "verdicts": []}
        assert "pruned" in old["unjudged"]
        assert "pruned" in shell.text("round", "show", opened.id)
        assert "pruned" in str(opened.wait())
        held = shell.json("account", "updates", bob.address)
        assert {(each["paid"], *each["reasons"]) for each in held} == {(None, "state_pruned")}
        assert "pruned" in json.dumps(held)
        assert "state_pruned" in shell.text("account", "updates", bob.address)
