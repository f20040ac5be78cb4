"""Why HTTP requests are refused before JSON-RPC sees them: a status, and the same error object in the body.

Whoever reads JSON-RPC errors can read these, too: `data.code` is stable, the message names the remedy.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from engram.node.rpc.jsonrpc import INTERNAL_ERROR, INVALID_REQUEST, PARSE_ERROR, TOO_BUSY, UNAUTHORIZED

CODES: Final[Mapping[int, str]] = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "request_too_large",
    415: "unsupported_media_type",
    417: "expectation_failed",
    500: "internal_error",
    503: "too_busy",
}
"""The stable code of each status with which a request is refused."""
BLOB_MISSING: Final = "blob_missing"
"""The code of a blob that this node does not have, more exact than that of its status."""
_NUMBERS: Final[Mapping[int, int]] = {400: PARSE_ERROR, 401: UNAUTHORIZED, 500: INTERNAL_ERROR, 503: TOO_BUSY}


class HttpRefusal(Exception):
    """An HTTP request that is refused."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str = "",
        expected: object = None,
        got: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """`code` says more exactly than the status what is wrong; `headers` go with the answer."""
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = dict(headers or {})
        self._code = code or CODES.get(status, f"http_{status}")
        self._expected, self._got = expected, got

    def body(self) -> str:
        """The JSON-RPC response, with the id null, that says it."""
        data = {
            "code": self._code,
            "message": self.message,
            "expected": self._expected,
            "got": self._got,
        }
        number = _NUMBERS.get(self.status, INVALID_REQUEST)
        error = {"code": number, "message": self.message, "data": data}
        return json.dumps({"jsonrpc": "2.0", "id": None, "error": error})
