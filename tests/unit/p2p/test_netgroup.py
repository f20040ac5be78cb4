"""Which addresses are one host, and which one group."""

import pytest

from engram.p2p.netgroup import group_of, host_of, is_loopback


@pytest.mark.parametrize(
    ("host", "one", "group"),
    [
        ("192.0.2.7", "192.0.2.7", "192.0.0.0/16"),
        ("::ffff:192.0.2.7", "192.0.2.7", "192.0.0.0/16"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", "2001:db8::/32"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64", "2001:db8::/32"),
        ("fe80::1%eth0", "fe80::/64", "fe80::/32"),
        ("Node.example", "Node.example", "node.example"),
    ],
)
def test_hosts_and_groups(host: str, one: str, group: str) -> None:
    assert (host_of(host), group_of(host)) == (one, group)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "localhost"])
def test_this_machine(host: str) -> None:
    assert is_loopback(host)
    assert is_loopback(host_of(host))


@pytest.mark.parametrize("host", ["192.0.2.1", "128.0.0.1", "2001:db8::1", "localhost.example", ""])
def test_other_machines(host: str) -> None:
    assert not is_loopback(host)
