"""Where a node believes that it can be reached, by what dialled peers say."""

import pytest

from engram.p2p.addresses import AGREEING_UNPROVED, MAX_CLAIMS, OWN_DIALS, OwnAddress
from engram.p2p.link import PeerAddress

PORT = 9_000
HONEST, FALSE = "8.8.8.8", "9.9.9.9"
HONEST_V6 = "2600:1::1"


def own_address(listens_at: str = "0.0.0.0") -> OwnAddress:
    own = OwnAddress(None, listens_at)
    own.port = PORT
    return own


def told(own: OwnAddress, host: str, *groups: int) -> None:
    for group in groups:
        own.seen_as(host, f"{group}.1.1.1")


def known(own: OwnAddress) -> list[str]:
    """What is told to others, where a dial of the honest hosts leads back and none of a false one."""
    while (address := own.to_dial()) is not None:
        if address.host != FALSE:
            own.led_back(address)
    return [address.host for address in own.known]


def test_two_networks_have_to_agree_and_a_dial_to_lead_back() -> None:
    own = own_address()
    told(own, HONEST, 20, 20)
    own.seen_as(HONEST, "20.1.7.7")
    assert own.to_dial() is None
    told(own, HONEST, 21)
    assert not own.known
    assert own.to_dial() == PeerAddress(HONEST, PORT)
    own.led_back(PeerAddress(FALSE, PORT))
    assert not own.known
    own.led_back(PeerAddress(HONEST, PORT))
    assert own.known == (PeerAddress(HONEST, PORT),)
    assert own.to_dial() is None
    own.seen_as(HONEST_V6, "20.1.1.1")
    own.seen_as(HONEST_V6, "2601:1::1")
    assert known(own) == [HONEST, HONEST_V6]
    told(own, FALSE, 20, 21, 22)
    assert HONEST not in known(own), "what was proved holds only while peers say it"


@pytest.mark.fault(id=25)
def test_a_few_liars_cannot_make_a_node_name_another_host_as_its_own() -> None:
    """They are all that it has dialled. It dials what they say a few times, and no more."""
    own = own_address()
    told(own, FALSE, *range(20, 20 + AGREEING_UNPROVED - 1))
    for _ in range(OWN_DIALS):
        assert own.to_dial() == PeerAddress(FALSE, PORT)
    assert own.to_dial() is None
    assert not own.known
    told(own, FALSE, 50)
    assert known(own) == [FALSE], "behind a router that leads no dial back, so many have to do"


def test_a_node_whose_operator_names_its_address_asks_nobody() -> None:
    own = OwnAddress(PeerAddress(HONEST, 7), "0.0.0.0")
    own.port = PORT
    told(own, FALSE, *range(20, 30))
    assert own.known == (PeerAddress(HONEST, 7),)
    assert own.to_dial() is None


@pytest.mark.fault(id=25)
def test_liars_that_are_fewer_than_the_others_are_not_believed() -> None:
    own = own_address()
    told(own, HONEST, *range(20, 26))
    told(own, FALSE, 40, 41)
    assert known(own) == [HONEST]


@pytest.mark.fault(id=25)
def test_a_liar_has_one_voice_however_often_it_is_asked() -> None:
    own = own_address()
    told(own, HONEST, 20, 21)
    for number in range(2 * MAX_CLAIMS):
        told(own, f"11.0.0.{number}", 40)
    assert known(own) == [HONEST]


def test_a_node_that_has_moved_learns_it() -> None:
    own = own_address()
    told(own, FALSE, 20, 21, 22)
    told(own, HONEST, 20, 21)
    assert known(own) == [HONEST]


def test_what_is_no_public_host_says_nothing() -> None:
    own = own_address()
    told(own, "10.0.0.1", 20, 21)
    own.seen_as(HONEST, "10.0.0.2")
    own.seen_as(HONEST, "192.168.0.2")
    assert known(own) == []
    assert known(own_address("127.0.0.1")) == []
