"""What people are told to start where the node of a data directory does not run."""

from pathlib import Path

from engram.consensus.chainspec import dev
from engram.participant.connecting import start_words
from tests.support.dev_node import dev_spec


def test_a_chain_for_development_is_started_as_it_was_made() -> None:
    folder = Path("my chain")
    assert start_words(folder, dev((), 0)) == "`engram run --dev --data-dir 'my chain'`"
    assert start_words(folder, dev_spec()).startswith("`engram run --data-dir 'my chain'`, with another")
