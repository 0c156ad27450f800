"""Compare stream and history: ``python -m benchmarks.sigma_paths [--elasticsearch URL] [--rules N]``.

All of SigmaHQ's rules and our own judge all events of the shared test data (EVTX samples, regression events) and our
samples: by the matcher as they arrive, rule by rule by the stores' answers, and by retro-hunts of many rules. The
embedded store is asked with its events in the log and sealed, Elasticsearch if there is an address. Prints what was
compared and every difference; exits with 1 when there is one.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import _sigma_paths as paths
from benchmarks._sigma_paths import Compared
from detectors.sigma import SigmaRule, load_rules
from detectors.sigma.mapping import bundled_rules
from soc_core.config import Settings
from soc_core.model.event import Event
from soc_core.store.elasticsearch.client import connect
from soc_core.store.elasticsearch.store import ElasticsearchStore
from soc_core.store.embedded import EmbeddedStore
from soc_core.store.interface import EventStore
from tests.contract.elasticsearch_places import clean


@contextlib.contextmanager
def elasticsearch(url: str) -> Iterator[EventStore]:
    """Open a store with a new prefix, and remove all that is named by it at the end."""
    settings = Settings(
        elasticsearch_url=url, elasticsearch_prefix=f"paths-{uuid.uuid4().hex[:8]}", elasticsearch_replicas=0
    )
    store = ElasticsearchStore.at(settings, writer=True)
    try:
        yield store
    finally:
        store.close()
        client = connect(settings)
        clean(client, settings.elasticsearch_prefix)
        client.close()


@dataclass(frozen=True, slots=True)
class Judged:
    """Hold all rules, those that stores are asked one by one, and what the stream found."""

    rules: Sequence[SigmaRule]
    alone: Sequence[SigmaRule]
    expected: paths.Fired


def compare(compared: Compared, way: str, store: EventStore, judged: Judged) -> None:
    """Ask a store rule by rule and by a hunt of all rules; compare with the stream."""
    rules, expected = judged.rules, judged.expected
    begin = time.perf_counter()
    answers = {rule.id: paths.by_question(store, rule) for rule in judged.alone}
    compared.add(f"{way}, asked", judged.alone, answers, expected)
    middle = time.perf_counter()
    compared.add(f"{way}, hunted", rules, paths.events_of(paths.by_hunt(store, rules)), expected)
    end = time.perf_counter()
    print(
        f"{way:22} rule by rule {middle - begin:6.1f} s, one hunt {end - middle:6.1f} s, "
        f"{len(compared.differences)} differences so far",
        flush=True,
    )


def events_and_rules(place: Path, most: int) -> tuple[list[Event], list[SigmaRule]]:
    """Return all events, and all rules (or ``most`` of SigmaHQ's, by chance, beside ours)."""
    events = [
        event
        for name in ("evtx-attack-samples", "regression")
        for event in paths.read_events(paths.unpacked(name, place))
    ]
    events += paths.sample_events(bundled_rules())
    ours = list(paths.own_rules().rules)
    taken = {rule.id for rule in ours}
    theirs = [
        rule for rule in load_rules([paths.unpacked("sigmahq-rules", place)]).rules if rule.id not in taken
    ]
    if most:
        theirs = random.Random(6).sample(theirs, min(most, len(theirs)))
    return events, [*ours, *theirs]


def show(compared: Compared) -> None:
    """Print the outcome."""
    for one in compared.differences[:50]:
        print(
            f"{one.way}: {one.rule.id} {one.rule.head.title}: {len(one.missing)} missing {sorted(one.missing)[:3]}, "
            f"{len(one.more)} more {sorted(one.more)[:3]}"
        )
    print(
        f"{compared.questions} answers about {compared.matches} matches compared with the stream: "
        f"{len(compared.differences)} differ"
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--elasticsearch", default="", metavar="URL")
    parser.add_argument(
        "--alone", type=int, default=0, metavar="N", help="ask so many of all rules one by one"
    )
    parser.add_argument("--only-elasticsearch", action="store_true")
    parser.add_argument(
        "--rules", type=int, default=0, metavar="N", help="so many of SigmaHQ's rules, by chance"
    )
    arguments = parser.parse_args()
    compared = Compared()
    with tempfile.TemporaryDirectory() as temporary, contextlib.ExitStack() as stack:
        place = Path(temporary)
        events, rules = events_and_rules(place, arguments.rules)
        print(f"{len(rules)} rules, {len(events)} events", flush=True)
        embedded = EmbeddedStore(place / "events", writer=True)
        stack.callback(embedded.close)
        paths.fill(embedded, events)
        expected = paths.by_stream(embedded, rules)
        print(
            f"the stream: {len(expected)} rules fire, {sum(map(len, expected.values()))} matches", flush=True
        )
        alone = random.Random(7).sample(rules, min(arguments.alone or len(rules), len(rules)))
        judged = Judged(rules, alone, expected)
        if not arguments.only_elasticsearch:
            compare(compared, "embedded, in the log", embedded, judged)
            embedded.seal()
            compare(compared, "embedded, sealed", embedded, judged)
        if arguments.elasticsearch:
            other = stack.enter_context(elasticsearch(arguments.elasticsearch))
            other.bound_questions(threading.TIMEOUT_MAX)
            paths.fill(other, events)
            if paths.by_stream(other, rules) != expected:
                print("the streams differ")
                return 1
            compare(compared, "Elasticsearch", other, judged)
    show(compared)
    return 1 if compared.differences else 0


if __name__ == "__main__":
    sys.exit(main())
