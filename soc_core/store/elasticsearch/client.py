"""Connect to Elasticsearch: addresses, TLS with a private authority, who we are, time-outs and other nodes to try.

Passwords and keys go into the client's headers only: never into addresses, errors, logs or a ``repr``.
"""

from __future__ import annotations

import base64
import ipaddress
import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from elasticsearch import ApiError, Elasticsearch
from elasticsearch.serializer import OrjsonSerializer

from soc_core.config import Settings
from soc_core.errors import UsageError
from soc_core.store.elasticsearch.faults import NAME_AUTHORITY, in_words

OLDEST: Final = (8, 14)
NEWEST_MAJOR: Final = 8
"""The client speaks to servers of its own major version; 9 needs client 9."""
DEFAULT_PORT: Final = 9200
REQUEST_SECONDS: Final = 30.0
RETRIES: Final = 3
CONNECTIONS: Final = 8
_KEY: Final = re.compile(r"[A-Za-z0-9+/=_-]{8,4096}")
_NOT_OFFERED: Final = frozenset({400, 404, 405, 410, 500, 501})
"""What servers answer whose distribution lacks a feature; its test distribution says 405 or 400."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Say what a cluster offers: its oldest node's version, and whether it has ILM, SLM and users."""

    version: tuple[int, int, int]
    lifecycle: bool
    snapshot_lifecycle: bool
    security: bool


def connect(settings: Settings, *, request_seconds: float = REQUEST_SECONDS) -> Elasticsearch:
    """Return a client for the configured cluster; nothing is asked yet. Raise ``UsageError`` for a wrong setting.

    A node that does not answer is left out for a while (1 to 30 s) and the request goes to another one: everything we
    send may be sent twice. Requests are compressed unless all nodes are on this machine.
    """
    addresses = [_address(text) for text in addresses_of(settings)]
    hosts = [f"{part.scheme}://{part.netloc}{part.path.rstrip('/')}" for part in addresses]
    secure = [part for part in addresses if part.scheme == "https"]
    if secure and len(secure) < len(addresses):
        raise UsageError(
            "elasticsearch_url mixes http:// and https://", todo="use https:// for all addresses"
        )
    local = all(_is_local(part) for part in addresses)
    options: dict[str, Any] = {"ssl_context": trust_of(settings)} if secure else {}
    return Elasticsearch(
        hosts,
        request_timeout=request_seconds,
        max_retries=RETRIES,
        retry_on_timeout=True,
        retry_on_status=(502, 503, 504),
        connections_per_node=CONNECTIONS,
        http_compress=not local,
        meta_header=False,
        opaque_id="edusoc",
        serializers={"application/json": OrjsonSerializer()},
        **identity_of(settings, exposed=not secure and not local),
        **options,
    )


def addresses_of(settings: Settings) -> list[str]:
    """Return the addresses of the configured nodes; they are separated by commas or spaces."""
    found = settings.elasticsearch_url.replace(",", " ").split()
    if not found:
        raise UsageError(
            "elasticsearch_url names no address", todo="write it like https://elastic.example.edu.cn:9200"
        )
    return found


def place_of(settings: Settings) -> str:
    """Return how errors name the cluster: its addresses without anything secret."""
    return ", ".join(f"{part.scheme}://{part.netloc}" for part in map(_address, addresses_of(settings)))


def _address(text: str) -> SplitResult:
    """Return an address with its port; refuse one that holds a password or is none, without repeating it."""
    if "@" in text:
        raise UsageError(
            "elasticsearch_url holds a user or password",
            todo="leave only the address; put them in EDUSOC_ELASTICSEARCH_USERNAME and EDUSOC_ELASTICSEARCH_PASSWORD",
        )
    try:
        part = urlsplit(text)
        host, port = part.hostname, part.port
    except ValueError:
        host, port, part = None, None, urlsplit("")
    if part.scheme not in {"http", "https"} or not host or part.query or part.fragment:
        raise UsageError(
            f"elasticsearch_url: '{text[:80]}' is no address",
            todo="write it like https://elastic.example.edu.cn:9200",
        )
    shown = f"[{host}]" if ":" in host else host
    return part._replace(netloc=f"{shown}:{port or DEFAULT_PORT}")


