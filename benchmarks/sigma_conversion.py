"""Ask every converted rule of a real Elasticsearch and of DuckDB, and compare with the matcher's verdicts.

Events: all EVTX of the shared data, all samples of our own rules, and for each rule events made from it
(``_sigma_witnesses``). They go into one index by our own templates, and through our own export. Each rule is asked as
query DSL, as Lucene's line (which Kibana's rules hold) and as SQL. Prints JSON; ``--report FILE`` renews the table of
docs/reference/sigma-conversion.md.

Run: ``python -m benchmarks.sigma_conversion --elasticsearch http://127.0.0.1:9209 [--rules N]``
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks._sigma_paths import BEGIN, END, Fired, fill, placed, read_events, sample_events, unpacked
from benchmarks._sigma_witnesses import witnesses
from detectors.sigma import SigmaRule, load_rules, to_query
from detectors.sigma.conversion.elasticsearch import to_elasticsearch
from detectors.sigma.conversion.sql import preamble, to_sql
from detectors.sigma.mapping import bundled_rules
from detectors.sigma.matcher import Matcher
from soc_core.config import Settings
from soc_core.model.detection import Reason
from soc_core.model.event import EVENT_ID, Event
from soc_core.store.elasticsearch.client import connect
from soc_core.store.elasticsearch.documents import Document, open_line
from soc_core.store.elasticsearch.store import ElasticsearchStore
from soc_core.store.elasticsearch.templates import IGNORED, component_name
from soc_core.store.embedded import EmbeddedStore
from soc_core.store.exporting import export_events
from soc_core.store.interface import SYSTEM_SCOPE, Search
from soc_core.store.shape import shape

WAYS: Final = ("dsl", "lucene", "sql")
MOST_HITS: Final = 10_000
BATCH: Final = 20
CHUNK: Final = 1_000
PATIENCE: Final = 300
"""Seconds that a request may take."""
REPORT: Final = "docs/reference/sigma-conversion.md"
Ids = frozenset[str]
Found = frozenset[str] | str
"""The ids that were found, or why the question was refused."""
_BEGUN: Final = time.monotonic()
_MARKS: Final = ("<!-- measured -->", "<!-- /measured -->")


@dataclass(slots=True)
class Way:
    """Count what became of the rules on one way: why they aren't exact, and what they found wrongly."""

    exact: int = 0
    agreed: int = 0
    compared: int = 0
    inexact: Counter[str] = field(default_factory=Counter)
    differences: list[dict[str, object]] = field(default_factory=list)

    def add(self, rule: SigmaRule, reasons: Sequence[Reason], got: Found, wanted: Ids, long: Ids) -> None:
        """Compare one rule; ``got`` is a text where the other side refused, ``long`` are events it knows in part."""
        self.compared += 1
        kinds = sorted({reason.key.rpartition(".")[2] for reason in reasons})
        self.exact += not kinds
        self.inexact.update(["+".join(kinds)] if kinds else [])
        if got == wanted:
            self.agreed += 1
            return
        row: dict[str, object] = {"rule": rule.id, "title": rule.head.title, "reasons": kinds}
        if isinstance(got, str):
            self.differences.append({**row, "refused": got})
            return
        missing, more = wanted - got, got - wanted
        cause = (
            "ignore_above"
            if (missing | more) <= long
            else "approximate"
            if kinds and not missing - long
            else "?"
        )
        self.differences.append({**row, "missing": len(missing), "more": len(more), "cause": cause})

    def said(self) -> dict[str, object]:
        """Return the counts."""
        causes = Counter(str(row.get("cause", "refused")) for row in self.differences)
        return {
            "compared": self.compared,
            "exact": self.exact,
            "agreed": self.agreed,
            "inexact": dict(self.inexact.most_common()),
            "differences": dict(causes.most_common()),
        }


def all_events(rules: Sequence[SigmaRule], folder: Path, *, recorded: bool) -> list[Event]:
    """Return recorded events, samples and witnesses, in the shape in which the pipeline reads them from a store."""
    found: dict[str, Event] = {}
    if recorded:
        for name in ("evtx-attack-samples", "regression"):
            for event in read_events(unpacked(name, folder)):
                found[str(event[EVENT_ID])] = event
    made = [event for rule in rules for event in witnesses(rule, 1)]
    for event in [*sample_events(bundled_rules()), *placed(made)]:
        found[str(event[EVENT_ID])] = event
    return [shape(event) for event in found.values()]


