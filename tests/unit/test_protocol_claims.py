"""What claims.md says about claimed rows, chunks, roots and audits gives the bytes of the vectors."""

from typing import Any

import pytest

from tests.support import protocol_oracle as oracle
from tests.support.judging_oracle import Row
from tests.support.protocol_oracle import Wire, dec
from tests.unit.test_protocol_judging import of, payload, records, round_of, scored, vector

CLAIM = 16
"""Place of the claim in the record of a candidate."""
ROOTS, LAST, STATUS = 0, 1, 2
CONFIRMED, REFUTED = 1, 2
CHUNK_ROWS = 8

(SCORED,) = (case for case in vector("tx_score_update") if len(payload(case)) == 5)
(REVEALED,) = (case for case in vector("tx_reveal_update") if len(payload(case)) == 8)
CONFIRMS, DISPUTES = vector("tx_confirm_update"), vector("tx_dispute_claim")


def claimed(rows: list[Row]) -> bytes:
    return b"".join(
        (loss + right * 2**31).to_bytes(4, "little")
        for row in rows
        for loss, right in ((row.base, row.base_right), (row.own, row.own_right))
    )


def named(opened: list[Wire]) -> bytes:
    """What stands before the rows of opened parts."""
    return oracle.list_root([part[0] for part in opened])


def chunks(raw: bytes) -> list[bytes]:
    return [raw[at : at + 8 * CHUNK_ROWS] for at in range(0, len(raw), 8 * CHUNK_ROWS)]


def candidate(case: Any, table: str = "state") -> Wire:
    """That of the payload's round, epoch and author."""
    round_id, epoch, author, *_ = payload(case)
    return next(each for each in records(case, 16, table) if each[:3] == [round_id, epoch, author])


def parts(round_: Wire) -> list[bytes]:
    return [part[0] for part in (*of(round_, "validation_opened"), *of(round_, "unseen"))]


def proved(chunk: Wire, root: bytes) -> bool:
    """Whether the siblings lead from the rows to the root."""
    _, rows, (index, count, siblings) = chunk
    top, rest = oracle.tagged("list_leaf", rows), list(siblings)
    while count > 1:
        if index ^ 1 < count:
            pair = (rest.pop(0), top) if index & 1 else (top, rest.pop(0))
            top = oracle.tagged("list_node", *pair)
        index, count = index >> 1, (count + 1) >> 1
    return not rest and root == oracle.tagged("list_root", chunk[2][1].to_bytes(8, "big"), top)


def test_an_honest_author_claims_what_the_networks_give() -> None:
    round_id, *_, raw = payload(SCORED)
    round_, update = round_of(SCORED, round_id), candidate(SCORED)[5]
    unseen = of(round_, "unseen")
    rows = b"".join(claimed(scored(SCORED, round_, update, part[0])) for part in unseen)
    assert raw == named(unseen) + rows
    claim = candidate(SCORED, "changes")[CLAIM]
    assert claim[ROOTS][1:] == [oracle.list_root(chunks(rows))]
    assert claim[LAST] == SCORED["block"]["tick"]


def test_the_claimed_losses_of_a_reveal_are_the_committed_loss() -> None:
    round_id, *_, loss, _, _, given = payload(REVEALED)
    raw = given[32:]
    assert given[:32] == named(of(round_of(REVEALED, round_id), "validation_opened"))
    words = [int.from_bytes(raw[at : at + 4], "little") for at in range(0, len(raw), 4)]
    assert sum(word & 2**31 - 1 for word in words[1::2]) == loss
    revealed = [each for each in records(REVEALED, 16, "changes") if each[0] == round_id]
    assert oracle.list_root(chunks(raw)) in [each[CLAIM][ROOTS][0] for each in revealed]


@pytest.mark.parametrize(("case", "status"), list(zip(CONFIRMS, (CONFIRMED, REFUTED), strict=True)))
def test_an_audit_draws_chunks_by_blocks_after_the_claim(case: Any, status: int) -> None:
    round_id, _, _, given = payload(case)
    found, round_ = candidate(case), round_of(case, round_id)
    model = next(each for each in records(case, 9) if each[0] == round_[1])
    last, draws = found[CLAIM][LAST], case["rules"]["draw_ticks"]
    ids = {each[1]: each[2] for each in records(case, 3)}
    ids[case["block"]["tick"]] = bytes.fromhex(case["block"]["parent"])
    seed = oracle.tagged(
        "draw", *(ids[tick] for tick in range(last + 2, last + 2 + draws)), found[4], round_id
    )
    places = [(part, chunk) for part in range(len(parts(round_))) for chunk in range(3)]
    drawn = oracle.draw(seed, len(places), min(model[-1][1], len(places)))
    assert [(chunk[0], chunk[2][0]) for chunk in given] == sorted(places[place] for place in drawn)
    assert all(proved(chunk, found[CLAIM][ROOTS][chunk[0]]) for chunk in given)
    truth = {}
    for number, name in enumerate(parts(round_)):
        for place, chunk in enumerate(chunks(claimed(scored(case, round_, found[5], name)))):
            truth[number, place] = chunk
    false = [chunk for chunk in given if truth[chunk[0], chunk[2][0]] != chunk[1]]
    assert bool(false) == (status == REFUTED)
    assert candidate(case, "changes")[CLAIM][STATUS] == status


@pytest.mark.parametrize(("case", "holds"), list(zip(DISPUTES, (True, False), strict=True)))
def test_a_dispute_compares_a_chunk_with_what_the_networks_give(case: Any, holds: bool) -> None:
    round_id, _, _, subject, chunk = payload(case)
    found, round_ = candidate(case), round_of(case, round_id)
    assert subject == oracle.list_root([of(round_, "base"), found[4], parts(round_)[chunk[0]]])
    true = chunks(claimed(scored(case, round_, found[5], parts(round_)[chunk[0]])))[chunk[2][0]]
    assert proved(chunk, found[CLAIM][ROOTS][chunk[0]])
    assert (true == chunk[1]) is holds
    receipt = dec(bytes.fromhex(case["receipts"][0]["bytes"]))
    assert receipt[2] == ("claim_holds" if holds else "")
    if not holds:
        after = candidate(case, "changes")
        assert (after[7], after[CLAIM][STATUS]) == (0, REFUTED)
        (event,) = (each for each in receipt[5] if each[0] == "claim_refuted")
        assert event[2][-1] == found[7] // 2
