"""Read MISP JSON: events, exports of several, answers of its search, and warning lists.

An attribute counts when its ``to_ids`` is set (MISP core format, draft-dulaunoy-misp-core-format): the others are
context. Its TLP is the strictest of its own tags, its object's and its event's. Of two values joined by a bar
(``domain|ip``, ``filename|sha256``) those that can be matched are taken; a port is kept in words.
A warning list (values known to give false alarms) is meant for ``--allow``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from detectors.indicators.model import Indicator, Kind, Tlp, read_tlp
from detectors.indicators.reading.base import Reader, Said, moment, text_in
from detectors.indicators.reading.guessing import guess
from soc_core.errors import InputError

_IP: Final = Kind.IP
_TYPES: Final[dict[str, tuple[Kind | None, ...]]] = {
    "ip-dst": (_IP,), "ip-src": (_IP,), "ip-dst|port": (_IP, None), "ip-src|port": (_IP, None),
    "domain": (Kind.DOMAIN,), "hostname": (Kind.HOSTNAME,), "domain|ip": (Kind.DOMAIN, _IP),
    "hostname|port": (Kind.HOSTNAME, None), "url": (Kind.URL,), "uri": (Kind.URL,), "link": (Kind.URL,),
    "md5": (Kind.HASH,), "sha1": (Kind.HASH,), "sha256": (Kind.HASH,),
    "filename|md5": (None, Kind.HASH), "filename|sha1": (None, Kind.HASH), "filename|sha256": (None, Kind.HASH),
    "malware-sample": (None, Kind.HASH),
    "ja3-fingerprint-md5": (Kind.JA3,), "ja4": (Kind.JA4,), "ja4-fingerprint": (Kind.JA4,),
    "x509-fingerprint-md5": (Kind.CERTIFICATE,), "x509-fingerprint-sha1": (Kind.CERTIFICATE,),
    "x509-fingerprint-sha256": (Kind.CERTIFICATE,),
}  # fmt: skip
"""What each part of a type's value is; ``None`` for a part that is kept in words."""
_X509_SERIAL: Final = "serial-number"


@dataclass(frozen=True, slots=True)
class _Around:
    """Hold what an event or object says for the attributes within."""

    place: str
    tlp: Tlp | None
    reason: str
    reference: str
    object_name: str = ""


def read_misp(document: object, reader: Reader) -> Iterator[Indicator]:
    """Yield the indicators of a MISP document; raise ``InputError`` when there is neither event nor attribute in it."""
    if isinstance(document, Mapping) and isinstance(document.get("list"), list):
        yield from _warning_list(document, reader)
        return
    if _is_manifest(document):
        raise InputError(
            "this is a feed's manifest: it only names the files that hold the indicators",
            todo="import the files beside it",
        )
    events = list(_events(document))
    if not events:
        raise InputError("this JSON holds no MISP event", todo="export the event as MISP JSON")
    for event in events:
        yield from _event(event, reader)


def _events(document: object) -> Iterator[Mapping[str, object]]:
    """Yield the events of a document: ``{"Event": …}``, a list of such, ``{"response": …}``, or bare attributes."""
    waiting = [document]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting.extend(reversed(item))
        elif isinstance(item, Mapping):
            inner = item.get("response", item.get("Event"))
            if isinstance(inner, Mapping | list):
                waiting.append(inner)
            elif any(isinstance(item.get(name), list) for name in ("Attribute", "Object")):
                yield item


def _is_manifest(document: object) -> bool:
    """Tell whether a document is a feed's ``manifest.json``: descriptions of events by their UUID."""
    if not isinstance(document, Mapping) or not document:
        return False
    first = next(iter(document.values()))
    return isinstance(first, Mapping) and {"info", "timestamp"} <= first.keys() and "Attribute" not in first


