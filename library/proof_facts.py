"""What a checked proof bundle says, as JSON values.

`library/proof_words.py` says it in sentences, `library/proof_fields.py` in groups of lines.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from engram.primitives.keys import format_address

if TYPE_CHECKING:
    from engram.consensus.block import BlockHeader
    from engram.consensus.proof import Measured, ProofReport
    from engram.statemachine.additions import Half
    from engram.statemachine.records import Version

ANCHORED: Final = "accepted"
NOT_ANCHORED: Final = "consistent, not anchored"


def facts(report: ProofReport) -> dict[str, Any]:
    """What the bundle proves, as JSON values; losses are sums over rows in Q24 nats.

    They depend on the bundle and the anchor alone, not on the machine that checks it.
    """
    from engram.consensus.chainspec import has_work, spec_id
    from engram.primitives.types import ZERO_HASH
    from engram.statemachine.rounds.records import RoundKind

    version, model, round_ = report.version, report.model, report.round
    lists = {"validation": report.validation, "sealed": report.sealed, "tensors": report.tensors}
    return {
        "verdict": ANCHORED if report.anchored else NOT_ANCHORED,
        "accepted": report.anchored,
        "chain": report.spec.name,
        "spec_id": spec_id(report.spec).hex(),
        "genesis": report.genesis.hex(),
        "block": _block(report.block),
        "head": _block(report.head),
        "confirmations": report.confirmations,
        "checkpoint": report.checkpoint.hex() if report.checkpoint else None,
        "vouched": report.vouched,
        "min_work": report.min_work,
        "has_work": has_work(report.spec),
        "work": report.work,
        "chain_work": report.chain_work,
        "model": model.id.hex(),
        "founder": _address(report, model.founder),
        "fork_of": None if model.parent == ZERO_HASH else model.parent.hex(),
        "fork_of_version": None if model.parent == ZERO_HASH else model.parent_version,
        "version": version.number,
        "current": report.is_current,
        "frozen": report.is_frozen,
        "kind": RoundKind(version.kind).name.lower(),
        "root": version.root.hex(),
        "parent_root": version.parent.hex(),
        "classes": report.network.spec.classes,
        "policy": model.growth_policy.name.lower(),
        "retention_epsilon_ppm": model.retention_epsilon_ppm,
        "claims": _claims(report),
        "author": _address(report, version.author),
        "halves": [_address(report, half.author) for half in _halves(version)],
        "opener": None if round_ is None else _address(report, round_.opener),
        **_one_key(report),
        "author_rows": _author_rows(report),
        "lineage": _lineage(report),
        "validation_loss": version.validation_loss,
        "validation_rows": version.validation_rows,
        "sealed_loss": version.sealed_loss,
        "sealed_rows": version.sealed_rows,
        "sealed_correct": version.sealed_correct,
        "witnesses": [
            {
                "address": _address(report, witness.author),
                "old_classes_only": witness.old_only,
                "named_by_opener": witness.named_by_opener,
            }
            for witness in report.witnesses
        ],
        **_measured("witness", report.on_witnesses_rows),
        **_measured("opener", report.on_openers_rows),
        "opener_own_rows": 0 if round_ is None else round_.terms.sealed * round_.terms.rows,
        **{name: [item.hex() for item in ids] for name, ids in lists.items()},
    }


def _measured(name: str, measured: Measured) -> dict[str, int]:
    return {
        f"{name}_rows": measured.rows,
        f"{name}_loss": measured.loss,
        f"{name}_baseline": measured.baseline,
    }


def _one_key(report: ProofReport) -> dict[str, bool | None]:
    """Which of founder, opener, author and witnesses are one key; null where no round made the version."""
    round_, founder, makers = report.round, report.model.founder, report.makers
    witnesses = {witness.author for witness in report.witnesses}
    return {
        "opener_is_author": None if round_ is None else round_.opener in makers,
        "founder_is_author": founder in makers,
        "founder_is_opener": None if round_ is None else round_.opener == founder,
        "witness_is_author": None if round_ is None else not makers.isdisjoint(witnesses),
        "witness_is_founder": None if round_ is None else founder in witnesses,
    }


def _author_rows(report: ProofReport) -> int:
    """Rows of the sealed parts that an author of the version has brought, as the opener or as a witness."""
    if report.round is None:
        return 0
    return report.round.terms.rows * sum(part.owner in report.makers for part in report.round.unseen)


def _claims(report: ProofReport) -> dict[str, int | None] | None:
    """The terms of a model with claimed scores, and of how many chunks the audit has drawn.

    `chunks` are those of the round's own parts: a growth has claims about the retention parts of that time,
    too, which the records do not tell. None of a version that no round of the model has made.
    """
    from engram.statemachine.rounds.claims import chunk_count

    if report.model.claims is None:
        return None
    chunks = None
    if report.round is not None:
        parts = len(report.round.validation_opened) + len(report.round.unseen)
        chunks = parts * chunk_count(report.round.terms.rows)
    return {**asdict(report.model.claims), "chunks": chunks}


def _lineage(report: ProofReport) -> list[dict[str, Any]]:
    """How many hidden neurons come from each version and author, oldest first; 0 for outputs only."""
    return [
        {"version": number, "author": _address(report, author), "neurons": count}
        for number, author, count in report.network.makers(report.version.number)
    ]


def _halves(version: Version) -> tuple[Half, ...]:
    """The halves of the union that made a version; () of any other version."""
    from engram.statemachine.additions import GrowUpdate

    return version.added.halves if isinstance(version.added, GrowUpdate) else ()


def _block(header: BlockHeader) -> dict[str, Any]:
    moment = datetime.fromtimestamp(header.timestamp_ms / 1000, UTC)
    return {
        "id": header.id.hex(),
        "height": header.height,
        "timestamp_ms": header.timestamp_ms,
        "time": moment.isoformat(" ", "seconds"),
    }


def _address(report: ProofReport, raw: bytes) -> str:
    return format_address(raw, report.spec.hrp)
