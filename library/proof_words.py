"""Says in plain words what a checked proof bundle proves and what it does not."""

from __future__ import annotations

from typing import Any, Final

from engram.consensus.proof import LEAST_ANCHORING_WORK
from engram.library.claim_words import claimed_sentence, not_computed
from engram.library.proof_keys import key_sentences
from engram.node.amounts import accuracy, mean_loss

_MEASURED: Final = ("witness_loss", "witness_baseline", "opener_loss", "opener_baseline")
_PPM: Final = 10**6


def anchor_words(known: dict[str, Any]) -> list[str]:
    """Sentences that say what the proof rests on, or why it proves nothing and what would anchor it."""
    block, count = known["block"], known["confirmations"]
    place = (
        f"block {block['id']} at height {block['height']} of the chain {known['chain']} "
        f"(spec_id {known['spec_id']})"
    )
    above = f"{count:,} block{'' if count == 1 else 's'} on top of it"
    if not known["accepted"]:
        return _lacking(known, place, above)
    said = []
    if known["vouched"]:
        if known["checkpoint"] == block["id"]:
            said.append(
                f"Your checkpoint is {place}. If it is genuine, its id fixes the state after that block."
            )
        else:
            said.append(
                f"Your checkpoint {known['checkpoint']} comes after {place}. If the checkpoint is genuine, "
                "its id fixes that block and the state after it."
            )
    if known["min_work"]:
        said.append(
            f"To make {'that block' if said else place}, with {above}, took about {known['work']:,} hash "
            f"attempts; you asked for at least {known['min_work']:,}. To forge it takes as many again, on "
            "average."
        )
    return said


def statements(known: dict[str, Any]) -> list[str]:
    """Sentences about the version: what is proved if the proof is anchored, and else what its file claims."""
    return [
        _model_sentence(known),
        _version_sentence(known),
        f"The version is one network and no other: its parameters root {known['root']} names every weight "
        "and bias.",
        *_frozen_sentences(known),
        *key_sentences(known),
        *_loss_sentences(known),
    ]


def limits(known: dict[str, Any], *, weights_checked: bool) -> list[str]:
    """Sentences that say what is not proved."""
    measured = known["version"] > 0
    said = [
        f"That the state is right. This command has executed no block; {_trusted(known)}.",
        *_of_work(known),
        f"Anything later than {known['block']['time']}, the time of that block: the model may have newer "
        "versions now.",
        *_people(known, measured),
        "That the network does as well on your rows, or on each single class: its losses are means over the "
        "rows of the round."
        if measured
        else "How well the network does: measure it on your rows.",
        "What it was trained on, whether the rows of its round were good ones (they are public: `engram "
        "round data`), and whether it may decide about people."
        if measured
        else "What it was trained on, and whether it may decide about people.",
    ]
    if known["frozen"] is None:
        said.append(
            f"Whether version {known['version']} was frozen. The model was frozen at the proven block, but "
            "the proof does not show with which version that began: a later version may have changed the "
            "weights of this one. Ask for a proof at a block after which the version was the current one."
        )
    said += not_computed(known)
    if measured and (dependent := _dependence(known)):
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


def witness_words(witness: dict[str, Any]) -> str:
    """A witness who opened a part: who named them, and whether their part is limited to old classes."""
    named = "named by the opener" if witness["named_by_opener"] else "not named by the opener"
    old = ", for old classes only" if witness["old_classes_only"] else ""
    return f"{witness['address']} ({named}{old})"


def _lacking(known: dict[str, Any], place: str, above: str) -> list[str]:
    """Why a proof without an anchor proves nothing, and what to ask for."""
    said = [
        "The file does not contradict itself and follows the rules of its chain, but anybody could have made "
        f"it. What it claims holds only if {place} is genuine."
    ]
    work, enough = f"{known['work']:,} hash attempts", known["work"] >= LEAST_ANCHORING_WORK
    if not known["has_work"]:
        said.append(
            f"To forge that block costs nothing, because blocks of the chain {known['chain']} carry no work."
        )
    elif enough:
        said.append(f"To forge that block with {above} takes about {work}.")
    else:
        asked = f" You asked for {known['min_work']:,}." if known["min_work"] else ""
        said.append(
            f"To forge that block with {above} takes about {work}.{asked} So little work is no anchor: less "
            f"than {LEAST_ANCHORING_WORK:,} (2^40) attempts cost one machine for mining minutes at most."
        )
    other = "--min-work with more hash attempts than a forger can afford" if enough else None
    if known["checkpoint"]:
        said.append(
            f"Your checkpoint {known['checkpoint']} comes before that block, so it does not vouch for it. "
            "Ask whomever you trust whether that block, or a later one, is on the chain; do not copy its id "
            f"from here.{f' Or give {other}.' if other else ''}"
        )
    else:
        also = f", or {other}" if other else ""
        said.append(f"Give --checkpoint with the id of a block that you trust{also}.")
    return said


def _trusted(known: dict[str, Any]) -> str:
    """Whom the verifier relies on, as the end of a sentence."""
    if known["vouched"]:
        return "you rely on whoever told you the checkpoint to have done so"
    if known["accepted"]:
        return "you rely on the miners who did the work to have done so"
    return "and without an anchor you know of nobody who has"


def _of_work(known: dict[str, Any]) -> list[str]:
    """What work leaves open where it is the only anchor."""
    if known["vouched"] or not known["accepted"]:
        return []
    return [
        f"That the chain {known['chain']} has no other history. That block and those on top of it cost about "
        f"{known['work']:,} hash attempts; whoever makes so many again can make another history, with other "
        "records in it."
    ]


