"""Say in words why a rule matched an event: which field had which value."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Final

from soc_core.model.detection import Reason
from soc_core.model.event import Event, Scalar
from soc_core.query.evaluate import compile_query, reader_of, text_of, value_test
from soc_core.query.tree import And, Cidr, Exists, OneOf, Or, Query, Range, Regex, SameAs, Text, TimePart
from soc_core.query.values import all_text

MAX_REASONS: Final = 6
MAX_VALUE: Final = 200
PREFIX: Final = "detectors.sigma"
SAID: Final = frozenset(
    {
        "process.command_line", "process.executable", "process.parent.executable", "process.parent.command_line",
        "file.path", "registry.path", "dns.question.name", "url.original", "url.path", "url.query", "url.domain",
        "user_agent.original", "source.ip", "destination.ip", "destination.port", "source.port", "user.name",
        "message", "event.action", "event.outcome", "event.code", "winlog.event_id", "http.request.method",
        "http.response.status_code", "tls.client.server_name", "tls.client.ja3", "tls.client.ja4", "rule.name",
        "process.name", "service.name", "dll.path", "network.protocol", "network.transport",
        "winlog.event_data.ScriptBlockText", "winlog.event_data.Details",
    }
)  # fmt: skip
"""Fields that have a sentence of their own (``detectors.sigma.saw.<field with _ for .>``)."""
PLAIN: Final = frozenset(
    {
        "event.category", "event.type", "event.kind", "event.module", "event.dataset", "event.code", "event.provider",
        "winlog.event_id", "winlog.channel", "winlog.provider_name", "network.transport", "network.protocol",
    }
)  # fmt: skip
"""Fields that say of what sort an event is: told only where a rule asks for nothing else."""
_Leaf = OneOf | Text | Regex | Cidr | Range | TimePart


def explain(detection: Query, event: Event) -> tuple[Reason, ...]:
    """Return up to six reasons, each naming a field and the value of it that matched, in the order of the rule."""
    found: dict[str, Reason] = {}
    for field, value in _witnesses(detection, event):
        found.setdefault(field, _reason(field, value))
    telling = [reason for field, reason in found.items() if field not in PLAIN]
    return tuple((telling or list(found.values()))[:MAX_REASONS])


def _witnesses(query: Query, event: Event) -> Iterator[tuple[str, str]]:
    """Yield (field, value) of what is true in ``query``; of alternatives the first that holds."""
    match query:
        case And(children):
            for child in children:
                yield from _witnesses(child, event)
        case Or(children):
            for child in children:
                if _compiled(child)(event):
                    yield from _witnesses(child, event)
                    return
        case Exists(field) | SameAs(field):
            value = reader_of(field)(event)
            if value is not None:
                yield field, _first(value)
        case OneOf() | Text() | Regex() | Cidr() | Range() | TimePart():
            yield from _leaf(query, event)
        case _:  # a negation has nothing to show, and every event fits ``Everything``
            return


def _leaf(query: _Leaf, event: Event) -> Iterator[tuple[str, str]]:
    test = value_test(query)
    values = all_text(event) if not query.field else _listed(reader_of(query.field)(event))
    for value in values:
        if test(value):
            yield query.field, _around(text_of(value), query)
            return


def _listed(value: object) -> list[Scalar]:
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [value]  # type: ignore[list-item] # values of an event


def _first(value: object) -> str:
    return text_of(_listed(value)[0])[:MAX_VALUE]


def _around(text: str, query: _Leaf) -> str:
    """Return ``text``, of a long one the part where the match stands."""
    if len(text) <= MAX_VALUE:
        return text
    at = text.lower().find(query.value.lower()) if isinstance(query, Text) and query.how == "contains" else 0
    start = max(0, min(at - MAX_VALUE // 4, len(text) - MAX_VALUE))
    return ("…" if start else "") + text[start : start + MAX_VALUE] + "…"


def _reason(field: str, value: str) -> Reason:
    shown = " ".join(value.split())
    if not field:
        return Reason(f"{PREFIX}.saw.keyword", {"value": shown})
    if field in SAID:
        return Reason(f"{PREFIX}.saw.{field.replace('.', '_')}", {"value": shown})
    return Reason(f"{PREFIX}.saw.field", {"field": field, "value": shown})


@lru_cache(maxsize=4_096)
def _compiled(query: Query) -> Callable[[Event], bool]:
    return compile_query(query)
