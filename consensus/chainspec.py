"""Every constant of a chain, its id, its file form, and the chains that ship. Data only.

The spec id covers every field but `upgrades`. So the operators of a running chain can add a transaction type
at a height that they agree on, and the chain keeps its id.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from types import MappingProxyType
from typing import Annotated, Any, Final, NoReturn

from engram.consensus.compact import bits_to_target, target_to_bits
from engram.consensus.errors import BadSpec
from engram.consensus.pow import NO_WORK, POW
from engram.nn.spec import NetworkLimits
from engram.primitives.codec import from_json, to_json, validate
from engram.primitives.errors import BadAddress, CodecError
from engram.primitives.hashing import Tag, hash_object
from engram.primitives.keys import format_address, parse_address
from engram.primitives.schema import ListSchema, RecordSchema, Schema, record, trailing
from engram.primitives.types import U16, U32, U64, Address, Hash, Size, Trailing
from engram.statemachine.rules import MAX_BODY_BYTES, MAX_ISSUED, Rules, check_rules, total_subsidy
from engram.statemachine.upgrades import FROM_GENESIS

GENESIS_TIME_MS: Final = 1_796_083_200_000
"""2026-12-01 00:00:00 UTC: genesis of the public chains."""

ONE_WORK_TARGET: Final = (0xFFFF << 240).to_bytes(32, "big")
"""The target of every block of a chain without work: the easiest of all, which counts as one digest."""

_HRP_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Allocation:
    """Coins that an address holds from genesis on."""

    address: Address
    amount: U64
    """Sparks, at least 1."""


@dataclass(frozen=True)
class Upgrade:
    """When a transaction type comes into force."""

    kind: U16
    height: U64
    """First height at which a block may hold it; a node that lacks the type stops there."""


@dataclass(frozen=True)
class Origin:
    """The state of another chain with which a chain without work begins."""

    spec: Hash
    """Spec id of the other chain."""
    block: Hash
    """The block after which its state was taken."""
    height: U64
    state_root: Hash
    """Root of the state at genesis: the records that were taken over, and the allocations added to them."""


@dataclass(frozen=True)
class ChainSpec:
    """Everything that defines a chain: two nodes with the same spec agree on every rule."""

    name: Annotated[str, Size(1, 32)]
    hrp: Annotated[str, Size(1, 16)]
    """First letters of every address text."""
    pow: Annotated[str, Size(1, 32)]
    """Proof-of-work function: a name in `POW`."""
    genesis_time_ms: U64
    """Timestamp of genesis, milliseconds since 1970; every other block is later."""
    block_time_ms: U32
    """The mean time between blocks that the difficulty rule aims at."""
    half_life_ms: U64
    """If a block took this much longer than `block_time_ms`, the next target is twice as large."""
    genesis_target: Hash
    """Target of the first two blocks, big-endian."""
    max_target: Hash
    """The easiest target ever allowed, big-endian."""
    future_limit_ms: U32
    """How far ahead of a node's clock a block's timestamp may be."""
    allocations: Annotated[tuple[Allocation, ...], Size(0, 4096)]
    """Coins at genesis, addresses strictly ascending."""
    rules: Rules
    """Constants of the state transition."""
    upgrades: Annotated[tuple[Upgrade, ...], Size(0, 4096)]
    """Transaction types in force, kinds strictly ascending; not part of the spec id."""
    origin: Annotated[Origin | None, Trailing()] = None
    """With what the chain begins, if not with nothing but its allocations."""

    @cached_property
    def _id(self) -> Hash:
        """See `spec_id`. Every block asks for it twice, and it takes as long as reading a transfer."""
        return hash_object(Tag.SPEC, replace(self, upgrades=()))

    @cached_property
    def _active(self) -> tuple[tuple[int, int], ...]:
        return tuple((upgrade.kind, upgrade.height) for upgrade in self.upgrades)

    def __repr__(self) -> str:
        return f"ChainSpec({self.name}, {spec_id(self).hex()[:12]}, {len(self.allocations)} allocations)"


def spec_id(spec: ChainSpec) -> bytes:
    """The 32 bytes that name the chain: the tagged hash of the spec with an empty list of upgrades."""
    return spec._id


def chain_id(spec: ChainSpec) -> int:
    """The number by which a transaction names its chain: the first 8 bytes of the spec id, big-endian."""
    return int.from_bytes(spec_id(spec)[:8], "big")


def has_work(spec: ChainSpec) -> bool:
    """Whether blocks of the chain cost work. If not, the longer branch leads and work vouches for nothing."""
    return spec.pow != NO_WORK


def active_types(spec: ChainSpec) -> tuple[tuple[int, int], ...]:
    """(kind, first height) of every transaction type of the chain, in the form of `BlockContext.active`."""
    return spec._active


def check_spec(spec: ChainSpec) -> None:
    """Refuses a spec under which no chain could run. The message of the error names the field.

    Raises `BadSpec`, `BadRules`, `CodecError`.
    """
    validate(spec)
    _check_hrp(spec.hrp)
    if spec.pow not in POW:
        raise BadSpec("pow: there is no such proof-of-work function", expected=sorted(POW), got=spec.pow)
    for name in ("block_time_ms", "half_life_ms"):
        if getattr(spec, name) == 0:
            raise BadSpec(f"{name}: must be at least 1", got=0)
    for name in ("genesis_target", "max_target"):
        _check_target(name, int.from_bytes(getattr(spec, name), "big"))
    if spec.genesis_target > spec.max_target:
        raise BadSpec("genesis_target: above max_target", expected=spec.max_target, got=spec.genesis_target)
    if not has_work(spec) and spec.genesis_target != ONE_WORK_TARGET:
        raise BadSpec(
            "genesis_target: a chain without work has one target only",
            expected=ONE_WORK_TARGET,
            got=spec.genesis_target,
        )
    if spec.origin is not None and has_work(spec):
        raise BadSpec("origin: only a chain without work begins with the state of another", got=spec.pow)
    _check_ascending("allocations", [allocation.address for allocation in spec.allocations])
    _check_ascending("upgrades", [upgrade.kind for upgrade in spec.upgrades])
    if any(allocation.amount == 0 for allocation in spec.allocations):
        raise BadSpec("allocations: an amount is zero", got=0)
    check_rules(spec.rules)
    supply = total_subsidy(spec.rules) + sum(allocation.amount for allocation in spec.allocations)
    if supply >= MAX_ISSUED:
        raise BadSpec("allocations and subsidies: too many coins", expected=MAX_ISSUED - 1, got=supply)


def dump_spec(spec: ChainSpec) -> str:
    """The JSON text of a spec, for people to edit: addresses as text, targets as hex. Raises `BadSpec`."""
    check_spec(spec)
    value = to_json(spec)
    for entry, allocation in zip(value["allocations"], spec.allocations, strict=True):
        entry["address"] = format_address(allocation.address, spec.hrp)
    return json.dumps(value, indent=2) + "\n"


def load_spec(text: str) -> ChainSpec:
    """The spec that `dump_spec` would write as this JSON; whitespace and the order of keys do not matter.

    Raises `BadSpec` or `BadRules`, whose message names the field that is unknown, missing, repeated or wrong.
    """
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_float=_no_float, parse_constant=_no_float)
    except (ValueError, RecursionError) as error:
        raise BadSpec(f"not JSON: {error}") from error
    if not isinstance(value, dict):
        raise BadSpec("not a JSON object", expected="object", got=type(value).__name__)
    _check_keys(RecordSchema(ChainSpec), value, "spec")
    try:
        _parse_addresses(value)
        spec = from_json(ChainSpec, value)
    except (CodecError, BadAddress) as error:
        raise BadSpec(str(error)) from error
    check_spec(spec)
    return spec


LONG_WINDOW_TICKS: Final = 20_000
LONG_ROUND_TICKS: Final = 200_000
LONG_RING_TICKS: Final = 32_768
"""Where institutions take part, windows may last for days, and a draw must be remembered as long."""

_PUBLIC: Final = Rules(
    max_window_ticks=LONG_WINDOW_TICKS,
    max_round_ticks=LONG_ROUND_TICKS,
    tick_ring=LONG_RING_TICKS,
    min_parts=16,
    min_validation=4,
    min_sealed=4,
    min_sealed_rows=400,
    min_witness_rows=100,
    min_old_rows=200,
    min_z_squared=16,
)
"""Rules of the chains on which nobody knows anybody: more parts, more rows and clearer gains."""


def main() -> ChainSpec:
    """The public chain: 30-second blocks, scrypt, rewards halved every four years, no allocations."""
    rules = replace(
        _with_macs(_PUBLIC, 12_000_000_000),
        subsidy=250_000_000,
        halving_blocks=4_204_800,
        min_window_ticks=24,
    )
    return _preset("main", "eng", block_time_ms=30_000, difficulty_bits=17, easiest_bits=12, rules=rules)


def test() -> ChainSpec:
    """The public test chain: as `main` with 5-second blocks, shorter windows and an easier start."""
    rules = replace(_with_macs(_PUBLIC, 2_000_000_000), halving_blocks=1_000_000)
    return _preset("test", "teng", block_time_ms=5_000, difficulty_bits=14, easiest_bits=8, rules=rules)


def consortium(allocations: tuple[Allocation, ...], genesis_time_ms: int) -> ChainSpec:
    """A chain of institutions that know each other: one-minute blocks, coins by allocation, long windows.

    Its rounds ask for more rows than those of `local`, and for fewer parts than those of `main`. A block has
    so much time that a model can grow 2,000 times by 40 neurons that read 512 values, and still be scored on
    a part of 50 rows within half a block. Raises `BadSpec` for an address that stands twice or a zero amount.
    """
    rules = Rules(
        networks=NetworkLimits(max_neurons=131_072, max_macs_per_row=100_000_000),
        max_window_ticks=LONG_WINDOW_TICKS,
        max_round_ticks=LONG_ROUND_TICKS,
        tick_ring=LONG_RING_TICKS,
        min_sealed_rows=100,
        min_witness_rows=50,
        min_old_rows=60,
        opener_bond_ppm=1_000_000,
    )
    rules = _with_macs(rules, 48_000_000_000)
    preset = _preset(
        "consortium", "ceng", block_time_ms=60_000, difficulty_bits=14, easiest_bits=8, rules=rules
    )
    return _with_allocations(replace(preset, genesis_time_ms=genesis_time_ms), allocations)


def cluster(allocations: tuple[Allocation, ...], genesis_time_ms: int) -> ChainSpec:
    """As `consortium`, for nodes with a graphics card: 200 times the multiply-accumulates, 8 times the bytes.

    A card with 1.7·10^12 a second judges a full block in a tenth of its time. None reads faster, so reading
    costs 200 times as much. The least fee makes a block full by count as dear as one full of bytes.
    """
    spec = consortium(allocations, genesis_time_ms)
    networks = NetworkLimits(max_neurons=1_048_576, max_macs_per_row=1_000_000_000)
    rules = replace(spec.rules, networks=networks, macs_per_loaded_byte=25_600)
    wide = replace(rules, max_body_bytes=MAX_BODY_BYTES, fees=replace(rules.fees, floor=8 * rules.fees.floor))
    return replace(spec, name="cluster", hrp="geng", rules=_with_macs(wide, 10**13))


def local(allocations: tuple[Allocation, ...], genesis_time_ms: int) -> ChainSpec:
    """A chain for one machine: half-second blocks and short windows, so that a round takes half a minute.

    The difficulty starts at 256 digests a block, that is 512 a second. It keeps the pace as long as all
    miners together make 128 digests a second or more. `allocations` may come in any order. Raises `BadSpec`
    for an address that stands twice or an amount of 0.
    """
    rules = Rules(draw_ticks=3, min_gap_ticks=2, min_window_ticks=3, maturity_blocks=5)
    preset = _preset("local", "leng", block_time_ms=500, difficulty_bits=8, easiest_bits=6, rules=rules)
    spec = replace(preset, genesis_time_ms=genesis_time_ms, half_life_ms=15_000, future_limit_ms=2_000)
    return _with_allocations(spec, allocations)


def dev(allocations: tuple[Allocation, ...], genesis_time_ms: int) -> ChainSpec:
    """A chain for development: the rules of `local`, and blocks that cost no work.

    A miner makes a block the moment a transaction waits. `block_time_ms` is the pace of a round for which
    fewer than two programs hold blocks. Raises as `local` does.
    """
    spec = local(allocations, genesis_time_ms)
    target = ONE_WORK_TARGET
    return replace(spec, name="dev", hrp="deng", pow=NO_WORK, genesis_target=target, max_target=target)


PUBLIC_CHAINS: Final = MappingProxyType({"main": main, "test": test})
"""Presets that are one chain each."""
NEW_CHAINS: Final = MappingProxyType(
    {"dev": dev, "local": local, "consortium": consortium, "cluster": cluster}
)
"""Presets that make a new chain of the coins at genesis and its time."""


def _with_macs(rules: Rules, macs: int) -> Rules:
    """The rules with blocks of so many MACs, which cost as much as blocks full of bytes.

    The dearest block that a search finds takes a tenth of the block time to judge at most, on one core; see
    `benchmarks/bench_blocks.py`. Chains on which blocks wait for their actors have no such bound.
    """
    per_spark = macs // (rules.max_body_bytes * rules.fees.per_byte)
    return replace(rules, max_block_macs=macs, fees=replace(rules.fees, macs_per_spark=per_spark))


def _with_allocations(spec: ChainSpec, allocations: tuple[Allocation, ...]) -> ChainSpec:
    ordered = tuple(sorted(allocations, key=lambda allocation: allocation.address))
    spec = replace(spec, allocations=ordered)
    check_spec(spec)
    return spec


def _preset(
    name: str, hrp: str, *, block_time_ms: int, difficulty_bits: int, easiest_bits: int, rules: Rules
) -> ChainSpec:
    """A spec with the half-life of aserti3-2d, 288 blocks, and all transaction types from genesis on."""
    return ChainSpec(
        name=name,
        hrp=hrp,
        pow="scrypt",
        genesis_time_ms=GENESIS_TIME_MS,
        block_time_ms=block_time_ms,
        half_life_ms=288 * block_time_ms,
        genesis_target=_target(difficulty_bits),
        max_target=_target(easiest_bits),
        future_limit_ms=120_000,
        allocations=(),
        rules=rules,
        upgrades=tuple(Upgrade(kind, height) for kind, height in FROM_GENESIS),
    )


def _target(bits: int) -> bytes:
    """The target that one digest out of 2^bits meets on average."""
    return (1 << (256 - bits)).to_bytes(32, "big")


def _check_hrp(hrp: str) -> None:
    if any(letter not in _HRP_LETTERS for letter in hrp):
        raise BadSpec("hrp: only the letters a to z", expected=_HRP_LETTERS, got=hrp)


def _check_target(name: str, target: int) -> None:
    if target == 0 or bits_to_target(target_to_bits(target)) != target:
        raise BadSpec(f"{name}: must have a compact form: at most 23 bits, then zeros", got=target)


def _check_ascending(name: str, keys: Sequence[Any]) -> None:
    for index, (low, high) in enumerate(pairwise(keys)):
        if not low < high:
            raise BadSpec(f"{name}[{index + 1}]: repeated or out of order", expected=low, got=high)


def _check_keys(schema: Schema, value: object, where: str) -> None:
    """Raises `BadSpec` for the first unknown or missing key, outer objects first. The codec checks types."""
    if isinstance(schema, ListSchema) and isinstance(value, list):
        for index, item in enumerate(value):
            _check_keys(schema.item, item, f"{where}[{index}]")
    if not isinstance(schema, RecordSchema) or not isinstance(value, dict):
        return
    fields = dict(record(schema.cls))
    for key in value:
        if key not in fields:
            raise BadSpec(f"{where}: unknown key {key!r}", got=key)
    for key in list(fields)[: len(fields) - len(trailing(schema.cls))]:
        if key not in value:
            raise BadSpec(f"{where}: key {key!r} is missing", expected=key)
    for key, inner in fields.items():
        _check_keys(inner, value.get(key), f"{where}.{key}")


def _parse_addresses(value: dict[str, Any]) -> None:
    """Turns the address texts of a spec's JSON value into hex, which the codec reads. Changes `value`."""
    hrp, allocations = value["hrp"], value["allocations"]
    if not isinstance(hrp, str):
        raise BadSpec("hrp: not a text", expected="str", got=type(hrp).__name__)
    _check_hrp(hrp)
    for entry in allocations if isinstance(allocations, list) else []:
        if isinstance(entry, dict) and isinstance(entry["address"], str):
            entry["address"] = parse_address(entry["address"], hrp).hex()


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members: dict[str, object] = {}
    for key, value in pairs:
        if key in members:
            raise BadSpec(f"key {key!r} stands twice", got=key)
        members[key] = value
    return members


def _no_float(text: str) -> NoReturn:
    raise BadSpec(f"{text} is not an integer", expected="integer", got=text)
