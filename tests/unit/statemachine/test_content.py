"""Blobs by name: when they can be named, who holds them, when they die."""

import pytest

from engram.statemachine import errors
from engram.statemachine.content import (
    Inline,
    Stored,
    blob_id,
    bring,
    carried_blobs,
    content_size,
    hold,
    release,
    resolve,
    usable_blob,
)
from engram.statemachine.records import Blob
from engram.statemachine.rules import Rules
from tests.support.ledger import Ledger

RAW = b"some bytes"
ID = blob_id(RAW)
EXPIRY = 5


def ledger_with(*blobs: Blob) -> Ledger:
    ledger = Ledger({}, rules=Rules(upload_expiry_ticks=EXPIRY), records=blobs)
    ledger.blobs[ID] = RAW
    return ledger


def test_inline_bytes_are_brought_and_stored_ones_are_not() -> None:
    assert carried_blobs(Inline(RAW)) == {ID: RAW}
    assert carried_blobs(Stored(ID)) == {}


def test_inline_bytes_need_no_record() -> None:
    ledger = ledger_with()
    assert resolve(ledger.state, ledger.ctx, Inline(RAW)) == RAW
    assert content_size(ledger.state, ledger.ctx, Inline(RAW)) == len(RAW)


def test_stored_bytes_are_read_by_name() -> None:
    ledger = ledger_with(Blob(ID, 77, 0, 0, 1))
    assert resolve(ledger.state, ledger.ctx, Stored(ID)) == RAW
    assert content_size(ledger.state, ledger.ctx, Stored(ID)) == 77


def test_bytes_that_nobody_brought_are_unknown_even_where_a_node_has_them() -> None:
    ledger = ledger_with()
    with pytest.raises(errors.UnknownBlob):
        resolve(ledger.state, ledger.ctx, Stored(ID))


def test_bytes_that_a_node_lacks_are_no_verdict() -> None:
    ledger = ledger_with(Blob(ID, 77, 0, 0, 1))
    del ledger.blobs[ID]
    with pytest.raises(errors.MissingBlob):
        resolve(ledger.state, ledger.ctx, Stored(ID))


def test_bytes_of_this_block_cannot_be_named_in_it() -> None:
    ledger = ledger_with()
    state, ctx = ledger.state, ledger.ctx
    assert bring(state, ctx, RAW) == ID
    with pytest.raises(errors.BlobNotUsable) as caught:
        usable_blob(state, ctx, ID)
    assert (caught.value.expected, caught.value.got) == (2, 1)


def test_a_blob_that_nobody_holds_dies() -> None:
    ledger = ledger_with(Blob(ID, len(RAW), 0, EXPIRY, 0))
    ledger.skip_to(EXPIRY)
    assert usable_blob(ledger.state, ledger.ctx, ID).refs == 0
    ledger.block()
    with pytest.raises(errors.BlobExpired) as caught:
        usable_blob(ledger.state, ledger.ctx, ID)
    assert (caught.value.expected, caught.value.got) == (EXPIRY - 1, EXPIRY)


def test_a_blob_that_is_held_lives() -> None:
    ledger = ledger_with(Blob(ID, len(RAW), 0, 0, 1))
    ledger.skip_to(4 * EXPIRY)
    assert usable_blob(ledger.state, ledger.ctx, ID).refs == 1


def test_the_last_release_starts_the_expiry() -> None:
    ledger = ledger_with(Blob(ID, len(RAW), 0, EXPIRY, 0))
    ledger.skip_to(3)
    state, ctx = ledger.state, ledger.ctx
    hold(state, ID)
    hold(state, ID)
    release(state, ctx, ID)
    assert state.get(Blob, ID) == Blob(ID, len(RAW), 0, EXPIRY, 1)
    release(state, ctx, ID)
    assert state.get(Blob, ID) == Blob(ID, len(RAW), 2, 2 + EXPIRY, 0)
    assert usable_blob(state, ctx, ID).refs == 0


def test_releasing_what_nobody_holds_is_our_bug() -> None:
    ledger = ledger_with(Blob(ID, len(RAW), 0, EXPIRY, 0))
    with pytest.raises(AssertionError):
        release(ledger.state, ledger.ctx, ID)


def test_bringing_living_bytes_again_changes_nothing() -> None:
    ledger = ledger_with(Blob(ID, len(RAW), 0, 0, 3))
    state = ledger.state
    bring(state, ledger.ctx, RAW)
    assert state.changes() == {}


def test_bringing_dead_bytes_revives_them() -> None:
    ledger = ledger_with(Blob(ID, len(RAW), 0, EXPIRY, 0))
    ledger.skip_to(EXPIRY + 1)
    state = ledger.state
    bring(state, ledger.ctx, RAW)
    assert state.get(Blob, ID) == Blob(ID, len(RAW), EXPIRY + 1, 2 * EXPIRY, 0)
