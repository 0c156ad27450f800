"""Find password guessing against one service: in log-in records, and in flows where no log-in records exist.

A flow can't say whether a log-in failed, but a failed one has a shape: it is opened, short, small, and like the one
before. ``SERVICES`` holds how big a refused log-in can get per protocol.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from statistics import median
from typing import Final

from detectors.anomaly.bounded import BoundedTable, Evidence, Room, room
from detectors.anomaly.flows import (
    FLOW_DATASETS,
    FLOW_FIELDS,
    FLOW_QUERY,
    Outcome,
    SensorFilter,
    in_order,
    read_flow,
    time_us,
)
from detectors.anomaly.making import (
    Verdict,
    in_stable_order,
    make_detection,
    overflow_reasons,
    reason,
)
from detectors.anomaly.targets import Calendar, Period, when_it_becomes_true
from detectors.base import Site, Window
from soc_core.model.detection import Detection, Reason, Severity
from soc_core.model.event import DATASET, EVENT_ID, TIMESTAMP, Event, values_of
from soc_core.query.tree import And, OneOf, Or, Query, equal


@dataclass(frozen=True, slots=True)
class Service:
    """Describe a service one logs in to: IP bytes each way up to which a connection may be a refused log-in.

    ``chatty`` services are used by programs with a connection a request, so flows alone never make them high.
    """

    name: str
    max_sent: int
    max_received: int
    chatty: bool = False


SERVICES: Final[dict[int, Service]] = {
    21: Service("ftp", 2_000, 3_000),
    22: Service("ssh", 8_000, 8_000),  # key exchange ≈ 2 kB each way, six tries a connection at most
    23: Service("telnet", 4_000, 6_000),
    110: Service("pop3", 2_500, 8_000, chatty=True),
    143: Service("imap", 2_500, 8_000, chatty=True),
    445: Service("smb", 5_000, 5_000, chatty=True),
    1433: Service("mssql", 4_000, 5_000, chatty=True),
    2222: Service("ssh", 8_000, 8_000),
    3306: Service("mysql", 2_000, 2_500, chatty=True),
    3389: Service("rdp", 6_000, 8_000),  # X.224, TLS and one CredSSP exchange (MS-RDPBCGR, MS-CSSP)
    5432: Service("postgresql", 3_000, 4_000, chatty=True),
    5900: Service("vnc", 2_000, 2_000),
    6379: Service("redis", 1_500, 2_000, chatty=True),
}
FLOW_TRIES: Final = 20
"""Look-alike connections in ten minutes. People reconnect a few times, guessing tools many times a minute."""
LOGIN_FAILURES: Final = 10
"""Refused log-ins in ten minutes from one address to one host. A person locked out gives up, or calls, before that."""
SLOW_FACTOR: Final = 2
"""Slow guessing: this many times as many tries anywhere in the window and its look-back (an hour)."""
TEN_MINUTES_US: Final = 600 * 1_000_000
MAX_SECONDS: Final = 60.0
ALIKE: Final = 0.8
"""Share of tries whose size lies within half of the median's: a script repeats itself, people don't."""
HIGH_TRIES: Final = 60
HIGH_TRIES_OUTSIDE: Final = 200
"""Tries from the internet before an exposed service counts as under heavy attack; fewer are the daily background."""
SPRAY_USERS: Final = 8
OWN_KINDS: Final = frozenset({"ssh", "rdp"})
"""Services whose guessing has words and steps of its own; the others share the kind ``brute_force``."""
LONG_SESSION_SECONDS: Final = 30.0
UNNAMED: Final = "login"
"""Service of log-in records that don't say which."""
MAX_KEYS: Final = 20_000
MAX_TRIES: Final = 2_000
MAX_TRIES_IN_ALL: Final = 400_000
MAX_USERS: Final = 50
SSH_PROCESSES: Final = ("sshd", "sshd-session", "dropbear")
WINDOWS_LOGON: Final = {"10": "rdp", "7": "rdp", "3": "smb", "8": "web"}  # logon types, Windows event 4625
LOGIN_FIELDS: Final = (
    "event.category",
    "event.outcome",
    "event.action",
    "user.name",
    "process.name",
    "host.name",
    "host.ip",
    "network.protocol",
    "winlog.event_data.LogonType",
)


@dataclass(frozen=True, slots=True)
class Moment:
    """Say when something happened, by which event, and in which part of the detector's time."""

    time_us: int
    event_id: str
    timestamp: str
    period: Period

    @property
    def early(self) -> bool:
        """Tell whether it lies in the look-back."""
        return self.period is Period.BEFORE


