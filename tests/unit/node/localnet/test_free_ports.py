"""The ports of a localnet are free and different."""

import socket
from contextlib import ExitStack

import pytest

from engram.node.localnet import background
from engram.node.localnet.background import HOST, PORTS, free_ports


def test_they_are_different_and_can_be_listened_at() -> None:
    ports = free_ports(64)
    assert len(set(ports)) == 64
    assert set(ports) <= set(PORTS)
    with ExitStack() as stack:
        for port in ports:
            stack.enter_context(socket.socket()).bind((HOST, port))


def test_those_that_somebody_has_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    first, *others = free_ports(3)
    monkeypatch.setattr(background, "PORTS", (first, *others))
    with socket.socket() as taken:
        taken.bind((HOST, first))
        assert sorted(free_ports(2)) == sorted(others)
