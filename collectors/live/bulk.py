"""Take documents over Elasticsearch's bulk protocol, as Beats, Logstash, Fluent Bit and Vector send them.

What such programs ask a cluster before they send (version, licence, templates, policies, pipelines) is answered so that
they go on: nothing of it is stored, and ingest pipelines are not run. Each document is answered for itself: 201, 400
for what can't be read (it is kept aside here), 429 for what has to come again. Reference: Elasticsearch's REST API,
bulk; the probes are those of libbeat's ``eslegclient``, ``licenser``, ``template`` and ``idxmgmt``.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final, NamedTuple

import orjson

from collectors.base import BATCH_EVENTS
from collectors.live.documents import Document
from collectors.live.http_server import Head, RefusedError, Request, Response
from collectors.live.options import Options
from collectors.live.pushing import (
    NO_TOKEN,
    NOT_STORED,
    Delivery,
    PushInput,
    check_token,
    read_settings,
    too_long,
)

NO_ACTION: Final = "line is no action of a bulk request"
NO_DOCUMENT: Final = "action without a document"
NOT_SERVED: Final = "only index and create are served"
NO_SUCH: Final = "nothing is served at this address"
TOO_MANY: Final = "too many documents in one request"
_LINES_MOST: Final = 20_000
_PRODUCT: Final = (("X-Elastic-Product", "Elasticsearch"),)
"""Clients of Elasticsearch refuse to talk to what doesn't say so."""
_SETUP: Final = frozenset(
    {
        "_template",
        "_index_template",
        "_component_template",
        "_ilm",
        "_ingest",
        "_data_stream",
        "_alias",
        "_cat",
    }
)


class _Item(NamedTuple):
    """Hold one action of a bulk request and its document."""

    action: str
    place: str
    name: str
    raw: bytes
    fault: str = ""


def build(name: str, options: Options) -> PushInput:
    """Return the input called ``name``. Raises ``UsageError`` for settings that are wrong."""
    settings = read_settings(options, port=9200)
    version = options.text("version", "8.19.0")
    options.done()
    if not settings.addresses:
        raise options.fault("listen", "is missing", 'write listen = "0.0.0.0:9200"')
    return PushInput(name, "bulk", settings, lambda delivery: BulkHandler(delivery, settings.token, version))


class BulkHandler:
    """Answer the requests of one input."""

    def __init__(self, delivery: Delivery, token: str, version: str) -> None:
        """Take the token that senders show and the version that is said to them."""
        self._delivery = delivery
        self._token = token
        self._version = version

    def check(self, head: Head) -> Response | None:
        """Answer what has no body; refuse who doesn't show the token, before the body is sent."""
        try:
            check_token(head, self._token)
        except RefusedError as refused:
            self._delivery.counters.add("refused")
            return _refusal(refused)
        if head.method in ("GET", "HEAD"):
            return self._probe(head)
        return None

    def answer(self, request: Request) -> Response:
        """Take a bulk request; say yes to whatever sets up indices."""
        parts = request.head.path.strip("/").split("/")
        if request.head.method in ("POST", "PUT"):
            if parts[-1] == "_bulk" and len(parts) <= 3:
                return self._bulk(request, parts[0] if len(parts) > 1 else "")
            if parts[0] in _SETUP or (request.head.method == "PUT" and len(parts) == 1):
                return _answer({"acknowledged": True, "index": parts[0]})
        return _refusal(RefusedError(404, NO_SUCH))

    def _bulk(self, request: Request, index: str) -> Response:
        if request.body.count(b"\n") > _LINES_MOST:
            return _refusal(RefusedError(413, TOO_MANY))
        items = _items(request.body, index)
        answers: list[
            bytes
        ] = []  # encoded part by part: as objects they would take far more room than their documents
        errors = stuck = False
        while part := list(islice(items, BATCH_EVENTS)):
            faults = [NOT_STORED] * len(part) if stuck else self._deliver(part, request.head.sender)
            stuck = stuck or NOT_STORED in faults
            errors = errors or any(faults)
            results = orjson.dumps([_result(item, fault) for item, fault in zip(part, faults, strict=True)])
            answers.append(results[1:-1])  # a copy: what orjson gives keeps the room it was written in
        if not answers:
            return _refusal(RefusedError(400, NO_ACTION))
        body = b'{"took":0,"errors":%s,"items":[%s]}' % (b"true" if errors else b"false", b",".join(answers))
        return Response(200, body, _PRODUCT)

    def _deliver(self, part: list[_Item], sender: str) -> list[str]:
        # A document is known by its id in its index, where it has one; most have none.
        documents = (
            Document(item.raw, f"{item.place}\0{item.name}" if item.name else "", fault=item.fault)
            for item in part
        )
        return self._delivery.deliver_all(documents, sender)

    def _probe(self, head: Head) -> Response:
        """Answer what clients ask before they send."""
        parts = [part for part in head.path.strip("/").split("/") if part]
        first = parts[0] if parts else ""
        last = parts[-1] if parts else ""
        answers: dict[str, object] = {
            "": self._about(),
            "_license": {"license": _LICENSE},
            "_xpack": {"license": _LICENSE, "features": _FEATURES},
            "_cluster": {
                "cluster_name": "edusoc",
                "status": "green",
                "timed_out": False,
                "number_of_nodes": 1,
            },
            "_nodes": {"cluster_name": "edusoc", "nodes": {}},
            "_template": {last: {"index_patterns": [f"{last}-*"]}},
            "_index_template": {
                "index_templates": [{"name": last, "index_template": {"index_patterns": []}}]
            },
            "_component_template": {"component_templates": [{"name": last, "component_template": {}}]},
            "_ilm": {"operation_mode": "RUNNING"} if last == "status" else {last: {"policy": {"phases": {}}}},
            "_ingest": {} if last == "pipeline" else {last: {"processors": []}},
            "_data_stream": {"data_streams": [{"name": last}]},
            "_alias": {},
            "_cat": [],
        }
        if first not in answers:
            # An index, an alias: it is there, so that nobody has to make it.
            return (
                _answer({}) if len(parts) <= 1 or parts[1] in _SETUP else _refusal(RefusedError(404, NO_SUCH))
            )
        return _answer(answers[first])

    def _about(self) -> dict[str, object]:
        return {
            "name": "edusoc",
            "cluster_name": "edusoc",
            "cluster_uuid": "edusoc",
            "version": {
                "number": self._version,
                "build_flavor": "default",
                "minimum_wire_compatibility_version": "7.17.0",
                "minimum_index_compatibility_version": "7.0.0",
            },
            "tagline": "edusoc takes what is sent to it; this is no Elasticsearch",
        }


