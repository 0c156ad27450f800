"""List the collectors and find the one that reads a source, by content.

The list is explicit. Other packages add collectors by the entry point group ``edusoc.collectors`` (an object or class
that fits ``collectors.base.Collector``). Modules are imported only when needed: the packet reader is heavy.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Final, cast

from collectors.base import ByteSource, Collector
from soc_core.errors import InputError

GROUP: Final = "edusoc.collectors"
_LOGGER: Final = logging.getLogger("edusoc.collectors")
_CAPTURE_MAGIC: Final = frozenset(
    bytes.fromhex(magic)
    for magic in ("a1b2c3d4", "d4c3b2a1", "a1b23c4d", "4d3cb2a1", "a1b2cd34", "34cdb2a1", "0a0d0d0a")
)


def _always(_head: bytes) -> bool:
    return True


def _is_capture(head: bytes) -> bool:
    return head[:4] in _CAPTURE_MAGIC


def _is_evtx(head: bytes) -> bool:
    return head.startswith((b"ElfFile\x00", b"ElfChnk\x00"))


@dataclass(frozen=True, slots=True)
class Entry:
    """Name one collector: where its class is, what it reads in words, and a cheap test whether to import it at all.

    ``resumes`` says whether it goes on where an earlier reading stopped (``collectors.base.Resume``), as all do that
    are driven by ``collectors.records``.
    """

    name: str
    module: str
    class_name: str
    kind: str
    gate: Callable[[bytes], bool] = _always
    resumes: bool = True


ENTRIES: Final = (
    Entry(
        "packets",
        "collectors.packets.collector",
        "PacketsCollector",
        "packet capture (pcap, pcapng)",
        _is_capture,
        resumes=False,
    ),
    Entry("evtx", "collectors.evtx", "Evtx", "Windows event log (EVTX)", _is_evtx, resumes=False),
    Entry("suricata", "collectors.suricata", "Suricata", "Suricata eve.json"),
    Entry("zeek", "collectors.zeek", "Zeek", "Zeek log (TSV or JSON)"),
    Entry("opencanary", "collectors.honeypots.opencanary", "OpenCanary", "OpenCanary log"),
    Entry("hfish", "collectors.honeypots.hfish", "HFish", "HFish threat reports as JSON"),
    Entry(
        "winlogbeat", "collectors.winlogbeat", "Winlogbeat", "Windows events as JSON (Winlogbeat and exports)"
    ),
    Entry("ecs_ndjson", "collectors.ecs_ndjson", "EcsNdjson", "ECS events as JSON"),
    Entry("auditd", "collectors.auditd", "Auditd", "Linux audit log"),
    Entry("iis", "collectors.iis", "Iis", "IIS log (W3C extended)"),
    Entry("web_access", "collectors.web_access", "WebAccess", "web access log (Apache, Nginx)"),
    Entry("web_error", "collectors.web_error", "WebError", "web server error log (Apache, Nginx)"),
    Entry("mysql", "collectors.mysql", "Mysql", "MySQL or MariaDB log (general, audit, error)"),
    Entry("postgresql", "collectors.postgresql_log", "PostgresqlLog", "PostgreSQL log"),
    Entry("dns_query", "collectors.dns_query", "DnsQuery", "DNS query log (BIND, Unbound, dnsmasq, Windows)"),
    Entry("dhcp", "collectors.dhcp", "Dhcp", "DHCP log or leases (Kea, dhcpd, dnsmasq, Windows)"),
    Entry("radius", "collectors.radius", "Radius", "FreeRADIUS log or detail file"),
    Entry("syslog", "collectors.syslog", "Syslog", "syslog (RFC 3164, RFC 5424)"),
)
FOREIGN: Final = (
    (b"PK\x03\x04", "a ZIP archive or office document", "unpack it first"),
    (b"7z\xbc\xaf'\x1c", "a 7-Zip archive", "unpack it first"),
    (b"Rar!\x1a\x07", "a RAR archive", "unpack it first"),
    (b"%PDF-", "a PDF document", ""),
    (b"\x7fELF", "a program", ""),
    (b"MZ", "a Windows program", ""),
    (b"SQLite format 3\x00", "an SQLite database", ""),
    (b"\x89PNG", "a picture", ""),
    (b"\xff\xd8\xff", "a picture", ""),
    (b"PAR1", "a Parquet file", ""),
    (b"regf", "a Windows registry hive", ""),
    (b"snoop\x00", "a Solaris snoop capture", "convert it to pcap first, e.g. with editcap"),
)


@cache
def _load(entry: Entry) -> Collector:
    """Return the collector of ``entry``, made once. Raises ``InputError`` where a library it needs is not installed."""
    try:
        return cast("Collector", getattr(import_module(entry.module), entry.class_name)())
    except ImportError as fault:
        raise InputError(f"collector {entry.name} can't be loaded: {fault}") from fault


@cache
def _foreign_collectors() -> tuple[Collector, ...]:
    """Return the collectors other packages bring."""
    found: list[Collector] = []
    for point in entry_points(group=GROUP):
        try:
            plugin = point.load()
            found.append(cast("Collector", plugin() if isinstance(plugin, type) else plugin))
        except Exception as fault:  # noqa: BLE001 - plugin edge: a broken plug-in must not stop the others
            _LOGGER.warning("collector plug-in %s can't be loaded: %r", point.name, fault)
    return tuple(found)


def collector(name: str) -> Collector:
    """Return the collector called ``name``. Raises ``InputError`` when there is none."""
    for entry in ENTRIES:
        if entry.name == name:
            return _load(entry)
    for plugin in _foreign_collectors():
        if plugin.name == name:
            return plugin
    raise InputError(f"there is no collector '{name}'", todo=f"known: {', '.join(e.name for e in ENTRIES)}")


def resumes(collector: Collector) -> bool:
    """Tell whether a collector can go on where an earlier reading stopped; a plug-in says so by its own ``resumes``."""
    for entry in ENTRIES:
        if entry.name == collector.name:
            return entry.resumes
    return bool(getattr(collector, "resumes", False))


def recognise(source: ByteSource) -> Collector:
    """Return the collector that is surest about ``source``. Raises ``InputError`` when none knows it."""
    best: Collector | None = None
    best_score = 0
    for entry in ENTRIES:
        if not entry.gate(source.head):
            continue
        candidate = _load(entry)
        score = candidate.recognise(source.head, source.name)
        if score > best_score:
            best, best_score = candidate, score
    for candidate in _foreign_collectors():
        score = _score(candidate, source)
        if score > best_score:
            best, best_score = candidate, score
    if best is None:
        raise _unknown(source)
    return best


def _score(plugin: Collector, source: ByteSource) -> int:
    """Return how sure a plug-in is; one that fails is not sure at all."""
    try:
        return plugin.recognise(source.head, source.name)
    except Exception as fault:  # noqa: BLE001 - plugin edge: a broken plug-in must not stop the others
        _LOGGER.warning("collector plug-in %s failed to recognise: %r", plugin.name, fault)
        return 0


def _unknown(source: ByteSource) -> InputError:
    """Say what was seen instead of something known."""
    todo = "known kinds: " + "; ".join(entry.kind for entry in ENTRIES)
    for magic, what, advice in FOREIGN:
        if source.head.startswith(magic):
            return InputError(f"this is {what}, which is not read", where=source.name, todo=advice or todo)
    if source.head[257:262] == b"ustar":
        return InputError(
            "this is a tar archive, which is not read", where=source.name, todo="unpack it first"
        )
    start = source.head[:40]
    printable = sum(32 <= byte < 127 or byte in b"\t\r\n" for byte in start)
    if printable >= len(start) * 0.9:
        shown = start.split(b"\n", 1)[0].decode("ascii", "replace").strip()
        return InputError(f"unknown text, it starts with {shown!r}", where=source.name, todo=todo)
    return InputError(
        f"unknown content, it starts with bytes {start[:8].hex(' ')}", where=source.name, todo=todo
    )