def by_matcher(events: Sequence[Event], rules: Sequence[SigmaRule]) -> Fired:
    """Return on which events each rule fires."""
    matcher, found = Matcher(rules), {rule.id: set[str]() for rule in rules}
    for event in events:
        for rule in matcher.match(event):
            found[rule.id].add(str(event[EVENT_ID]))
    return {name: frozenset(ids) for name, ids in found.items()}


def put_documents(store: ElasticsearchStore, events: Sequence[Event]) -> str:
    """Store the events as the writer would, but in one index: a shard for each data set would cost hours; return it."""
    index = f"{store.place.prefix}-events-all"
    client = store.place.client.options(request_timeout=PATIENCE)
    for at in range(0, len(events), CHUNK):
        body: list[Mapping[str, Any]] = []
        for number, event in enumerate(events[at : at + CHUNK], at):
            document = Document(str(event[EVENT_ID]), index, open_line(event)[0], number, number)
            body += [{"create": {"_id": document.id}}, json.loads(document.line(1))]
        answer = client.bulk(index=index, operations=body)
        assert not answer["errors"], next(item for item in answer["items"] if item["create"]["status"] > 299)
    client.indices.refresh(index=index)
    return index


def ask_elasticsearch(
    store: ElasticsearchStore, index: str, questions: Sequence[Mapping[str, Any]]
) -> Iterator[Found]:
    """Yield for each question the ids it finds, or why it was refused."""
    client = store.place.client.options(request_timeout=PATIENCE)
    for at in range(0, len(questions), BATCH):
        body: list[Mapping[str, Any]] = []
        for question in questions[at : at + BATCH]:
            body += [{"index": index}, {"query": question, "size": MOST_HITS, "_source": False}]
        for answer in client.msearch(searches=body, max_concurrent_searches=2)["responses"]:
            if "error" in answer:
                yield json.dumps(answer["error"])[:300]
            else:
                yield frozenset(str(hit["_id"]) for hit in answer["hits"]["hits"])


def ask_duckdb(folder: Path, questions: Sequence[tuple[str, frozenset[str]]]) -> Iterator[Found]:
    """Yield for each condition the ids it finds, or why it was refused."""
    import duckdb

    connection = duckdb.connect()
    fields = frozenset[str]().union(*(names for _, names in questions))
    connection.execute(preamble(fields, str(folder)))
    connection.execute("CREATE TEMP TABLE held AS SELECT * FROM events")
    for condition, _ in questions:
        try:
            rows = connection.execute(f'SELECT "{EVENT_ID}" FROM held WHERE {condition}').fetchall()
            yield frozenset(str(row[0]) for row in rows)
        except duckdb.Error as error:
            yield str(error)[:300]


def _long(store: ElasticsearchStore, index: str) -> Ids:
    """Return the ids of events of which Elasticsearch left a text out of its index."""
    (found,) = ask_elasticsearch(store, index, [{"exists": {"field": IGNORED}}])
    return found if isinstance(found, frozenset) else frozenset()


@dataclass(slots=True)
class Compared:
    """Hold how many events there were, on how many rules fired how often, and what each way made of the rules."""

    events: int
    fired: int
    matches: int
    ways: dict[str, Way] = field(default_factory=lambda: {name: Way() for name in WAYS})


