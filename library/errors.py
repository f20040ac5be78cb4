"""Errors of the library: options, chains that are closed, and what other tools lack or Engram cannot express.

The first line of each docstring is the message that the user sees where the code gives no other.
"""

from __future__ import annotations

from engram.primitives.errors import ChainError, InvalidInput, NotReady


class OptionUnused(InvalidInput):
    """This option has no effect here: leave it out."""


class OptionInvalid(InvalidInput):
    """An option has a value that it does not know."""


class SpecNotGiven(InvalidInput):
    """The proof is of a chain whose ChainSpec is not here: name the preset or the file with --chain (in
    Python, chain=).
    """


class ChainClosed(NotReady):
    """The chain is not open here: open it with `engram.connect`, and use it before it is closed."""


class ReportMustNotWait(NotReady):
    """A report cannot ask the chain that calls it: keep what it says, and ask when the call has returned."""


class OnnxMissing(NotReady):
    """ONNX, of the extra `onnx`, is not installed."""


class ExportMismatch(ChainError):
    """The exported model computes other integers than the network: do not use it, and report this."""


class SklearnMissing(NotReady):
    """scikit-learn, of the extra `sklearn`, is not installed."""


class LayerUnsupported(InvalidInput):
    """The model has a layer that no network of a chain can express."""


class NotQuantizable(InvalidInput):
    """No integers of a chain stand for these weights: they are not finite, or differ too much in size."""
