"""Modules that need an extra, imported when they are used; an error names the extra."""

from __future__ import annotations

from types import ModuleType

from engram.library.errors import OnnxMissing
from engram.node.extras import install_command


def onnx_format() -> ModuleType:
    """The module that writes ONNX models. Raises `OnnxMissing`."""
    try:
        from engram.library import onnx_format
    except ModuleNotFoundError as error:
        raise OnnxMissing(
            f"ONNX is not installed: install it with {install_command('onnx')}", got=str(error)
        ) from error
    return onnx_format
