"""`engram verify`: checks a proof bundle without a node and shows what it proves."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engram.commands.support.options import Command, json_flag
from engram.commands.support.output import print_fields, print_json
from engram.commands.support.param_types import HASH
from engram.commands.support.units import accuracy, mean_loss

if TYPE_CHECKING:
    from engram.consensus.proof import ProofReport


@click.command(
    "verify",
    cls=Command,
    example="engram verify model.proof\nengram verify model.proof --min-work 1000000 --checkpoint 00b1f2…",
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--checkpoint", type=HASH, help="Id of a block that the proven chain must contain.")
@click.option(
    "--min-work",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Least work of the proven chain, in expected digests.",
)
@json_flag
def command(file: Path, checkpoint: bytes | None, min_work: int, as_json: bool) -> None:
    """Check a proof bundle offline: headers, work, and the records they commit to.

    FILE is a bundle that `engram model prove` wrote. If every check passes, the command prints "accepted" and
    what is proven about the model's version: its root, losses and author, and the chain it stands on.

    Without --min-work and --checkpoint the bundle proves only that its own chain is consistent. Anybody can
    make such a chain at little cost, so give at least one of the two to tie the proof to the chain you mean.
    """
    from engram.consensus.proof import MAX_BUNDLE_BYTES, verify_bundle

    with file.open("rb") as stream:
        raw = stream.read(MAX_BUNDLE_BYTES + 1)
    result = _facts(verify_bundle(raw, checkpoint=checkpoint, min_work=min_work))
    if as_json:
        print_json({"accepted": True, **result})
        return
    click.echo("accepted")
    print_fields(_for_people(result).items())


def _for_people(result: dict[str, Any]) -> dict[str, Any]:
    """The facts with mean losses per row and the share of correct rows in place of sums."""
    validation = mean_loss(result["validation_loss"], result["validation_rows"])
    sealed = mean_loss(result["sealed_loss"], result["sealed_rows"])
    right = accuracy(result["sealed_correct"], result["sealed_rows"])
    return {**result, "validation_loss": validation, "sealed_loss": sealed, "sealed_correct": right}


def _facts(report: ProofReport) -> dict[str, Any]:
    """What the bundle proves, as JSON values; losses are sums over rows in Q24 nats."""
    from engram.primitives.keys import format_address

    version, model = report.version, report.model
    lists = {"validation": report.validation, "sealed": report.sealed, "tensors": report.tensors}
    return {
        "chain": report.chain,
        "spec_id": report.spec_id.hex(),
        "genesis": report.genesis.hex(),
        "since": report.since.hex(),
        "head": report.head.hex(),
        "height": report.height,
        "timestamp_ms": report.timestamp_ms,
        "time": datetime.fromtimestamp(report.timestamp_ms / 1000, UTC).isoformat(" ", "seconds"),
        "work": report.work,
        "model": model.id.hex(),
        "version": version.number,
        "current": report.is_current,
        "root": version.root.hex(),
        "classes": version.spec.classes,
        "author": format_address(version.author, report.hrp),
        "validation_loss": version.validation_loss,
        "validation_rows": version.validation_rows,
        "sealed_loss": version.sealed_loss,
        "sealed_rows": version.sealed_rows,
        "sealed_correct": version.sealed_correct,
        "auditors": [format_address(auditor, report.hrp) for auditor in report.auditors],
        **{name: [item.hex() for item in ids] for name, ids in lists.items()},
    }
