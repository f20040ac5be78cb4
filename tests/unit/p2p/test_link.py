"""Addresses of peers as text."""

import pytest

from engram.p2p.errors import BadPeerAddress
from engram.p2p.link import PeerAddress

KEY = bytes(range(32))


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8646", PeerAddress("127.0.0.1", 8646)),
        ("node-1.example.org:1", PeerAddress("node-1.example.org", 1)),
        ("[::1]:65535", PeerAddress("::1", 65535)),
        (f"{KEY.hex()}@host:80", PeerAddress("host", 80, KEY)),
        (f"{KEY.hex()}@[fe80::1]:80", PeerAddress("fe80::1", 80, KEY)),
    ],
)
def test_text_and_back(text: str, address: PeerAddress) -> None:
    assert PeerAddress.parse(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "host",
        ":80",
        "host:",
        "host:0",
        "host:65536",
        "host:-1",
        "host:+1",
        "host:٣",
        "host:80x",
        "::1:80",
        "[host]:80",
        "[]:80",
        "ho st:80",
        "http://host:80",
        "host/path:80",
        "@host:80",
        "abcd@host:80",
        f"{KEY.hex()[:-1]}g@host:80",
    ],
)
def test_no_address(text: str) -> None:
    with pytest.raises(BadPeerAddress) as refused:
        PeerAddress.parse(text)
    assert refused.value.got == text
