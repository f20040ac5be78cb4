"""Private keys on disk: one encrypted JSON file for each account key, and the node's own unencrypted key.

The private key is encrypted with AES-256-GCM. The encryption key is derived from the passphrase by scrypt (N
= 2^17, r = 8, p = 1), which is slow and needs 128 MiB, so that guessing passphrases is expensive. The other
fields of the file are not secret, but AES-GCM authenticates them as associated data, and a file whose bytes
are not exactly what Engram would write is refused. So nobody can change any byte of a key file unnoticed.

Every file is written under a temporary name with mode 0600, synced and then moved into place, so a crash
leaves either the old file or the new one. Nothing here asks for a passphrase; the caller passes it in.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import unicodedata
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from engram.node.errors import (
    FileDamaged,
    KeyExists,
    KeyFileInvalid,
    KeyNameInvalid,
    KeyNotFound,
    NotAFile,
    PassphraseInvalid,
    WrongPassphrase,
)
from engram.node.files import has_folder, read_plain, write_private
from engram.primitives.errors import ChainError
from engram.primitives.keys import PrivateKey, format_address, parse_address

VERSION = 1
SCRYPT_N, SCRYPT_R, SCRYPT_P = 2**17, 8, 1
SCRYPT_MEMORY_BYTES = 256 * 1024 * 1024
"""The most memory that OpenSSL may allocate for scrypt.

