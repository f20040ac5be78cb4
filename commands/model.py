"""`engram model`: shows models, their versions, scores, badges and reputation.

The commands that use a version (predict, infer, pull, score, publish-part) stand in `model_use.py`, those
about proofs (prove, attest) in `model_proof.py`, those that own a model (fork, amend, retire) in
`model_own.py`; evaluate, export and history have files of their own.
"""

from __future__ import annotations

from typing import Any

import click

from engram.commands import model_evaluate, model_files, model_history, model_own, model_proof, model_use
from engram.commands.support.lookup import ask_model, model_argument
from engram.commands.support.options import Group, with_session
from engram.commands.support.output import Column, short
from engram.commands.support.session import CommandSession
from engram.commands.support.units import accuracy, mean_loss
from engram.library.claim_words import claim_words
from engram.participant.coins import format_coins


@click.group(
    "model",
    cls=Group,
    example="engram model show\nengram model predict --data digits --first 10 --rows 3\n"
    "engram model prove -o model.proof",
)
def command() -> None:
    """Show, score and download models; make predictions and proofs.

    A model is a neural network on the chain. Each round that is decided gives it a new version. MODEL is the
    beginning of a model's id; leave it out if the chain has only one model.
    """


@command.command("list", example="engram model list")
@with_session
def list_models(session: CommandSession) -> None:
    """List the models of the chain.

    "frozen" says whether the neurons are frozen, so that the model can only grow from then on. "loss" is the
    mean loss per row of the current version on the sealed parts of its round.
    """
    columns = (
        Column("model", lambda row: short(row["id"])),
        Column("version", lambda row: row["head"], right=True),
        Column("classes", lambda row: row["classes"], right=True),
        Column("frozen", lambda row: row["frozen"]),
        Column("loss", lambda row: mean_loss(row["loss"], row["loss_rows"]), right=True),
        Column("rounds", lambda row: row["rounds"], right=True, spare=1),
        Column("open round", lambda row: short(row["open_round"])),
        Column("founder", lambda row: row["founder"]),
    )
    session.show_rows(session.call("model_list"), columns, "no models yet: `engram round open` founds one")


@command.command("show", example="engram model show\nengram model show 3fa2 --json")
@model_argument
@with_session
def show(session: CommandSession, model: str | None) -> None:
    """Show one model: its rules, its current version and what it must not forget.

    "retained" lists the retention parts: rows that a growth must still predict well. "may forget" and "may
    raise" say how much worse one growth may do on rows of old classes. "forgotten" is what all growths have
    lost so far, and the limit at which growth ends until the founder raises it. "carries" are coins for
    whoever improves the model next: pots of rounds in which rows that the opener chose refused a gain that
    the others' rows prove.
    """
    from engram.nn.growth import Policy
    from engram.nn.loss import LossKind
    from engram.statemachine.rounds.judging import PPM

    result = ask_model(session, "model_get", model)
    retention = [
        f"{short(part['part'])}: {part['rows']} rows of {part['classes']} classes"
        for part in result["retention"]
    ]
    fields = {
        "model": result["id"],
        "version": result["head"],
        "classes": result["classes"],
        "inputs": result["inputs"],
        "loss": f"{mean_loss(result['loss'], result['loss_rows'])} a row" if result["loss_rows"] else None,
        "loss kind": LossKind(result["loss_kind"]).name.lower(),
        "frozen": result["frozen"],
        "freezes at": f"a loss of {result['threshold_ppm'] / PPM:g} * ln(classes) a row",
        "policy": Policy(result["policy"]).name.lower(),
        "scores": claim_words(result["claims"]),
        "founder": result["founder"],
        "members": list(result["members"]),
        "witnesses": [_witness(witness) for witness in result["witnesses"]],
        "fork of": f"version {result['parent_version']} of {result['parent']}"
        if int(result["parent"], 16)
        else None,
        "rounds": result["rounds"],
        "open round": result["open_round"],
        "carries": f"{format_coins(result['carried'])} coins" if result["carried"] else None,
        "may forget": f"{result['retention_epsilon_ppm'] / PPM:g} of the rows in one growth",
        "may raise": f"the loss on old rows by {result['retention_delta_ppm'] / PPM:g} of it in one growth",
        "forgotten": f"{result['lost_ppm'] / PPM:g} of the rows in all growths; growth ends at "
        f"{result['lost_cap_ppm'] / PPM:g}",
        "growth may add": [
            f"{most:,} {name.replace('_', ' ')}" for name, most in result["growth_limits"].items()
        ],
        "retained": retention,
        "root": result["root"],
    }
    session.show(result, fields.items())


