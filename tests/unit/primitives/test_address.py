"""Address text: the vectors of BIP 350, and errors that name what is wrong."""

import pytest

from engram.primitives.bech32 import decode_bech32m, encode_bech32m
from engram.primitives.errors import BadAddress
from engram.primitives.keys import format_address, parse_address

ADDRESS = bytes(range(1, 21))
TEXT = format_address(ADDRESS, "eng")

VALID = [
    "A1LQFN3A",
    "a1lqfn3a",
    "an83characterlonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber11sg7hg6",
    "abcdef1l7aum6echk45nj3s0wdvt2fg8x9yrzpqzd3ryx",
    "11llllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllludsr8",
    "split1checkupstagehandshakeupstreamerranterredcaperredlc445v",
    "?1v759aa",
]
INVALID = [
    ("\x201xj0phk", "at character 1"),
    ("\x7f1g6xzxy", "at character 1"),
    ("\x801vctc34", "at character 1"),
    (
        "an84characterslonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber11d6pts4",
        "too long",
    ),
    ("qyrz8wqd2c9m", "no prefix"),
    ("1qyrz8wqd2c9m", "no prefix"),
    ("y1b0jsk6g", "'b' at character 3"),
    ("lt1igcx5c0", "'i' at character 4"),
    ("in1muywd", "ends within its checksum"),
    ("mm1crxm3i", "'i' at character 9"),
    ("au1s5cgom", "'o' at character 8"),
    ("M1VUXWEZ", "checksum is wrong"),
    ("16plkw9", "no prefix"),
    ("1p2gdwpf", "no prefix"),
]


@pytest.mark.parametrize("text", VALID)
def test_bip_350_valid(text: str) -> None:
    hrp, values = decode_bech32m(text)
    assert encode_bech32m(hrp, values) == text.lower()


@pytest.mark.parametrize(("text", "reason"), INVALID)
def test_bip_350_invalid(text: str, reason: str) -> None:
    with pytest.raises(BadAddress, match=reason):
        decode_bech32m(text)


def test_a_bech32_checksum_is_not_a_bech32m_checksum() -> None:
    with pytest.raises(BadAddress, match="checksum is wrong"):
        decode_bech32m("A12UEL5L")  # BIP 173's first valid string


@pytest.mark.parametrize("address", [bytes(20), b"\xff" * 20, ADDRESS])
def test_text_gives_back_the_address(address: bytes) -> None:
    text = format_address(address, "eng")
    assert text.startswith("eng1")
    assert len(text) == 42
    assert parse_address(text, "eng") == parse_address(text.upper(), "eng") == address


def test_every_single_wrong_letter_is_found() -> None:
    for index in range(4, len(TEXT)):
        wrong = TEXT[:index] + ("q" if TEXT[index] != "q" else "p") + TEXT[index + 1 :]
        with pytest.raises(BadAddress, match="checksum is wrong"):
            parse_address(wrong, "eng")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (TEXT[:5] + "b" + TEXT[6:], "'b' at character 6"),
        (TEXT[:5] + TEXT[6:], "checksum is wrong"),
        (TEXT + "q", "checksum is wrong"),
        (TEXT[:10] + TEXT[10:].upper(), "mixes upper and lower"),
        (TEXT + "\n", "at character 43"),
        (format_address(ADDRESS, "tst"), "another network"),
        (encode_bech32m("eng", [1] * 31), "wrong length"),
        (encode_bech32m("eng", [1] * 33), "wrong length"),
        ("", "no prefix"),
    ],
)
def test_the_error_says_what_is_wrong(text: str, reason: str) -> None:
    with pytest.raises(BadAddress, match=reason):
        parse_address(text, "eng")


def test_another_network_says_which() -> None:
    with pytest.raises(BadAddress) as raised:
        parse_address(format_address(ADDRESS, "tst"), "eng")
    assert (raised.value.expected, raised.value.got) == ("eng", "tst")


def test_only_20_bytes_have_a_text() -> None:
    with pytest.raises(BadAddress):
        format_address(bytes(32), "eng")