def _is_local(part: SplitResult) -> bool:
    host = part.hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def trust_of(settings: Settings) -> ssl.SSLContext:
    """Return the trust to check the cluster's certificate with: the configured authority's alone, else the system's.

    ``create_default_context`` is not used: from Python 3.13 it also refuses authorities without a key usage extension,
    as ``elasticsearch-certutil`` makes them.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not settings.elasticsearch_ca:
        context.load_default_certs()
        return context
    path = Path(settings.elasticsearch_ca).expanduser()
    try:
        context.load_verify_locations(cafile=path)
    except ssl.SSLError:
        raise UsageError(
            "elasticsearch_ca holds no certificate in PEM form", where=str(path), todo=NAME_AUTHORITY
        ) from None
    except OSError as error:
        raise UsageError(error.strerror or "can't be read", where=str(path)) from error
    return context


def identity_of(settings: Settings, *, exposed: bool) -> dict[str, Any]:
    """Return how the client says who it is; refuse half an identity, two, and one that anybody on the way can read."""
    username, password = settings.elasticsearch_username, settings.elasticsearch_password
    key = settings.elasticsearch_api_key
    if bool(username) != bool(password):
        raise UsageError(
            "elasticsearch_username and elasticsearch_password belong together", todo="set both or none"
        )
    if key and username:
        raise UsageError(
            "both a password and an API key are set for Elasticsearch", todo="set only one of them"
        )
    if not key and not username:
        return {}
    if exposed:
        raise UsageError(
            "a password or key for Elasticsearch would cross the network unencrypted",
            todo="use https:// (and elasticsearch_ca for a private authority)",
        )
    return {"headers": {"authorization": _authorization(key, username, password)}}


def _authorization(key: str, username: str, password: str) -> str:
    """Return the header that says who we are: in UTF-8 (RFC 7617), where the client's own takes ASCII only."""
    if not key:
        return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()
    if ":" in key:
        key = base64.b64encode(key.encode()).decode()
    if not _KEY.fullmatch(key):
        raise UsageError(
            "elasticsearch_api_key is no API key",
            todo="take the field 'encoded' of what Elasticsearch answered",
        )
    return f"ApiKey {key}"


def read_version(client: Elasticsearch, where: str = "") -> tuple[int, int, int]:
    """Return the version of the oldest node; raise ``UsageError`` when it is too old or newer than we speak."""
    with in_words(where):
        answer = client.nodes.info(node_id="_all", metric="_none", filter_path="nodes.*.version")
        version = min(_version(node["version"]) for node in answer["nodes"].values())
    _check_version(version, where)
    return version


def read_capabilities(client: Elasticsearch, where: str = "") -> Capabilities:
    """Ask once what the cluster is and offers; raise ``UsageError`` when it is too old or newer than we speak."""
    version = read_version(client, where)
    with in_words(where):
        return Capabilities(
            version=version,
            lifecycle=_offers(client, "/_ilm/status"),
            snapshot_lifecycle=_offers(client, "/_slm/status"),
            security=_offers(client, "/_security/_authenticate"),
        )


def _version(text: str) -> tuple[int, int, int]:
    """Return the three numbers of a version such as ``8.19.21`` or ``9.0.0-beta1``."""
    numbers = [int(part) if part.isdigit() else 0 for part in text.partition("-")[0].split(".")]
    major, minor, patch = (*numbers, 0, 0, 0)[:3]
    return major, minor, patch


def _check_version(version: tuple[int, int, int], where: str) -> None:
    shown = ".".join(map(str, version))
    if version[:2] < OLDEST:
        raise UsageError(
            f"Elasticsearch {shown} is too old", where=where, todo="version 8.14 or newer is needed"
        )
    if version[0] > NEWEST_MAJOR:
        raise UsageError(
            f"Elasticsearch {shown} is newer than this program speaks", where=where, todo="use 8.14 to 8.19"
        )


def _offers(client: Elasticsearch, path: str) -> bool:
    """Tell whether the cluster knows an endpoint; one that only our user may not ask is there."""
    try:
        client.perform_request("GET", path, headers={"accept": "application/json"})
    except ApiError as error:
        if error.meta.status in _NOT_OFFERED:
            return False
        if error.meta.status not in {401, 403}:
            raise
    return True