@command.command("versions", example="engram model versions")
@model_argument
@with_session
def versions(session: CommandSession, model: str | None) -> None:
    """List the versions of a model, beginning with version 0, with which it was founded.

    "revealed" is the mean loss per row on the parts that were revealed before training, with the number of
    their rows; "sealed" is the same on the parts that stayed sealed until all updates were revealed, and
    "accuracy" the share of their rows that are right.
    """
    columns = (
        Column("version", lambda row: row["number"], right=True),
        Column("height", lambda row: row["height"], right=True, spare=2),
        Column("neurons", lambda row: row["neurons"], right=True),
        Column("classes", lambda row: row["classes"], right=True),
        Column("revealed", lambda row: _loss_of(row, "validation"), right=True),
        Column("sealed", lambda row: _loss_of(row, "sealed"), right=True),
        Column("accuracy", lambda row: accuracy(row["sealed_correct"], row["sealed_rows"]), right=True),
        Column("bytes sent", lambda row: row["sent_tensor_bytes"], right=True, spare=3),
        Column("author", lambda row: row["author"]),
        Column("root", lambda row: short(row["root"]), spare=4),
    )
    session.show_rows(ask_model(session, "model_versions", model), columns, "no versions")


@command.command("scores", example="engram model scores --json")
@model_argument
@with_session
def scores(session: CommandSession, model: str | None) -> None:
    """List what each version has scored on each part.

    The chain records these scores when a round is decided and when somebody pays for `engram model score`.
    """
    columns = (
        Column("version", lambda row: row["version"], right=True),
        Column("part", lambda row: short(row["part"])),
        Column("rows", lambda row: row["rows"], right=True),
        Column("loss", lambda row: mean_loss(row["loss"], row["rows"]), right=True),
        Column("accuracy", lambda row: accuracy(row["correct"], row["rows"]), right=True),
    )
    session.show_rows(ask_model(session, "model_scores", model), columns, "nothing scored yet")


@command.command("badges", example="engram model badges")
@model_argument
@with_session
def badges(session: CommandSession, model: str | None) -> None:
    """List the badges given for work on a model.

    The chain gives them when a round is decided: best_loss, teacher (a growth by new classes), witness and
    founder; and participation when an author withdraws an update of such a round.
    """
    from engram.statemachine.records import BadgeKind

    columns = (
        Column("version", lambda row: row["version"], right=True),
        Column("badge", lambda row: BadgeKind(row["badge"]).name.lower()),
        Column("address", lambda row: row["address"]),
        Column("height", lambda row: row["height"], right=True),
    )
    session.show_rows(ask_model(session, "model_badges", model), columns, "no badges yet")


@command.command("reputation", example="engram model reputation")
@model_argument
@with_session
def reputation(session: CommandSession, model: str | None) -> None:
    """List how much each author has lowered a model's sealed loss.

    A point is a millionth of the baseline's loss. Points of all rounds are added up.
    """
    columns = (
        Column("address", lambda row: row["address"]),
        Column("points", lambda row: row["points"], right=True),
    )
    session.show_rows(ask_model(session, "model_reputation", model), columns, "no reputation yet")


def _witness(witness: dict[str, Any]) -> str:
    return f"{witness['address']} (old classes only)" if witness["old_only"] else str(witness["address"])


def _loss_of(version: dict[str, Any], parts: str) -> str:
    rows = version[f"{parts}_rows"]
    loss = mean_loss(version[f"{parts}_loss"], rows)
    return f"{loss} ({rows})" if rows else loss


command.add_command(model_use.predict)
command.add_command(model_use.infer)
command.add_command(model_use.pull)
command.add_command(model_evaluate.evaluate)
command.add_command(model_history.history)
command.add_command(model_files.export)
command.add_command(model_proof.prove)
command.add_command(model_proof.attest)
command.add_command(model_use.score)
command.add_command(model_use.publish)
command.add_command(model_own.fork)
command.add_command(model_own.amend)
command.add_command(model_own.retire)
