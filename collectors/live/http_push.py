"""Take JSON that is pushed over HTTP: one object, an array, or one object a line; answered when it is durable.

The token stands in the ``Authorization`` header, never in the address. With an ``Idempotency-Key`` a request sent again
gives the same events, whatever its documents say.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

import orjson

from collectors.json_records import read_json
from collectors.live.documents import Document
from collectors.live.http_server import Head, RefusedError, Request, Response
from collectors.live.options import Options
from collectors.live.pushing import NOT_STORED, Delivery, PushInput, check_token, read_settings
from collectors.opening import open_bytes

NOT_POST: Final = "only POST is served here"
NO_PLACE: Final = "nothing is served at this address"
NO_JSON: Final = "body holds no JSON object"
_FAULTS_SAID: Final = 100


def build(name: str, options: Options) -> PushInput:
    """Return the input called ``name``. Raises ``UsageError`` for settings that are wrong."""
    settings = read_settings(options, port=8602)
    path = "/" + options.text("path", "/events").strip("/")
    options.done()
    if not settings.addresses:
        raise options.fault("listen", "is missing", 'write listen = "0.0.0.0:8602"')
    return PushInput(
        name, "http_push", settings, lambda delivery: PushHandler(delivery, path, settings.token)
    )


class PushHandler:
    """Answer the requests of one input."""

    def __init__(self, delivery: Delivery, path: str, token: str) -> None:
        """Take the path that documents are pushed to and the token that senders show."""
        self._delivery = delivery
        self._path = path
        self._token = token

    def check(self, head: Head) -> Response | None:
        """Refuse what is not a push, before its body is sent."""
        try:
            check_token(head, self._token)
            if "/" + head.path.strip("/") != self._path:
                raise RefusedError(404, NO_PLACE)
            if head.method != "POST":
                raise RefusedError(405, NOT_POST)
        except RefusedError:
            self._delivery.counters.add("refused")
            raise
        return None

    def answer(self, request: Request) -> Response:
        """Deliver the documents of a request, then say so; 503 where not all could be stored."""
        key = request.head.headers.get("idempotency-key", "")[:256]
        faults = self._delivery.deliver_all(_documents(request.body, key), request.head.sender)
        if not faults:
            raise RefusedError(400, NO_JSON)
        if NOT_STORED in faults:
            raise RefusedError(503, NOT_STORED)
        rejected = ({"index": index, "reason": fault} for index, fault in enumerate(faults) if fault)
        accepted = faults.count("")
        answer = {
            "accepted": accepted,
            "rejected": len(faults) - accepted,
            "reasons": list(islice(rejected, _FAULTS_SAID)),
        }
        return Response(200 if accepted else 400, orjson.dumps(answer))


def _documents(body: bytes, key: str) -> Iterator[Document]:
    with open_bytes(body or b"\n", name="request") as source:
        for index, record in enumerate(read_json(source)):
            yield Document(record.raw, f"{key}\0{index}" if key else "", record.tree, record.fault)
