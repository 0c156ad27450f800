# ruff: noqa: E501  (tables of events and questions read better in long lines)
"""Load the store benchmark's events into a real Elasticsearch: ``python -m benchmarks.store_peer URL [--events N]``.

It is set up as someone who knows it would: an explicit mapping from the field dictionary (nothing dynamic), indices a
month, one shard and no replica, zstd for stored fields, each bulk request durable (``translog.durability: request``),
two connections. ``message`` is analysed text without norms and positions (what ``match_only_text`` is made of),
``event.original`` is stored only, as ECS has it; command lines are keywords, since substrings are looked for in them.
Prints what loading costs and keeps it beside the data for ``python -m benchmarks.store``.

``--day`` loads no further than that day in this run; a later run goes on where this one stopped.
"""

from __future__ import annotations

import argparse
import http.client
import json
import re
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import local
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from benchmarks._store_events import DAYS, Generator
from soc_core.fields import FIELDS
from soc_core.model.event import Event

CONNECTIONS: Final = 2
_TYPES: Final[dict[str, dict[str, Any]]] = {
    "keyword": {"type": "keyword", "ignore_above": 8_191},
    "text": {"type": "text", "norms": False, "index_options": "docs"},
    "long": {"type": "long", "ignore_malformed": True},
    "double": {"type": "double", "ignore_malformed": True},
    "boolean": {"type": "boolean"},
    "date": {"type": "date_nanos", "ignore_malformed": True},
    "ip": {"type": "ip", "ignore_malformed": True},
}
_COMMANDS: Final = frozenset({"process.command_line", "process.parent.command_line"})
_STORED: Final = {"type": "keyword", "index": False, "doc_values": False}


class PeerError(Exception):
    """Tell that Elasticsearch refused a request."""


@dataclass(slots=True)
class Loading:
    """Hold what loading cost: seconds of the machine's clock, of Elasticsearch's processor time, of the client's."""

    events: int = 0
    days: int = 0
    wall: float = 0.0
    cpu: float = 0.0
    own_cpu: float = 0.0
    client: float = 0.0