@dataclass(slots=True)
class Tries:
    """Collect what one source did to one service of one host."""

    places: Room
    times: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    users: set[str] = field(default_factory=set)
    evidence: Evidence = field(default_factory=Evidence)
    success_user: str = ""
    success: Period | None = None
    left_out: int = 0

    def add(self, when: Moment, size: int) -> None:
        """Note a failed, or failed-looking, try; past ``MAX_TRIES`` only its number is kept."""
        self.evidence.add(when.event_id, when.timestamp, early=when.early)
        if len(self.times) < room(MAX_TRIES, early=when.early) and self.places.take(early=when.early):
            self.times.append(when.time_us)
            self.sizes.append(size)
        else:
            self.left_out += 1

    def succeed(self, when: Moment, user: str) -> None:
        """Note a success after the tries; only the last one matters."""
        self.success, self.success_user = when.period, user
        self.evidence.add(when.event_id, when.timestamp, early=when.early)


@dataclass(frozen=True, slots=True)
class Key:
    """Name source, target and service of tries; ``from_log`` tells log-in records from flows."""

    source: str
    target: str
    target_kind: str
    service: str
    from_log: bool
    chatty: bool = False


class BruteForce:
    """Judge per (source, target, service) how many tries failed within ten minutes, or slowly within the hour.

    The device is the guesser when it is inside, otherwise the attacked device: what the school can act on. The other
    one is the peer.
    """

    id = "brute_force"
    window = timedelta(minutes=30)
    lookback = timedelta(minutes=30)
    query: Query = Or(
        (
            And((FLOW_QUERY, OneOf("destination.port", tuple(SERVICES)))),
            equal("event.category", "authentication"),
        )
    )
    fields: tuple[str, ...] = tuple(dict.fromkeys((*FLOW_FIELDS, *LOGIN_FIELDS)))

    def detect(self, window: Window, batches: Iterable[Sequence[Event]], site: Site) -> list[Detection]:
        """Return one detection per guessing that becomes evident in ``window``."""
        calendar = Calendar(window)
        places = Room(MAX_TRIES_IN_ALL)
        table: BoundedTable[Key, Tries] = BoundedTable(MAX_KEYS, lambda: Tries(places))
        sensors = SensorFilter()
        for event in in_order(batches):
            if event.get(DATASET) in FLOW_DATASETS:
                if sensors.admits(event):
                    _take_flow(event, table, calendar)
            else:
                _take_login(event, table, calendar)
        found: list[Detection] = []
        for key, tries in table.items():
            verdict = _judge(key, tries, calendar, site)
            if verdict is not None:
                found.append(make_detection(self.id, window, verdict, tries.evidence))
        return in_stable_order(found)


def _take_flow(event: Event, table: BoundedTable[Key, Tries], calendar: Calendar) -> None:
    flow = read_flow(event)
    service = SERVICES.get(flow.port) if flow is not None else None
    if flow is None or service is None or flow.transport != "tcp" or flow.part > 1:
        return
    if flow.outcome is not Outcome.OPENED or flow.received == 0:
        return
    when = Moment(flow.time_us, flow.event_id, flow.timestamp, calendar.period(flow.time_us))
    key = Key(flow.source, flow.destination, "ip", service.name, False, service.chatty)
    tries = table.visit(key, early=when.early)
    if tries is None:
        return
    small = flow.sent <= service.max_sent and flow.received <= service.max_received
    if small and flow.duration <= MAX_SECONDS:
        tries.add(when, flow.sent)
    elif flow.duration >= LONG_SESSION_SECONDS and len(tries.times) >= FLOW_TRIES:
        tries.succeed(when, "")


def _take_login(event: Event, table: BoundedTable[Key, Tries], calendar: Calendar) -> None:
    source, outcome = event.get("source.ip"), event.get("event.outcome")
    target = _target(event)
    if not isinstance(source, str) or outcome not in ("failure", "success") or target is None:
        return
    kind, name = target
    timestamp, user = str(event[TIMESTAMP]), str(event.get("user.name", ""))
    moment_us = time_us(timestamp)
    when = Moment(moment_us, str(event[EVENT_ID]), timestamp, calendar.period(moment_us))
    tries = table.visit(Key(source, name, kind, _service(event), True), early=when.early)
    if tries is None:
        return
    if outcome == "failure":
        tries.add(when, 0)
        if user and len(tries.users) < MAX_USERS:
            tries.users.add(user)
    elif len(tries.times) >= LOGIN_FAILURES:
        tries.succeed(when, user)


