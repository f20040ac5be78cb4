"""The text of docs/protocol is enough: what is written from it meets the vectors, without the package."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support import evaluation_oracle as evaluation
from tests.support import networks_oracle as nets
from tests.support import peers_oracle
from tests.support import protocol_oracle as oracle
from tests.support.networks_oracle import Composed
from tests.support.protocol_oracle import Wire, dec, enc, tagged

FOLDER = Path(__file__).resolve().parents[1] / "vectors"
LETTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
PATHS = sorted(FOLDER.glob("tx_*.json"))
CASES = [(path.stem, case) for path in PATHS for case in json.loads(path.read_text())]


def vector(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text())


def raw_address(text: str) -> bytes:
    number = 0
    for letter in text.rpartition("1")[2][:-6]:
        number = number << 5 | LETTERS.index(letter)
    return number.to_bytes(20, "big")


def spec_wire(spec: Any) -> Wire:
    """A spec file's values as they are hashed: without upgrades."""
    numbers = [list(value.values()) if isinstance(value, dict) else value for value in spec["rules"].values()]
    allocations = [[raw_address(each["address"]), each["amount"]] for each in spec["allocations"]]
    targets = (bytes.fromhex(spec[name]) for name in ("genesis_target", "max_target"))
    head = [spec[name] for name in ("name", "hrp", "pow", "genesis_time_ms", "block_time_ms", "half_life_ms")]
    return [*head, *targets, spec["future_limit_ms"], allocations, numbers, []]


def genesis_header(spec: Any) -> Wire:
    wire = spec_wire(spec)
    accounts = {oracle.place(1, a): bytes([1]) + enc([a, amount, 0]) for a, amount in wire[9]}
    supply = bytes([2]) + enc([sum(amount for _, amount in wire[9]), 0])
    root = oracle.state_root(accounts | {oracle.place(2, b""): supply})
    bits = oracle.compact(int(spec["genesis_target"], 16))
    empty = oracle.list_root([])
    return [1, 0, tagged("spec", enc(wire)), wire[3], bits, bytes(20), empty, empty, root, bytes(8)]


PRESETS = vector("consensus_genesis")["presets"]


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset["spec"]["name"])
def test_specs_and_their_genesis(preset: Any) -> None:
    header = genesis_header(preset["spec"])
    assert header[2].hex() == preset["spec_id"]
    assert int.from_bytes(header[2][:8], "big") == preset["chain_id"]
    assert enc(header).hex() == preset["header"]
    assert tagged("header", enc(header)).hex() == preset["block_id"]


