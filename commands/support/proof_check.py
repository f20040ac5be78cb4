"""What commands that check a proof bundle share: options, the spec that the verifier brings, the clock."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from engram.commands.support.completion import complete_files
from engram.commands.support.errors import SpecNotGiven
from engram.commands.support.options import data_dir_option
from engram.commands.support.param_types import HASH

if TYPE_CHECKING:
    from engram.consensus.chainspec import ChainSpec
    from engram.consensus.proof import ProofReport

PRESETS: Final = ("main", "test")


class ChainType(click.ParamType[str]):
    """The name of a preset, or the path of a file that holds a ChainSpec; the value is the text given."""

    name = "chain"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text. It is refused as wrong usage if it is neither a preset nor a file."""
        text = str(value)
        if text not in PRESETS and not Path(text).is_file():
            self.fail(f"{text!r} is neither {' nor '.join(PRESETS)} nor a file", param, ctx)
        return text


class Check:
    """How a proof is to be checked, as the options of `with_check` say."""

    def __init__(
        self, chain: str | None, data_dir: Path | None, checkpoint: bytes | None, min_work: int | None
    ) -> None:
        self._chain = chain
        self._data_dir = data_dir
        self._checkpoint = checkpoint
        self._min_work = min_work or 0

    def report(self, file: Path) -> ProofReport:
        """Reads and checks a bundle.

        Raises `SpecNotGiven`, and what `open_bundle` and `verify_bundle` raise.
        """
        from engram.consensus.bundle import MAX_BUNDLE_BYTES, open_bundle
        from engram.consensus.proof import verify_bundle

        with file.open("rb") as stream:
            raw = stream.read(MAX_BUNDLE_BYTES + 1)
        bundle = open_bundle(raw)
        return verify_bundle(
            bundle,
            self._spec(bundle.spec_id),
            time.time_ns() // 1_000_000,
            checkpoint=self._checkpoint,
            min_work=self._min_work,
        )

    def _spec(self, wanted: bytes) -> ChainSpec:
        """The spec that --chain names; else the data directory's or a preset, if it is the wanted one."""
        from engram.consensus.chainspec import main, spec_id, test
        from engram.node.configsources import load_config
        from engram.node.datadir import read_spec, read_spec_file
        from engram.node.errors import ChainNotFound, ConfigInvalid

        presets = dict(zip(PRESETS, (main, test), strict=True))
        if self._chain is not None:
            if self._chain in presets:
                return presets[self._chain]()
            return read_spec_file(Path(self._chain), pipes=True)
        known = [preset() for preset in presets.values()]
        # A proof is checked by people who have no node, no settings and perhaps no home directory.
        with suppress(ChainNotFound, ConfigInvalid):
            data_dir = load_config({"data_dir": self._data_dir}, os.environ).config.data_dir
            known.insert(0, read_spec(data_dir))
        for spec in known:
            if spec_id(spec) == wanted:
                return spec
        raise SpecNotGiven(got=wanted)


def with_check(function: Callable[..., None]) -> Callable[..., None]:
    """Adds --chain, --data-dir, --checkpoint and --min-work; the function gets a `Check` as `check`."""

    @wraps(function)
    def run(
        *,
        chain: str | None,
        data_dir: Path | None,
        checkpoint: bytes | None,
        min_work: int | None,
        **params: Any,
    ) -> None:
        function(check=Check(chain, data_dir, checkpoint, min_work), **params)

    for option in reversed(_OPTIONS):
        run = option(run)
    return run


_OPTIONS: Final = (
    click.option(
        "--chain",
        type=ChainType(),
        metavar="PRESET|FILE",
        shell_complete=complete_files,
        help="The chain that you mean: main, test, or a file as `engram chain spec` prints it. Default: the "
        "chain of the data directory, or else main or test, if the proof is of that chain.",
    ),
    data_dir_option,
    click.option(
        "--checkpoint",
        type=HASH,
        help="An anchor: the id of a block that you trust. To trust a block means to trust its state and all "
        "blocks before it, but none after it. Do not take the id from whoever gave you the proof.",
    ),
    click.option(
        "--min-work",
        type=click.IntRange(1),
        help="An anchor: the least work in the proven block and those after it, as the number of hash "
        "attempts that they take on average. Choose more than anybody would spend to deceive you. If "
        "--checkpoint is given, too, both must hold.",
    ),
)
