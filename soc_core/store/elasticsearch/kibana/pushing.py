"""Bring saved objects to a live Kibana: ``POST /api/saved_objects/_import?overwrite=true``.

Who we are, and whom we trust, is what the settings say for Elasticsearch: Kibana asks Elasticsearch who somebody is.
Redirections are not followed (a password must not go elsewhere), nor are proxies of the environment used.
Source: Kibana's API reference, "Import saved objects" (8.x) and "Get Kibana's current status".
"""

from __future__ import annotations

import hashlib
import http.client
import ipaddress
import re
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import SplitResult, quote, urlsplit

import orjson

from soc_core.config import Settings
from soc_core.errors import EdusocError, StoreError, UsageError
from soc_core.store.elasticsearch.client import identity_of, trust_of
from soc_core.store.elasticsearch.kibana.reading import items, table, text

OLDEST: Final = (8, 14)
SECONDS: Final = 60.0
MOST_BYTES: Final = 16 << 20
"""A longer answer, in bytes, is no answer of Kibana."""
_SPACE: Final = re.compile(r"[a-z0-9_-]{1,100}")
IS_IT_KIBANA: Final = (
    "check the address: it is that of Kibana (often port 5601), with its base path if it has one"
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Say what became of one object: ``problem`` is empty when it is there now."""

    type: str
    id: str
    title: str
    problem: str = ""


class Kibana:
    """Speak to one Kibana, in one space."""

    def __init__(self, address: str, settings: Settings, space: str = "") -> None:
        """Take the address (with base path, without user) and who we are; raise ``UsageError`` when they are wrong."""
        self._part = _address(address)
        if space and not _SPACE.fullmatch(space):
            raise UsageError(
                f"'{space[:60]}' is no space of Kibana", todo="use small letters, digits, - and _"
            )
        self._space = "" if space == "default" else space
        secure = self._part.scheme == "https"
        exposed = not secure and not _is_local(self._part.hostname or "")
        self._headers: Mapping[str, str] = identity_of(settings, exposed=exposed).get("headers", {})
        handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({}), _Stay()]
        if secure:
            handlers.append(urllib.request.HTTPSHandler(context=trust_of(settings)))
        self._opener = urllib.request.build_opener(*handlers)

    @property
    def place(self) -> str:
        """Return how errors name it."""
        return f"{self._part.scheme}://{self._part.netloc}{self._part.path}"

    def need_version(self) -> str:
        """Return Kibana's version, empty where it does not say; raise ``UsageError`` when it is too old."""
        answer = self._ask("/api/status")
        version = text(table(table(answer).get("version")).get("number"))
        numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
        if len(numbers) == 2 and numbers < OLDEST:
            raise UsageError(
                f"Kibana {version} is too old",
                where=self.place,
                todo="these objects need Kibana 8.14 or newer",
            )
        return version

    def push(self, objects: bytes) -> list[Outcome]:
        """Import the objects over older ones of the same ids; return what became of each."""
        boundary = "edusoc-" + hashlib.sha256(objects).hexdigest()[:32]
        head = (
            f"--{boundary}\r\n"
            'Content-Disposition: form-data; name="file"; filename="edusoc.ndjson"\r\n'
            "Content-Type: application/ndjson\r\n\r\n"
        )
        body = head.encode() + objects + f"\r\n--{boundary}--\r\n".encode()
        space = f"/s/{quote(self._space)}" if self._space else ""
        path = f"{space}/api/saved_objects/_import?overwrite=true"
        answer = self._ask(path, body, f"multipart/form-data; boundary={boundary}")
        return _outcomes(answer, self.place)

    def _ask(self, path: str, body: bytes | None = None, content_type: str = "") -> Any:
        """Return the JSON of an answer; raise our own errors for everything else."""
        request = urllib.request.Request(self.place + path, data=body)  # noqa: S310 - only http and https, see _address
        if body is not None:
            request.add_header("Content-Type", content_type)
        request.add_header("kbn-xsrf", "true")
        request.add_header("Accept", "application/json")
        for name, value in self._headers.items():
            request.add_unredirected_header(name, value)
        try:
            with self._opener.open(request, timeout=SECONDS) as answer:
                data = answer.read(MOST_BYTES + 1)
        except urllib.error.HTTPError as error:
            with error:
                raise _refusal(error.code, _message(error.read(MOST_BYTES)), self.place) from None
        except (OSError, http.client.HTTPException) as error:
            raise _unreachable(error, self.place) from None
        try:
            return orjson.loads(data)
        except orjson.JSONDecodeError:
            raise UsageError("what answers there is no Kibana", where=self.place, todo=IS_IT_KIBANA) from None


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follow no redirection."""

    def redirect_request(self, *_arguments: Any, **_options: Any) -> None:
        """Say that there is nowhere to go."""


def _address(address: str) -> SplitResult:
    try:
        part = urlsplit(address)
        host = part.hostname
        _ = part.port
    except ValueError:
        part, host = urlsplit(""), None
    if "@" in address:
        raise UsageError(
            "the address of Kibana holds a user or password",
            todo="put them in EDUSOC_ELASTICSEARCH_USERNAME and EDUSOC_ELASTICSEARCH_PASSWORD",
        )
    if part.scheme not in {"http", "https"} or not host or part.query or part.fragment:
        raise UsageError(
            f"'{address[:80]}' is no address of Kibana",
            todo="write it like https://kibana.example.edu.cn:5601",
        )
    return part._replace(path=part.path.rstrip("/"))


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _message(body: bytes) -> str:
    """Return what Kibana says about a refusal, shortened."""
    try:
        return text(table(orjson.loads(body)).get("message"))[:300]
    except orjson.JSONDecodeError:
        return ""


def _refusal(code: int, said: str, place: str) -> EdusocError:
    """Return our own error for an answer that is none."""
    if code == 401:
        return UsageError(
            "Kibana does not know this user",
            where=place,
            todo="check elasticsearch_username and elasticsearch_password, or elasticsearch_api_key",
        )
    if code == 403:
        return UsageError(
            "the user may not import saved objects",
            where=place,
            todo="give the role all privileges of Saved Objects Management in this space",
        )
    if code == 404 or 300 <= code < 400:
        return UsageError("there is no such Kibana or space", where=place, todo=IS_IT_KIBANA)
    if code == 413:
        return StoreError(
            "the file is too large for Kibana", where=place, todo="raise savedObjects.maxImportPayloadBytes"
        )
    return StoreError(f"Kibana answered {code}: {said}" if said else f"Kibana answered {code}", where=place)


def _unreachable(error: Exception, place: str) -> EdusocError:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, ssl.SSLCertVerificationError):
        return UsageError(
            "the certificate of Kibana is not trusted",
            where=place,
            todo="name the file of its authority's certificate in elasticsearch_ca",
        )
    if isinstance(reason, ssl.SSLError):
        return UsageError("Kibana does not speak TLS there", where=place, todo=IS_IT_KIBANA)
    if isinstance(reason, TimeoutError):
        return StoreError("Kibana did not answer in time", where=place)
    if isinstance(reason, socket.gaierror):
        return UsageError("nobody knows this host name", where=place, todo=IS_IT_KIBANA)
    if isinstance(reason, http.client.HTTPException):
        return UsageError("what answers there is no Kibana", where=place, todo=IS_IT_KIBANA)
    return StoreError("Kibana can't be reached", where=place, todo=IS_IT_KIBANA)


def _outcomes(answer: Any, place: str) -> list[Outcome]:
    """Return what became of each object, those that failed last."""
    body = table(answer)
    if "success" not in body:
        raise UsageError("what answers there is no Kibana", where=place, todo=IS_IT_KIBANA)
    done = [_outcome(table(one), "") for one in items(body.get("successResults"))]
    failed = [
        _outcome(table(one), _problem(table(table(one).get("error")))) for one in items(body.get("errors"))
    ]
    if body["success"] is not True and not failed:
        raise StoreError("Kibana imported nothing and does not say why", where=place)
    return done + failed


def _outcome(one: Mapping[str, Any], problem: str) -> Outcome:
    title = text(one.get("title")) or text(table(one.get("meta")).get("title"))
    return Outcome(text(one.get("type")), text(one.get("id")), title, problem)


def _problem(error: Mapping[str, Any]) -> str:
    """Return why an object could not be imported."""
    kind = text(error.get("type"))
    if kind == "missing_references":
        names = _names(items(error.get("references")))
        return f"it needs what is not there: {names}"
    if kind in {"conflict", "ambiguous_conflict"}:
        return "another object is in its place"
    if kind == "unsupported_type":
        return "this Kibana does not know the type"
    return text(error.get("message"))[:300] or kind or "no reason given"


def _names(references: Sequence[Any]) -> str:
    return ", ".join(f"{text(table(one).get('type'))} {text(table(one).get('id'))}" for one in references[:5])