def _event(event: Mapping[str, object], reader: Reader) -> Iterator[Indicator]:
    name = text_in(event, "uuid") or text_in(event, "id") or "?"
    around = _Around(f"event {name[:40]}", _tlp(event), text_in(event, "info"), f"MISP {name[:40]}")
    yield from _attributes(event.get("Attribute"), around, reader)
    objects = event.get("Object")
    for number, item in enumerate(objects if isinstance(objects, list) else [], start=1):
        if not isinstance(item, Mapping):
            reader.notes.refuse(f"{around.place}, object {number}", "this is no object of JSON", item)
            continue
        inner = _Around(
            f"{around.place}, object {number}",
            _strictest(around.tlp, _tlp(item)),
            around.reason,
            around.reference,
            text_in(item, "name"),
        )
        yield from _attributes(item.get("Attribute"), inner, reader)


def _attributes(found: object, around: _Around, reader: Reader) -> Iterator[Indicator]:
    for number, attribute in enumerate(found if isinstance(found, list) else [], start=1):
        place = f"{around.place}, attribute {number}"
        if isinstance(attribute, Mapping):
            yield from _attribute(attribute, around, reader, place)
        else:
            reader.notes.refuse(place, "this is no object of JSON", attribute)


def _attribute(
    attribute: Mapping[str, object], around: _Around, reader: Reader, place: str
) -> Iterator[Indicator]:
    if not _is_set(attribute.get("to_ids")) or _is_set(attribute.get("deleted")):
        reader.notes.skipped += 1
        return
    kinds = _kinds(attribute, around)
    value = attribute.get("value")
    if not kinds:
        reader.notes.refuse(place, "this type of attribute can't be matched", text_in(attribute, "type"))
        return
    if not isinstance(value, str):
        reader.notes.refuse(place, "the value is no text", value)
        return
    parts = value.rsplit("|", 1) if len(kinds) == 2 else [value]
    words = [part for kind, part in zip(kinds, parts, strict=False) if kind is None]
    said = Said(
        tlp=_strictest(around.tlp, _tlp(attribute)),
        since=moment(attribute.get("first_seen")) or moment(attribute.get("timestamp")),
        reason="; ".join(part for part in (around.reason, text_in(attribute, "comment"), *words) if part),
        reference=around.reference,
    )
    for kind, part in zip(kinds, parts, strict=False):
        made = reader.entry(kind, part, place, said) if kind is not None else None
        if made is not None:
            yield made


def _kinds(attribute: Mapping[str, object], around: _Around) -> tuple[Kind | None, ...]:
    relation = text_in(attribute, "object_relation")
    if around.object_name == "x509" and relation == _X509_SERIAL:
        return (Kind.SERIAL,)
    if around.object_name == "ja4-plus" and relation == "ja4-fingerprint":
        return (Kind.JA4,)
    return _TYPES.get(text_in(attribute, "type"), ())


def _is_set(value: object) -> bool:
    return value in (True, 1, "1", "true")


def _tlp(thing: Mapping[str, object]) -> Tlp | None:
    """Return the strictest TLP among the tags of an event, object or attribute."""
    tags = thing.get("Tag")
    found: Tlp | None = None
    for tag in tags if isinstance(tags, list) else []:
        name = text_in(tag, "name") if isinstance(tag, Mapping) else ""
        if name.lower().startswith("tlp:"):
            found = _strictest(found, read_tlp(name))
    return found


def _strictest(one: Tlp | None, other: Tlp | None) -> Tlp | None:
    if one is None or other is None:
        return one or other
    return max(one, other, key=lambda level: level.rank)


def _warning_list(document: Mapping[str, object], reader: Reader) -> Iterator[Indicator]:
    """Yield the values of a warning list, which says how they match: ``cidr``, ``hostname`` or ``string``."""
    values = document["list"]
    how = text_in(document, "type")
    subdomains = how == "hostname" or reader.defaults.subdomains
    said = Said(reason=text_in(document, "name"), reference=text_in(document, "description"))
    for number, value in enumerate(values if isinstance(values, list) else [], start=1):
        place = f"entry {number}"
        if not isinstance(value, str):
            reader.notes.refuse(place, "the value is no text", value)
            continue
        if how in {"regex", "substring"}:
            reader.notes.refuse(place, "patterns can't be matched", value)
            continue
        found = reader.entry(guess(value.strip(), subdomains=subdomains), value, place, said)
        if found is not None:
            yield found
