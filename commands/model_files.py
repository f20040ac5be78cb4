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
    `logits` int64 (rows, classes) in units of 2^-16 nat; the largest is the class. Before the file is
    written, onnxruntime computes the logits of random and extreme rows with it, and they are compared. Needs
    `pip install engram[onnx]`.
    """
    from engram.library.network import Network

    check_free(onnx_file, force=force)
    network = Network.load(file)
    network.to_onnx(onnx_file)
    result = {
        "file": str(onnx_file),
        "root": network.root.hex(),
        "inputs": network.inputs,
        "classes": network.classes,
        "size_bytes": onnx_file.stat().st_size,
    }
    if as_json:
        print_json(result)
    else:
        print_fields(result.items())
