"""Make events of JSON documents that other programs push: Beats, Logstash, Fluent Bit, Vector, honeypots, anything.

What a document is, is told by its content: Windows events, EVE, Zeek, honeypots, ECS; a Beat's envelope around a line
of a log is opened and the line is read as the file's lines would be. A document's identity is its own coordinates
where it has some (a Windows record's number, a line's offset in its file, the sender's id), so that one sent again is
the same event; else its content and which of equal ones in its batch it is, where it says its time itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Final, NamedTuple, TypeAlias

from collectors.base import Batch, ReadContext
from collectors.coerce import date_text, extra, flatten, instant_or_none, put, put_default
from collectors.ecs_ndjson import EcsParser
from collectors.honeypots.hfish import HFishParser, is_hfish
from collectors.honeypots.opencanary import OpenCanaryParser, is_opencanary
from collectors.json_records import JsonObject, JsonTree, load_object
from collectors.lines import Line
from collectors.live.base import Counters
from collectors.live.clocks import believe
from collectors.making import RAW_KEPT, EventMaker, RecordError
from collectors.nesting import value_at
from collectors.opening import open_bytes
from collectors.records import JsonParser
from collectors.registry import collector, recognise
from collectors.suricata import EveParser
from collectors.syslog import SyslogParser
from collectors.windows_ids import give_own_id
from collectors.winlogbeat import WindowsParser, windows_record
from collectors.zeek import ZeekJsonParser, is_zeek_json
from soc_core.clock import format_instant
from soc_core.errors import InputError
from soc_core.model.event import (
    DATASET,
    EVENT_ID,
    TIMESTAMP,
    BadRecord,
    Event,
    make_event_id,
    make_source_identity,
)

_LOGGER: Final = logging.getLogger("edusoc.collectors")
_OLDEST: Final = timedelta(days=3_660)
_KINDS_KEPT: Final = 4_096
_ENVELOPE: Final = (
    "agent",
    "log",
    "host",
    "input",
    "ecs",
    "@metadata",
    "fileset",
    "service",
    "container",
    "cloud",
)
_KEPT_OF_ENVELOPE: Final = (
    "agent.id", "agent.name", "agent.type", "agent.version", "host.name", "host.ip", "host.os.name", "log.file.path",
    "log.offset", "log.source.address", "tags",
)  # fmt: skip
_TIME_NAMES: Final = (
    "@timestamp",
    "timestamp",
    "time",
    "ts",
    "datetime",
    "date",
    "event_time",
    "log_time",
    "_time",
)
_TEXT_NAMES: Final = ("message", "msg", "log", "text")
_WINDOWS: Final = ("winlog", "Event", "EventID", "EventId", "event_id", "winlog.channel", "winlog.event_id")
_FILE: Final = ("device_id", "inode", "idxhi", "idxlo", "vol", "fingerprint")
"""What of ``log.file`` says which file it is, whatever its name (Filebeat's file identities)."""
_MODULES: Final[Mapping[str, str]] = {
    "suricata": "suricata", "windows": "windows", "zeek": "zeek", "opencanary": "opencanary", "hfish": "hfish",
    "ecs": "ecs",
    "syslog": "syslog", "json": "json",
}  # fmt: skip
_SENDER: Final = "log.source.address"
_OUR_DATASETS: Final = "edusoc."
_NOT_SENDERS: Final = (
    "edusoc.agent", "edusoc.alert.", "edusoc.assigned_by", "edusoc.health.", "edusoc.order.", "edusoc.privacy",
    "edusoc.rollup.", "edusoc.source", "edusoc.statistics.", "edusoc.unit_code",
)  # fmt: skip
"""How fields begin that only agents and centres write."""
Parsers: TypeAlias = dict[str, JsonParser]


class Document(NamedTuple):
    """Hold one document as it came, and the id its sender gave it, if any."""

    raw: bytes
    name: str = ""
    tree: JsonTree | None = None
    """The object, where the sender of the document to us has read it already."""
    fault: str = ""
    """Why it can't be read, where that is known already."""


class Coordinates(NamedTuple):
    """Say where a document comes from in a way that stays when it is sent again."""

    source: bytes
    position: int
    record: bytes


class DocumentReader:
    """Read batches of documents of one input. Safe from several threads."""

    def __init__(self, name: str, epoch: bytes, counters: Counters, *, answers: bool = True) -> None:
        """Take the input's name and what is unique to this run of it.

        ``answers`` says whether senders get answers: they send again what they got none for, and equal documents are
        then taken for one sent again. Without answers each document is an event of its own.
        """
        self.name = name
        self.epoch = epoch
        self.counters = counters
        self.answers = answers
        self.kinds: dict[str, str] = {}
        """Which collector reads the lines of a file that a Beat follows."""
        self._numbers = iter(range(1 << 62))

    def read(
        self, documents: Sequence[Document], context: ReadContext, sender: str = ""
    ) -> tuple[Batch, list[str]]:
        """Return the batch of the documents, and in order why each can't be used, empty for those that can."""
        reading = _Reading(self, context, sender)
        faults = [reading.take(document) for document in documents]
        batch = reading.batch
        batch.counters["records"] = len(documents)
        self.counters.add("received", len(documents))
        self.counters.add("received_bytes", sum(len(document.raw) for document in documents))
        return batch, faults

    def number(self) -> int:
        """Return the next running number."""
        return next(self._numbers)


class _Reading:
    """Hold what the documents of one batch share."""

    def __init__(self, owner: DocumentReader, context: ReadContext, sender: str) -> None:
        self._owner = owner
        self._context = context
        self._sender = sender
        self._parsers: Parsers = {}
        self._seen: dict[bytes, int] = {}
        self._syslog = SyslogParser(context)
        self._maker = EventMaker("documents", "json", context)
        self._maker.seen(owner.epoch)
        self.batch = Batch()

    def take(self, document: Document) -> str:
        """Add the events of one document, or keep it aside and return why."""
        number = self._owner.number()
        try:
            if document.fault:
                raise RecordError(document.fault)
            tree = load_object(document.raw) if document.tree is None else document.tree
            self.batch.events.extend(self._events(document, tree, number))
        except (RecordError, ValueError) as fault:
            return self._aside(document, number, str(fault))
        except Exception as fault:  # a document that a parser can't bear would be sent again for ever
            _LOGGER.exception("input %s: a parser failed", self._owner.name)
            return self._aside(document, number, f"parser failed: {type(fault).__name__}")
        return ""

    def _aside(self, document: Document, number: int, reason: str) -> str:
        """Keep a document aside and return why."""
        place = f"{self._owner.name}: {self._sender}" if self._sender else self._owner.name
        self.batch.bad.append(BadRecord(place, number, 0, reason, document.raw[:RAW_KEPT]))
        return reason

    def _events(self, document: Document, tree: JsonTree, number: int) -> list[Event]:
        source = tree.get("_source")
        if isinstance(source, dict):
            tree = source
        found, timed = self._parse(tree, document.raw)
        finished = []
        where = coordinates(tree, document) or self._by_content(document, number, timed)
        for ordinal, event in enumerate(found):
            _own_words_only(event, self._sender)
            fault = believe(event, self._context.reference, _OLDEST)
            if fault:
                self._owner.counters.add(f"time_{fault}")
            if EVENT_ID not in event:
                give_own_id(event, self._context)
            if EVENT_ID not in event:
                identity = make_source_identity(
                    self._context.organization_id, self._context.zone, "documents", where.source
                )
                event[EVENT_ID] = make_event_id(
                    str(event[TIMESTAMP]), identity, where.position, where.record, ordinal
                )
            finished.append(self._maker.finish(event, document.raw, number, ordinal))
        return finished

    def _by_content(self, document: Document, number: int, timed: bool) -> Coordinates:
        """Return coordinates of a document that has none: its content if that says a time, else a running number."""
        if not timed or not self._owner.answers:
            return Coordinates(self._owner.epoch, number, document.raw)
        before = self._seen.get(document.raw, 0)
        self._seen[document.raw] = before + 1
        return Coordinates(b"content", before, document.raw)

    def _parse(self, tree: JsonTree, raw: bytes) -> tuple[Sequence[Event], bool]:
        """Return the events of a document without id, and whether it says its time itself."""
        kind = kind_of(tree)
        if kind != "ecs" or not _is_envelope(tree):
            event = self._parser(kind).parse(JsonObject(tree, raw, 0, 0))
            timed = kind != "json" or bool(_stamp(tree))
            return self._named(event, kind), timed
        opened = self._opened(tree)
        if opened is not None:
            return opened, True
        return self._named(self._parser("ecs").parse(JsonObject(tree, raw, 0, 0)), "ecs"), True

    def _named(self, events: Sequence[Event], kind: str) -> Sequence[Event]:
        for event in events:
            event.setdefault("event.module", _MODULES[kind])
        return events

    def _parser(self, kind: str) -> JsonParser:
        if kind not in self._parsers:
            self._parsers[kind] = _PARSERS[kind](self._context)
        return self._parsers[kind]

    def _opened(self, tree: JsonTree) -> Sequence[Event] | None:
        """Return the events of what a Beat's envelope holds, ``None`` where it is nothing we know better."""
        for inner in _inner_objects(tree):
            kind = kind_of(inner)
            if kind not in ("ecs", "json"):
                raw = str(value_at(tree, "event.original") or tree.get("message") or "").encode(
                    "utf-8", "replace"
                )
                found = self._named(self._parser(kind).parse(JsonObject(inner, raw, 0, 0)), kind)
                return [_with_envelope(event, tree) for event in found]
        line = value_at(tree, "event.original") or tree.get("message")
        if not isinstance(line, str) or not line.strip() or "\n" in line.strip():
            return None
        path = str(value_at(tree, "log.file.path") or "")
        events = self._line(line, path)
        return None if events is None else [_with_envelope(event, tree) for event in events]

    def _line(self, line: str, path: str) -> Sequence[Event] | None:
        """Return the events of a line of a log, read as a file of one line; ``None`` where no collector knows it."""
        data = line.encode("utf-8", "replace") + b"\n"
        kinds = self._owner.kinds
        if kinds.get(path) == "syslog":  # by far the most: without a file around each line
            with suppress(RecordError):
                return self._syslog_line(line, data)
        known = kinds.get(path) if path else None
        if known is not None:
            events = _read_line(known, data, self._context, path)
            if events:
                return events
        kind = _kind_of_line(data, path)
        if kind is None:
            return None
        if path:
            if len(kinds) >= _KINDS_KEPT:
                kinds.clear()
            kinds[path] = kind
        return _read_line(kind, data, self._context, path)

    def _syslog_line(self, line: str, data: bytes) -> Sequence[Event]:
        events = self._named(self._syslog.parse(Line(0, 1, data.rstrip(b"\r\n"))), "syslog")
        if self._context.keep_original:
            for event in events:
                event.setdefault("event.original", line)
        return events


def _own_words_only(event: Event, sender: str) -> None:
    """Take back what a sender may not say: who sent it, and what only agents and centres write.

    Units are told by the sender's address; and an answer to an order is nobody's but the agent's. It is kept as said.
    """
    for name in [name for name in event if name.startswith(_NOT_SENDERS)]:
        extra(event, name, event.pop(name))
    if str(event.get(DATASET, "")).startswith(_OUR_DATASETS):
        extra(event, DATASET, event[DATASET])
        event[DATASET] = "ecs.event"
    if sender:
        claimed = event.get(_SENDER)
        if claimed is not None and claimed != sender:
            extra(event, _SENDER, claimed)
        event[_SENDER] = sender


def _kind_of_line(data: bytes, path: str) -> str | None:
    """Return the name of the collector that knows a line, ``None`` if none does."""
    with open_bytes(data, name=path or "line") as source:
        try:
            return recognise(source).name
        except InputError:
            return None


def _read_line(kind: str, data: bytes, context: ReadContext, path: str) -> list[Event] | None:
    with open_bytes(data, name=path or "line") as source:
        batches = list(collector(kind).read(source, context))
    events = [event for batch in batches for event in batch.events]
    for event in events:
        event.pop(EVENT_ID, None)
    return events if events and not any(batch.bad for batch in batches) else None


def kind_of(tree: JsonTree) -> str:
    """Return what a document is by its content: a key of the parsers, ``json`` for what nothing is known of."""
    if isinstance(tree.get("event_type"), str) and isinstance(tree.get("timestamp"), str):
        return "suricata"
    if is_opencanary(tree):
        return "opencanary"
    if "ts" in tree and is_zeek_json(tree):
        return "zeek"
    if is_hfish(tree):
        return "hfish"
    if _may_be_windows(tree) and windows_record(tree) is not None:
        return "windows"
    return "ecs" if "@timestamp" in tree else "json"


def _may_be_windows(tree: JsonTree) -> bool:
    return any(
        name in tree
        for name in ("winlog", "Event", "EventID", "EventId", "event_id", "winlog.channel", "winlog.event_id")
    )


def _is_envelope(tree: JsonTree) -> bool:
    """Tell whether a document is what Beats, Elastic Agent and Logstash wrap a record into."""
    return isinstance(tree.get("agent"), dict) or isinstance(tree.get("log"), dict) or "@metadata" in tree


def _inner_objects(tree: JsonTree) -> list[JsonTree]:
    """Return objects in an envelope that may be a record: EVE of the module, decoded JSON, the message's own JSON."""
    found = [part for part in (value_at(tree, "suricata.eve"), tree.get("json")) if isinstance(part, dict)]
    if "event_type" in tree or "ts" in tree or "logtype" in tree:
        found.append({name: value for name, value in tree.items() if not _of_envelope(name, value)})
    message = value_at(tree, "event.original") or tree.get("message")
    if isinstance(message, str) and message.startswith("{"):
        with suppress(ValueError):
            found.append(load_object(message.encode("utf-8", "replace")))
    return found


def _of_envelope(name: str, value: object) -> bool:
    return name == "@timestamp" or (name in _ENVELOPE and isinstance(value, dict))


def _with_envelope(event: Event, tree: JsonTree) -> Event:
    """Add what a Beat says about itself and the file, where the record itself doesn't say it."""
    for name in _KEPT_OF_ENVELOPE:
        put_default(event, name, value_at(tree, name))
    return event


def coordinates(tree: JsonTree, document: Document) -> Coordinates | None:
    """Return the coordinates a document carries: its sender's id, or a line's place in its file."""
    if document.name:
        # With what it says: ids of several senders, and of one that counts anew, may be equal.
        return Coordinates(b"id", 0, document.name.encode("utf-8", "replace") + b"\0" + document.raw)
    agent = str(
        value_at(tree, "agent.id") or value_at(tree, "agent.name") or value_at(tree, "host.name") or ""
    )
    offset = value_at(tree, "log.offset")
    path = value_at(tree, "log.file.path")
    if isinstance(offset, int) and 0 <= offset < 1 << 62 and isinstance(path, str) and agent:
        file = [agent, path, *(str(value_at(tree, f"log.file.{name}") or "") for name in _FILE)]
        line = str(value_at(tree, "event.original") or tree.get("message") or "")
        return Coordinates(
            "\0".join(file).encode("utf-8", "replace"), offset, line.encode("utf-8", "replace")
        )
    return None


def _stamp(tree: Mapping[str, object]) -> object:
    return next((tree[name] for name in _TIME_NAMES if tree.get(name)), None)


class AnyParser:
    """Map a JSON object that nothing is known of: its time and text by usual names, the rest as further fields."""

    def __init__(self, context: ReadContext) -> None:
        """Take the context of the reading."""
        self._context = context

    def parse(self, record: JsonObject) -> Sequence[Event]:
        """Return the event of one object; without a time of its own it has that of its arrival and says so."""
        tree = record.tree
        event: Event = {
            "event.dataset": "json.event",
            "event.category": ["host"],
            "event.type": ["info"],
        }
        stamp = _stamp(tree)
        instant = instant_or_none(stamp, self._context.zone_info) if isinstance(stamp, str) else None
        text = format_instant(instant) if instant is not None else date_text(stamp)
        event[TIMESTAMP] = text or format_instant(self._context.reference)
        if text is None:
            event["edusoc.time.fault"] = "missing"
        used = next((name for name in _TEXT_NAMES if isinstance(tree.get(name), str)), "")
        put(event, "message", tree.get(used))
        for name, value in flatten(tree):
            if name != used:
                extra(event, name, value)
        if self._context.keep_original:
            event["event.original"] = record.raw.decode("utf-8", "replace")
        return (event,)


_PARSERS: Final[Mapping[str, Callable[[ReadContext], JsonParser]]] = {
    "suricata": EveParser, "windows": WindowsParser, "zeek": lambda context: ZeekJsonParser("", context),
    "opencanary": OpenCanaryParser, "hfish": HFishParser, "ecs": EcsParser, "json": AnyParser,
}  # fmt: skip
