"""Find DNS tunnels: one device asks for very many different, long, random names under one registered domain.

Antivirus and reputation services ask hash names too, content networks have many names: they ask for plain addresses
(A, AAAA) in small numbers, and again and again. A tunnel has to move bytes, so names are always new and there are
many; where it sends they are long, where it only fetches they ask for types that answer with data.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from detectors.anomaly.bounded import BoundedTable, Evidence, Room, room
from detectors.anomaly.flows import in_order, time_us
from detectors.anomaly.making import (
    Verdict,
    in_stable_order,
    make_detection,
    overflow_reasons,
    reason,
)
from detectors.anomaly.names import entropy, is_infrastructure
from detectors.anomaly.targets import Calendar, Period, when_it_becomes_true
from detectors.base import Site, Window
from soc_core.model.detection import Detection, Reason, Severity
from soc_core.model.event import DATASET, EVENT_ID, TIMESTAMP, Event, Value
from soc_core.names import split_name
from soc_core.query.tree import OneOf, Query

DNS_DATASETS: Final = ("packets.dns", "suricata.dns", "zeek.dns", "dns.query")
MIN_NAMES: Final = 50
"""Different subdomains of one domain by one device in the hour. RITA starts to score at 100 over a day; large content
networks stay below 40 in an hour of one client."""
MIN_LENGTH: Final = 24.0
"""Mean characters of a subdomain. Host names people choose have 3–15; a tunnel wastes calls with less than 24."""
MIN_ENTROPY: Final = 3.2
"""Bits a character over all subdomains' text: hex has 4, base32 5, words about 3 to 4 together with shortness."""
DATA_TYPES: Final = frozenset({"txt", "null", "cname", "mx", "srv", "private", "dnskey", "key", "type65399"})
"""Answer types that carry bytes. Names alone (A, AAAA) must be longer or more before they count."""
MIN_DATA_SHARE: Final = 0.3
MIN_UNIQUE_SHARE: Final = 0.5
"""Share of questions whose name is new: caches and retries repeat names, a tunnel must not."""
LONG_LENGTH: Final = 40.0
SHORT_LENGTH: Final = 8.0
MIN_FRESH_SHARE: Final = 0.9
"""A tunnel that downloads asks short names, but never one twice, and nearly all of a type that answers with data."""
DOWNLOAD_NAMES: Final = 100
DOWNLOAD_NAMES_PLAIN: Final = 600
"""The same where addresses are asked: ten new names a minute under one domain for an hour."""
HIGH_NAMES: Final = 200
DNS_PORT: Final = 53
MAX_GROUPS: Final = 20_000
MAX_NAMES: Final = 2_000
MAX_NAMES_IN_ALL: Final = 150_000
Group = tuple[str, str]


@dataclass(slots=True)
class Questions:
    """Collect what one device asked under one domain: per different subdomain the periods and question types."""

    names: dict[str, int] = field(default_factory=dict)
    count: Counter[int] = field(default_factory=Counter)
    data: Counter[int] = field(default_factory=Counter)
    types: Counter[str] = field(default_factory=Counter)
    evidence: Evidence = field(default_factory=Evidence)


@dataclass(frozen=True, slots=True)
class Shape:
    """Hold the measures of a group's questions in one period: characters, bits a character, shares."""

    names: int
    questions: int
    length: float
    entropy: float
    data_share: float
    unique_share: float


class DnsTunnel:
    """Judge per (device, registered domain) the questions of the hour and the hour before."""

    id = "dns_tunnel"
    window = timedelta(hours=1)
    lookback = timedelta(hours=1)
    query: Query = OneOf(DATASET, DNS_DATASETS)
    fields: tuple[str, ...] = (
        TIMESTAMP,
        EVENT_ID,
        DATASET,
        "source.ip",
        "source.port",
        "destination.ip",
        "destination.port",
        "dns.type",
        "dns.question.name",
        "dns.question.type",
    )

    def detect(self, window: Window, batches: Iterable[Sequence[Event]], site: Site) -> list[Detection]:
        """Return one detection per device and domain; the device is the one that asked, the peer is the domain."""
        calendar = Calendar(window)
        table: BoundedTable[Group, Questions] = BoundedTable(MAX_GROUPS, Questions)
        places = Room(MAX_NAMES_IN_ALL)
        for event in in_order(batches):
            asked = _question(event)
            if asked is None:
                continue
            client, subdomain, domain = asked
            period = calendar.period(time_us(str(event[TIMESTAMP])))
            early = period is Period.BEFORE
            questions = table.visit((client, domain), early=early)
            if questions is None:
                continue
            if subdomain not in questions.names:
                full = len(questions.names) >= room(MAX_NAMES, early=early)
                if full or not places.take(early=early):
                    table.left_out += 1
                    continue
            _add(questions, subdomain, event, period)
        found: list[Detection] = []
        for group, questions in table.items():
            verdict = _judge(group, questions, table.left_out, inside=site.plan.is_inside(group[0]))
            if verdict is not None:
                found.append(make_detection(self.id, window, verdict, questions.evidence))
        return in_stable_order(found)


