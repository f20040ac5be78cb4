"""`engram model prove` and `attest`: a proof about a version, and what it says as an in-toto statement."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import click

from engram.commands.support.errors import FileExistsAlready, NotAnchored
from engram.commands.support.files import check_free, output_option
from engram.commands.support.lookup import ask_model, model_argument
from engram.commands.support.options import Command, json_flag, with_session
from engram.commands.support.output import print_fields, print_json
from engram.commands.support.param_types import HASH
from engram.commands.support.proof_check import Check, with_check
from engram.commands.support.session import CommandSession

STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "urn:engram:model-proof:v1"
SUFFIX: Final = ".intoto.json"


@click.command(
    "prove",
    cls=Command,
    example="engram model prove -o model.proof\nengram model prove --checkpoint 00b1f2… -o model.proof",
)
@model_argument
@click.option("--version", type=click.IntRange(0), help="Version number. Default: the current one.")
@click.option(
    "--checkpoint", type=HASH, help="Id of a block that the verifier trusts. Default: begin at genesis."
)
@click.option(
    "--confirmations",
    type=click.IntRange(0),
    default=10,
    show_default=True,
    help="How many blocks shall stand on top of the block whose state is proven; fewer if the version is "
    "younger.",
)
@output_option("model.proof")
@with_session
def prove(
    session: CommandSession,
    model: str | None,
    version: int | None,
    checkpoint: bytes | None,
    confirmations: int,
    output: Path,
    force: bool,
) -> None:
    """Write a proof bundle about a version that `engram verify` checks without a node.

    The bundle holds headers of the chain and the records of the model and the version. With a --checkpoint at
    which the version existed, it holds that one block and proves its state. If the version is younger, it
    begins a little before the checkpoint. Without --checkpoint it holds all headers of the chain.

    "block" is the block whose state is proven. A verifier who trusts that block, or a later one of the
    bundle, gives its id to `engram verify --checkpoint`. Verifiers must not take the id from whoever gives
    them the proof: they ask a node of their own (`engram chain head`), or somebody they trust.
    """
    check_free(output, force=force)
    asked = {"version": version, "checkpoint": checkpoint, "confirmations": confirmations}
    answer = ask_model(session, "model_prove", model, **asked)
    raw = bytes.fromhex(answer.pop("bundle"))
    output.write_bytes(raw)
    result = {"file": str(output), "size_bytes": len(raw), **answer}
    session.show(result, result.items())


@click.command(
    "attest",
    cls=Command,
    example="engram model attest model.npz --proof model.proof --checkpoint 00b1f2…\n"
    "engram model attest model.npz --proof model.proof --chain main --min-work 1000000000000000",
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--proof",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    metavar="FILE",
    help="A proof bundle about the version, which `engram model prove` wrote.",
)
@with_check
@click.option("--force", is_flag=True, help="Replace the statement if it exists.")
@json_flag
def attest(file: Path, proof: Path, check: Check, force: bool, as_json: bool) -> None:
    """Write what a proof says about an exported file as an in-toto statement beside the file.

    FILE is what `engram model pull` wrote. The command asks no node. It checks the proof as `engram verify`
    does, and FILE as `engram verify --model` does. Then it writes FILE.intoto.json: a Statement v1 whose
    subject is FILE with its SHA-256, and whose predicate holds the facts, what they prove and what they do
    not. A proof that is not anchored is refused, because a reader would take the statement for more than it
    is.

    The statement is not signed. It says what you checked; sign it with a tool of your choice.
    """
    from hashlib import sha256

    verdict = check.verdict(proof, file)
    if not verdict.accepted:
        raise NotAnchored(f"no statement is written, because the proof is not anchored. {verdict.anchor[-1]}")
    output = file.with_name(file.name + SUFFIX)
    if output.exists() and not force:
        raise FileExistsAlready("the statement exists already: replace it with --force", got=str(output))
    digest = sha256(file.read_bytes()).hexdigest()
    predicate: dict[str, Any] = {
        **verdict.facts,
        "proof": {"name": proof.name, "digest": {"sha256": sha256(proof.read_bytes()).hexdigest()}},
        **verdict.sentences,
    }
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": file.name, "digest": {"sha256": digest}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": predicate,
    }
    output.write_text(json.dumps(statement, indent=2) + "\n", "utf-8")
    result = {"statement": str(output), "subject": file.name, "sha256": digest, "root": verdict.facts["root"]}
    if as_json:
        print_json(result)
    else:
        print_fields(result.items())
