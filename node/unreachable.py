"""Says why no node answers at an address, in words for people."""

from __future__ import annotations

import os

import aiohttp

from engram.node.errors import CertificateUntrusted, NodeUnreachable


def unreachable(url: str, error: BaseException, waited_s: float) -> NodeUnreachable:
    """The error for what aiohttp has met at a URL; an answer was awaited for `waited_s` seconds."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return CertificateUntrusted(
            f"the certificate of {url} is not trusted ({error.certificate_error}): name a file with it, or "
            "with that of its issuer, in the environment variable SSL_CERT_FILE"
        )
    return NodeUnreachable(f"no node answers at {url}: {_reason(error, waited_s)}")


def _reason(error: BaseException, waited_s: float) -> str:
    if isinstance(error, aiohttp.InvalidURL):
        return "that is no address of a node; write it as http://127.0.0.1:8645"
    if isinstance(error, aiohttp.ClientSSLError):  # which the system's numbers do not name
        return "it speaks no HTTPS"
    if isinstance(error, aiohttp.ClientConnectorError):  # its own text would repeat the address
        if error.errno is not None and error.errno > 0:
            return os.strerror(error.errno)
        return error.strerror or "no connection"
    if isinstance(error, TimeoutError):
        return f"it has not answered within {waited_s:g} seconds"
    return str(error) or type(error).__name__
