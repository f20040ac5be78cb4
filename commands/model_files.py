"""`engram model export`: writes a version in the format of other tools."""

from __future__ import annotations

from pathlib import Path

import click

from engram.commands.support.files import check_free
from engram.commands.support.options import Command, json_flag
from engram.commands.support.output import print_fields, print_json

FILE = click.Path(dir_okay=False, path_type=Path)


@click.command(
    "export",
    cls=Command,
    example="engram model export model.npz --onnx model.onnx",
)
@click.argument("file", type=FILE)
@click.option("--onnx", "onnx_file", type=FILE, required=True, help="The ONNX file to write.")
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@json_flag
def export(file: Path, onnx_file: Path, force: bool, as_json: bool) -> None:
    """Write a version as an ONNX model whose logits are the chain's integers.

    FILE is what `engram model pull` has written. The input `features` is uint8 (rows, inputs), the output
    `logits` int64 (rows, classes) in units of 2^-16 nat; the largest is the class. onnxruntime computes the
    logits of random and of extreme rows with it, before it is written and from the file again, and they are
    compared with the integers that the network computes. The command prints how many were compared; if one
    differs, it is refused with `export_mismatch`. Needs `pip install "engram[onnx]"`.
    """
    from engram.library.extras import onnx_format
    from engram.library.network import Network

    check_free(onnx_file, force=force)
    network = Network.load(file)
    network.to_onnx(onnx_file)
    compared = onnx_format().check_same(network, onnx_file.read_bytes())
    result = {
        "file": str(onnx_file),
        "root": network.root.hex(),
        "inputs": network.inputs,
        "classes": network.classes,
        "size_bytes": onnx_file.stat().st_size,
        "compared_rows": compared.rows,
        "compared_logits": compared.logits,
        "largest_difference": compared.largest_difference,
    }
    if as_json:
        print_json(result)
        return
    shown = {name: value for name, value in result.items() if not name.startswith(("compared", "largest"))}
    shown["compared"] = (
        f"{compared.logits:,} logits on {compared.rows} rows, by onnxruntime and by the network of integers"
    )
    shown["largest difference"] = compared.largest_difference
    print_fields(shown.items())
