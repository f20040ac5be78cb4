"""What commands that check a proof bundle share: options, the spec that the verifier brings, the clock."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from engram.commands.support.completion import complete_files
from engram.commands.support.options import data_dir_option
from engram.commands.support.param_types import HASH

if TYPE_CHECKING:
    from engram.library.verifying import ProofVerdict

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

    def verdict(self, file: Path, weights: Path | None = None) -> ProofVerdict:
        """Reads and checks a bundle, and a file of weights if one is named. Raises as `verify` does."""
        from engram.library.verifying import verify

        return verify(
            file,
            checkpoint=self._checkpoint,
            min_work=self._min_work,
            chain=self._chain,
            data_dir=self._data_dir,
            network=weights,
        )


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
