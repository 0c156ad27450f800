"""Join a centre with a one-time code: know the centre by the code, then send the secret and keep what it answers."""

from __future__ import annotations

import base64
import hashlib
import http.client
import platform
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from cryptography import x509
from cryptography.x509.oid import NameOID

from collectors.agent.identity import (
    CORRELATION_KEY,
    Identity,
    fresh_key,
    keep_key,
    write_identity,
)
from collectors.uplink.connection import Centre, Connection, LinkError
from soc_core.errors import InputError, UsageError
from soc_core.keys.signing import PublicKey
from soc_core.log.files import write_whole
from soc_core.system import private_directory
from soc_core.uplink.answers import Refusal
from soc_core.uplink.enrolment import EnrolAnswer, EnrolmentCode, EnrolRequest
from soc_core.uplink.wire import ENROL

PORT: Final = 8601
CONNECT_SECONDS: Final = 15.0


@dataclass(frozen=True, slots=True)
class Wish:
    """Say which centre to join, with which code, under which name, through which proxy."""

    url: str
    code: EnrolmentCode
    name: str = ""
    proxy: str = ""


def centre_url(text: str) -> str:
    """Return the address of a centre as it is used: https and port 8601 where they aren't said."""
    parts = urlsplit(text if "://" in text else f"https://{text}")
    try:
        port = parts.port or PORT
    except ValueError:
        port = -1
    if parts.scheme != "https" or not parts.hostname or port < 1:
        raise UsageError(
            f"'{text}' is no address of a centre", todo="write it like https://centre.example:8601"
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return urlunsplit(("https", f"{host}:{port}", "", "", ""))


def join(wish: Wish, state: Path, version: str) -> Identity:
    """Join; keep and return who this agent is now.

    Raises ``UsageError`` when the centre is another than the code's or refuses, ``LinkError`` when it can't be reached.
    """
    certificate = server_certificate(wish.url, wish.proxy)
    if not wish.code.fits(certificate):
        raise UsageError(
            "the centre at this address is not the one the code was made for",
            where=wish.url,
            todo="check the address, and whether somebody on the way opens encrypted connections; nothing was sent",
        )
    private_directory(state)
    fingerprint = hashlib.sha256(certificate).hexdigest()
    key = fresh_key(state)
    request = EnrolRequest.make(
        wish.code, key, name=wish.name or socket.gethostname(), version=version, system=platform.platform()
    )
    with Connection(Centre(wish.url, fingerprint=fingerprint, proxy=wish.proxy)) as connection:
        answer = connection.post(ENROL, {"Content-Type": "application/json"}, request.encode())
    if answer.status != 200:
        raise _refused(answer.body, wish.url)
    told = EnrolAnswer.decode(answer.body)
    try:
        PublicKey.parse(told.order_key)
    except UsageError as error:
        raise InputError("the centre's answer can't be understood", where=wish.url) from error
    identity = Identity(
        agent=told.agent,
        organization_id=told.organization_id,
        organization_name=told.organization_name,
        zone=told.zone or "default",
        order_key=told.order_key,
        url=wish.url,
        ca=bool(told.ca),
        name=certificate_name(certificate) if told.ca else "",
        fingerprint="" if told.ca else fingerprint,
    )
    if told.correlation_key:
        write_whole(state / CORRELATION_KEY, told.correlation_key.encode())
    keep_key(state)
    write_identity(state, identity, told.ca)
    return identity


def _refused(body: bytes, where: str) -> UsageError:
    return UsageError(
        f"the centre refuses: {Refusal.decode(body).what}", where=where, todo="ask the centre for a new code"
    )


def server_certificate(url: str, proxy: str) -> bytes:
    """Return the certificate (DER) that answers at an address, believing nothing yet. Raises ``LinkError``."""
    parts, through = urlsplit(url), urlsplit(proxy)
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    host, port = str(parts.hostname), parts.port or PORT
    if proxy:
        connection: http.client.HTTPConnection = http.client.HTTPConnection(
            str(through.hostname), through.port or 3128, timeout=CONNECT_SECONDS
        )
        connection.set_tunnel(host, port, _proxy_login(proxy))
    else:
        connection = http.client.HTTPConnection(host, port, timeout=CONNECT_SECONDS)
    try:
        connection.connect()
        with context.wrap_socket(connection.sock, server_hostname=host) as secured:
            return secured.getpeercert(binary_form=True) or b""
    except (OSError, http.client.HTTPException) as error:
        raise LinkError(
            "link",
            f"the centre can't be reached: {error}",
            where=url,
            todo="check the address, the network and the firewall",
        ) from error
    finally:
        connection.close()


def _proxy_login(proxy: str) -> dict[str, str]:
    parts = urlsplit(proxy)
    if not parts.username:
        return {}
    login = base64.b64encode(f"{parts.username}:{parts.password or ''}".encode()).decode("ascii")
    return {"Proxy-Authorization": f"Basic {login}"}


def certificate_name(certificate: bytes) -> str:
    """Return a name that a certificate (DER) bears: its first DNS name or address, else its common name."""
    parsed = x509.load_der_x509_certificate(certificate)
    try:
        names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        names = None
    if names is not None:
        found = [*names.get_values_for_type(x509.DNSName)]
        found += [str(address) for address in names.get_values_for_type(x509.IPAddress)]
        plain = [name for name in found if "*" not in name]
        if plain:
            return plain[0]
    common = parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(common[0].value) if common else ""
