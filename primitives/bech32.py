"""Bech32m text (BIP 350): a human-readable prefix, base-32 data and a checksum that finds mistyped letters.

Text and bytes only; what an address is stands in `keys.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from engram.primitives.errors import BadAddress

_CHARSET: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUES: Final[Mapping[str, int]] = {letter: value for value, letter in enumerate(_CHARSET)}
_GENERATORS: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CONSTANT: Final = 0x2BC830A3
_CHECKSUM_LETTERS: Final = 6
_MAX_LETTERS: Final = 90


def encode_bech32m(hrp: str, data: Iterable[int]) -> str:
    """Lower-case text of a prefix and 5-bit values, checksum appended."""
    values = list(data)
    polymod = _polymod([*_expand(hrp), *values, *([0] * _CHECKSUM_LETTERS)]) ^ _CONSTANT
    checksum = [polymod >> 5 * (_CHECKSUM_LETTERS - 1 - index) & 31 for index in range(_CHECKSUM_LETTERS)]
    return hrp + "1" + "".join(_CHARSET[value] for value in (*values, *checksum))


def decode_bech32m(text: str) -> tuple[str, list[int]]:
    """Prefix and 5-bit values, checksum removed. Raises `BadAddress`, naming the first wrong character."""
    _check_characters(text)
    text = text.lower()
    hrp, separator, letters = text.rpartition("1")
    if not separator or not hrp:
        raise BadAddress("address has no prefix before a '1'", got=text)
    for index, letter in enumerate(letters, start=len(hrp) + 2):
        if letter not in _VALUES:
            raise BadAddress(f"address holds {letter!r} at character {index}", expected=_CHARSET, got=text)
    if len(letters) < _CHECKSUM_LETTERS:
        raise BadAddress("address ends within its checksum", expected=_CHECKSUM_LETTERS, got=len(letters))
    values = [_VALUES[letter] for letter in letters]
    if _polymod([*_expand(hrp), *values]) != _CONSTANT:
        raise BadAddress("address checksum is wrong: a character was mistyped, lost or added", got=text)
    return hrp, values[:-_CHECKSUM_LETTERS]


def _check_characters(text: str) -> None:
    if len(text) > _MAX_LETTERS:
        raise BadAddress("address is too long", expected=_MAX_LETTERS, got=len(text))
    for index, letter in enumerate(text, start=1):
        if not "!" <= letter <= "~":
            raise BadAddress(f"address holds {letter!r} at character {index}", expected="printable ASCII")
    if text.lower() != text and text.upper() != text:
        raise BadAddress("address mixes upper and lower case", got=text)


def _expand(hrp: str) -> list[int]:
    codes = hrp.encode("ascii")
    return [code >> 5 for code in codes] + [0] + [code & 31 for code in codes]


def _polymod(values: Iterable[int]) -> int:
    checksum = 1
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_GENERATORS):
            if top >> bit & 1:
                checksum ^= generator
    return checksum
