"""Who may enter the RPC server: which Host, which Origin, which token.

A web page that the operator visits must not be able to command the node, although the browser runs on the
same machine. aiohttp does not prevent that, so the guard does. It refuses requests whose Host header is not a
known name, because a page can make its own name point to this machine (DNS rebinding). And it refuses
requests with an Origin header, which browsers add to requests that a page of another site makes, WebSockets
included.

The explorer is a page, too, and its origin is the very address that it was loaded from, so its files and its
WebSocket are the one exception: the Origin must name the same host and port as the Host header, which is
known by then. A page at another port of this machine has another origin. What has an Origin is never an
administrator, whatever it sends besides, so that no proxy that adds the token opens the node to pages.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Mapping
from typing import Final

from engram.node.explorer.serving import PREFIX
from engram.node.rpc.refusals import HttpRefusal

LOCAL_NAMES: Final = ("localhost", "127.0.0.1", "[::1]")
WEBSOCKET: Final = "/ws"
_SCHEMES: Final = ("http://", "https://")
"""By the second, a proxy that adds TLS serves the page."""


class Guard:
    """Lets requests pass by their headers."""

    def __init__(self, host: str, names: Collection[str], token: str, *, pages: bool) -> None:
        """`host` is where the server listens; `pages` says whether the explorer is served there."""
        assert token, "an empty token would open every admin method; `load_token` returns none"
        self._names = frozenset(name.lower() for name in (*LOCAL_NAMES, _bracketed(host), *names))
        self._token = token.encode()
        self._pages = pages

    def check(self, path: str, headers: Mapping[str, str]) -> None:
        """Raises `HttpRefusal` for a request that must not enter."""
        host = headers.get("Host", "").lower()
        name = host if host.endswith("]") else host.rsplit(":", 1)[0]
        if name not in self._names:
            raise HttpRefusal(
                403,
                "unknown Host; use a name of this machine, or add this one to rpc_names",
                expected=sorted(self._names),
                got=host[:80],
            )
        if is_of_a_page(headers) and not (self._pages and _is_for_pages(path) and _is_own(host, headers)):
            raise HttpRefusal(
                403,
                "requests from web pages are refused, except by the explorer from the address that serves "
                "it; send no Origin header, and let a proxy pass the Host header on",
            )
        if "Authorization" in headers and not self._has_token(headers):
            raise HttpRefusal(
                401,
                "wrong token; the right one is in the file rpc.token of the node's data directory",
                headers={"WWW-Authenticate": "Bearer"},
            )

    def is_admin(self, headers: Mapping[str, str]) -> bool:
        """Whether a request has the token and is no page's."""
        return self._has_token(headers) and not is_of_a_page(headers)

    def _has_token(self, headers: Mapping[str, str]) -> bool:
        scheme, _, token = headers.get("Authorization", "").partition(" ")
        given = token.encode("utf-8", "surrogateescape")
        return scheme.lower() == "bearer" and hmac.compare_digest(given, self._token)


def is_of_a_page(headers: Mapping[str, str]) -> bool:
    """Whether a browser says that a page makes this request."""
    return "Origin" in headers


def _is_for_pages(path: str) -> bool:
    """Whether the explorer asks for this path with an Origin. Browsers add one even to modules of a page."""
    return path == WEBSOCKET or path.startswith(PREFIX)


def _is_own(host: str, headers: Mapping[str, str]) -> bool:
    return headers["Origin"].lower() in {scheme + host for scheme in _SCHEMES}


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