def _question(event: Event) -> tuple[str, str, str] | None:
    """Return client, subdomain and domain of a question; answers are left out, but Zeek writes both as one record."""
    client, name = _client(event), event.get("dns.question.name")
    if not isinstance(client, str) or not isinstance(name, str) or is_infrastructure(name):
        return None
    if event.get("dns.type") == "answer" and event.get(DATASET) != "zeek.dns":
        return None
    subdomain, domain = split_name(name)
    return (client, subdomain, domain) if subdomain else None


def _client(event: Event) -> Value | None:
    """Return who asks. A sensor that starts in the middle of a conversation takes the server's answer for the start."""
    ports = event.get("source.port"), event.get("destination.port")
    return event.get("destination.ip" if ports[0] == DNS_PORT != ports[1] else "source.ip")


def _add(questions: Questions, subdomain: str, event: Event, period: Period) -> None:
    fresh = subdomain not in questions.names
    questions.names[subdomain] = questions.names.get(subdomain, 0) | period
    questions.count[period] += 1
    kind = str(event.get("dns.question.type", "")).lower()
    if kind in DATA_TYPES:
        questions.data[period] += 1
    if kind and (kind in questions.types or len(questions.types) < 16):
        questions.types[kind] += 1
    early = period is Period.BEFORE
    questions.evidence.add(str(event[EVENT_ID]), str(event[TIMESTAMP]), early=early, keep=fresh)


def measure(questions: Questions, period: Period) -> Shape:
    """Return the shape of the questions asked in ``period``."""
    names = [name for name, when in questions.names.items() if when & period]
    asked = sum(count for when, count in questions.count.items() if when & period)
    data = sum(count for when, count in questions.data.items() if when & period)
    text = "".join(names).replace(".", "")
    return Shape(
        names=len(names),
        questions=asked,
        length=len(text) / len(names) if names else 0.0,
        entropy=entropy(text),
        data_share=data / asked if asked else 0.0,
        unique_share=len(names) / asked if asked else 0.0,
    )


def looks_like_tunnel(shape: Shape) -> bool:
    """Tell whether it can be a tunnel: many names, new, random, and long (longer where no data types are asked)."""
    if shape.names < MIN_NAMES or shape.unique_share < MIN_UNIQUE_SHARE or shape.entropy < MIN_ENTROPY:
        return False
    if shape.data_share >= MIN_DATA_SHARE and shape.length >= MIN_LENGTH:
        return True
    return shape.length >= LONG_LENGTH or _mostly_downloads(shape)


def _mostly_downloads(shape: Shape) -> bool:
    """Tell whether short names can be a tunnel whose bytes come in the answers, as iodine's are while it downloads."""
    if shape.length < SHORT_LENGTH or shape.unique_share < MIN_FRESH_SHARE:
        return False
    return shape.names >= (DOWNLOAD_NAMES if shape.data_share >= MIN_FRESH_SHARE else DOWNLOAD_NAMES_PLAIN)


def _judge(group: Group, questions: Questions, left_out: int, *, inside: bool) -> Verdict | None:
    if len(questions.names) < MIN_NAMES:
        return None
    if when_it_becomes_true(lambda period: looks_like_tunnel(measure(questions, period)) or None) is None:
        return None
    shape = measure(questions, Period.BOTH)
    client, domain = group
    # Who asks from outside is a customer of our name server: nothing there that the school could switch off.
    high = inside and (shape.names >= HIGH_NAMES or shape.data_share >= MIN_DATA_SHARE)
    return Verdict(
        kind="dns_tunnel",
        address=client,
        peer=domain,
        severity=Severity.HIGH if high else Severity.MEDIUM,
        reasons=(*_reasons(group, questions, shape), *overflow_reasons(left_out)),
        techniques=("T1071.004", "T1048"),
        score=min(1.0, 0.5 + shape.names / 1_000 + shape.data_share / 4),
        confidence=0.9 if high else 0.7,
    )


def _reasons(group: Group, questions: Questions, shape: Shape) -> list[Reason]:
    client, domain = group
    reasons = [
        reason("dns_tunnel", "names", source=client, domain=domain, names=shape.names),
        reason("dns_tunnel", "shape", length=round(shape.length), bits=round(shape.entropy, 1)),
    ]
    if shape.data_share >= MIN_DATA_SHARE:
        kinds = ", ".join(sorted(kind.upper() for kind in questions.types if kind in DATA_TYPES))
        reasons.append(reason("dns_tunnel", "types", types=kinds, percent=round(100 * shape.data_share)))
    return reasons
