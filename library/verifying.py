"""Checks proof bundles without a node, and says what they prove: what `engram verify` does, for programs."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from engram.consensus.bundle import MAX_BUNDLE_BYTES, ProofBundle, open_bundle
from engram.consensus.chainspec import ChainSpec, main, spec_id, test
from engram.consensus.proof import ProofReport, verify_bundle
from engram.library.errors import OptionInvalid, SpecNotGiven
from engram.library.model import Proof
from engram.library.network import Network
from engram.library.proof_facts import facts
from engram.library.proof_fields import record_lines
from engram.library.proof_words import anchor_words, limits, statements
from engram.node.configsources import find_data_dir
from engram.node.datadir import read_spec, read_spec_file
from engram.node.errors import ChainNotFound, ConfigInvalid
from engram.participant.errors import WeightsMismatch
from engram.participant.export import SavedNetwork, load_weights
from engram.primitives.types import Hash

_HASH_BYTES: Final = 32


@dataclass(frozen=True, repr=False)
class ProofVerdict:
    """What a checked proof says. `str()` of it is the conclusion in plain sentences, as a person reads it."""

    report: ProofReport
    """The headers and records themselves."""
    facts: dict[str, Any]
    """What `engram verify --json` prints, under the same names."""
    anchor: tuple[str, ...]
    """Sentences that say what the proof rests on; if it is not `accepted`, what it lacks."""
    proves: tuple[str, ...]
    """Sentences; none if the proof is not `accepted`."""
    file_claims: tuple[str, ...]
    """If the proof is not `accepted`: the same sentences, which then are only what the file claims."""
    does_not_prove: tuple[str, ...]
    network: Network | None
    """The network that was given, now known to be the proven version; None if none was given."""

    @property
    def accepted(self) -> bool:
        """Whether the proof rests on an anchor that you gave. If not, anybody could have made it."""
        return self.report.anchored

    def __repr__(self) -> str:
        return f"ProofVerdict({self.verdict}; print it to read what it proves)"

    def __str__(self) -> str:
        """The verdict, the records with whole ids and keys, and the conclusion."""
        return "\n".join((self.verdict, *record_lines(self.facts), "", self.conclusion))

    @property
    def verdict(self) -> str:
        """ "accepted", or "consistent, not anchored": the first line of the text."""
        return str(self.facts["verdict"])

    @property
    def sentences(self) -> dict[str, tuple[str, ...]]:
        """The four lists of sentences, under their names in `engram verify --json`."""
        return {
            "anchor": self.anchor,
            "proves": self.proves,
            "file_claims": self.file_claims,
            "does_not_prove": self.does_not_prove,
        }

    @property
    def conclusion(self) -> str:
        """Lists of sentences: what the proof proves, or what its file claims, and what it does not prove."""
        lists: tuple[tuple[str, tuple[str, ...]], ...] = (
            ("What this proves:", (*self.anchor, *self.proves)),
            ("What this does not prove:", self.does_not_prove),
        )
        if not self.accepted:
            lists = (
                ("What this proves: nothing.", self.anchor),
                ("What the file claims:", self.file_claims),
                ("What it would not prove with an anchor either:", self.does_not_prove),
            )
        lines: list[str] = []
        for title, sentences in lists:
            lines += ["", title, *(f"- {sentence}" for sentence in sentences)]
        return "\n".join(lines[1:])


def verify(
    proof: Proof | bytes | str | Path,
    *,
    checkpoint: str | bytes | None = None,
    min_work: int = 0,
    chain: ChainSpec | str | Path | None = None,
    data_dir: str | Path | None = None,
    network: Network | str | Path | None = None,
) -> ProofVerdict:
    """Checks a proof of a version and says what it proves. It asks no node, and believes nothing in the file.

    `proof`: what `model.prove()` gives, its bytes, or the path of its file. An anchor comes from you:
    `checkpoint` is the id of a block that you trust, `min_work` the least number of hash attempts in the
    proven block and those after it; fewer than 2^40 are no anchor. Without an anchor the verdict is not
    `accepted`, since anybody could have made such a file. `chain` is the chain that you mean: "main", "test",
    the path of a chain.json, or a ChainSpec; by default that of the data directory, or else main or test, if
    the proof is of that chain. `network`: a network or a file of `model pull`, which must be the proven
    version.

    Raises `SpecNotGiven`, `OptionInvalid`, what `open_bundle` and `verify_bundle` raise for a proof that
    breaks a rule, and `WeightsMismatch` and `ModelFileInvalid` for another network.
    """
    raw = proof.raw if isinstance(proof, Proof) else proof
    if isinstance(raw, str | Path):
        with Path(raw).open("rb") as stream:
            raw = stream.read(MAX_BUNDLE_BYTES + 1)
    if min_work < 0:
        raise OptionInvalid("min_work is a number of hash attempts: 0 or more", got=min_work)
    bundle = open_bundle(raw)
    report = verify_bundle(
        bundle,
        _spec(bundle.spec_id, chain, data_dir),
        time.time_ns() // 1_000_000,
        checkpoint=_block_id(checkpoint),
        min_work=min_work,
    )
    known = facts(report)
    said = statements(known)
    checked = None
    if network is not None:
        checked, named = _checked(network, bundle, report)
        said.append(f"{named} holds exactly the weights and biases of this version.")
    unproved = limits(known, weights_checked=checked is not None)
    proved, claimed = (tuple(said), ()) if report.anchored else ((), tuple(said))
    return ProofVerdict(report, known, tuple(anchor_words(known)), proved, claimed, tuple(unproved), checked)


def _block_id(given: str | bytes | None) -> Hash | None:
    """The bytes of a block id. Raises `OptionInvalid`."""
    try:
        found = bytes.fromhex(given) if isinstance(given, str) else given
    except ValueError:
        found = b""
    if found is not None and len(found) != _HASH_BYTES:
        raise OptionInvalid("a checkpoint is a whole block id, of 64 hexadecimal digits", got=given)
    return found


def _checked(network: Network | str | Path, bundle: ProofBundle, report: ProofReport) -> tuple[Network, str]:
    """The network, which is the proven version, and what to call it. Raises as `verify`."""
    if isinstance(network, Network):
        if network.root != report.version.root:
            raise WeightsMismatch(
                "the network is not the proven version, but that of another version, or changed; a network "
                "is named by its root",
                expected=report.version.root,
                got=network.root,
            )
        return network, "The given network"
    path = Path(network)
    parameters = load_weights(path, report.network)
    saved = SavedNetwork(report.version, bundle.line, report.network, parameters)
    return Network.of_version(saved), f"The file {path.name}"


def _spec(wanted: Hash, chain: ChainSpec | str | Path | None, data_dir: str | Path | None) -> ChainSpec:
    """The spec that `chain` names; else the data directory's or a preset, if it is the wanted one."""
    presets = {"main": main, "test": test}
    if isinstance(chain, ChainSpec):
        return chain
    if chain is not None:
        preset = presets.get(str(chain))
        return read_spec_file(Path(chain), pipes=True) if preset is None else preset()
    known = [preset() for preset in presets.values()]
    # A proof is checked by people who have no node, no settings and perhaps no home directory.
    with suppress(ChainNotFound, ConfigInvalid):
        given = None if data_dir is None else Path(data_dir)
        known.insert(0, read_spec(find_data_dir(given, os.environ)[0]))
    for spec in known:
        if spec_id(spec) == wanted:
            return spec
    raise SpecNotGiven(got=wanted)