_LICENSE: Final = {"status": "active", "uid": "edusoc", "type": "basic", "mode": "basic", "issuer": "edusoc"}
_FEATURES: Final = {
    name: {"available": True, "enabled": True} for name in ("ilm", "data_streams", "security", "monitoring")
}


def _items(body: bytes, index: str) -> Iterator[_Item]:
    """Yield the actions of a bulk body: a line that says what to do, then the document's line."""
    lines = _lines(body)
    for line in lines:
        if not line.strip():
            continue
        try:
            action, meta = next(iter(orjson.loads(line).items()))
            where, name = str(meta.get("_index") or index), str(meta.get("_id") or "")
        except (orjson.JSONDecodeError, AttributeError, StopIteration):
            yield _Item("index", index, "", line, NO_ACTION)
            continue
        if action not in ("index", "create"):
            if action == "update":
                next(lines, b"")
            yield _Item(str(action), where, name, line, NOT_SERVED)
            continue
        raw = next(lines, b"").strip()
        yield _Item(action, where, name, raw, too_long(raw) if raw else NO_DOCUMENT)


def _lines(body: bytes) -> Iterator[bytes]:
    """Yield the lines of a body one by one, without a second copy of all of it."""
    start = 0
    while start < len(body):
        end = body.find(b"\n", start)
        end = len(body) if end < 0 else end
        yield body[start:end]
        start = end + 1


def _result(item: _Item, fault: str) -> dict[str, object]:
    """Return the answer for one item."""
    answer: dict[str, object] = {"_index": item.place, "_id": item.name or "-"}
    if not fault:
        answer |= {
            "result": "created",
            "status": 201,
        }  # what senders look at; there is one of these a document
    elif fault == NOT_STORED:
        answer |= {"status": 429, "error": {"type": "es_rejected_execution_exception", "reason": fault}}
    else:
        answer |= {"status": 400, "error": {"type": "document_parsing_exception", "reason": fault}}
    return {item.action: answer}


def _answer(body: object) -> Response:
    return Response(200, orjson.dumps(body), _PRODUCT)


def _refusal(refused: RefusedError) -> Response:
    headers = (
        (*_PRODUCT, ("WWW-Authenticate", 'Basic realm="edusoc"')) if refused.reason == NO_TOKEN else _PRODUCT
    )
    error = {"type": "security_exception" if refused.status == 401 else "illegal_argument_exception"}
    body = {"error": {**error, "reason": refused.reason}, "status": refused.status}
    return Response(refused.status, orjson.dumps(body), headers)