A key file that names other parameters than the ones above is refused before anything is allocated.
"""
MAX_FILE_BYTES = 16 * 1024
_FIELDS = {"version", "address", "kdf", "cipher", "ciphertext"}


@dataclass(frozen=True)
class KeyEntry:
    """What a key file shows without the passphrase."""

    name: str
    address: bytes
    path: Path
    hrp: str
    """The prefix with which the file writes the address."""

    @property
    def address_text(self) -> str:
        """The address as the file writes it."""
        return format_address(self.address, self.hrp)


@dataclass(frozen=True)
class KeyScan:
    """What stands in a folder of keys."""

    entries: list[KeyEntry]
    skipped: list[tuple[Path, ChainError]]
    """Files that hold no key, with the reason."""


def is_key_name(name: str) -> bool:
    """Whether a key can have this name: 1 to 64 ASCII letters, digits, `-` or `_`."""
    return 0 < len(name) <= 64 and all(c.isascii() and (c.isalnum() or c in "-_") for c in name)


class Keystore:
    """The key files of one folder, each named after its key."""

    def __init__(self, folder: Path, hrp: str | None) -> None:
        """`hrp` is the prefix that the addresses have. None is for a folder that belongs to no chain yet:
        keys of any prefix are read, and none is made.
        """
        self._folder = folder
        self._hrp = hrp

    def path_of(self, name: str) -> Path:
        """The file of the key `name`.

        Raises `KeyNameInvalid` unless the name has 1 to 64 ASCII letters, digits, `-` or `_`, so that no name
        can lead out of the folder.
        """
        if not is_key_name(name):
            raise KeyNameInvalid(got=name)
        return self._folder / f"{name}.json"

    def entries(self) -> list[KeyEntry]:
        """Every key of the folder, sorted by name; files that are no keys are left out, see `scan`.

        Raises what is wrong with such a file if there is no key beside it.
        """
        found = self.scan()
        if found.skipped and not found.entries:
            raise found.skipped[0][1]
        return found.entries

    def scan(self) -> KeyScan:
        """Every key of the folder, and the files named as keys are that hold none.

        Hidden files and files with other endings belong to other programs. Raises `BadAddress` if a key is of
        another chain, `NotAFolder` if something else stands where the folder belongs, `OSError`.
        """
        found = KeyScan([], [])
        if not has_folder(self._folder):
            return found
        for path in sorted(self._folder.glob("*.json")):
            if path.name.startswith("."):
                continue
            try:
                self.path_of(path.stem)
                found.entries.append(self._entry(path))
            except (KeyFileInvalid, KeyNameInvalid) as error:
                found.skipped.append((path, error))
        return found

    def entry(self, name: str) -> KeyEntry:
        """What the file of one key shows. Raises `KeyNotFound`, `KeyFileInvalid`, `KeyNameInvalid`."""
        return self._entry(self._found(name))

    def content(self, name: str) -> bytes:
        """The file of one key as it is. Raises what `entry` raises."""
        self.entry(name)
        return read_plain(self.path_of(name), MAX_FILE_BYTES)

    def create(self, name: str, passphrase: str, *, seed: bytes | None = None) -> KeyEntry:
        """Writes a new key file, random or from a 32-byte `seed`, and never overwrites one.

        Raises `KeyExists` if the name is taken, `KeyNameInvalid`, `PassphraseInvalid`.
        """
        assert self._hrp is not None, "keys are made only where the prefix of their addresses is known"
        path = self.path_of(name)
        if os.path.lexists(path):
            raise _exists(name, path)
        key = PrivateKey.from_seed(seed if seed is not None else secrets.token_bytes(32))
        try:
            write_private(path, _rendered(_encrypt(key, passphrase, self._hrp)), replace=False)
        except FileExistsError as error:
            raise _exists(name, path) from error
        return KeyEntry(name, key.address, path, self._hrp)

    def load(self, name: str, passphrase: str) -> PrivateKey:
        """The private key `name`.

        The passphrase opens it in whichever Unicode form it is given, and in whichever form an earlier
        version took it. Raises `KeyNotFound`, `WrongPassphrase`, `KeyFileInvalid`, `KeyNameInvalid`,
        `PassphraseInvalid`.
        """
        path = self._found(name)
        return _opened(_document(path), passphrase, path, self._hrp)

    def change_passphrase(self, name: str, old: str, new: str) -> None:
        """Encrypts the key anew, so that only the new passphrase opens it.

        A crash leaves the old file or the new one. Copies that were made before still open with the old
        passphrase. Raises what `load` raises.
        """
        path = self._found(name)
        document = _document(path)
        key = _opened(document, old, path, self._hrp)
        write_private(path, _rendered(_encrypt(key, new, prefix_of(document["address"]))))

    def rename(self, name: str, new_name: str) -> KeyEntry:
        """Gives a key another name. A crash may leave the key under both names, never under none.

        Raises `KeyNotFound`, `KeyExists`, `KeyNameInvalid`, `KeyFileInvalid`.
        """
        entry = self.add(new_name, read_plain(self._found(name), MAX_FILE_BYTES))
        self.path_of(name).unlink()
        return entry

    def add(self, name: str, content: bytes) -> KeyEntry:
        """Adds a key file that was copied from another folder, and never overwrites one.

        Raises `KeyExists`, `KeyNameInvalid`; `KeyFileInvalid` and `BadAddress` if it is no key file of this
        chain.
        """
        path = self.path_of(name)
        document = _parsed(content, path)
        entry = KeyEntry(name, _address_of(document, self._hrp), path, prefix_of(document["address"]))
        try:
            write_private(path, content, replace=False)
        except FileExistsError as error:
            raise _exists(name, path) from error
        return entry

    def _found(self, name: str) -> Path:
        path = self.path_of(name)
        if not os.path.lexists(path):
            known = ", ".join(entry.name for entry in self.entries()) or "none"
            raise KeyNotFound(f"there is no key named {name}; the keys here are: {known}", got=name)
        return path

    def _entry(self, path: Path) -> KeyEntry:
        document = _document(path)
        return KeyEntry(path.stem, _address_of(document, self._hrp), path, prefix_of(document["address"]))


def prefix_of(address: str) -> str:
    """The prefix of an address text, which says for which chain it is meant."""
    return address.lower().rpartition("1")[0]


def load_node_key(path: Path) -> PrivateKey:
    """The key that identifies this node to its peers; made on first use. Raises `KeyFileInvalid`.

    It owns no coins and a node must start without a passphrase, so the file is not encrypted; its mode is
    0600.
    """
    if not os.path.lexists(path):
        with suppress(FileExistsError):
            write_private(path, secrets.token_bytes(32).hex().encode() + b"\n", replace=False)
    try:
        seed = bytes.fromhex(read_plain(path, MAX_FILE_BYTES).decode("ascii").strip())
    except (ValueError, FileDamaged) as error:
        raise KeyFileInvalid(f"{path} is not a node key; remove it, and the node makes a new one") from error
    if len(seed) != 32:
        raise KeyFileInvalid(
            f"{path} is not a node key; remove it, and the node makes a new one", expected=32, got=len(seed)
        )
    return PrivateKey.from_seed(seed)


def _exists(name: str, path: Path) -> KeyExists:
    return KeyExists(f"a key named {name} exists already; choose another name", got=str(path))


def _forms(passphrase: str) -> list[str]:
    """The passphrase in NFC, in which new keys are encrypted, and then in the forms that old ones may have.

    Keyboards, files and systems write the same letters in different forms, and none of them says which. An
    earlier version also took the byte order mark, with which some editors begin a file, for its first letter.
    """
    try:
        passphrase.encode()
    except UnicodeEncodeError:
        raise PassphraseInvalid from None
    composed, apart = unicodedata.normalize("NFC", passphrase), unicodedata.normalize("NFD", passphrase)
    return list(dict.fromkeys((composed, passphrase, apart, f"\ufeff{passphrase}")))


def _opened(document: dict[str, Any], passphrase: str, path: Path, hrp: str | None) -> PrivateKey:
    *others, last = _forms(passphrase)
    for form in others:
        with suppress(WrongPassphrase):
            return _decrypt(document, form, path, hrp)
    return _decrypt(document, last, path, hrp)


def _encrypt(key: PrivateKey, passphrase: str, hrp: str) -> dict[str, Any]:
    passphrase = _forms(passphrase)[0]
    if not passphrase:
        raise PassphraseInvalid("the passphrase is empty: anybody could open the key")
    nonce = secrets.token_bytes(12)
    header = {
        "version": VERSION,
        "address": format_address(key.address, hrp),
        "kdf": {"name": "scrypt", "n": SCRYPT_N, "r": SCRYPT_R, "p": SCRYPT_P, "salt": secrets.token_hex(32)},
        "cipher": {"name": "aes-256-gcm", "nonce": nonce.hex()},
    }
    sealed = AESGCM(_derive(header, passphrase)).encrypt(nonce, key.seed, _associated(header))
    return header | {"ciphertext": sealed.hex()}


def _address_of(document: dict[str, Any], hrp: str | None) -> bytes:
    """The address that a key file names. Raises `BadAddress`, also for one of another chain than `hrp`."""
    return parse_address(document["address"], prefix_of(document["address"]) if hrp is None else hrp)


def _decrypt(document: dict[str, Any], passphrase: str, path: Path, hrp: str | None) -> PrivateKey:
    header = {name: document[name] for name in ("version", "address", "kdf", "cipher")}
    try:
        nonce, sealed = bytes.fromhex(header["cipher"]["nonce"]), bytes.fromhex(document["ciphertext"])
        if sealed.hex() != document["ciphertext"]:
            raise ValueError("the ciphertext is not lower-case hexadecimal text")
        seed = AESGCM(_derive(header, passphrase)).decrypt(nonce, sealed, _associated(header))
    except InvalidTag as error:
        raise WrongPassphrase(
            f"the passphrase does not open {path.name}: it is wrong, or the file was changed"
        ) from error
    except (KeyError, TypeError, ValueError) as error:
        raise KeyFileInvalid(f"{path} is not a key file: {error}") from error
    key = PrivateKey.from_seed(seed)
    if key.address != _address_of(header, hrp):
        raise KeyFileInvalid(f"{path} holds another key than its address says", expected=header["address"])
    return key


def _derive(header: dict[str, Any], passphrase: str) -> bytes:
    kdf = header["kdf"]
    if (kdf["name"], kdf["n"], kdf["r"], kdf["p"]) != ("scrypt", SCRYPT_N, SCRYPT_R, SCRYPT_P):
        raise ValueError("its key derivation is not the one that Engram uses")
    salt = bytes.fromhex(kdf["salt"])
    return hashlib.scrypt(
        passphrase.encode(),
        salt=salt,
        n=SCRYPT_N,
        r=SCRYPT_R,
        p=SCRYPT_P,
        dklen=32,
        maxmem=SCRYPT_MEMORY_BYTES,
    )


def _associated(header: dict[str, Any]) -> bytes:
    return json.dumps(header, sort_keys=True, separators=(",", ":")).encode()


def _rendered(document: dict[str, Any]) -> bytes:
    return (json.dumps(document, indent=2) + "\n").encode()


def _document(path: Path) -> dict[str, Any]:
    try:
        return _parsed(read_plain(path, MAX_FILE_BYTES), path)
    except (OSError, NotAFile, FileDamaged) as error:
        raise KeyFileInvalid(f"{path} is not a key file: {error}") from error


def _parsed(raw: bytes, path: Path) -> dict[str, Any]:
    """The content of a key file; `path` is for the messages. Raises `KeyFileInvalid`."""
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise KeyFileInvalid(f"{path} is not a key file: {error}") from error
    if not isinstance(document, dict) or set(document) != _FIELDS:
        raise KeyFileInvalid(f"{path} is not a key file of Engram")
    if document["version"] != VERSION:
        message = f"{path} is a key file of another version; a newer engram may read it"
        raise KeyFileInvalid(message, expected=VERSION, got=str(document["version"])[:20])
    if not isinstance(document["address"], str):
        raise KeyFileInvalid(f"{path} names no address")
    if raw != _rendered(document):
        raise KeyFileInvalid(f"{path} was changed: it is not in the form that Engram writes")
    return document
