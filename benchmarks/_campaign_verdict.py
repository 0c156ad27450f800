"""Compare what the centre's store holds with what senders say was accepted."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from benchmarks._campaign_world import Life
from soc_core.clock import EPOCH
from soc_core.store.embedded import EmbeddedStore
from soc_core.store.interface import SYSTEM_SCOPE, Search

MARK: Final = re.compile(r"\b(a\d)([utfhb])-(\d{7})\b")
EVER: Final = timedelta(days=80_000)
SETTLED: Final = 10.0
"""Seconds after which an agent that lives has made durable what it was sent, on a very busy machine."""
NAMES: Final = {"u": "syslog UDP", "t": "syslog TCP", "f": "file", "h": "HTTP push", "b": "bulk"}
Report = Mapping[str, Any]


@dataclass(slots=True)
class Stored:
    """Hold what the store has: by agent and stream how often each number is there, and what agents told of drops."""

    numbers: dict[str, Counter[int]] = field(default_factory=dict)
    shed: Counter[str] = field(default_factory=Counter)
    days: dict[tuple[str, int], list[str]] = field(default_factory=dict)
    events: int = 0


def read_store(state: Path, agent_of: Mapping[str, str]) -> Stored:
    """Return what a centre's store has; ``agent_of`` gives the agent of a unit."""
    found = Stored()
    store = EmbeddedStore(state / "events", writer=False)
    fields = ("message", "event.id", "event.original", "event.dataset", "edusoc.extra", "organization.id")
    try:
        for batch in store.scan(Search(SYSTEM_SCOPE, EPOCH, EPOCH + EVER, fields=fields)):
            for event in batch:
                found.events += 1
                if event.get("event.dataset") == "edusoc.gap":
                    found.shed[agent_of[str(event["organization.id"])]] += _gap(event.get("edusoc.extra"))
                    continue
                match = MARK.search(str(event.get("event.original") or event.get("message")))
                if match:
                    name, number = match[1] + match[2], int(match[3])
                    found.numbers.setdefault(name, Counter())[number] += 1
                    found.days.setdefault((name, number), []).append(str(event["event.id"]))
    finally:
        store.close()
    return found


def _gap(extra: object) -> int:
    """Return how many events an event about a gap speaks of."""
    texts = [str(text) for text in extra] if isinstance(extra, list) else []
    return sum(int(text.partition("=")[2]) for text in texts if text.startswith("gap.events="))


@dataclass(slots=True)
class Row:
    """Add up one stream: events sent, in the store, lost though accepted, doubled, not accepted, and what is wrong."""

    name: str
    sent: int = 0
    stored: int = 0
    lost: int = 0
    doubled: int = 0
    unaccepted: int = 0
    told: int = 0
    in_hand: int = 0
    """The most datagrams that a killed agent had received and not yet made durable."""
    wrong: list[str] = field(default_factory=list)

    def take(self, found: Counter[int], sent: int, stored: Stored, name: str) -> None:
        """Count what was sent and is there."""
        self.sent += sent
        self.stored += len(found)
        doubled = [number for number, times in found.items() if times > 1]
        self.doubled += len(doubled)
        self.wrong += [f"{name}-{number}: {stored.days[name, number]}" for number in doubled[:3]]


@dataclass(slots=True)
class Campaign:
    """Hold what is needed to judge one agent."""

    agent: str
    streams: Report
    lives: Sequence[Life]
    dropped: int
    """Datagrams that the kernel dropped, by the counters of the agent's last life."""
    shed: int
    """Datagrams that it shed for want of room, by the same."""


def judge(campaigns: Sequence[Campaign], stored: Stored) -> list[Row]:
    """Return a row for each kind of stream."""
    rows = []
    for kind, name in NAMES.items():
        row = Row(name)
        for campaign in campaigns:
            key = campaign.agent + kind
            found = stored.numbers.get(key, Counter())
            report = campaign.streams[kind]
            row.take(found, report["sent"], stored, key)
            _JUDGES.get(kind, _whole)(row, campaign, found, stored)
        rows.append(row)
    return rows


def _whole(row: Row, campaign: Campaign, found: Counter[int], _stored: Stored) -> None:
    """Everything was accepted, so everything must be there."""
    key = row.name
    report = next(campaign.streams[kind] for kind, name in NAMES.items() if name == key)
    if "accepted" in report and report["accepted"] != report["sent"]:
        row.wrong.append(f"{campaign.agent}: {report['accepted']} of {report['sent']} were accepted")
    _lose(row, campaign.agent, [number for number in range(report["sent"]) if number not in found])


