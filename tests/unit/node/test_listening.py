"""What the system says to a node that wants to listen, in errors by name."""

import errno
import os

import pytest

from engram.node.listening import why_not


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.EADDRINUSE, "port_taken"),
        (errno.EACCES, "port_forbidden"),
        (errno.EPERM, "port_forbidden"),
        (errno.EADDRNOTAVAIL, "address_unusable"),
        (errno.EMFILE, "address_unusable"),
    ],
)
def test_each_refusal_has_a_code_and_names_the_place(number: int, code: str) -> None:
    error = why_not(OSError(number, os.strerror(number)), "192.0.2.1:80", "set --p2p-port")
    assert error.code == code
    assert "192.0.2.1:80" in error.message
    assert ("set --p2p-port" in error.message) is (code == "port_taken")
