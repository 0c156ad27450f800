"""Make and renew the certificate by which agents know their centre, where none is configured.

The centre is its own certificate authority: an agent learns the authority's certificate when it joins and checks the
centre by it ever after, so the centre's certificate may be renewed. Private keys lie beside the other keys (mode 0600).
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import ssl
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from soc_core import system
from soc_core.errors import UsageError
from soc_core.log.files import write_whole

SERVER_NAME: Final = "edusoc-intake"
AUTHORITY_DAYS: Final = 7_300
SERVER_DAYS: Final = 397
RENEW_DAYS: Final = 60
"""A certificate with fewer days left is renewed."""
_ORDINARY: Final = re.compile(r"[0-9A-Za-z:](?:[0-9A-Za-z.:-]{0,252}[0-9A-Za-z:])?")
_KEY_OF_CERTIFICATES: Final = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)
_KEY_OF_SERVERS: Final = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


@dataclass(frozen=True, slots=True)
class ServerIdentity:
    """Hold the files of a server's certificate (with its chain) and key, and what an agent must know of them.

    ``certificate`` is the server's own (DER); ``authority`` (PEM) is who signed it, empty where the file doesn't say.
    """

    chain_file: Path
    key_file: Path
    certificate: bytes
    authority: str

    def context(self) -> ssl.SSLContext:
        """Return a context for a server. Raises ``UsageError`` when certificate and key don't belong together."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.load_into(context)
        return context

    def load_into(self, context: ssl.SSLContext) -> None:
        """Have a running server use this certificate for new connections."""
        try:
            context.load_cert_chain(self.chain_file, self.key_file)
        except (OSError, ssl.SSLError) as error:
            raise UsageError(
                f"the certificate or its key can't be used: {error}", where=str(self.chain_file)
            ) from error


def configured_identity(chain_file: Path, key_file: Path) -> ServerIdentity:
    """Return the identity of files a site provides (PEM, the server's certificate first, its authority last).

    Raises ``UsageError`` when they can't be read.
    """
    try:
        found = x509.load_pem_x509_certificates(chain_file.read_bytes())
    except (OSError, ValueError) as error:
        raise UsageError(f"the certificate can't be read: {error}", where=str(chain_file)) from error
    return _identity(chain_file, key_file, found)


def own_identity(directory: Path, names: Iterable[str], now: datetime) -> ServerIdentity:
    """Return the identity in a directory of keys; what is missing, runs out or lacks a name is made anew.

    Processes that start at once wait for each other.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    chain_file, key_file = directory / "intake.pem", directory / "intake-key.pem"
    with _alone(directory / "intake.lock"):
        authority, authority_key = _authority(directory, now)
        wanted = sorted({*names, *usual_names()})
        found = _read(chain_file)
        if not found or not key_file.exists() or not _serves(found[0], authority, wanted, now):
            key = ec.generate_private_key(ec.SECP256R1())
            certificate = _server_certificate(key.public_key(), wanted, (authority, authority_key), now)
            write_whole(key_file, _private(key))
            found = [certificate, authority]
            write_whole(chain_file, b"".join(map(_pem, found)))
    return _identity(chain_file, key_file, found)


def usual_names() -> set[str]:
    """Return the names and addresses this machine surely has."""
    found = {"localhost", "127.0.0.1", "::1", socket.gethostname(), socket.getfqdn()}
    for family, target in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((target, 9))  # sends nothing: it only chooses the address we would send from
            found.add(probe.getsockname()[0])
    return {name for name in found if _ORDINARY.fullmatch(name)}


def _identity(chain_file: Path, key_file: Path, found: list[x509.Certificate]) -> ServerIdentity:
    server, last = found[0], found[-1]
    signed_itself = server.issuer == server.subject
    authority = _pem(last).decode("ascii") if len(found) > 1 or signed_itself else ""
    return ServerIdentity(chain_file, key_file, server.public_bytes(serialization.Encoding.DER), authority)


def _authority(directory: Path, now: datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    file, key_file = directory / "intake-ca.pem", directory / "intake-ca-key.pem"
    found = _read(file)
    if found and key_file.exists():
        key = serialization.load_pem_private_key(key_file.read_bytes(), None)
        if isinstance(key, ec.EllipticCurvePrivateKey):
            return found[0], key
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "edusoc centre")])
    public = key.public_key()
    certificate = (
        _begun(name, name, public, now, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_KEY_OF_CERTIFICATES, critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )
    write_whole(key_file, _private(key))
    write_whole(file, _pem(certificate))
    return certificate, key


def _server_certificate(
    public: ec.EllipticCurvePublicKey,
    names: list[str],
    signer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey],
    now: datetime,
) -> x509.Certificate:
    authority, key = signer
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "edusoc intake")])
    issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    return (
        _begun(subject, authority.subject, public, now, SERVER_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_KEY_OF_SERVERS, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(issuer_id, critical=False)
        .add_extension(x509.SubjectAlternativeName(_alternatives(names)), critical=False)
        .sign(key, hashes.SHA256())
    )


def _alternatives(names: list[str]) -> list[x509.GeneralName]:
    """Return the names of a certificate; the first is the same in all of ours, for agents that check only one."""
    return [x509.DNSName(SERVER_NAME), *(_general_name(name) for name in names)]


def _begun(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=2))  # clocks of agents may be a day behind
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _serves(found: x509.Certificate, authority: x509.Certificate, wanted: list[str], now: datetime) -> bool:
    """Tell whether a certificate is our authority's, has all names and days enough."""
    if found.issuer != authority.subject or found.not_valid_after_utc < now + timedelta(days=RENEW_DAYS):
        return False
    try:
        found.verify_directly_issued_by(authority)
        named = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except Exception:  # noqa: BLE001 - whatever is wrong with it, it is made anew
        return False
    return {_general_name(name) for name in wanted} <= set(named)


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        pass
    try:
        return x509.DNSName(name.encode("idna").decode("ascii"))
    except UnicodeError as error:
        raise UsageError(
            f"'{name}' is no name a server can have", todo="correct setting 'intake_names'"
        ) from error


def _read(file: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(file.read_bytes())
    except (OSError, ValueError):
        return []


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@contextlib.contextmanager
def _alone(file: Path) -> Iterator[None]:
    descriptor = system.open_file(file, os.O_RDWR | os.O_CREAT)
    try:
        system.lock(descriptor, wait=True)
        yield
    finally:
        os.close(descriptor)
