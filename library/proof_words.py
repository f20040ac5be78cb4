"""Says what a checked proof bundle proves and what it does not, as JSON values and in plain words."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from engram.library.claim_words import not_computed
from engram.node.amounts import accuracy, mean_loss
from engram.participant.short_ids import short
from engram.primitives.keys import format_address

if TYPE_CHECKING:
    from engram.consensus.block import BlockHeader
    from engram.consensus.proof import Measured, ProofReport
    from engram.statemachine.additions import Half
    from engram.statemachine.records import Version

ANCHORED: Final = "accepted"
NOT_ANCHORED: Final = "consistent, not anchored"

LITTLE_WORK: Final = 2**40
"""Hash attempts below which work is said to be no anchor.

So many are within everybody's reach: machines that are sold for mining compute 10^9 scrypt digests and more a
second, and 10^14 digests of sha256d, so that one of them needs minutes at most for 2^40.
"""
_MEASURED: Final = ("witness_loss", "witness_baseline", "opener_loss", "opener_baseline")


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
        "claims": None if model.claims is None else asdict(model.claims),
        "author": _address(report, version.author),
        "halves": [_address(report, half.author) for half in _halves(version)],
        "opener": None if round_ is None else _address(report, round_.opener),
        **_one_key(report),
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


def _for_people(known: dict[str, Any]) -> dict[str, Any]:
    """Mean losses per row, shares of correct rows, and witnesses in words."""
    shown: dict[str, Any] = {
        name: mean_loss(known[name], known[f"{name.partition('_')[0]}_rows"])
        for name in ("sealed_loss", *_MEASURED)
    }
    shown["sealed_correct"] = accuracy(known["sealed_correct"], known["sealed_rows"])
    shown["witnesses"] = [witness_words(witness) for witness in known["witnesses"]]
    return shown


def proves(known: dict[str, Any]) -> list[str]:
    """Sentences that say what is proved and on what it rests."""
    block, name = known["block"], known["chain"]
    place = f"block {short(block['id'])} of the chain {name}, at height {block['height']}"
    return [
        *_grounds(known, place),
        _model_sentence(known),
        _version_sentence(known),
        "The version is one network and no other: its parameters root names every weight and bias.",
        *_frozen_sentences(known),
        *_key_sentences(known),
        *_loss_sentences(known),
    ]


def _frozen_sentences(known: dict[str, Any]) -> list[str]:
    if known["frozen"] is None:
        return []
    if known["frozen"]:
        return [
            "The version was frozen: its weights stay in every later version, which can only add neurons."
        ]
    return ["The version was not frozen: a later version may have changed every one of its weights."]


def _key_sentences(known: dict[str, Any]) -> list[str]:
    """Who of founder, opener and author is one key: whoever opens a round chooses rows that decide it."""
    if known["opener_is_author"] is None:
        return []
    opener, author = known["opener"], known["author"]
    founder = " The opener's key has also founded the model." if known["founder_is_opener"] else ""
    if known["opener_is_author"]:
        of_it = "its author" if opener == author else "the author of one of its halves"
        return [
            f"The opener of its round and {of_it} are one key, {opener}, so this is a self-graded claim: "
            f"whoever brought the version also chose the opener's rows, on which it was measured.{founder}"
        ]
    said = [f"The opener of its round, {opener}, and its author, {author}, are two keys.{founder}"]
    if known["founder_is_author"]:
        of_it = (
            "the author of the version" if known["founder"] == author else "the author of one of its halves"
        )
        said.append(f"The founder of the model and {of_it} are one key, {known['founder']}.")
    return said


def limits(known: dict[str, Any], *, weights_checked: bool) -> list[str]:
    """Sentences that say what is not proved."""
    block = known["block"]
    said = [
        f"That the state is right. This command has executed no block; {_trusted(known)}.",
        f"Anything later than {block['time']}, the time of that block: the model may have newer versions "
        "now.",
        "Who the people are. Founder, author, opener and witnesses are keys; one person may hold several. So "
        "a witness may be the opener, or the author, under another key.",
        "That the network does as well on your rows. Its losses are those on the rows of the round.",
        "On which data the author trained it.",
    ]
    said[1:1] = _of_work(known)
    if known["frozen"] is None:
        said.append(
            f"Whether version {known['version']} was frozen. The model was frozen at the proven block, but "
            "the proof does not show with which version that began: a later version may have changed the "
            "weights of this one. Ask for a proof at a block after which the version was the current one."
        )
    said += not_computed(known)
    if known["version"] and (dependent := _dependence(known["witnesses"])):
        said.append(dependent)
    if any(item["version"] < known["version"] for item in known["lineage"]):
        said.append(
            f"How the neurons of earlier versions were measured, and by whom: the proof holds the round of "
            f"version {known['version']} alone. Ask for a proof of each version that brought some."
        )
    if not known["has_work"]:
        said.append(
            f"That the chain {known['chain']} has one history: its blocks carry no work, so whoever makes "
            "them can make another history at any time, at no cost. Such a chain is for development; no "
            "decision about people should rest on it."
        )
    if not weights_checked:
        said.append("That a file of weights is this version: check the file with --model FILE.")
    return said


def _of_work(known: dict[str, Any]) -> list[str]:
    """What work leaves open where it is the only anchor."""
    if known["vouched"] or not known["min_work"]:
        return []
    said = (
        f"That the chain {known['chain']} has no other history. That block and those on top of it cost about "
        f"{known['work']:,} hash attempts; whoever makes so many again can make another history, with other "
        "records in it."
    )
    if known["work"] < LITTLE_WORK:
        said += (
            f" So little work is no anchor: less than {LITTLE_WORK:,} (2^40) attempts cost one machine for "
            "mining minutes at most. Base no decision on it, and ask for a proof for a block that you trust "
            "(--checkpoint)."
        )
    return [said]


def _dependence(witnesses: list[dict[str, Any]]) -> str | None:
    """Why the opener may know all rows that decide; None if others named a witness of all classes.

    Witnesses of old classes only cannot judge new ones, and their rows count with the opener's.
    """
    full = [witness for witness in witnesses if not witness["old_classes_only"]]
    if not witnesses:
        return (
            "That anybody but the opener has measured it: no witness opened a part, so the opener knew all "
            "rows that decided."
        )
    if not full:
        return (
            "That anybody but the opener has measured it on rows of all classes: the witnesses who opened a "
            "part were limited to old classes."
        )
    if all(witness["named_by_opener"] for witness in full):
        return (
            "That the witnesses of all classes are independent of the opener: the opener named every one of "
            "them, in the terms of the round or as the founder of the model."
        )
    return None


def _grounds(known: dict[str, Any], place: str) -> list[str]:
    """What the state of the block is believed for."""
    work = f"about {known['work']:,} hash attempts"
    count = known["confirmations"]
    confirmations = f"{count:,} block{'' if count == 1 else 's'} on top of it"
    said = []
    if known["vouched"]:
        is_it = known["checkpoint"] == known["block"]["id"]
        trusted = f"Your checkpoint is {place}" if is_it else f"Your checkpoint comes after {place}"
        said.append(
            f"{trusted}. The id of the checkpoint covers that block and the state after it, so nobody can "
            "have put another state there."
        )
    if known["min_work"]:
        said.append(
            f"To make {place}, with {confirmations}, took {work}; you asked for at least "
            f"{known['min_work']:,}. To forge that block takes as many again, on average."
        )
    if said:
        return said
    said = [
        "Nothing yet. The file does not contradict itself and follows the rules of its chain, but anybody "
        f"could have made it. The facts below hold only if {place}, is genuine.",
        f"To forge that block with {confirmations} takes {work}. Give --min-work with more than a "
        "forger can afford; or give --checkpoint with the id of a block that you trust."
        if known["has_work"]
        else "To forge that block costs nothing, because blocks of the chain "
        f"{known['chain']} carry no work. Give --checkpoint with the id of a block that you trust.",
    ]
    if known["checkpoint"]:
        remedy = ", or give --min-work as well" if known["has_work"] else ""
        said.append(
            f"Your checkpoint {short(known['checkpoint'])} comes before that block, so it does not vouch for "
            f"it: name that block itself or a later one{remedy}."
        )
    return said


def _trusted(known: dict[str, Any]) -> str:
    """Whom the verifier relies on, as the end of a sentence."""
    if known["vouched"]:
        return "you rely on whoever told you the checkpoint to have done so"
    if known["min_work"]:
        return "you rely on the miners who did the work to have done so"
    return "and without an anchor you know of nobody who has"


def _model_sentence(known: dict[str, Any]) -> str:
    model = f"In the state after that block there is the model {short(known['model'])}, which"
    if known["fork_of"] is None:
        return f"{model} {known['founder']} founded."
    return (
        f"{model} {known['founder']} made as a fork of version {known['fork_of_version']} of the model "
        f"{short(known['fork_of'])}. What that version was, the fork inherited as its version 0."
    )


def _version_sentence(known: dict[str, Any]) -> str:
    number = known["version"]
    made = f"made by {known['author']}"
    if known["halves"]:
        growths = " and ".join(known["halves"])
        made = f"the union of the growths of {growths}, which {known['author']} has sent"
    if number == 0:
        made = "founded with it" if known["fork_of"] is None else f"inherited, and once {made}"
    standing = "the current one" if known["current"] else "no longer the current one"
    origin = ", ".join(
        f"version {item['version']} by {item['author']} (hidden neurons: {item['neurons']:,})"
        for item in known["lineage"]
    )
    return f"Version {number} of it, {made}, was {standing} then. Its neurons come from: {origin}."


def _loss_sentences(known: dict[str, Any]) -> list[str]:
    if known["version"] == 0:
        if known["fork_of"] is None:
            return ["Nobody has measured version 0: it comes from the founding, not from a round."]
        return ["No round of this model has measured version 0: its losses are those of the parent model."]
    people = _for_people(known)
    said = [
        f"In its round, on {known['sealed_rows']:,} rows that stayed sealed until all updates were in, its "
        f"mean loss was {people['sealed_loss']} nats a row, and it got {people['sealed_correct']} right."
    ]
    if known["witness_rows"]:
        said.append(
            f"{known['witness_rows']:,} of these rows came from witnesses and not from the opener. On them "
            f"its mean loss was {people['witness_loss']} nats a row, and that of the baseline "
            f"{people['witness_baseline']}."
        )
    if known["witnesses"]:
        said.append(f"Witnesses who opened a part: {'; '.join(people['witnesses'])}.")
    return [
        *said,
        f"On {_openers_rows(known)}, its mean loss was {people['opener_loss']} nats a row, and that of the "
        f"baseline {people['opener_baseline']}.",
        "The baseline is the better of two: the version before, and a network that knows only how often "
        "each class occurs."
        if known["kind"] == "train"
        else "The baseline is the version before, which knows of the new classes only how often they occur.",
    ]


def _openers_rows(known: dict[str, Any]) -> str:
    """The rows of the opener's group, in words."""
    own, rows = known["opener_own_rows"], known["opener_rows"]
    if own == rows:
        return f"the opener's own {own:,} rows"
    return f"the opener's own {own:,} rows with {rows - own:,} rows of witnesses that do not count separately"


def witness_words(witness: dict[str, Any]) -> str:
    """A witness who opened a part: who named them, and whether their part is limited to old classes."""
    named = "named by the opener" if witness["named_by_opener"] else "not named by the opener"
    old = ", for old classes only" if witness["old_classes_only"] else ""
    return f"{witness['address']} ({named}{old})"


def _measured(name: str, measured: Measured) -> dict[str, int]:
    return {
        f"{name}_rows": measured.rows,
        f"{name}_loss": measured.loss,
        f"{name}_baseline": measured.baseline,
    }


def _one_key(report: ProofReport) -> dict[str, bool | None]:
    """Which of founder, opener and author are one key; null where no round of the model made the version."""
    opener, founder = (None if report.round is None else report.round.opener), report.model.founder
    return {
        "opener_is_author": None if opener is None else opener in report.makers,
        "founder_is_author": founder in report.makers,
        "founder_is_opener": None if opener is None else opener == founder,
    }


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
