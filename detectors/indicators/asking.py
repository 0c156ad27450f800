"""Ask history for events that may hold given indicators: a superset, of which the detector then decides.

Values that are compared whole are asked for by equality, many at once, for which the stores have filters. Domains (with
all below them), networks and web addresses cost more. Where too many are asked for, one question brings every event
that has such a field at all, which is cheaper than asking for each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from detectors.indicators import seen
from detectors.indicators.model import Indicator, Kind
from detectors.indicators.values import parse_address, shown_name, url_host
from soc_core.query.tree import Cidr, Exists, OneOf, Or, Query, Text

EXACT_AT_ONCE: Final = 256
"""So many values the filters of the embedded store are asked about at once."""
COSTLY_AT_ONCE: Final = 32
MOST_QUESTIONS: Final = 12
"""Questions about one day; more than that, and everything is read."""
_WHOLE: Final = {
    Kind.HASH: seen.HASHES,
    Kind.JA3: seen.JA3S,
    Kind.JA4: seen.JA4S,
    Kind.CERTIFICATE: seen.CERTIFICATES,
}
_FIELDS: Final = {
    **_WHOLE,
    Kind.IP: (*seen.ADDRESSES, *seen.NAMES),
    Kind.NETWORK: seen.ADDRESSES,
    Kind.DOMAIN: seen.NAMES,
    Kind.HOSTNAME: seen.NAMES,
    Kind.URL: ("url.domain", *seen.URLS),
    Kind.SERIAL: seen.SERIALS,
}
_COSTLY: Final = frozenset({Kind.DOMAIN, Kind.NETWORK, Kind.URL})


def questions(items: Iterable[Indicator]) -> list[Query]:
    """Return the questions that together bring every event with one of the indicators."""
    kinds = set[Kind]()
    found: list[Query] | None = []
    exact: list[Indicator] = []
    costly: list[Indicator] = []
    for item in items:
        kinds.add(item.kind)
        if found is None:
            continue
        waiting, most = (costly, COSTLY_AT_ONCE) if item.kind in _COSTLY else (exact, EXACT_AT_ONCE)
        waiting.append(item)
        if len(waiting) == most:
            found.append(question(waiting))
            waiting.clear()
            found = found if len(found) < MOST_QUESTIONS else None
    if found is None:
        return [everything(kinds)]
    return found + [question(rest) for rest in (exact, costly) if rest]


def everything(kinds: Iterable[Kind]) -> Query:
    """Return the question for every event that has a field in which such kinds stand."""
    names = dict.fromkeys(name for kind in sorted(kinds) for name in _FIELDS[kind])
    return Or(tuple(Exists(name) for name in names))


def question(items: Sequence[Indicator]) -> Query:
    """Return the one question for events that may hold one of ``items``."""
    return Or(tuple(part for kind in Kind for part in _parts(kind, _values(items, kind))))


def _values(items: Sequence[Indicator], kind: Kind) -> list[str]:
    return list(dict.fromkeys(item.value for item in items if item.kind is kind))


def _parts(kind: Kind, values: list[str]) -> Iterator[Query]:
    if not values:
        return
    if kind in _WHOLE:
        yield from (OneOf(name, tuple(values)) for name in _WHOLE[kind])
    elif kind is Kind.SERIAL:
        spelled = tuple(form for value in values for form in _serials(value))
        yield from (OneOf(name, spelled) for name in seen.SERIALS)
    elif kind is Kind.IP:
        yield from (OneOf(name, tuple(values)) for name in (*seen.ADDRESSES, *seen.NAMES))
    elif kind is Kind.NETWORK:
        yield from (Cidr(name, value) for value in values for name in seen.ADDRESSES)
    elif kind is Kind.HOSTNAME:
        spelled = tuple(dict.fromkeys(form for value in values for form in _names(value)))
        yield from (OneOf(name, spelled) for name in seen.NAMES)
    elif kind is Kind.DOMAIN:
        forms = [form for value in values for form in dict.fromkeys((value, shown_name(value)))]
        yield from (Text(name, "contains", form) for name in seen.NAMES for form in forms)
    else:
        yield from _web(values)


def _web(values: Iterable[str]) -> Iterator[Query]:
    """Yield questions for web addresses by their host: how the rest is written, only the detector can compare."""
    hosts = dict.fromkeys(form for value in values for form in _hosts(url_host(value)))
    for name in ("url.domain", *seen.URLS):
        yield from (Text(name, "contains", host) for host in hosts)


def _hosts(host: str) -> tuple[str, ...]:
    return (host,) if parse_address(host) is not None else (host, shown_name(host))


def _names(value: str) -> tuple[str, ...]:
    shown = shown_name(value)
    return (value, f"{value}.", f"*.{value}", shown, f"{shown}.")


def _serials(value: str) -> tuple[str, ...]:
    even = value.zfill(len(value) + len(value) % 2)
    pairs = ":".join(even[at : at + 2] for at in range(0, len(even), 2))
    return tuple(dict.fromkeys((value, f"0{value}", f"00{value}", pairs, f"00:{pairs}")))
