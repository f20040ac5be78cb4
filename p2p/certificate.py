"""The certificate of a node that listens for peers: made anew for each start, and vouched for by nobody.

TLS needs a certificate; the node needs none, because its key proves who it is. So the certificate is a mark
of the connection and nothing else: the signed handshake binds its hash to the node keys (see `handshake`).
Nobody looks at the name or the dates in it, therefore no wrong clock can spoil it. Its private key is kept in
memory only and is another one after each start, so that nothing can be stolen that opens or forges anything
later.

Why the hash of the certificate is bound: Python's ssl offers no exporter (RFC 9266), and the hash (RFC 5929,
`tls-server-end-point`) is as good here. In TLS 1.3 the listening side signs the key exchange with the
certificate's key. So if the dialling side saw a certificate, the other end of its connection holds that key,
and no one but the node that made the certificate does. Sessions are never resumed, which would leave out the
signature.
"""

from __future__ import annotations

import datetime
import hashlib
import secrets
import ssl
import tempfile
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from engram.p2p.errors import ListenFailed

ALPN: Final = "engram-p2p"
"""What both sides name as the protocol within TLS. A browser, which names others, is not spoken with."""

_NAME: Final = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "engram")])
_BEGIN: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_END: Final = datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.UTC)
"""RFC 5280: the date of a certificate that has no end."""


@dataclass(frozen=True)
class Credentials:
    """What the listening side needs for TLS."""

    context: ssl.SSLContext
    channel: bytes
    """SHA-256 of the certificate, the channel binding of every connection made with it."""


def channel_of(certificate: bytes) -> bytes:
    """The channel binding of a connection whose listening side presented this certificate (DER)."""
    return hashlib.sha256(certificate).digest()


def fresh_credentials() -> Credentials:
    """A new key and its certificate. Raises `ListenFailed` if there is no place for a temporary file."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_NAME)
        .issuer_name(_NAME)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_BEGIN)
        .not_valid_after(_END)
        .sign(key, hashes.SHA256())
    )
    context = _context(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 0
    password = secrets.token_bytes(32)
    # ssl takes keys from files only. This one is encrypted with a password that is forgotten at once.
    key_pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password),
    )
    try:
        with tempfile.NamedTemporaryFile() as file:
            file.write(key_pem + certificate.public_bytes(serialization.Encoding.PEM))
            file.flush()
            context.load_cert_chain(file.name, password=password)
    except OSError as error:
        raise ListenFailed(
            f"no temporary file for the TLS certificate can be written, see the variable TMPDIR: {error}"
        ) from error
    return Credentials(context, channel_of(certificate.public_bytes(serialization.Encoding.DER)))


def dialing_context() -> ssl.SSLContext:
    """TLS for the dialling side: it asks no authority, because the handshake of the nodes says who it is."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _context(side: ssl._SSLMethod) -> ssl.SSLContext:
    context = ssl.SSLContext(side)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols([ALPN])
    return context
