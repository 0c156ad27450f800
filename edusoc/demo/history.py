"""Write months of ordinary log lines for each unit, so that trends and gaps can be seen.

The lines are real files that the collectors read like any other: RFC 5424 syslog of gateways, cameras and servers, and
the access log of a website. Numbers follow the school year (weekends, summer and winter holidays are quiet) and come
from a generator seeded with unit and day, so one anchor always gives the same bytes.
"""

from __future__ import annotations

import os
import random
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from importlib import resources
from pathlib import Path
from typing import Final

from soc_core.clock import LOCAL_ZONE

_DAYS_A_MONTH: Final = 30


@dataclass(frozen=True, slots=True)
class Incident:
    """Describe guessed SSH passwords in the past: how many days ago, at what time, from where, how often."""

    ago: int
    at: str
    source: str
    tries: int


@dataclass(frozen=True, slots=True)
class Past:
    """Describe one unit's past: days count back from the anchor's day, ``gaps`` are (first, last) of holes."""

    unit: str
    zone: str
    host: str
    sources: tuple[str, ...]
    busy: int
    days: int
    until: int
    gaps: tuple[tuple[int, int], ...]
    incidents: tuple[Incident, ...]

    def has(self, ago: int) -> bool:
        """Tell whether there are records of the day that lies ``ago`` days back."""
        return self.until <= ago <= self.days and not any(first >= ago >= last for first, last in self.gaps)


def load_pasts() -> list[Past]:
    """Return every unit's past as ``world/history.toml`` describes it."""
    text = resources.files("edusoc.demo").joinpath("world", "history.toml").read_text(encoding="utf-8")
    document = tomllib.loads(text)
    days = document["days"]["months"] * _DAYS_A_MONTH
    return [
        Past(
            unit=unit,
            zone=values["zone"],
            host=values["host"],
            sources=tuple(values["sources"]),
            busy=values["busy"],
            days=days,
            until=values.get("until", 1),
            gaps=tuple((first, last) for first, last in values.get("gaps", [])),
            incidents=tuple(Incident(**incident) for incident in values.get("incidents", [])),
        )
        for unit, values in document["unit"].items()
    ]


def write_history(past: Past, directory: Path, anchor: datetime) -> list[Path]:
    """Write the unit's log files and return their paths: syslog, and for a website its access log."""
    today = anchor.astimezone(LOCAL_ZONE).date()
    syslog: list[tuple[datetime, str]] = []
    web: list[tuple[datetime, str]] = []
    for ago in range(past.days, 0, -1):
        if past.has(ago):
            day = today - timedelta(days=ago)
            syslog.extend(_syslog_lines(past, day))
            for incident in past.incidents:
                if incident.ago == ago:
                    syslog.extend(_guesses(past, incident, day))
            if "website" in past.sources:
                web.extend(_web_lines(past, day))
    files = [_write(directory / past.unit / "syslog.log", syslog)]
    if web:
        files.append(_write(directory / past.unit / "access.log", web))
    return files


def _write(path: Path, lines: list[tuple[datetime, str]]) -> Path:
    lines.sort()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text("".join(f"{text}\n" for _, text in lines), encoding="utf-8")
    stamp = lines[-1][0].timestamp()
    os.utime(partial, (stamp, stamp))
    partial.replace(path)
    return path


def activity(day: date) -> float:
    """Return how busy a school is on a day, 0–1: school days, weekends, holidays (roughly, without make-up days)."""
    moon = (day.month, day.day)
    holiday = (7, 8) <= moon <= (8, 30) or moon >= (12, 31) or (1, 20) <= (day.month, day.day) <= (2, 20)
    if holiday or (10, 1) <= moon <= (10, 7) or (5, 1) <= moon <= (5, 5):
        return 0.1
    return 0.2 if day.weekday() >= 5 else 1.0


def _dice(past: Past, day: date, what: str) -> random.Random:
    return random.Random(f"{past.unit} {day.isoformat()} {what}")  # noqa: S311 - made-up data, no secret


