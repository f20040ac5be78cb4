"""Which addresses are one host, and which one group."""

import pytest

from engram.p2p.netgroup import (
    Scope,
    group_of,
    host_of,
    is_loopback,
    packed_host,
    plain_host,
    scope_of,
    unpacked_host,
)


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


@pytest.mark.parametrize(
    ("host", "scope"),
    [
        ("127.0.0.1", Scope.LOOPBACK),
        ("::1", Scope.LOOPBACK),
        ("10.1.2.3", Scope.PRIVATE),
        ("172.16.0.1", Scope.PRIVATE),
        ("172.32.0.1", Scope.PUBLIC),
        ("192.168.9.9", Scope.PRIVATE),
        ("::ffff:192.168.9.9", Scope.PRIVATE),
        ("100.64.0.1", Scope.PRIVATE),
        ("fd00::1", Scope.PRIVATE),
        ("8.8.8.8", Scope.PUBLIC),
        ("2001:4860:4860::8844", Scope.PUBLIC),
        ("0.0.0.0", None),
        ("::", None),
        ("169.254.1.1", None),
        ("fe80::1", None),
        ("224.0.0.1", None),
        ("ff02::1", None),
        ("255.255.255.255", None),
        ("192.0.2.1", None),
        ("node.example", None),
        ("", None),
    ],
)
def test_from_where_a_host_is_reached(host: str, scope: Scope | None) -> None:
    assert scope_of(host) is scope


@pytest.mark.parametrize("host", ["8.8.4.4", "2001:4860::1", "::1", "127.0.0.1"])
def test_hosts_on_the_wire(host: str) -> None:
    raw = packed_host(host)
    assert raw is not None
    assert len(raw) == 16
    assert unpacked_host(raw) == host


def test_one_host_is_written_in_one_way() -> None:
    assert packed_host("node.example") is None
    assert plain_host("2001:4860:0:0:0:0:0:1") == "2001:4860::1"
    assert plain_host("::ffff:8.8.4.4") == "8.8.4.4"
    assert plain_host("Node.Example") == "node.example"
