"""Read what web servers send to syslog: lines of their access logs and of their error logs."""

from __future__ import annotations

from collectors.making import RecordError
from collectors.web_access_text import access_event
from collectors.web_error import interpret_apache as read_apache_error
from collectors.web_error import interpret_nginx as read_nginx_error
from soc_core.model.event import TIMESTAMP, Event


def interpret_nginx(event: Event, message: str, /) -> bool:
    """Fill ``event`` from a message of Nginx; tell whether it is a line of one of its logs."""
    return read_nginx_error(event, message) or _read_access(event, message)


def interpret_apache(event: Event, message: str, /) -> bool:
    """Fill ``event`` from a message of Apache; tell whether it is a line of one of its logs."""
    return read_apache_error(event, message) or _read_access(event, message)


def _read_access(event: Event, message: str) -> bool:
    try:
        found = access_event(message)
    except RecordError:
        return False
    if found is None:
        return False
    found.setdefault(TIMESTAMP, event.get(TIMESTAMP, ""))
    event.pop("message", None)
    event.update(found)
    event["event.module"] = "web"
    return True