def _syslog_lines(past: Past, day: date) -> Iterator[tuple[datetime, str]]:
    """Yield the day's summary of the gateway, always, and ordinary lines as many as the day is busy."""
    dice = _dice(past, day, "syslog")
    level = activity(day) * dice.uniform(0.8, 1.2)
    yield _syslog(past, _moment(day, "23:50"), "gateway", _summary(dice, level, past.busy))
    kinds = [_LINES[name] for name in past.sources if name in _LINES]
    for number in range(round(past.busy * level)):
        program, text = kinds[number % len(kinds)]
        moment = _moment(day, "07:30") + timedelta(seconds=dice.randrange(10 * 3_600))
        yield _syslog(past, moment, program, text.format(**_numbers(dice, level)))


def _guesses(past: Past, incident: Incident, day: date) -> Iterator[tuple[datetime, str]]:
    """Yield refused log-ins, a few seconds apart, as sshd writes them."""
    dice = _dice(past, day, "guesses")
    moment = _moment(day, incident.at)
    for number in range(incident.tries):
        moment += timedelta(seconds=dice.randrange(2, 9))
        user = dice.choice(("root", "admin", "test"))
        text = f"Failed password for {user} from {incident.source} port {40_000 + number} ssh2"
        yield (
            moment,
            f"<38>1 {moment.isoformat(timespec='seconds')} {past.host} sshd {2_000 + number} - - {text}",
        )


def _syslog(past: Past, moment: datetime, program: str, text: str) -> tuple[datetime, str]:
    return moment, f"<30>1 {moment.isoformat(timespec='seconds')} {past.host} {program} - - - {text}"


def _moment(day: date, clock: str) -> datetime:
    return datetime.combine(day, time.fromisoformat(clock), tzinfo=LOCAL_ZONE)


def _summary(dice: random.Random, level: float, size: int) -> str:
    online = max(1, round(40 * size * level))
    down = round(6.5 * online * dice.uniform(0.8, 1.2) / 10, 1)
    return f"演示 日汇总：在线终端 {online} 台，会话 {online * 310} 个，下行 {down} GB，上行 {round(down / 9, 1)} GB"


_LINES: Final = {
    "gateway": ("dhcpd", "演示 地址池：已分配 {leases} 个，剩余 {free} 个"),
    "cameras": ("nvr", "演示 录像巡检：在线摄像头 {cameras} 路，录像正常，磁盘剩余 {percent}%"),
    "classroom": ("bbt-agent", "演示 班班通开机 {computers} 台，病毒库更新成功"),
    "restore": ("restore-card", "演示 机房还原完成 {computers} 台，耗时 {seconds} 秒"),
    "server": ("chronyd", "演示 时间同步正常，偏差 {seconds} 毫秒"),
    "backup": ("backup", "演示 备份完成：{files} 个文件，校验通过"),
}
"""Program and text of what each kind of device writes on an ordinary day."""


def _numbers(dice: random.Random, level: float) -> dict[str, int]:
    leases = min(253, round(180 * level) + dice.randrange(9))
    return {
        "leases": leases,
        "free": 253 - leases,
        "cameras": 24 - (dice.random() < 0.1),
        "percent": dice.randrange(18, 35),
        "computers": round(50 * min(level, 1)),
        "seconds": dice.randrange(40, 90),
        "files": dice.randrange(900, 1_400),
    }


_PAGES: Final[Sequence[str]] = ("/", "/news/", "/notice/2026.html", "/about/", "/photos/")


def _web_lines(past: Past, day: date) -> Iterator[tuple[datetime, str]]:
    """Yield visits of the school's website."""
    dice = _dice(past, day, "website")
    for _ in range(1 + round(5 * activity(day) * dice.uniform(0.7, 1.3))):
        moment = _moment(day, "06:30") + timedelta(seconds=dice.randrange(15 * 3_600))
        client = f"203.0.113.{dice.randrange(1, 250)}"
        page, size = dice.choice(_PAGES), dice.randrange(2_000, 60_000)
        stamp = moment.strftime("%d/%b/%Y:%H:%M:%S %z")
        agent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) demo"
        yield moment, f'{client} - - [{stamp}] "GET {page} HTTP/1.1" 200 {size} "-" "{agent}"'
