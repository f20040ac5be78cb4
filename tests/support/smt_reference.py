"""The sparse Merkle tree by its definition, no nodes, no updates: the oracle for roots. Nodes in a dict."""

import hashlib
from collections.abc import Mapping

EMPTY = bytes(32)


class Nodes(dict[bytes, bytes]):
    """Tree nodes by hash: a `NodeReader`."""

    def get_node(self, node_hash: bytes) -> bytes:
        return self[node_hash]


def root_of(model: Mapping[bytes, bytes]) -> bytes:
    """The root of a key-value set."""
    bits = {"".join(f"{byte:08b}" for byte in key): (key, value) for key, value in model.items()}
    return _subtree(bits, 0)


def _subtree(leaves: dict[str, tuple[bytes, bytes]], depth: int) -> bytes:
    if not leaves:
        return EMPTY
    if len(leaves) == 1:
        ((key, value),) = leaves.values()
        return _tagged("engram/leaf", key + _tagged("engram/leaf_value", value))
    left = {path: leaf for path, leaf in leaves.items() if path[depth] == "0"}
    right = {path: leaf for path, leaf in leaves.items() if path[depth] == "1"}
    return _tagged("engram/node", _subtree(left, depth + 1) + _subtree(right, depth + 1))


def _tagged(tag: str, message: bytes) -> bytes:
    digest = hashlib.sha256(tag.encode()).digest()
    return hashlib.sha256(digest + digest + message).digest()
