"""Engram: a proof-of-work chain whose state transition runs integer neural networks.

What programs use stands here: `connect` to a chain, `dev_node` and `localnet` to try one, `dev_key` for the
keys of their accounts, `Network` for the integers of a model, `load_data` for rows, `verify` for proofs.
`AsyncChain` is for programs with an event loop. docs/library.md shows how.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engram.primitives.version import VERSION as __version__

if TYPE_CHECKING:
    from engram.library.chain import AsyncChain as AsyncChain
    from engram.library.connect import connect as connect
    from engram.library.dev_keys import dev_key as dev_key
    from engram.library.evaluation import Evaluation as Evaluation
    from engram.library.explanation import Explanation as Explanation
    from engram.library.fidelity import Fidelity as Fidelity
    from engram.library.model import AsyncModel as AsyncModel
    from engram.library.network import Network as Network
    from engram.library.nodes import dev_node as dev_node
    from engram.library.nodes import localnet as localnet
    from engram.library.rounds import AsyncRound as AsyncRound
    from engram.library.rows import load_data as load_data
    from engram.library.rows import load_features as load_features
    from engram.library.rows import without_repeats as without_repeats
    from engram.library.sync import SyncChain as SyncChain
    from engram.library.sync import SyncModel as SyncModel
    from engram.library.sync import SyncRound as SyncRound
    from engram.library.verifying import ProofVerdict as ProofVerdict
    from engram.library.verifying import verify as verify
    from engram.primitives.errors import ChainError as ChainError

_HOMES = {
    "AsyncChain": ("engram.library.chain", "AsyncChain"),
    "AsyncModel": ("engram.library.model", "AsyncModel"),
    "AsyncRound": ("engram.library.rounds", "AsyncRound"),
    "ChainError": ("engram.primitives.errors", "ChainError"),
    "Evaluation": ("engram.library.evaluation", "Evaluation"),
    "Explanation": ("engram.library.explanation", "Explanation"),
    "Fidelity": ("engram.library.fidelity", "Fidelity"),
    "Network": ("engram.library.network", "Network"),
    "ProofVerdict": ("engram.library.verifying", "ProofVerdict"),
    "SyncChain": ("engram.library.sync", "SyncChain"),
    "SyncModel": ("engram.library.sync", "SyncModel"),
    "SyncRound": ("engram.library.sync", "SyncRound"),
    "connect": ("engram.library.connect", "connect"),
    "dev_key": ("engram.library.dev_keys", "dev_key"),
    "dev_node": ("engram.library.nodes", "dev_node"),
    "load_data": ("engram.library.rows", "load_data"),
    "load_features": ("engram.library.rows", "load_features"),
    "localnet": ("engram.library.nodes", "localnet"),
    "verify": ("engram.library.verifying", "verify"),
    "without_repeats": ("engram.library.rows", "without_repeats"),
}
"""Where each name of the library stands. It is imported when it is first used, so `import engram` is fast."""

__all__ = ["__version__", *sorted(_HOMES)]


if not TYPE_CHECKING:  # a type checker shall see what is not there

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        module, attribute = _HOMES[name]
        return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return __all__
