"""Describe X.509 certificates of TLS up to 1.2 (later versions encrypt them)."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from collectors.packets.dissectors.base import Fields
from soc_core.clock import epoch_us, format_instant

if TYPE_CHECKING:
    from cryptography.x509 import Certificate, Name

MAX_NAMES: Final = 100
MAX_TEXT: Final = 1_024
# RFC 8017, 5758, 8410, 3279; GM/T 0006 for SM2
_SIGNATURES: Final[Mapping[str, str]] = {
    "1.2.840.113549.1.1.2": "md2WithRSAEncryption",
    "1.2.840.113549.1.1.4": "md5WithRSAEncryption",
    "1.2.840.113549.1.1.5": "sha1WithRSAEncryption",
    "1.2.840.113549.1.1.10": "RSASSA-PSS",
    "1.2.840.113549.1.1.11": "sha256WithRSAEncryption",
    "1.2.840.113549.1.1.12": "sha384WithRSAEncryption",
    "1.2.840.113549.1.1.13": "sha512WithRSAEncryption",
    "1.2.840.10045.4.1": "ecdsa-with-SHA1",
    "1.2.840.10045.4.3.2": "ecdsa-with-SHA256",
    "1.2.840.10045.4.3.3": "ecdsa-with-SHA384",
    "1.2.840.10045.4.3.4": "ecdsa-with-SHA512",
    "1.2.840.10040.4.3": "dsa-with-SHA1",
    "1.3.101.112": "Ed25519",
    "1.3.101.113": "Ed448",
    "1.2.156.10197.1.501": "SM2-with-SM3",
}
_KEYS: Final[Mapping[str, str]] = {
    "1.2.840.113549.1.1.1": "RSA",
    "1.2.840.113549.1.1.10": "RSASSA-PSS",
    "1.2.840.10040.4.1": "DSA",
    "1.2.840.10045.2.1": "EC",
    "1.3.101.112": "Ed25519",
    "1.3.101.113": "Ed448",
}


@dataclass(frozen=True, slots=True)
class Described:
    """Hold what a certificate says; names stand in the order of RFC 4514 (last part first)."""

    subject: str = ""
    issuer: str = ""
    subject_names: tuple[str, ...] = ()
    issuer_names: tuple[str, ...] = ()
    not_before: datetime | None = None
    not_after: datetime | None = None
    serial: str = ""
    alternative_names: tuple[str, ...] = ()
    key_algorithm: str = ""
    key_size: int = 0
    signature_algorithm: str = ""


@lru_cache(maxsize=512)
def describe(der: bytes) -> Described | None:
    """Return what the certificate says, ``None`` if it can't be read; servers repeat theirs, the newest are kept."""
    from cryptography import x509  # noqa: PLC0415 - heavy; only captures with certificates need it
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415

    faults = (ValueError, TypeError, OverflowError, x509.InvalidVersion, UnsupportedAlgorithm)
    try:
        with warnings.catch_warnings():  # the library warns of odd serial numbers and versions; we only look
            warnings.simplefilter("ignore")
            return _described(x509.load_der_x509_certificate(der))
    except faults:
        return None


def _described(certificate: Certificate) -> Described:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415

    size = 0
    with suppress(
        ValueError, UnsupportedAlgorithm
    ):  # a curve the library does not know (SM2): the rest still counts
        size = int(getattr(certificate.public_key(), "key_size", 0))
    number = certificate.serial_number
    digits = f"{abs(number):X}"
    return Described(
        _name(certificate.subject),
        _name(certificate.issuer),
        _common_names(certificate.subject),
        _common_names(certificate.issuer),
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
        ("-" if number < 0 else "") + digits.zfill(len(digits) + len(digits) % 2),
        _alternative_names(certificate),
        _KEYS.get(certificate.public_key_algorithm_oid.dotted_string, ""),
        size,
        _SIGNATURES.get(certificate.signature_algorithm_oid.dotted_string, ""),
    )


def _name(name: Name) -> str:
    return ", ".join(part.rfc4514_string() for part in reversed(list(name.rdns)[:32]))[:MAX_TEXT]


def _common_names(name: Name) -> tuple[str, ...]:
    found = [part for part in name if part.oid.dotted_string == "2.5.4.3"]
    return tuple(str(part.value)[:255] for part in found[:8] if part.value)


def _alternative_names(certificate: Certificate) -> tuple[str, ...]:
    """Return DNS names and addresses; a broken extension gives none."""
    from cryptography import x509  # noqa: PLC0415

    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return ()
    kinds = (x509.DNSName, x509.IPAddress)
    found = [str(name.value)[:255] for name in names if isinstance(name, kinds)]
    return tuple(name for name in found[:MAX_NAMES] if name)


def certificate_fields(der: bytes, time_us: int) -> Fields:
    """Return the fields of a server's certificate, seen at ``time_us``; the hashes at least."""
    said = describe(der)
    return _server_fields(der, _validation(said, time_us) if said is not None else "").copy()


@lru_cache(maxsize=512)
def _server_fields(der: bytes, status: str) -> Fields:
    fields: Fields = {
        "tls.server.hash.sha256": hashlib.sha256(der).hexdigest(),
        "tls.server.hash.sha1": hashlib.sha1(der, usedforsecurity=False).hexdigest(),
        "tls.server.hash.md5": hashlib.md5(der, usedforsecurity=False).hexdigest(),
    }
    said = describe(der)
    if said is None:
        return fields
    texts = {
        "tls.server.subject": said.subject,
        "tls.server.issuer": said.issuer,
        "tls.server.x509.serial_number": said.serial,
        "tls.server.x509.public_key_algorithm": said.key_algorithm,
        "tls.server.x509.signature_algorithm": said.signature_algorithm,
        "tls.server.not_before": format_instant(said.not_before) if said.not_before else "",
        "tls.server.not_after": format_instant(said.not_after) if said.not_after else "",
        "edusoc.tls.validation_status": status,
    }
    lists = {
        "tls.server.x509.subject.common_name": said.subject_names,
        "tls.server.x509.issuer.common_name": said.issuer_names,
        "tls.server.x509.alternative_names": said.alternative_names,
    }
    fields.update({name: text for name, text in texts.items() if text})
    fields.update({name: list(items) for name, items in lists.items() if items})
    if said.key_size:
        fields["tls.server.x509.public_key_size"] = said.key_size
    return fields


def _validation(said: Described, time_us: int) -> str:
    """Say what is wrong at first sight, in OpenSSL's words; the chain itself is not checked (no trust store)."""
    wrong = ["self signed certificate"] if said.subject and said.subject == said.issuer else []
    if said.not_after is not None and time_us > epoch_us(said.not_after.astimezone(UTC)):
        wrong.append("certificate has expired")
    if said.not_before is not None and time_us < epoch_us(said.not_before.astimezone(UTC)):
        wrong.append("certificate is not yet valid")
    return "; ".join(wrong)


def client_certificate_fields(der: bytes) -> Fields:
    """Return the fields of a client's certificate."""
    said = describe(der)
    if said is None:
        return {}
    named: Fields = {}
    if said.subject:
        named["tls.client.subject"] = said.subject
    if said.issuer:
        named["tls.client.issuer"] = said.issuer
    return named