def test_headers_of_a_chain() -> None:
    chain = vector("consensus_chain_50")
    spec, headers = chain["spec"], [genesis_header(chain["spec"])]
    assert tagged("header", enc(headers[0])).hex() == chain["genesis"]
    most, first = (int(spec[name], 16) for name in ("max_target", "genesis_target"))
    for block in chain["blocks"]:
        header, transactions = dec(bytes.fromhex(block["raw"]))
        raw, parent, height = enc(header), headers[-1], len(headers)
        assert tagged("header", raw).hex() == block["id"]
        assert header[:3] == [1, height, tagged("header", enc(parent))]
        assert header[6] == oracle.list_root([oracle.txid(tx) for tx in transactions])
        assert all(tx[0] == int.from_bytes(headers[0][2][:8], "big") for tx in transactions)
        times = sorted(known[3] for known in headers[-11:])
        assert header[3] > times[len(times) // 2]
        delta = parent[3] - headers[-2][3] if height > 2 else 0
        pace = spec["block_time_ms"], spec["half_life_ms"]
        later = oracle.next_bits(oracle.target(parent[4]), delta, *pace, most)
        assert header[4] == (later if height > 2 else oracle.compact(first))
        digest = hashlib.scrypt(raw, salt=raw, n=1024, r=1, p=1, dklen=32)
        assert int.from_bytes(digest, "big") <= oracle.target(header[4])
        headers.append(header)


@pytest.mark.parametrize(("name", "case"), CASES, ids=[name for name, _ in CASES])
def test_transactions_receipts_and_states(name: str, case: Any) -> None:
    state = {bytes.fromhex(key): bytes.fromhex(value) for key, value in case["state"].items()}
    assert oracle.state_root(state).hex() == case["root"]
    for each in case["transactions"]:
        tx = dec(bytes.fromhex(each["bytes"]))
        assert oracle.signed_message(tx).hex() == each["signing_message"]
        assert oracle.txid(tx).hex() == each["txid"]
        dec(tx[6])
    for key, value in case["changes"].items():
        if value is None:
            del state[bytes.fromhex(key)]
        else:
            state[bytes.fromhex(key)] = bytes.fromhex(value)
    assert oracle.state_root(state).hex() == case["new_root"]
    for leaf in state.values():
        dec(leaf[1:])
    for receipt in case["receipts"]:
        txid, status, code, fee, macs, events = dec(bytes.fromhex(receipt["bytes"]))
        value = receipt["value"]
        assert [txid.hex(), status, code] == [value[field] for field in ("txid", "status", "code")]
        assert [fee, macs, len(events)] == [value["fee"], value["macs"], len(value["events"])]


def records(case: Any, kind: int, table: str = "state") -> list[Wire]:
    leaves = (bytes.fromhex(value) for value in case[table].values() if value)
    return [dec(leaf[1:]) for leaf in leaves if leaf[0] == kind]


def network(case: Any, version: Wire) -> Composed:
    """The whole network of a version, from what its line has added."""
    return nets.compose(nets.line_of(records(case, 10), version[0], version[1]))


def priced(name: str, payload: Wire, case: Any) -> tuple[int, int]:
    """Macs and records by the table of fees."""
    rho = case["rules"]["macs_per_loaded_byte"]
    if name == "transfer":
        return 0, 1
    if name == "claim_rewards":
        return 2**20 * (payload[1] - payload[0] + 1), 0
    if name == "publish_part":
        return rho * (8 + payload[0] * (payload[1] + 2)), 3
    whole = network(case, records(case, 10)[0])
    spec, growths = whole.spec, whole.growths
    if name == "score_version":
        part = next(part for part in records(case, 8) if part[0] == payload[2])
        return nets.network_macs(spec, growths, part[2], part[4], rho), 1
    rows = int.from_bytes(payload[2][2:6], "little")
    return nets.network_macs(spec, growths, rows, 0, rho) + 2**14 * rows * spec[1], -(-rows * spec[1] // 8)


@pytest.mark.parametrize("name", ["transfer", "claim_rewards", "publish_part", "score_version", "infer"])
def test_the_vectors_pay_the_least_fee(name: str) -> None:
    for case in vector(f"tx_{name}"):
        fees = list(case["rules"]["fees"].values())
        for each, receipt in zip(case["transactions"], case["receipts"], strict=True):
            raw = bytes.fromhex(each["bytes"])
            macs, count = priced(name, dec(dec(raw)[6]), case)
            assert receipt["value"]["macs"] == macs
            tip = dec(raw)[4]
            assert receipt["value"]["fee"] - tip == oracle.minimum_fee(
                fees, case["block"]["exponent"], len(raw), macs, count
            )


@pytest.mark.parametrize(("name", "case"), CASES, ids=[name for name, _ in CASES])
def test_the_clock_that_a_block_leaves(name: str, case: Any) -> None:
    (clock,) = records(case, 5) or [[0, 0, 0]]
    block = case["block"]
    assert [block["tick"], block["exponent"]] == clock[:2]
    sizes = [len(bytes.fromhex(each["bytes"])) for each in case["transactions"]]
    macs = sum(each["value"]["macs"] for each in case["receipts"])
    after = oracle.next_clock(case["rules"], clock, block["height"], len(sizes), sum(sizes), macs)
    assert records(case, 5, "changes") == [after]


def test_parameters_roots_name_their_networks_by_their_lines() -> None:
    """Of a founding and a training, of a growth, of a fork, and of a growth on a fork."""
    kinds = set()
    for _, case in CASES:
        versions = records(case, 10)
        for model, number, parent, root, added, *_ in versions:
            line = nets.line_of(versions, model, number)
            below = oracle.ZERO
            for *_, made, update, author in (version[:6] for version in line):
                below = nets.parameters_root(below, author, update)
                assert below == made
            assert below == root
            before = [each[3] for each in versions if (each[0], each[1]) == (model, number - 1)]
            assert [parent] == (before or [oracle.ZERO])
            kinds.add((added[0], len(line), sum(each[0] == model for each in line)))
    assert kinds == {(1, 1, 1), (2, 2, 2), (3, 2, 0), (2, 3, 1)}


@pytest.mark.parametrize("grown", vector("tx_reveal_update")[-2:], ids=["growth", "union"])
def test_a_growth_is_named_by_its_author_and_by_what_is_below(grown: Any) -> None:
    _, _, base, root, _, _, update = payload_of(grown)
    author = oracle.address(dec(bytes.fromhex(grown["transactions"][0]["bytes"]))[1])
    assert root == nets.parameters_root(base, author, update)
    assert root != nets.parameters_root(base, bytes(20), update)
    assert root != nets.parameters_root(root, author, update)


def test_a_union_follows_from_its_halves() -> None:
    case = vector("tx_reveal_update")[-1]
    round_id, *_, update = payload_of(case)
    _, growth, hidden, outputs, tensors, halves, _ = update
    found = {each[2]: each[5] for each in records(case, 16) if each[:2] == [round_id, 0]}
    first, second = (found[author] for author, _, _ in halves)
    (round_,) = (each for each in records(case, 14) if each[0] == round_id)
    below = nets.compose(nets.line_of(records(case, 10), round_[1], round_[5])).spec
    assert growth == nets.united(below, first[1], second[1])
    assert (hidden, outputs, tensors) == (first[2] + second[2], first[3] + second[3], [])
    assert halves == [[author, len(found[author][2]), len(found[author][3])] for author in sorted(found)]


@pytest.mark.parametrize("case", vector("nn_costs"))
def test_networks_and_growths_are_charged_by_their_runs(case: Any) -> None:
    rho, spec = 128, dec(bytes.fromhex(case["spec_bytes"]))
    if "growth_bytes" in case:
        growth = dec(bytes.fromhex(case["growth_bytes"]))
        assert nets.growth_macs(spec, growth, case["rows"], rho) == case["growth_macs"]
        spec = nets.grown(spec, growth)
        assert enc(spec).hex() == case["grown_bytes"]
    assert nets.runs(spec[3], spec[4]) == case["runs"]
    assert nets.network_macs(spec, 0, case["rows"], case["classes"], rho) == case["network_macs"]


def payload_of(case: Any) -> Wire:
    return dec(dec(bytes.fromhex(case["transactions"][0]["bytes"]))[6])


def array(raw: bytes) -> list[int]:
    size, signed = {1: (1, True), 2: (2, True), 3: (4, True), 4: (1, False), 5: (2, False)}[raw[0]]
    start = 2 + 4 * raw[1]
    steps = range(start, len(raw), size)
    return [int.from_bytes(raw[at : at + size], "little", signed=signed) for at in steps]


def numbers(network: Composed, blobs: dict[bytes, bytes]) -> tuple[list[Wire], list[Wire]]:
    """Weights as rows, and biases, of all segments of a network whose sources are explicit."""
    weights, biases = [], []
    for source, bias in network.sources:
        flat, columns = array(blobs[source[1]]), array(blobs[bias[1]])
        width = len(columns)
        weights.append([flat[at : at + width] for at in range(0, len(flat), width)])
        biases.append(columns)
    return weights, biases


@pytest.mark.parametrize("case", vector("tx_reveal_part"), ids=["TRAIN", "GROW"])
def test_a_revealed_part_its_draw_and_the_baseline_on_it(case: Any) -> None:
    round_id, nonce, part, salt, content = payload_of(case)
    assert content[0] == 1
    assert part == tagged("part", salt, content[1])
    (round_,) = records(case, 14, "changes")
    terms, opened = round_[3], round_[4]
    assert (round_[0], terms[24]) == (round_id, tagged("nonce", nonce))
    blocks = {tick: block for _, tick, block in records(case, 3)}
    blocks |= {tick: block for _, tick, block in records(case, 3, "changes")}
    first = opened + terms[8] + 1
    ids = [blocks[tick] for tick in range(first, first + case["rules"]["draw_ticks"])]
    seed = tagged("draw", *ids, nonce)
    drawn = [terms[2][index] for index in oracle.draw(seed, len(terms[2]), terms[5] + terms[6])]
    assert round_[15] == seed
    assert (round_[16], round_[17]) == (drawn[: terms[5]], drawn[terms[5] :])

    blobs = {tagged("blob", bytes.fromhex(raw)): bytes.fromhex(raw) for raw in case["blobs"].values()}
    head = next(each for each in records(case, 10) if (each[0], each[1]) == (round_[1], round_[5]))
    base, raw = network(case, head), content[1]
    rows, inputs = (int.from_bytes(raw[at : at + 4], "little") for at in (0, 4))
    labels = [int.from_bytes(raw[at : at + 2], "little") for at in range(8 + rows * inputs, len(raw), 2)]
    weights, biases = numbers(base, blobs)
    scores, known, old_right = [], 0, 0
    for row, label in enumerate(labels):
        start = 8 + row * inputs
        answer = evaluation.logits(base.spec, weights, biases, raw[start : start + inputs])
        if label < round_[8]:
            known += evaluation.row_loss(1, answer, label)
            old_right += evaluation.predicted(answer) == label
        answer += [0] * (round_[7] - len(answer))
        scores.append((evaluation.row_loss(1, answer, label), evaluation.predicted(answer) == label))
    old = sum(label < round_[8] for label in labels)
    assert round_[21] == [[part, round_[2], old, old_right, known, True]]
    assert round_[22] == [labels.count(label) for label in range(round_[7])]
    assert (round_[18], round_[20]) == (case["block"]["tick"], 0), "the phase ends with the only part"
    (entry,) = records(case, 11, "changes")
    assert entry[3:5] == [sum(loss for loss, _ in scores), sum(right for _, right in scores)]
    assert case["receipts"][0]["value"]["macs"] == nets.network_macs(
        base.spec, base.growths, rows, round_[7], case["rules"]["macs_per_loaded_byte"]
    )


def test_parts_and_losses() -> None:
    for part in vector("nn_part"):
        raw = bytes.fromhex(part["bytes"])
        assert tagged("part", bytes.fromhex(part["salt"]), raw).hex() == part["commitment"]
    for each in vector("nn_loss"):
        pairs = zip(each["logits"], each["labels"], strict=True)
        assert [evaluation.row_loss(each["kind"], logits, label) for logits, label in pairs] == each["rows"]


def test_forward_passes() -> None:
    for each in vector("nn_forward"):
        spec = dec(bytes.fromhex(each["spec_bytes"]))
        weights, biases = ([block[name] for block in each["parameters"]] for name in ("weights", "bias"))
        answers = [evaluation.logits(spec, weights, biases, row) for row in each["features"]]
        assert answers == each["logits"]


def test_packed_bytes() -> None:
    for each in vector("primitives_packing"):
        found = peers_oracle.unpacked(bytes.fromhex(each["packed"]), each["most_bytes"])
        assert found == (each["code"] if "code" in each else bytes.fromhex(each["plain"])), each["case"]


def test_what_a_handshake_signs() -> None:
    dialer, acceptor = vector("p2p_handshake")
    hellos = b"".join(bytes.fromhex(each["hello_frame"])[1:] for each in (dialer, acceptor))
    for role, side in enumerate((dialer, acceptor)):
        assert side["digest"] == tagged("handshake", bytes([role]), hellos).hex()
        for case in side["bound"].values():
            seen = b"\0" if case["channel"] is None else b"\1" + bytes.fromhex(case["channel"])
            assert case["digest"] == tagged("handshake", bytes([role]), hellos, seen).hex()


def test_seeded_tensors() -> None:
    cases = [each for each in vector("nn_seeded") if each["source"]["generator"] != 1]
    assert {each["source"]["generator"] for each in cases if "array" in each} == {2, 3}
    for each in cases:
        source = each["source"]
        rows, columns = source["shape"]
        seed = bytes.fromhex(source["seed"])
        made = evaluation.seeded(source["generator"], seed, rows, columns, source["arguments"])
        size = {1: 1, 2: 2, 3: 4}[source["dtype"]]
        flat = b"".join(value.to_bytes(size, "little", signed=True) for row in made for value in row)
        shape = b"".join(length.to_bytes(4, "little") for length in (rows, columns))
        assert tagged("blob", bytes([source["dtype"], 2]) + shape + flat).hex() == each["id"]
        if "array" in each:
            assert made == each["array"]