def compare(url: str, rules: Sequence[SigmaRule], folder: Path, *, recorded: bool = True) -> Compared:
    """Return what each way made of the rules."""
    prefix = f"conversion-{uuid.uuid4().hex[:8]}"
    settings = Settings(elasticsearch_url=url, elasticsearch_prefix=prefix, elasticsearch_replicas=0)
    store = ElasticsearchStore.at(settings, writer=True)
    try:
        events = all_events(rules, folder, recorded=recorded)
        _tell(f"{len(events)} events")
        index = put_documents(store, events)
        _export(events, folder)
        _tell("stored and exported")
        wanted = by_matcher(events, rules)
        asked = [to_elasticsearch(to_query(rule)) for rule in rules]
        selected = [to_sql(to_query(rule)) for rule in rules]
        long = _long(store, index)
        _tell("converted")
        ways: dict[str, tuple[Sequence[Any], Iterator[Found]]] = {
            "dsl": (
                asked,
                ask_elasticsearch(store, index, [{"bool": {"filter": [one.body]}} for one in asked]),
            ),
            "lucene": (asked, ask_elasticsearch(store, index, [_kibana(one.lucene) for one in asked])),
            "sql": (
                selected,
                ask_duckdb(folder / "export", [(one.condition, one.fields) for one in selected]),
            ),
        }
        found = Compared(len(events), sum(map(bool, wanted.values())), sum(map(len, wanted.values())))
        for name, (made, answers) in ways.items():
            known_in_part = long if name != "sql" else frozenset[str]()
            for rule, one, got in zip(rules, made, answers, strict=True):
                found.ways[name].add(rule, one.reasons, got, wanted[rule.id], known_in_part)
            _tell(f"asked: {name}")
        return found
    finally:
        store.close()
        remove(url, prefix)


def _export(events: Sequence[Event], folder: Path) -> None:
    store = EmbeddedStore(folder / "events", writer=True)
    try:
        fill(store, events)
        export_events(store, Search(SYSTEM_SCOPE, BEGIN, END), folder / "export", {})
    finally:
        store.close()


def _tell(what: str) -> None:
    print(f"{time.process_time():.0f} s CPU, {time.monotonic() - _BEGUN:.0f} s: {what}", file=sys.stderr)


def _kibana(line: str) -> dict[str, Any]:
    """Return the question that Kibana makes of Lucene's line (its setting query:queryString:options)."""
    return {"bool": {"filter": [{"query_string": {"query": line, "analyze_wildcard": True}}]}}


def remove(url: str, prefix: str) -> None:
    """Remove what was made under a prefix."""
    client = connect(Settings(elasticsearch_url=url))
    names = list(client.indices.get(index=f"{prefix}-*", filter_path="*.settings.index.uuid").body)
    for at in range(0, len(names), BATCH):
        client.indices.delete(index=names[at : at + BATCH])
    name = component_name(prefix)
    client.options(ignore_status=404).indices.delete_index_template(name=name)
    client.options(ignore_status=404).cluster.delete_component_template(name=name)
    client.close()


def main() -> None:
    """Compare all rules, SigmaHQ's and ours, and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--elasticsearch", default="http://127.0.0.1:9209")
    parser.add_argument("--rules", type=int, default=0, help="only so many rules (0: all)")
    parser.add_argument("--report", type=Path, help=f"renew the figures in this file ({REPORT})")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        rules = load_rules([unpacked("sigmahq-rules", folder), bundled_rules()]).rules
        chosen = rules[:: len(rules) // given.rules] if given.rules else rules
        found = compare(given.elasticsearch, chosen, folder)
    result = {
        "rules": len(chosen),
        "events": found.events,
        "rules that fire": found.fired,
        "matches": found.matches,
        "ways": {name: way.said() for name, way in found.ways.items()},
        "list": {name: way.differences for name, way in found.ways.items()},
    }
    print(json.dumps(result, indent=1, ensure_ascii=False))
    if given.report is not None:
        text = given.report.read_text(encoding="utf-8")
        before, after = text.partition(_MARKS[0])[0], text.partition(_MARKS[1])[2]
        given.report.write_text(f"{before}{_MARKS[0]}\n{table(result)}\n{_MARKS[1]}{after}", encoding="utf-8")


def table(result: Mapping[str, Any]) -> str:
    """Return the figures as a table for people."""
    lines = [
        f"{result['rules']} 条规则 rules, {result['events']} 条日志记录 events,"
        f" {result['rules that fire']} 条规则命中 rules fired, {result['matches']} 次 times",
        "",
        "| 转换 target | 准确 exact | 不准确的原因 why not | 与引擎相同 same as the engine | 不同 different |",
        "|---|---|---|---|---|",
    ]
    for name, way in result["ways"].items():
        why, differences = _counts(way["inexact"]), _counts(way["differences"])
        lines.append(f"| {name} | {way['exact']} | {why} | {way['agreed']} | {differences} |")
    return "\n".join(lines)


def _counts(found: Mapping[str, int]) -> str:
    return ", ".join(f"`{name}` {count}" for name, count in found.items()) or "–"


if __name__ == "__main__":
    main()