def _target(event: Event) -> tuple[str, str] | None:
    """Return kind and name of the host logged in to: its address when the record tells exactly one, else its name."""
    addresses = values_of(event, "destination.ip") or values_of(event, "host.ip")
    if len(addresses) == 1:
        return "ip", str(addresses[0])
    names = values_of(event, "host.name")
    return ("host", str(names[0])) if names else None


def _service(event: Event) -> str:
    process = str(event.get("process.name", "")).lower()
    if process in SSH_PROCESSES:
        return "ssh"
    logon = WINDOWS_LOGON.get(str(event.get("winlog.event_data.LogonType", "")))
    if logon is not None:
        return logon
    return str(event.get("network.protocol", "")).lower() or process or UNNAMED


def _judge(key: Key, tries: Tries, calendar: Calendar, site: Site) -> Verdict | None:
    needed = LOGIN_FAILURES if key.from_log else FLOW_TRIES
    if len(tries.times) < needed:
        return None
    count = when_it_becomes_true(lambda period: _guessed(tries, calendar, period, needed))
    if count is None and tries.success is Period.NOW:
        # The guessing was reported by the window before, but that it succeeded is news.
        count = _guessed(tries, calendar, Period.BOTH, needed)
    if count is None:
        return None
    inside = site.plan.is_inside(key.source)
    by_device = inside or key.source == key.target
    return Verdict(
        kind=f"{key.service}_bruteforce" if key.service in OWN_KINDS else "brute_force",
        entity_kind="ip" if by_device else key.target_kind,
        address=key.source if by_device else key.target,
        peer=key.target if by_device else key.source,
        about=f"{key.service}|{'log' if key.from_log else 'flow'}|{'out' if by_device else 'in'}",
        severity=_severity(key, tries, count, inside=inside),
        reasons=(*_reasons(key, tries, count), *overflow_reasons(tries.left_out)),
        techniques=("T1110.003",) if len(tries.users) >= SPRAY_USERS else ("T1110.001",),
        confidence=0.95 if key.from_log else 0.75,
    )


def _alike(sizes: Sequence[int]) -> bool:
    middle = median(sizes)
    near = sum(1 for size in sizes if abs(size - middle) <= middle / 2)
    return near >= ALIKE * len(sizes)


def _guessed(tries: Tries, calendar: Calendar, period: Period, needed: int) -> int | None:
    """Return the number of tries in ``period`` if they came fast (within ten minutes) or were many, and look alike."""
    kept = [index for index, time in enumerate(tries.times) if calendar.period(time) & period]
    chosen = [tries.times[index] for index in kept]
    if len(chosen) < needed or not _alike([tries.sizes[index] for index in kept]):
        return None
    if len(chosen) >= needed * SLOW_FACTOR:
        return len(chosen)
    step = needed - 1
    fast = any(chosen[i + step] - chosen[i] <= TEN_MINUTES_US for i in range(len(chosen) - step))
    return len(chosen) if fast else None


def _severity(key: Key, tries: Tries, count: int, *, inside: bool) -> Severity:
    if tries.success and key.from_log:
        alone = len(tries.users) <= 1 and count < SLOW_FACTOR * LOGIN_FAILURES
        return Severity.HIGH if alone else Severity.CRITICAL
    if tries.success and not key.chatty:
        return Severity.HIGH
    if key.chatty and not key.from_log:
        return Severity.MEDIUM
    needed = HIGH_TRIES if inside else HIGH_TRIES_OUTSIDE
    if inside and key.from_log:
        needed = SLOW_FACTOR * LOGIN_FAILURES
    return Severity.HIGH if count >= needed else Severity.MEDIUM


def _reasons(key: Key, tries: Tries, count: int) -> list[Reason]:
    minutes = max(1, round((tries.times[-1] - tries.times[0]) / 60_000_000))
    name = "logins" if key.from_log else "flows"
    if key.service == UNNAMED:
        name = "logins_unnamed"
    reasons = [
        reason(
            "brute_force",
            name,
            source=key.source,
            target=key.target,
            service=key.service.upper(),
            count=count,
            minutes=minutes,
        )
    ]
    if len(tries.users) >= SPRAY_USERS:
        reasons.append(reason("brute_force", "spraying", users=len(tries.users)))
    if tries.success and key.from_log:
        reasons.append(reason("brute_force", "success", user=tries.success_user or "?"))
    elif tries.success:
        reasons.append(reason("brute_force", "long_session"))
    return reasons
