"""Give a node of the test harness TLS by an authority of our own and users with roles, without a tool of Java."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from soc_core.config import Settings
from tests.elasticsearch_server import Node, temporary_directory

ADMINISTRATOR: Final = "administrator"
_ROUNDS: Final = 1_000


@dataclass(frozen=True)
class Authority:
    """Hold a certificate authority made for one test."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def make(cls, name: str = "tests") -> Authority:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(name)
        builder = _builder(subject, subject, key).add_extension(
            x509.BasicConstraints(True, None), critical=True
        )
        return cls(key, builder.sign(key, hashes.SHA256()))

    def issue(self, *, names: tuple[str, ...] = ("127.0.0.1",), days: int = 2) -> dict[str, bytes]:
        """Return certificate and key for a server; ``days`` below zero are over."""
        key = ec.generate_private_key(ec.SECP256R1())
        others = [_alternative(name) for name in names]
        builder = _builder(_name("node"), self.certificate.subject, key, days)
        certificate = builder.add_extension(x509.SubjectAlternativeName(others), critical=False).sign(
            self.key, hashes.SHA256()
        )
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return {"http.crt": certificate.public_bytes(serialization.Encoding.PEM), "http.key": private}

    def write(self, path: Path) -> Path:
        """Write the certificate that clients trust."""
        path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        return path


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: int = 2
) -> x509.CertificateBuilder:
    end = datetime.now(UTC) + timedelta(days=days)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(datetime.now(UTC), end) - timedelta(days=2))
        .not_valid_after(end)
    )


def hashed(password: str) -> str:
    """Return a password as Elasticsearch's file of users keeps it."""
    salt = os.urandom(32)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ROUNDS, 32)
    return f"{{PBKDF2}}{_ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def basic(user: str, password: str) -> str:
    """Return the header that says who we are."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _role(name: str, grants: Mapping[str, object]) -> str:
    """Return a role as ``roles.yml`` has it: the server cuts the file at lines that are not indented."""
    return f"{name}:\n" + "".join(f"  {kind}: {json.dumps(granted)}\n" for kind, granted in grants.items())


def secure_node(
    authority: Authority, roles: Mapping[str, Mapping[str, object]], *, heap_mb: int = 512
) -> tuple[Node, dict[str, str]]:
    """Return a node (not started) with TLS and a user for each role, and their passwords by name."""
    passwords = {name: f"秘密-{os.urandom(8).hex()}" for name in (*roles, ADMINISTRATOR)}
    granted = {name: name for name in roles} | {ADMINISTRATOR: "superuser"}
    files = {
        **authority.issue(names=("127.0.0.1", "localhost")),
        "roles.yml": "".join(map(_role, roles, roles.values())).encode(),
        "users": "".join(f"{name}:{hashed(passwords[name])}\n" for name in passwords).encode(),
        "users_roles": "".join(f"{role}:{name}\n" for name, role in granted.items()).encode(),
    }
    settings = {
        "xpack.security.enabled": True,
        "xpack.security.http.ssl.enabled": True,
        "xpack.security.http.ssl.certificate": "http.crt",
        "xpack.security.http.ssl.key": "http.key",
    }
    node = Node(
        "secure",
        heap_mb,
        settings,
        files,
        authority=authority.write(temporary_directory("authority-") / "ca.pem"),
        authorization=basic(ADMINISTRATOR, passwords[ADMINISTRATOR]),
    )
    return node, passwords


PREFIX: Final = "secured"
ROLES: Final[Mapping[str, Mapping[str, object]]] = {
    "writer": {
        "cluster": ["monitor", "manage_index_templates"],
        "indices": [{"names": [f"{PREFIX}-*"], "privileges": ["read", "write", "manage"]}],
    },
    "reader": {
        "cluster": ["monitor"],
        "indices": [{"names": [f"{PREFIX}-*"], "privileges": ["read", "view_index_metadata"]}],
    },
    "guest": {"cluster": [], "indices": [{"names": [f"{PREFIX}-*"], "privileges": ["read"]}]},
}


@dataclass(frozen=True)
class Secured:
    """Hold the node, what its users' passwords are, and the file clients trust it by."""

    node: Node
    passwords: Mapping[str, str]
    authority: Path

    def settings(self, user: str, **others: Any) -> Settings:
        """Return settings to connect as a user."""
        usual = Settings(
            elasticsearch_url=self.node.url,
            elasticsearch_ca=str(self.authority),
            elasticsearch_username=user,
            elasticsearch_password=self.passwords.get(user, "guessed-password"),
            elasticsearch_prefix=PREFIX,
            elasticsearch_replicas=0,
        )
        return replace(usual, **others)


@contextmanager
def secured() -> Iterator[Secured]:
    """Run a node with TLS and a user of each role."""
    node, passwords = secure_node(Authority.make(), ROLES)
    with node:
        assert node.authority is not None
        yield Secured(node, passwords, node.authority)
