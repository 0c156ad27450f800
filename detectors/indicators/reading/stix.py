"""Read STIX 2.1 (and 2.0) bundles: indicator objects with patterns; sightings, reports and the like are left out.

Marks of TLP 1 and 2 are known by the ids the standards give them, others by the definition in the bundle. A revoked
indicator and one whose ``valid_until`` is past are left out. ``valid_from`` is shown and does not bound the search in
history: it mostly says when something was published, not when it was first used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from detectors.indicators.model import Indicator, Tlp, read_tlp
from detectors.indicators.reading.base import Reader, Said, moment, text_in
from detectors.indicators.reading.stix_pattern import PatternError, values_of_pattern
from soc_core.errors import InputError

MARKS: Final = {
    "marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9": Tlp.CLEAR,
    "marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da": Tlp.GREEN,
    "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82": Tlp.AMBER,
    "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed": Tlp.RED,
    "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487": Tlp.CLEAR,
    "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb": Tlp.GREEN,
    "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421": Tlp.AMBER,
    "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003": Tlp.STRICT,
    "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1": Tlp.RED,
}
"""STIX 2.1, section 7.2.1.4 (TLP 1) and OASIS' extension definition for TLP 2.0."""
HARMLESS: Final = frozenset({"benign"})


def read_stix(document: object, reader: Reader) -> Iterator[Indicator]:
    """Yield the indicators of a bundle or list of objects; raise ``InputError`` when there are no objects in it."""
    objects = document.get("objects") if isinstance(document, Mapping) else document
    if isinstance(document, Mapping) and objects is None and text_in(document, "type") == "indicator":
        objects = [document]
    if not isinstance(objects, Sequence) or isinstance(objects, str):
        raise InputError("this JSON holds no STIX objects", todo="export a STIX 2.1 bundle")
    marks = MARKS | _defined(objects)
    for number, item in enumerate(objects, start=1):
        if not isinstance(item, Mapping):
            reader.notes.refuse(f"object {number}", "this is no object of JSON", item)
        elif item.get("type") == "indicator":
            yield from _indicator(item, marks, reader, number)


def _defined(objects: Sequence[object]) -> dict[str, Tlp]:
    """Return the TLP of marking definitions that the bundle brings itself."""
    found = {}
    for item in objects:
        if isinstance(item, Mapping) and item.get("type") == "marking-definition":
            level = _level(item)
            if level is not None:
                found[text_in(item, "id")] = level
    return found


def _level(definition: Mapping[str, object]) -> Tlp | None:
    old = definition.get("definition")
    texts = [text_in(definition, "name"), text_in(old, "tlp") if isinstance(old, Mapping) else ""]
    extensions = definition.get("extensions")
    inner = extensions.values() if isinstance(extensions, Mapping) else ()
    texts += [text_in(extension, "tlp_2_0") for extension in inner if isinstance(extension, Mapping)]
    return next((level for text in texts if (level := read_tlp(text)) is not None), None)


def _indicator(
    item: Mapping[str, object], marks: Mapping[str, Tlp], reader: Reader, number: int
) -> Iterator[Indicator]:
    place = f"object {number} ({text_in(item, 'id')[:60]})"
    kinds = item.get("indicator_types")
    if item.get("revoked") is True or (isinstance(kinds, list) and kinds and _all_harmless(kinds)):
        reader.notes.skipped += 1
        return
    if text_in(item, "pattern_type") not in {"", "stix"}:
        reader.notes.refuse(
            place, "patterns of this language can't be matched", text_in(item, "pattern_type")
        )
        return
    try:
        values = values_of_pattern(text_in(item, "pattern"))
    except PatternError as error:
        reader.notes.refuse(place, str(error), text_in(item, "pattern"))
        return
    said = _said(item, marks)
    for kind, value in values:
        found = reader.entry(kind, value, place, said)
        if found is not None:
            yield found


def _all_harmless(kinds: Sequence[object]) -> bool:
    return all(isinstance(kind, str) and kind in HARMLESS for kind in kinds)


def _said(item: Mapping[str, object], marks: Mapping[str, Tlp]) -> Said:
    references = item.get("object_marking_refs")
    levels = [
        marks[name]
        for name in (references if isinstance(references, list) else [])
        if isinstance(name, str) and name in marks
    ]
    confidence = item.get("confidence")
    until = moment(item.get("valid_until"))
    names = (text_in(item, "name"), text_in(item, "description"))
    return Said(
        confidence=confidence if isinstance(confidence, int) and not isinstance(confidence, bool) else None,
        tlp=max(levels, key=lambda level: level.rank) if levels else None,
        since=moment(item.get("valid_from")),
        expires=until or None,
        reason="; ".join(name for name in names if name),
        reference=_reference(item) or text_in(item, "id"),
    )


def _reference(item: Mapping[str, object]) -> str:
    found = item.get("external_references")
    for reference in found if isinstance(found, list) else []:
        if isinstance(reference, Mapping) and (address := text_in(reference, "url")):
            return address
    return ""