class Peer:
    """Talk to one Elasticsearch over kept connections."""

    def __init__(self, url: str, prefix: str, pid: int = 0) -> None:
        """Take address and index prefix; ``pid`` is the server's process where it can be seen from here."""
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 9200
        self.prefix, self._pid = prefix, pid
        self._local = local()

    def ask(self, method: str, path: str, body: bytes = b"", kind: str = "application/json") -> Any:
        """Return the decoded answer."""
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = http.client.HTTPConnection(
                self._host, self._port, timeout=600
            )
        try:
            connection.request(method, path, body or None, {"Content-Type": kind})
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):
            self._local.connection = None
            raise
        if answer.status >= 300:
            raise PeerError(f"{method} {path}: {answer.status} {content[:500]!r}")
        return orjson.loads(content) if content else None

    def search(self, indices: str, body: dict[str, Any], **options: str) -> Any:
        """Return the answer of a search; results are never taken from the server's cache of requests."""
        query = "&".join(f"{key}={value}" for key, value in {"request_cache": "false", **options}.items())
        return self.ask("POST", f"/{indices}/_search?{query}", orjson.dumps(body))

    def forget(self) -> None:
        """Drop what the server keeps of filters it was asked before: people ask of other values each time."""
        self.ask("POST", f"/{self.prefix}*/_cache/clear?query=true&request=true&fielddata=false")

    def make_template(self) -> None:
        """Set mapping and settings of all indices with our prefix."""
        settings = {
            "number_of_shards": 1, "number_of_replicas": 0, "codec": "best_compression", "refresh_interval": "30s",
            "translog.durability": "request", "mapping.total_fields.limit": 2_000,
        }  # fmt: skip
        body = {
            "index_patterns": [f"{self.prefix}*"],
            "priority": 900,
            "template": {
                "settings": {"index": settings},
                "mappings": {"dynamic": False, "subobjects": False, "properties": mapping()},
            },
        }
        self.ask("PUT", f"/_index_template/{self.prefix}template", orjson.dumps(body))

    def bulk(self, batch: Iterable[Event]) -> None:
        """Store a batch durably; raise ``PeerError`` when an event is refused."""
        lines: list[bytes] = []
        for event in batch:
            index = f"{self.prefix}{str(event['@timestamp'])[:7]}"
            lines.append(orjson.dumps({"create": {"_index": index, "_id": event["event.id"]}}))
            lines.append(orjson.dumps(event))
        answer = self.ask("POST", "/_bulk", b"\n".join(lines) + b"\n", "application/x-ndjson")
        wrong = [
            item["create"] for item in answer["items"] if item["create"]["status"] not in {201, 409}
        ] if answer["errors"] else []  # fmt: skip
        if wrong:
            raise PeerError(f"refused: {wrong[0]}")

    def processor_seconds(self) -> float:
        """Return the processor time the server has taken so far."""
        if self._pid:
            fields = Path(f"/proc/{self._pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
            return (int(fields[11]) + int(fields[12])) / 100
        nodes = self.ask("GET", "/_nodes/stats/process")["nodes"].values()
        return float(sum(node["process"]["cpu"]["total_in_millis"] for node in nodes)) / 1e3

    def busy(self) -> tuple[float, float]:
        """Return the seconds of work on our indices and on all of the server's, so that its time can be shared out."""
        ours = self.ask("GET", f"/{self.prefix}*/_stats/indexing,merge,refresh,flush,search")["_all"]["total"]
        nodes = self.ask("GET", "/_nodes/stats/indices/indexing,merge,refresh,flush,search")["nodes"].values()
        return _work(ours), sum(_work(node["indices"]) for node in nodes)

    def resident_mb(self) -> int:
        """Return the highest memory of the server's process in MB (0 where it can't be seen)."""
        if not self._pid:
            return 0
        status = Path(f"/proc/{self._pid}/status").read_text(encoding="utf-8")
        found = re.search(r"VmHWM:\s+(\d+)", status)
        return int(found.group(1)) // 1024 if found else 0

    def bytes_stored(self) -> int:
        """Return the bytes of our indices."""
        stats = self.ask("GET", f"/{self.prefix}*/_stats/store")
        return int(stats["_all"]["total"]["store"]["size_in_bytes"])

    def documents(self) -> int:
        """Return how many events are there."""
        self.ask("POST", f"/{self.prefix}*/_refresh")
        return int(self.ask("GET", f"/{self.prefix}*/_count")["count"])


def _work(stats: dict[str, dict[str, int]]) -> float:
    names = (
        ("indexing", "index_time_in_millis"), ("merges", "total_time_in_millis"), ("refresh", "total_time_in_millis"),
        ("flush", "total_time_in_millis"), ("search", "query_time_in_millis"), ("search", "fetch_time_in_millis"),
    )  # fmt: skip
    return sum(stats.get(part, {}).get(name, 0) for part, name in names) / 1e3


def mapping() -> dict[str, Any]:
    """Return the mapping of every field of the dictionary."""
    properties: dict[str, Any] = {}
    for name, field in FIELDS.items():
        kind = _TYPES["keyword"] if name in _COMMANDS else _TYPES[field.type]
        properties[name] = _STORED if name == "event.original" else kind
    return properties


def load(peer: Peer, generator: Generator, cost: Loading, until: int) -> None:
    """Load the days from ``cost.days`` up to ``until``, adding to ``cost``."""
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        for day in range(cost.days, until):
            batches = list(generator.day(day))
            server, client, (ours, all_work), begin = (
                peer.processor_seconds(), time.process_time(), peer.busy(), time.perf_counter(),
            )  # fmt: skip
            list(pool.map(peer.bulk, batches))
            cost.wall += time.perf_counter() - begin
            cost.client += time.process_time() - client
            spent = peer.processor_seconds() - server
            ours_after, all_after = peer.busy()
            cost.cpu += spent
            cost.own_cpu += spent * min(1.0, (ours_after - ours) / max(all_after - all_work, 1e-9))
            cost.events += sum(map(len, batches))
            cost.days = day + 1


def main() -> None:
    """Load and print what it cost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--day", type=int, default=DAYS)
    parser.add_argument("--prefix", default="edusoc-bench-")
    parser.add_argument("--pid", type=int, default=0)
    parser.add_argument("--cost", type=Path, default=Path("peer-cost.json"))
    parser.add_argument("--merge", action="store_true", help="merge each index into one segment at the end")
    arguments = parser.parse_args()
    peer = Peer(arguments.url, arguments.prefix, arguments.pid)
    known = arguments.cost.exists()
    cost = Loading(**json.loads(arguments.cost.read_text(encoding="utf-8"))) if known else Loading()
    peer.make_template()
    generator = Generator(arguments.events)
    while cost.days < arguments.day:
        load(peer, generator, cost, cost.days + 1)
        arguments.cost.write_text(json.dumps(asdict(cost)), encoding="utf-8")
        if cost.days % 10 == 0 or cost.days == arguments.day:
            print(
                f"day {cost.days}: {cost.events} events, {cost.events / cost.wall:.0f} events/s, processor "
                f"{cost.own_cpu / cost.events * 1e6:.0f} µs/event ({cost.cpu / cost.events * 1e6:.0f} with others' work), "
                f"client {cost.client / cost.events * 1e6:.0f} µs/event",
                flush=True,
            )
    if arguments.merge:
        peer.ask("POST", f"/{arguments.prefix}*/_forcemerge?max_num_segments=1")
    print(f"{peer.documents()} events, {peer.bytes_stored() / max(cost.events, 1):.1f} B/event")


if __name__ == "__main__":
    main()
