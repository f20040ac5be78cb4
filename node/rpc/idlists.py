"""Lists of ids that a client gives."""

from __future__ import annotations

from engram.node.rpc.jsonrpc import INVALID_PARAMS, RpcFault
from engram.node.rpc.parameters import ID, ID_BYTES


def listed_ids(texts: list[str], most: int) -> list[bytes]:
    """The ids that the texts stand for. Raises `RpcFault` for too many, and for what is no id."""
    if len(texts) > most:
        raise RpcFault(INVALID_PARAMS, "too many ids", expected=f"at most {most}", got=len(texts))
    found = []
    for text in texts:
        try:
            name = bytes.fromhex(text)
        except (TypeError, ValueError):
            name = b""
        if len(name) != ID_BYTES:
            raise RpcFault(INVALID_PARAMS, "this is no id", expected=ID.told, got=repr(text)[:80])
        found.append(name)
    return found
