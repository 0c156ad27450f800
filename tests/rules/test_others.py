"""Try the rules on what other people recorded: request parameters and names. Skipped where the data is not there."""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from urllib.parse import quote_plus

from detectors.sigma import SigmaDetector
from soc_core.model.event import Event
from tests.rules.corpus import rule_set
from tests.shared_data import SHARED, needs

pytestmark = needs(SHARED)


def _request(number: int, parameter: str) -> Event:
    query = f"x={quote_plus(parameter)}"
    return {
        "event.id": str(number), "@timestamp": "2026-11-20T02:00:00.000000Z", "organization.id": "unit-1",
        "event.dataset": "web.access", "source.ip": "203.0.113.5", "http.request.method": "GET",
        "url.original": f"/a.php?{query}", "url.path": "/a.php", "url.query": query, "url.extension": "php",
        "http.response.status_code": 200,
    }  # fmt: skip


def test_request_parameters_of_others_are_told_apart() -> None:
    """Ordinary values raise nothing; most SQL injections are seen. The rest is left to detectors that count."""
    path = SHARED / "anomaly" / "http-params" / "payload_train.csv.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [(row["attack_type"], row["payload"]) for row in csv.DictReader(lines)][::4]
    found = SigmaDetector(rule_set()).detect(
        [_request(number, text) for number, (_, text) in enumerate(rows)]
    )
    hit = {int(item.evidence[0]) for item in found}
    assert [rows[number][1] for number in hit if rows[number][0] == "norm"] == []
    attacks = Counter(kind for kind, _ in rows)
    seen = Counter(rows[number][0] for number in hit)
    assert seen["sqli"] >= 0.85 * attacks["sqli"]


def test_popular_names_raise_only_what_they_are() -> None:
    """Of the most visited sites only those of the services themselves may show up, and no pool's web site is mining."""
    folder = SHARED / "anomaly" / "benign-domains"
    with gzip.open(folder / "china-domains.txt.gz", "rt", encoding="utf-8") as lines:
        names = [line.strip().rpartition(",")[2] for line in lines][::3]
    events: list[Event] = [
        {
            "event.id": name, "@timestamp": "2026-11-20T02:00:00.000000Z", "organization.id": "unit-1",
            "event.dataset": dataset, "source.ip": "192.168.20.15", "dns.type": "query", "dns.question.type": "A",
            field: name,
        }
        for name in names
        if name
        for dataset, field in (("packets.dns", "dns.question.name"), ("packets.tls", "tls.client.server_name"))
    ]  # fmt: skip
    found = SigmaDetector(rule_set()).detect(events)
    assert len(names) > 10_000
    assert {item.severity.value for item in found} <= {"low", "medium"}
    assert len({item.evidence[0] for item in found}) <= 10
