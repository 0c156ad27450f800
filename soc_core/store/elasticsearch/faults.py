"""Say in words what Elasticsearch or the way to it refuses: the one place that knows its errors.

The store's questions and appends, its health and the command line all use these sentences. Facts about statuses and
error types: reference of Elasticsearch 8 ("REST APIs", "Fix common cluster issues"), tried against 8.19.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from elasticsearch import (
    ApiError,
    ConnectionTimeout,
    SerializationError,
    SSLError,
    TransportError,
    UnsupportedProductError,
)
from elasticsearch import ConnectionError as NoConnectionError

from soc_core.errors import StoreAccessError, StoreError

DISK_FULL: Final = "the disks of Elasticsearch are full, it takes no more"
NO_MASTER: Final = "the nodes of Elasticsearch have elected no master"
NO_MEMORY: Final = "Elasticsearch has no memory left for this"
BUSY: Final = "Elasticsearch has more work than it can take"
PARTS_ABSENT: Final = "parts of the index are not there at the moment"
LACKING: Final = "the user of Elasticsearch lacks"
FREE_DISK: Final = (
    "free room on the disks of Elasticsearch or add a node; nothing that was acknowledged is lost"
)
TRY_LATER: Final = "it is tried again; when this goes on, give Elasticsearch more memory or more nodes"
LOOK_AT_NODES: Final = "look at the nodes of Elasticsearch: one or more are down or do not find each other"
IS_IT_RUNNING: Final = "check that Elasticsearch is running, its address and the firewall between"
CHECK_CREDENTIALS: Final = "check elasticsearch_username and elasticsearch_password, or elasticsearch_api_key"
NAME_AUTHORITY: Final = "name the file of its authority's certificate in elasticsearch_ca"
NAME_IN_CERTIFICATE: Final = "use an address whose name is in the certificate"
RENEW_CERTIFICATE: Final = "renew the certificate of Elasticsearch and check the clocks"
RUNNING_OR_HTTPS: Final = "check that it is running, and whether the address should begin with https://"
HTTP_OR_HTTPS: Final = "check whether the address begins with http:// or https://"
GIVE_PRIVILEGE: Final = "give it to the user's role; docs/how-to/elasticsearch.md lists what is needed"
_BY_KIND: Final[Mapping[str, tuple[str, str]]] = {
    "circuit_breaking_exception": (NO_MEMORY, TRY_LATER),
    "master_not_discovered_exception": (NO_MASTER, LOOK_AT_NODES),
    "no_shard_available_action_exception": (PARTS_ABSENT, LOOK_AT_NODES),
    "unavailable_shards_exception": (PARTS_ABSENT, LOOK_AT_NODES),
}
_BY_STATUS: Final[Mapping[int, tuple[str, str]]] = {
    429: (BUSY, TRY_LATER),
    503: (PARTS_ABSENT, LOOK_AT_NODES),
}
_GRANTED: Final = re.compile(r"is granted by the (cluster|index) privileges? \[([^\]]*)\]")
_ACTION: Final = re.compile(r"action \[([^\]]*)\] is unauthorized")
_PREFERRED: Final = (
    "monitor",
    "manage_index_templates",
    "read",
    "write",
    "manage",
)
"""The narrowest privileges that we ask for, where Elasticsearch names several that would do."""
_LONGEST: Final = 300


@contextmanager
def in_words(where: str = "") -> Iterator[None]:
    """Raise what the client raises inside as ``StoreError`` that says what to do."""
    try:
        yield
    except (TransportError, ApiError) as error:
        raise fault_of(error, where) from error


def fault_of(error: TransportError | ApiError, where: str = "") -> StoreError:
    """Return our own error for one of the client; it holds no secret and at most 300 characters of foreign text."""
    if isinstance(error, UnsupportedProductError):
        return StoreAccessError("what answers there is no Elasticsearch", where=where, todo=IS_IT_RUNNING)
    if isinstance(error, ApiError):
        kind, reason = cause_of(error.body)
        return refusal(error.meta.status, kind, reason, where)
    if isinstance(error, SSLError):
        return _tls_fault(error, where)
    if isinstance(error, ConnectionTimeout):
        return StoreError("Elasticsearch did not answer in time", where=where, todo=TRY_LATER)
    if isinstance(error, SerializationError):
        return StoreError("Elasticsearch sent an answer that is not JSON", where=where, todo=IS_IT_RUNNING)
    if isinstance(error, NoConnectionError) and "NewConnectionError" not in str(error):
        return StoreError("Elasticsearch broke the connection off", where=where, todo=RUNNING_OR_HTTPS)
    return StoreError("Elasticsearch can't be reached", where=where, todo=IS_IT_RUNNING)


def cause_of(body: object) -> tuple[str, str]:
    """Return the type and reason of the innermost cause in an error answer; empty texts where it has none."""
    error = body.get("error") if isinstance(body, Mapping) else None
    if isinstance(error, str):
        return "", error
    kind = reason = ""
    for _ in range(10):
        if not isinstance(error, Mapping):
            break
        kind, reason = str(error.get("type") or kind), str(error.get("reason") or reason)
        roots = error.get("root_cause")
        error = (
            roots[0] if isinstance(roots, list) and roots and roots[0] != error else error.get("caused_by")
        )
    return kind, reason


def refusal(status: int, kind: str, reason: str, where: str = "") -> StoreError:
    """Return our own error for a refused request or item: its HTTP status, error type and reason."""
    if kind == "cluster_block_exception":
        return _block(reason, where)
    if status == 401:
        what = "Elasticsearch refuses the user or its password or key"
        return StoreAccessError(what, where=where, todo=CHECK_CREDENTIALS)
    if status == 403:
        return StoreAccessError(missing_privilege(reason), where=where, todo=GIVE_PRIVILEGE)
    if status == 413:
        return StoreError("the request is larger than Elasticsearch takes", where=where, todo=TRY_LATER)
    what, todo = _BY_KIND.get(kind) or _BY_STATUS.get(status) or ("", "")
    if what:
        return StoreError(what, where=where, todo=todo)
    return StoreError(f"Elasticsearch answered {status}: {(reason or kind)[:_LONGEST]}", where=where)


def _block(reason: str, where: str) -> StoreError:
    """Return our own error for an index or cluster that is blocked for writing or altogether."""
    if "read-only-allow-delete" in reason or "read-only / allow delete" in reason:
        return StoreError(DISK_FULL, where=where, todo=FREE_DISK)
    if "no master" in reason or "state not recovered" in reason:
        return StoreError(NO_MASTER, where=where, todo=LOOK_AT_NODES)
    return StoreError(
        f"an index of Elasticsearch is closed for writing: {reason[:_LONGEST]}",
        where=where,
        todo="remove the block from the index's settings",
    )


def missing_privilege(reason: str) -> str:
    """Return the sentence that names the privilege an answer of status 403 misses."""
    granted, action = _GRANTED.search(reason), _ACTION.search(reason)
    if granted:
        names = granted[2].split(",")
        wanted = next((name for name in _PREFERRED if name in names), names[0])
        return f"{LACKING} the {granted[1]} privilege '{wanted}'"
    if action:
        return f"{LACKING} the privilege for '{action[1]}'"
    return f"{LACKING} a privilege"


def _tls_fault(error: SSLError, where: str) -> StoreError:
    """Return our own error for a TLS handshake that failed: most are certificates or http where https is."""
    text = f"{error} {' '.join(map(str, error.errors))}"
    if "Hostname mismatch" in text or "IP address mismatch" in text or "doesn't match" in text:
        return StoreAccessError(
            "the certificate of Elasticsearch is for another name", where=where, todo=NAME_IN_CERTIFICATE
        )
    if "has expired" in text or "not yet valid" in text:
        return StoreAccessError(
            "the certificate of Elasticsearch is not valid now", where=where, todo=RENEW_CERTIFICATE
        )
    if "CERTIFICATE_VERIFY_FAILED" in text or isinstance(error.__cause__, ssl.SSLCertVerificationError):
        return StoreAccessError(
            "the certificate of Elasticsearch is from an authority that is not trusted",
            where=where,
            todo=NAME_AUTHORITY,
        )
    return StoreError("no TLS connection to Elasticsearch comes about", where=where, todo=HTTP_OR_HTTPS)
