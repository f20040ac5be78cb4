"""What rounds.md says about baselines, scores and payments gives the numbers of the vectors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support import evaluation_oracle as evaluation
from tests.support import judging_oracle as judge
from tests.support import networks_oracle as nets
from tests.support import protocol_oracle as oracle
from tests.support.judging_oracle import Row
from tests.support.networks_oracle import Composed
from tests.support.protocol_oracle import Wire, dec

FOLDER = Path(__file__).resolve().parents[1] / "vectors"
TRAIN, GROW = 0, 1
KIND_OF_LOSS = 1
EXPLICIT = 1
RETENTION = 23
"""Place of the retention parts in the record of a model."""
CARRIED, LOST_PPM = 19, 20
FIELDS = {
    "version": 5,
    "base": 6,
    "classes": 7,
    "old_classes": 8,
    "standing": 9,
    "pot": 12,
    "carried": 13,
    "witnesses": 14,
    "validation_opened": 21,
    "validation_counts": 22,
    "unseen": 23,
    "unseen_counts": 24,
    "best": 26,
    "winner_groups": 30,
    "witness_counts": 32,
}
"""Places in the record of a round, from fees-rules-records.md."""


def vector(name: str) -> list[Any]:
    found: list[Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return found


def records(case: Any, kind: int, table: str = "state") -> list[Wire]:
    leaves = (bytes.fromhex(value) for value in case[table].values() if value)
    return [dec(leaf[1:]) for leaf in leaves if leaf[0] == kind]


def payload(case: Any) -> Wire:
    return dec(dec(bytes.fromhex(case["transactions"][0]["bytes"]))[6])


def round_of(case: Any, round_id: bytes, table: str = "state") -> Wire:
    return next(record for record in records(case, 14, table) if record[0] == round_id)


def of(round_: Wire, field: str) -> Any:
    return round_[FIELDS[field]]


class Ran:
    """A network whose tensors are blobs of a case."""

    def __init__(self, case: Any, network: Composed) -> None:
        blobs = {bytes.fromhex(name): bytes.fromhex(raw) for name, raw in case["blobs"].items()}
        self.spec, self.growths, self.weights, self.biases = network.spec, network.growths, [], []
        for source, bias in network.sources:
            flat, columns = _array(blobs[source[1]]), _array(blobs[bias[1]])
            width = len(columns)
            self.weights.append([flat[at : at + width] for at in range(0, len(flat), width)])
            self.biases.append(columns)

    def logits(self, features: bytes) -> list[int]:
        return evaluation.logits(self.spec, self.weights, self.biases, features)


def _array(raw: bytes) -> list[int]:
    size = {1: 1, 3: 4}[raw[0]]
    steps = range(2 + 4 * raw[1], len(raw), size)
    return [int.from_bytes(raw[at : at + size], "little", signed=True) for at in steps]


def networks(case: Any, round_: Wire, update: Wire) -> tuple[Ran, Ran]:
    """Version t, and what the update makes of it."""
    line = nets.line_of(records(case, 10), round_[1], of(round_, "version"))
    added = [version[nets.ADDED] for version in line]
    own = [update] if update[0] == nets.WHOLE else [*added, update]
    return Ran(case, nets.composed(added)), Ran(case, nets.composed(own))


def model_of(case: Any, round_: Wire, table: str = "state") -> Wire:
    return next(each for each in records(case, 9, table) if each[0] == round_[1])


def rows_of(case: Any, name: bytes) -> tuple[bytes, list[tuple[int, bytes]]]:
    """Owner, and label and features of each row of an opened part."""
    part = next(each for each in records(case, 8) if each[0] == name)
    raw = bytes.fromhex(case["blobs"][part[1].hex()])
    rows, inputs = (int.from_bytes(raw[at : at + 4], "little") for at in (0, 4))
    labels = raw[8 + rows * inputs :]
    return part[5], [
        (int.from_bytes(labels[2 * i : 2 * i + 2], "little"), raw[8 + i * inputs : 8 + (i + 1) * inputs])
        for i in range(rows)
    ]


def scored(case: Any, round_: Wire, update: Wire, name: bytes) -> list[Row]:
    before, own = networks(case, round_, update)
    found = []
    for label, features in rows_of(case, name)[1]:
        first, second = before.logits(features), own.logits(features)
        base = evaluation.row_loss(KIND_OF_LOSS, first, label) if label < len(first) else 0
        loss = evaluation.row_loss(KIND_OF_LOSS, second, label)
        right = evaluation.predicted(first) == label, evaluation.predicted(second) == label
        found.append(Row(label, base, loss, *right))
    return found


def side_of(round_: Wire) -> set[bytes]:
    sealed = [(witness[0], witness[1]) for witness in of(round_, "witnesses")]
    return judge.witness_side(sealed, [name[0] for name in of(round_, "standing")])


def grouped(case: Any, round_: Wire) -> list[int]:
    """The group of each unseen part."""
    side, standing = side_of(round_), [name[0] for name in of(round_, "standing")]
    owners, least = [part[1] for part in of(round_, "unseen")], case["rules"]["min_witness_rows"]
    return [judge.group_of(owner, round_[3][3], side, standing, owners, least) for owner in owners]


COMPUTED_FIELDS = 4
"""Fields of the payload of a score_update where every node computes the scores; a claim has one more."""
SCORED = [case for case in vector("tx_score_update") if len(payload(case)) == COMPUTED_FIELDS]
REVEALED = [vector("tx_reveal_update")[index] for index in (0, -2, -1)]
KINDS = ["TRAIN", "GROW", "union"]


def candidate_of(case: Any, round_id: bytes, epoch: int, author: bytes) -> Wire:
    return next(each for each in records(case, 16) if each[:3] == [round_id, epoch, author])


@pytest.mark.parametrize("case", SCORED, ids=KINDS)
def test_a_candidate_is_scored_on_all_parts_and_becomes_the_best(case: Any) -> None:
    round_id, epoch, author, numbers = payload(case)
    round_ = round_of(case, round_id)
    train = round_[3][0] == TRAIN
    before = candidate_of(case, round_id, epoch, author)
    (after,) = records(case, 16, "changes")
    retention = [] if train else model_of(case, round_)[RETENTION]
    unseen = [part[0] for part in of(round_, "unseen")]
    assert numbers == list(range(len(unseen) + len(retention)))
    sides: tuple[list[Row], list[Row]] = ([], [])
    theirs = [0] * of(round_, "classes")
    side = side_of(round_)
    for name, group in zip(unseen, grouped(case, round_), strict=True):
        found = scored(case, round_, before[5], name)
        sides[group].extend(found)
        if rows_of(case, name)[0] in side:
            for row in found:
                theirs[row.label] += 1
    assert (of(round_, "witness_counts") or [0] * len(theirs)) == theirs
    counts, old = of(round_, "unseen_counts"), of(round_, "old_classes")
    groups = [judge.group_score(side, KIND_OF_LOSS, counts, old, train=train) for side in sides]
    assert after[10] == groups
    kept = [row for name in retention for row in scored(case, round_, before[5], name[0])]
    assert after[15] == sum(row.base_right and not row.own_right for row in kept)
    everything = [row for side in sides for row in side]
    assert after[11] == sum(row.own_right for row in everything)
    assert after[12] == sum(row.own_right for row in everything if row.label >= old)
    assert after[13] == sum(row.own for row in everything if row.label < old)
    assert int.from_bytes(after[9], "little") == 2 ** len(numbers) - 1
    with_rows = [group for group in after[10] if group[0]]
    z_squared = round_[3][23]
    assert all(judge.proves(judge.counted(group, train=train), z_squared) for group in with_rows)
    share = judge.share(after[10], train=train)
    noted = of(round_of(case, round_id, "changes"), "best")
    halves = [candidate_of(case, round_id, 0, half[0]) for half in before[5][5:6] for half in half]
    alone = [judge.share(half[10], train=False) for half in halves]
    assert all(judge.proves(group[3], z_squared) for half in halves for group in half[10] if group[0])
    weights = judge.half_weights(alone)
    named = [[half[2], weight] for half, weight in zip(halves, weights, strict=True)]
    assert noted[epoch] == [author, *share, before[3], named]
    judged = case["receipts"][0]["value"]["events"][-1]
    assert (judged["name"], judged["values"], judged["text"]) == (
        "update_judged",
        [epoch, *share],
        [author.hex()],
    )


def update_macs(before: Ran, update: Wire, rows: int, rho: int) -> int:
    """C: what one part of so many rows is charged for the update."""
    tag, shape, *_ = update
    if tag == nets.WHOLE:
        return nets.network_macs(shape, 0, rows, 0, rho)
    return nets.growth_macs(before.spec, shape, rows, rho)


@pytest.mark.parametrize("case", SCORED, ids=KINDS)
def test_scoring_is_charged_for_the_version_and_the_update(case: Any) -> None:
    round_id, epoch, author, _ = payload(case)
    round_, rho = round_of(case, round_id), case["rules"]["macs_per_loaded_byte"]
    candidate = candidate_of(case, round_id, epoch, author)
    before, _ = networks(case, round_, candidate[5])
    retention = [] if round_[3][0] == TRAIN else model_of(case, round_)[RETENTION]
    expected = 0
    for rows in [round_[3][3]] * len(of(round_, "unseen")) + [part[1] for part in retention]:
        expected += nets.network_macs(before.spec, before.growths, rows, of(round_, "classes"), rho)
        expected += update_macs(before, candidate[5], rows, rho)
    assert case["receipts"][0]["value"]["macs"] == expected


@pytest.mark.parametrize("case", REVEALED, ids=KINDS)
def test_a_candidate_is_below_the_entry_bar(case: Any) -> None:
    round_id, epoch, *_, loss, _, update = payload(case)
    round_ = round_of(case, round_id)
    terms, opened = round_[3], of(round_, "validation_opened")
    promised = terms[6] * terms[4]
    promised += sum(terms[3] if witness[1] else terms[4] for witness in of(round_, "witnesses"))
    counts, old = of(round_, "validation_counts"), of(round_, "old_classes")
    base = sum(part[4] for part in opened)
    bar = judge.entry_bar(counts, old, base, promised, KIND_OF_LOSS, train=terms[0] == TRAIN)
    brought = {oracle.tagged("blob", raw).hex(): raw.hex() for raw in update[4]}
    known = {**case, "blobs": case["blobs"] | brought}
    rows = [row for part in opened for row in scored(known, round_, update, part[0])]
    assert loss == sum(row.own for row in rows)
    assert loss < bar
    old_rows = [row for row in rows if row.label < old]
    assert base == sum(row.base for row in old_rows)
    assert sum(part[3] for part in opened) == sum(row.base_right for row in old_rows)
    assert case["receipts"][0]["value"]["events"][-1]["values"] == [epoch, loss]


def earned(round_: Wire, epoch: int, amount: int) -> list[tuple[int, bytes, int]]:
    """Epoch, address and part of everybody who earns something of a rung."""
    author, *_, halves = of(round_, "best")[epoch]
    if not halves:
        return [(epoch, author, amount)]
    parts = judge.divided(amount, [weight for _, weight in halves])
    return [(epoch, half, part) for (half, weight), part in zip(halves, parts, strict=True) if weight]


def parts_of_a_rung(round_: Wire, own: judge.Share, before: judge.Share) -> tuple[int, int]:
    """What a rung is paid out of the pot, and out of what the model carries."""
    return judge.removed(of(round_, "pot"), own, before), judge.removed(of(round_, "carried"), own, before)


@pytest.mark.parametrize("case", REVEALED, ids=KINDS)
def test_a_reveal_pays_for_all_but_version_t(case: Any) -> None:
    """In GROW its macs are counted with version t, its fee without. References are paid one by one."""
    raw = bytes.fromhex(case["transactions"][0]["bytes"])
    round_id, *_, update = payload(case)
    round_, (receipt,) = round_of(case, round_id), case["receipts"]
    terms, rho, classes = round_[3], case["rules"]["macs_per_loaded_byte"], of(round_, "classes")
    _, shape, hidden, outputs, brought, *rest = update
    held = sum(source[0] == EXPLICIT for segment in (*hidden, *outputs) for source in segment)
    assert held, "an update that names no tensor would show nothing of the price of references"
    blobs = {oracle.tagged("blob", tensor).hex(): tensor.hex() for tensor in brought}
    before, _ = networks({**case, "blobs": case["blobs"] | blobs}, round_, update)
    own = terms[5] * update_macs(before, update, terms[3], rho)
    first = nets.network_macs(before.spec, before.growths, terms[3], classes, rho)
    known = 0 if terms[0] == TRAIN else terms[5] * first
    assert receipt["value"]["macs"] == own + known
    kept = 2 * len(oracle.enc([shape, hidden, outputs, [], *rest]))
    size = len(raw) + record_bytes(terms, classes) + kept
    count = 1 + len(brought) + 2 * held + 3 * len(rest[0] if rest else [])
    per_spark = case["rules"]["fees"]["macs_per_spark"]
    whole = least_fee(case, size, own + known, count)
    assert receipt["value"]["fee"] - dec(raw)[4] == whole + known // -per_spark


def record_bytes(terms: Wire, classes: int) -> int:
    """W: what the record of the round can grow to."""
    return int(len(oracle.enc(terms)) + 150 * (terms[5] + terms[6] + 8) + 190 * terms[7] + 10 * classes)


def least_fee(case: Any, size: int, macs: int, count: int) -> int:
    fees = list(case["rules"]["fees"].values())
    return int(oracle.minimum_fee(fees, case["block"]["exponent"], size, macs, count))


@pytest.mark.parametrize("case", vector("tx_open_round"), ids=["founding", "model"])
def test_an_opening_pays_for_its_terms_and_for_a_founding(case: Any) -> None:
    raw, (receipt,) = bytes.fromhex(case["transactions"][0]["bytes"]), case["receipts"]
    terms, model, founding, head, _ = payload(case)
    size, macs, count = len(raw) + len(oracle.enc(terms)), 2**20 * len(terms[2]), 8
    if founding is not None:
        size += len(oracle.enc([*founding[:-1], []]))
        count += len(founding[-1])
        macs += nets.loading_macs(founding[0], case["rules"]["macs_per_loaded_byte"])
    else:
        whole = nets.compose(nets.line_of(records(case, 10), model, head))
        macs += 2**20 * (whole.growths + len(whole.sources))
    assert receipt["value"]["macs"] == macs
    assert receipt["value"]["fee"] - dec(raw)[4] == least_fee(case, size, macs, count)


@pytest.mark.parametrize("case", vector("tx_fork_model"), ids=["of a growth", "of a fork"])
def test_a_fork_adds_nothing_and_pays_for_its_own_records(case: Any) -> None:
    raw, (receipt,) = bytes.fromhex(case["transactions"][0]["bytes"]), case["receipts"]
    source, number, *_ = payload(case)
    (fork,), (version,) = records(case, 9, "changes"), records(case, 10, "changes")
    parent = next(each for each in records(case, 10) if (each[0], each[1]) == (source, number))
    at = case["block"]["height"]
    zero, author, forked = oracle.ZERO, parent[nets.AUTHOR], parent[nets.ADDED][0] == nets.INHERITED
    added = parent[nets.ADDED] if forked else [nets.INHERITED, source, number]
    assert version == [
        fork[0],
        0,
        zero,
        parent[3],
        added,
        author,
        zero,
        at,
        *parent[8:],
    ]
    assert (fork[nets.PARENT], fork[nets.PARENT_VERSION]) == (source, number)
    size = len(raw) + len(oracle.enc([zero, *fork[1:]]))
    assert receipt["value"]["fee"] - dec(raw)[4] == least_fee(case, size, 0, 2)


@pytest.mark.parametrize("case", vector("tx_advance_round"), ids=KINDS)
def test_rungs_are_paid_by_what_they_removed(case: Any) -> None:
    (round_id,) = payload(case)
    round_ = round_of(case, round_id)
    best = [
        (author, (loss, baseline)) if author != bytes(20) else None
        for author, loss, baseline, *_ in of(round_, "best")
    ]
    made = judge.rungs(best)
    paid = [
        (each["values"], each["text"])
        for each in case["receipts"][0]["value"]["events"]
        if each["name"] == "bounty_paid"
    ]
    rewards = [
        earned(round_, rung, sum(parts_of_a_rung(round_, own, before))) for rung, _, own, before in made
    ]
    assert paid == [([epoch, part], [author.hex()]) for each in rewards for epoch, author, part in each]
    left = of(round_, "carried") - sum(parts_of_a_rung(round_, own, lead)[1] for *_, own, lead in made)
    assert model_of(case, round_, "changes")[CARRIED] == left
    points = {each[1]: each[2] for each in records(case, 13) if each[0] == round_[1]}
    after = {each[1]: each[2] for each in records(case, 13, "changes")}
    for rung, _, own, before in made:
        for _, author, part in earned(round_, rung, judge.removed(10**6, own, before)):
            points[author] = points.get(author, 0) + part
    assert {author: points[author] for author in after} == after
    assert made, "the vectors hold decided rounds only"


@pytest.mark.parametrize("case", vector("tx_advance_round"), ids=KINDS)
def test_a_growth_adds_what_it_lost_in_its_worst_group(case: Any) -> None:
    (round_id,) = payload(case)
    round_ = round_of(case, round_id)
    model, grown = model_of(case, round_), model_of(case, round_, "changes")
    losable = [0, 0]
    for part, group in zip(of(round_, "unseen"), grouped(case, round_), strict=True):
        losable[group] += part[3]
    lost = [group[2] for group in of(round_of(case, round_id, "changes"), "winner_groups")]
    more = judge.lost_ppm(losable, lost) if round_[3][0] == GROW else 0
    assert grown[LOST_PPM] == model[LOST_PPM] + more
