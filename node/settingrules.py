"""What the values of settings must be: addresses to listen on, names, peers, URLs, whole numbers.

Each check takes the text of one value and raises `ValueError` with what is wrong and what to write instead.
The sentence continues the name of the setting, which the caller puts in front. Where a value comes from makes
no difference: the file, the environment and the command line meet the same checks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from ipaddress import IPv6Address, ip_address
from typing import Final
from urllib.parse import urlsplit

LOCALHOST: Final = "localhost"
_NAME: Final = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?")
_NAME_CHARACTERS: Final = 253
_ACCOUNT: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,30}")
_SUGGESTED: Final = 3
"""So many names are suggested in the place of one that is unknown."""
_WORD: Final = 3
"""Shorter words say nothing of what is meant."""
_SHOWN: Final = 80
"""Characters of a wrong value that a message repeats."""


def listening_host(text: str) -> None:
    """An IP address of this machine, or `localhost`.

    Other names are refused: the system looks them up, and what it finds may be another address tomorrow. So
    are the short forms that the system knows: `0` means every address there is.
    """
    if text == LOCALHOST:
        return
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        address = ip_address(bare)
    except ValueError:
        advice = "write 127.0.0.1 for this machine only, or 0.0.0.0 for every address that it has"
        said = "is empty" if not text.strip() else f"is no IP address: {shown(text)}"
        raise ValueError(f"{said}; {advice}") from None
    if bare is not text:
        raise ValueError(f"is written without brackets: {address}")


def is_loopback_host(host: str) -> bool:
    """Whether programs on this machine only can reach a port that listens on this host."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == LOCALHOST


def host_name(text: str) -> None:
    """A name or address by which clients address this node, as it stands in `http://NAME:PORT`."""
    if text.strip() != text or not text:
        raise ValueError(f"holds an empty name or one with spaces around it: {shown(text)}")
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if ":" in bare:
        try:
            IPv6Address(bare)
        except ValueError:
            advice = "write the name only, without http:// and without a port"
            raise ValueError(f"is no host name: {shown(text)}; {advice}") from None
    elif bare is not text or len(text) > _NAME_CHARACTERS or not _NAME.fullmatch(text):
        raise ValueError(f"is no host name: {shown(text)}; name each host in full, without * or /")


def account_name(text: str) -> None:
    """An address, or the name of a key. Which of them, and whether it is there, is seen when it is used."""
    if text and not _ACCOUNT.fullmatch(text):
        raise ValueError(f"is neither an address nor the name of a key: {shown(text)}")


def http_url(text: str) -> None:
    """`http://HOST:PORT` or `https://…`, as an RPC client takes it."""
    advice = "write http://HOST:PORT"
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError as error:
        raise ValueError(f"is no address of a node: {shown(text)} ({error}); {advice}") from None
    if not usable or any(letter.isspace() or not letter.isprintable() for letter in text):
        raise ValueError(f"is no address of a node: {shown(text)}; {advice}")


def peer_address(text: str) -> None:
    """`HOST:PORT` or `NODEKEY@HOST:PORT`. Raises `BadPeerAddress`, which clients know."""
    from engram.p2p.errors import BadPeerAddress
    from engram.p2p.link import PeerAddress

    try:
        PeerAddress.parse(text)
    except BadPeerAddress:
        message = f"peers: {shown(text)} is no HOST:PORT or NODEKEY@HOST:PORT; a port is 1 to 65535"
        raise BadPeerAddress(message, got=text[:_SHOWN]) from None


def seed_address(text: str) -> None:
    """`HOST:PORT` of a node that is asked for addresses of others."""
    from engram.p2p.errors import BadPeerAddress
    from engram.p2p.link import PeerAddress

    try:
        PeerAddress.parse(text)
    except BadPeerAddress:
        raise ValueError(f"holds no HOST:PORT: {shown(text)}; a port is 1 to 65535") from None


def own_address(text: str) -> None:
    """The IP address and port at which others reach this node; empty if they have to find out."""
    from engram.p2p.errors import BadPeerAddress
    from engram.p2p.link import PeerAddress
    from engram.p2p.netgroup import scope_of

    try:
        if not text or scope_of(PeerAddress.parse(text).host) is not None:
            return
    except BadPeerAddress:
        pass
    advice = "write an IP address at which others reach this node, and the port: ADDRESS:PORT"
    raise ValueError(f"is no such address: {shown(text)}; {advice}")


def whole_number(text: str) -> int:
    """The number that decimal digits say. Spaces, underscores and digits of other scripts are refused."""
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"must be a whole number in digits, not {shown(text)}")
    return int(text)


def truth_value(text: str) -> bool:
    """True for `true` and `1`, false for `false` and `0`, in letters of either case."""
    if text.lower() not in ("0", "1", "true", "false"):
        raise ValueError(f"must be true or false, not {shown(text)}")
    return text.lower() in ("1", "true")


def nearest(name: str, known: list[str]) -> str | None:
    """The known name that somebody who wrote `name` probably meant; None if none is near."""
    plain = name.lower().replace("-", "_")
    return next(iter(get_close_matches(plain, known, n=1, cutoff=0.75)), None)


def no_setting(name: str, known: list[str]) -> str:
    """Says that there is no such setting, and which one is meant, or which hold the same words."""
    words = {word for word in re.split(r"[_-]", name.lower()) if len(word) >= _WORD}
    meant = nearest(name, known)
    near = [each for each in known if words & set(each.split("_"))] if meant is None else [meant]
    advice = f"did you mean {' or '.join(near[:_SUGGESTED])}?" if near else "`engram run --help` lists all"
    return f"there is no setting named {shown(name)[1:-1]}: {advice}"


def misspelt(environ: Mapping[str, str], prefix: str, known: list[str]) -> dict[str, str]:
    """Variables whose name is almost that of a setting. Others are not ours to judge: clusters make many."""
    found = {}
    for variable in environ:
        name = variable.removeprefix(prefix).lower()
        if variable.startswith(prefix) and name not in known and (meant := nearest(name, known)):
            found[variable] = f"{prefix}{meant.upper()}"
    return found


def shown(value: object) -> str:
    """A wrong value as a message repeats it: quoted, on one line, and not longer than a line."""
    text = ascii(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
