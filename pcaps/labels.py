"""Read the labels of the bundled captures and logs, and compare alerts with them.

A label (``<scenario>.label.yml``) says who is who, what must be found, and what must not. The demo and the end-to-end
tests judge by it. An alert is a plain tuple here, ``(kind, entity, peer, severity)``, so that detections, alerts and
rows of an API can all be compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeAlias

import yaml

from soc_core.errors import InputError
from soc_core.model.detection import Severity

Seen: TypeAlias = tuple[str, str, str, str]
"""Kind, entity, peer (empty where there is none) and severity of one alert or detection."""
SUFFIX = ".label.yml"
_KEYS = frozenset(
    {
        "scenario",
        "title",
        "attack",
        "files",
        "start",
        "end",
        "packets",
        "records",
        "addresses",
        "must_find",
        "must_not",
    }
)


@dataclass(frozen=True, slots=True)
class Expectation:
    """Say that an alert of ``kind`` about ``entity`` must be there, at least as severe as ``min_severity``.

    ``peer`` counts only when it is given.
    """

    kind: str
    entity: str
    min_severity: Severity
    peer: str = ""

    def fits(self, alert: Seen) -> bool:
        """Tell whether ``alert`` is the one expected."""
        kind, entity, peer, severity = alert
        if kind != self.kind or entity != self.entity or (self.peer and peer != self.peer):
            return False
        return Severity(severity).rank >= self.min_severity.rank


@dataclass(frozen=True, slots=True)
class Ban:
    """Say what must not be there: alerts that fit every part given; parts left empty fit all."""

    min_severity: Severity = Severity.INFORMATIONAL
    kind: str = ""
    entity: str = ""

    def fits(self, alert: Seen) -> bool:
        """Tell whether ``alert`` is forbidden."""
        kind, entity, _, severity = alert
        if (self.kind and kind != self.kind) or (self.entity and entity != self.entity):
            return False
        return Severity(severity).rank >= self.min_severity.rank


@dataclass(frozen=True, slots=True)
class Label:
    """Describe one scenario: its files (in ``directory``), its time (UTC), what is in it and what must come out.

    ``packets`` counts the frames of all its captures, ``records`` the log records of all its logs. ``addresses`` maps
    an address or host name to what it is, by language.
    """

    scenario: str
    directory: Path
    files: tuple[str, ...]
    title: Mapping[str, str]
    attack: bool
    start: datetime
    end: datetime
    packets: int
    records: int
    addresses: Mapping[str, Mapping[str, str]]
    must_find: tuple[Expectation, ...]
    must_not: tuple[Ban, ...]

    @property
    def paths(self) -> tuple[Path, ...]:
        """Return the files of the scenario."""
        return tuple(self.directory / name for name in self.files)

    def missing(self, alerts: Iterable[Seen]) -> list[Expectation]:
        """Return what must be found and is not among ``alerts``."""
        seen = list(alerts)
        return [wanted for wanted in self.must_find if not any(wanted.fits(alert) for alert in seen)]

    def forbidden(self, alerts: Iterable[Seen]) -> list[Seen]:
        """Return the alerts that must not be there; one that must be found is never forbidden."""
        return [
            alert
            for alert in alerts
            if any(ban.fits(alert) for ban in self.must_not)
            and not any(wanted.fits(alert) for wanted in self.must_find)
        ]


def load_labels(directory: Path) -> list[Label]:
    """Return the labels in ``directory`` and below, by path. Raise ``InputError`` naming the file and the fault."""
    return [load_label(path) for path in sorted(directory.rglob(f"*{SUFFIX}"))]


def load_label(path: Path) -> Label:
    """Return the label in one file. Raise ``InputError`` naming the file and the fault."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        return _label(document, path)
    except (OSError, yaml.YAMLError, ValueError, KeyError, TypeError) as fault:
        raise InputError(f"{path}: {fault!r}") from fault


def _label(document: object, path: Path) -> Label:
    values = _mapping(document)
    unknown = set(values) - _KEYS
    if unknown:
        raise ValueError(f"unknown keys {sorted(unknown)}")
    scenario = str(values["scenario"])
    if path.name != scenario + SUFFIX:
        raise ValueError(f"scenario {scenario} in a file of another name")
    attack = values["attack"]
    if not isinstance(attack, bool):
        raise ValueError("attack must be true or false")
    files = tuple(str(name) for name in _sequence(values["files"]))
    absent = [name for name in files if not (path.parent / name).is_file()]
    if absent or not files:
        raise ValueError(f"files are missing: {absent}")
    label = Label(
        scenario=scenario,
        directory=path.parent,
        files=files,
        title=_bilingual(values["title"]),
        attack=attack,
        start=_instant(values["start"]),
        end=_instant(values["end"]),
        packets=_count(values.get("packets", 0)),
        records=_count(values.get("records", 0)),
        addresses={str(key): _bilingual(value) for key, value in _mapping(values["addresses"]).items()},
        must_find=tuple(_expectation(item) for item in _sequence(values.get("must_find", ()))),
        must_not=tuple(_ban(item) for item in _sequence(values.get("must_not", ()))),
    )
    _check(label)
    return label


def _check(label: Label) -> None:
    """Refuse labels that could not fail or contradict themselves. Raise ``ValueError``."""
    if label.attack != bool(label.must_find):
        raise ValueError("an attack must be found, and only an attack")
    if not label.attack and not label.must_not:
        raise ValueError("a normal scenario must say what must not be found")
    if not label.packets and not label.records:
        raise ValueError("packets or records must be counted")
    if label.start > label.end:
        raise ValueError("start lies after end")


def _mapping(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise TypeError(f"a mapping is needed, not {value!r}")
    return value


def _sequence(value: object) -> Sequence[object]:
    if not isinstance(value, list | tuple):
        raise TypeError(f"a list is needed, not {value!r}")
    return value


def _bilingual(value: object) -> dict[str, str]:
    texts = {str(key): str(text) for key, text in _mapping(value).items()}
    if set(texts) != {"zh", "en"} or not all(texts.values()):
        raise ValueError(f"zh and en are needed: {texts}")
    return texts


def _instant(value: object) -> datetime:
    # YAML 1.1 reads times itself; with a zone they come aware.
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ValueError(f"not a time with zone: {value!r}")
    return value


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"not a count: {value!r}")
    return value


def _expectation(value: object) -> Expectation:
    item = _mapping(value)
    if not {"kind", "entity", "min_severity"} <= set(item) <= {"kind", "entity", "min_severity", "peer"}:
        raise ValueError(f"must_find needs kind, entity and min_severity: {item}")
    return Expectation(
        str(item["kind"]),
        str(item["entity"]),
        Severity(str(item["min_severity"])),
        str(item.get("peer", "")),
    )


def _ban(value: object) -> Ban:
    item = _mapping(value)
    if not item or set(item) - {"min_severity", "kind", "entity"}:
        raise ValueError(f"must_not knows min_severity, kind and entity: {item}")
    return Ban(
        Severity(str(item.get("min_severity", Severity.INFORMATIONAL))),
        str(item.get("kind", "")),
        str(item.get("entity", "")),
    )