def _lose(row: Row, agent: str, missing: Sequence[int]) -> None:
    row.lost += len(missing)
    if missing:
        row.wrong.append(
            f"{agent}: {len(missing)} lost, from {missing[0]} to {missing[-1]}, at first {list(missing[:5])}"
        )


def _tcp(row: Row, campaign: Campaign, found: Counter[int], _stored: Stored) -> None:
    """Of a connection that a kill broke a beginning must be there, of all others everything.

    Syslog over TCP has no answers: what lies in the system's buffers when the agent is killed was never accepted.
    """
    for connection in campaign.streams["t"]["connections"]:
        first, after = connection["first"], connection["next"]
        missing = [number for number in range(first, after) if number not in found]
        killed = any(
            life.killed and connection["began"] <= life.ended <= (connection["ended"] or life.ended) + SETTLED
            for life in campaign.lives
        )
        if killed or not connection.get("orderly"):
            tail = _tail(missing, after)
            row.unaccepted += tail
            missing = missing[: len(missing) - tail]
        _lose(row, campaign.agent, missing)


def _tail(missing: Sequence[int], after: int) -> int:
    """Return how many of the missing numbers are the last ones before ``after``, without a hole."""
    count = 0
    while count < len(missing) and missing[-1 - count] == after - 1 - count:
        count += 1
    return count


def _udp(row: Row, campaign: Campaign, found: Counter[int], stored: Stored) -> None:
    """Sent = stored + dropped by the kernel + shed, but for what a killed agent had in hand and what nobody took.

    For the last life, which nobody killed, that is exact. Before, what was shed right after a slow start can't be told
    from what came while nobody listened: then at least what is missing otherwise must have been told.
    """
    report = campaign.streams["u"]
    missing = {number for number in range(report["sent"]) if number not in found}
    nobody: set[int] = set()
    number_at, last = _numbers_at(report["times"]), 0
    for life in campaign.lives[:-1]:
        start = end = number_at(life.ended)
        while start - 1 in missing:
            start -= 1
        row.in_hand = max(row.in_hand, end - start)
        while end in missing:
            end += 1
        nobody |= missing & set(range(start, end))
        last = end
    row.unaccepted += len(nobody)
    shed_before = stored.shed[campaign.agent] - campaign.shed
    row.told += campaign.dropped + campaign.shed + shed_before
    of_last = sum(number >= last for number in missing - nobody)
    before = len(missing) - len(nobody) - of_last
    if of_last != campaign.dropped + campaign.shed:
        row.lost += abs(of_last - campaign.dropped - campaign.shed)
        row.wrong.append(
            f"{campaign.agent}: {of_last} missing in its last life, told are {campaign.dropped} dropped by the kernel "
            f"and {campaign.shed} shed"
        )
    if not before <= shed_before <= before + len(nobody):
        row.lost += max(before - shed_before, 1)
        row.wrong.append(f"{campaign.agent}: {before} missing while it lived, told are {shed_before} shed")


def _numbers_at(times: Sequence[tuple[float, int]]) -> Callable[[float], int]:
    """Return what gives the number that was next at a time."""
    moments = [moment for moment, _ in times]

    def number_at(moment: float) -> int:
        place = bisect_right(moments, moment)
        return times[place][1] if place < len(times) else times[-1][1]

    return number_at


_JUDGES: Final[Mapping[str, Callable[[Row, Campaign, Counter[int], Stored], None]]] = {"t": _tcp, "u": _udp}


def show(rows: Sequence[Row]) -> bool:
    """Print the table; tell whether nothing was lost or doubled."""
    print(
        f"\n{'stream':<12}{'sent':>10}{'stored':>10}{'lost':>7}{'doubled':>9}{'not accepted':>14}{'told drops':>12}"
    )
    for row in rows:
        print(
            f"{row.name:<12}{row.sent:>10,}{row.stored:>10,}{row.lost:>7,}{row.doubled:>9,}{row.unaccepted:>14,}"
            f"{row.told:>12,}"
        )
        if row.in_hand:
            print(
                f"    killed agents had {row.in_hand:,} of them in hand at most; what came while none ran adds up"
            )
        for text in row.wrong[:10]:
            print(f"    {text}")
    return not any(row.lost or row.doubled or row.wrong for row in rows)
