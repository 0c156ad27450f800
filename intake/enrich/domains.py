"""Say under which registered domain a name stands (public suffix list): 双非 names and tunnels are seen by it."""

from __future__ import annotations

from typing import Final

from soc_core.model.event import Event
from soc_core.names import split_name

_NAMES: Final = (
    ("dns.question.name", "dns.question"),
    ("url.domain", "url"),
    ("destination.domain", "destination"),
    ("source.domain", "source"),
)
_WITH_PARTS: Final = frozenset({"dns.question", "url"})


class Domains:
    """Write ``registered_domain``, for questions and URLs also ``top_level_domain`` and ``subdomain`` (ECS)."""

    name = "domains"

    def enrich(self, event: Event) -> None:
        """Add the parts of each name the event has."""
        for field, prefix in _NAMES:
            value = event.get(field)
            if isinstance(value, str) and f"{prefix}.registered_domain" not in event and _is_name(value):
                _add(event, prefix, value)


def _is_name(value: str) -> bool:
    """Tell whether it is a name of two labels or more and no address."""
    return "." in value[:-1] and not value.rstrip(".").rpartition(".")[2].isdigit() and ":" not in value


def _add(event: Event, prefix: str, value: str) -> None:
    subdomain, registered = split_name(value)
    event[f"{prefix}.registered_domain"] = registered
    if prefix in _WITH_PARTS:
        top = registered.partition(".")[2]
        if top:
            event.setdefault(f"{prefix}.top_level_domain", top)
        if subdomain:
            event.setdefault(f"{prefix}.subdomain", subdomain)