def _people(known: dict[str, Any], measured: bool) -> list[str]:
    """What keys leave open about the persons who hold them, and about what they told each other."""
    if not measured:
        return ["Who the people are. Founder and author are keys; one person may hold several."]
    said = [
        "Who the people are. Founder, author, opener and witnesses are keys; one person may hold several. So "
        "a witness may be the opener, or the author, under another key."
    ]
    if known["author_rows"] < known["sealed_rows"]:
        owners = "the opener and each witness" if known["witnesses"] else "the opener"
        said.append(
            f"That nobody had told the author the sealed rows: {owners} knew their own from the beginning."
        )
    return said


def _dependence(known: dict[str, Any]) -> str | None:
    """Why opener and author may have chosen all rows that decide; None if a stranger judged all classes.

    Witnesses of old classes only cannot judge new ones, and their rows count with the opener's.
    """
    witnesses = known["witnesses"]
    full = [witness for witness in witnesses if not witness["old_classes_only"]]
    if not witnesses:
        return (
            "That anybody but the opener chose rows for it: no witness opened a part, so all rows that "
            "decided were the opener's."
        )
    if not full:
        return (
            "That anybody but the opener chose rows of all classes for it: the witnesses who opened a part "
            "were limited to old classes."
        )
    makers = {known["author"], *known["halves"]}
    strangers = [witness for witness in full if not witness["named_by_opener"]]
    if any(witness["address"] not in makers for witness in strangers):
        return None
    whose = "the witnesses" if len(full) == len(witnesses) else "those witnesses who could judge all classes"
    if strangers:
        return f"That {whose} are strangers: the opener named each of them, or they are the author."
    return (
        f"That {whose} are strangers to the opener: the opener named every one of them, in the terms of "
        "the round or as the founder of the model."
    )


def _model_sentence(known: dict[str, Any]) -> str:
    model = f"In the state after that block there is the model {known['model']}, which"
    if known["fork_of"] is None:
        return f"{model} {known['founder']} founded."
    return (
        f"{model} {known['founder']} made as a fork of version {known['fork_of_version']} of the model "
        f"{known['fork_of']}. What that version was, the fork inherited as its version 0."
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


def _frozen_sentences(known: dict[str, Any]) -> list[str]:
    if known["frozen"] is None:
        return []
    if not known["frozen"]:
        return ["The version was not frozen: a later version may have changed every one of its weights."]
    share = f"{100 * known['retention_epsilon_ppm'] / _PPM:g} %"
    return [
        "The version was frozen: later versions keep its weights and only add neurons. Their answers may "
        f"differ from its answers: under the policy {known['policy']}, one growth may get wrong up to "
        f"{share} of the rows of old classes in its round that the version before had right."
    ]


def _loss_sentences(known: dict[str, Any]) -> list[str]:
    if known["version"] == 0:
        if known["fork_of"] is None:
            return ["Nobody has measured version 0: it comes from the founding, not from a round."]
        return ["No round of this model has measured version 0: its losses are those of the parent model."]
    people = _for_people(known)
    rows = f"on {known['sealed_rows']:,} rows that stayed sealed until all updates were in"
    mean, right = f"its mean loss was {people['sealed_loss']} nats a row", people["sealed_correct"]
    if known["claims"] is None:
        loss = "its mean loss was"
        said = [f"In its round, {rows}, {mean}, and it got {right} right."]
    else:
        loss = "its claimed mean loss was"
        said = [
            f"Its author claimed that in its round, {rows}, {mean}, and that it got {right} right. "
            f"{claimed_sentence(known)}"
        ]
    if known["witness_rows"]:
        among = ", the author among them," if known["witness_is_author"] else ""
        said.append(
            f"{known['witness_rows']:,} of these rows came from witnesses{among} and not from the opener. On "
            f"them {loss} {people['witness_loss']} nats a row, and that of the baseline "
            f"{people['witness_baseline']}."
        )
    if known["witnesses"]:
        said.append(f"Witnesses who opened a part: {'; '.join(people['witnesses'])}.")
    return [
        *said,
        f"On {_openers_rows(known)}, {loss} {people['opener_loss']} nats a row, and that of the baseline "
        f"{people['opener_baseline']}.",
        "The baseline is the better of two: the version before, and a network that knows only how often "
        "each class occurs."
        if known["kind"] == "train"
        else "The baseline is the version before, which knows of the new classes only how often they occur.",
    ]


def _for_people(known: dict[str, Any]) -> dict[str, Any]:
    """Mean losses per row, shares of correct rows, and witnesses in words."""
    shown: dict[str, Any] = {
        name: mean_loss(known[name], known[f"{name.partition('_')[0]}_rows"])
        for name in ("sealed_loss", *_MEASURED)
    }
    shown["sealed_correct"] = accuracy(known["sealed_correct"], known["sealed_rows"])
    shown["witnesses"] = [witness_words(witness) for witness in known["witnesses"]]
    return shown


def _openers_rows(known: dict[str, Any]) -> str:
    """The rows of the opener's group, in words."""
    own, rows = known["opener_own_rows"], known["opener_rows"]
    if own == rows:
        return f"the opener's own {own:,} rows"
    return f"the opener's own {own:,} rows with {rows - own:,} rows of witnesses that do not count separately"
