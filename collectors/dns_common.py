"""Write what a name server's log says of a question, as the packet and Zeek collectors write it.

``source.ip`` is always who asked, also in lines about the answer: one client, one field.
"""

from __future__ import annotations

from typing import Final

from collectors.coerce import ip_text, put, put_words
from collectors.network import put_side, put_transport
from soc_core.model.event import Event

DATASET: Final = "dns.query"
SERVER_DATASET: Final = "dns.server"
"""What a name server says about itself."""
_REFUSALS: Final = frozenset({"SERVFAIL", "REFUSED", "FORMERR", "NOTIMP", "NXDOMAIN"})


def start_question(event: Event, *, module: str, answer: bool) -> None:
    """Mark ``event`` as a question, or an ``answer``, that the software ``module`` logged."""
    event["event.dataset"] = DATASET
    event["event.module"] = module
    event["event.category"] = ["network"]
    event["event.type"] = ["protocol", "info"]
    event["event.action"] = "dns_answer" if answer else "dns_query"
    event["network.protocol"] = "dns"
    event["dns.type"] = "answer" if answer else "query"


def put_question(event: Event, name: str, kind: str, klass: str = "IN") -> None:
    """Write the question; the root stays ``.``, other names lose the dot at their end."""
    put(event, "dns.question.name", name if name == "." else name.rstrip("."))
    put(event, "dns.question.type", kind.upper())
    put(event, "dns.question.class", klass.upper())


def put_client(event: Event, address: str, port: object = None, transport: str = "") -> None:
    """Write who asked."""
    put_side(event, "source", address, port)
    put(event, "related.ip", ip_text(address))
    if transport:
        put_transport(event, transport)


def put_code(event: Event, code: str) -> None:
    """Write the answer's code and whether that is a success."""
    code = code.upper()
    put(event, "dns.response_code", code)
    if code == "NOERROR":
        event["event.outcome"] = "success"
    elif code in _REFUSALS:
        event["event.outcome"] = "failure"


def start_server(event: Event, message: str, *, module: str, level: str = "") -> None:
    """Mark ``event`` as something else that a name server says."""
    put_words(event, SERVER_DATASET, message, module=module, level=level)
