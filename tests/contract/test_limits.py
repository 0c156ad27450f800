"""Hold that no question takes a store down: hostile ones are answered within their bounds, or refused in words.

Nothing is timed: a clock that the test moves says when a question has had its time, and what was judged is counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Final

import pytest

from soc_core.errors import StoreError, UsageError
from soc_core.model.event import Event
from soc_core.query.language import MAX_LENGTH, parse_query
from soc_core.query.tree import Everything, Not, Query, Regex, SameAs, Text, TimePart
from soc_core.store import budget, counting
from soc_core.store.elasticsearch.store import ElasticsearchStore
from soc_core.store.embedded import EmbeddedStore
from soc_core.store.interface import Aggregation, Search
from tests.contract.elasticsearch_places import opener
from tests.contract.samples import make, question

EVENTS: Final = 6_000
SECONDS: Final = 20.0
NOBODY: Final = SameAs("source.ip", "destination.ip")
"""A question that only the evaluator answers: every event that has both is a candidate."""
Store = EmbeddedStore | ElasticsearchStore


@pytest.fixture(scope="module", params=["embedded", "elasticsearch"])
def full(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Return a store whose events are all candidates of ``NOBODY`` and none matches."""
    if request.param == "elasticsearch":
        with opener(request.getfixturevalue("elasticsearch_url")) as opened:
            yield _filled(opened())
        return
    store = EmbeddedStore(tmp_path_factory.mktemp("limits"), writer=True)
    yield _filled(store)
    store.close()


def _filled(store: Store) -> Store:
    for start in range(0, EVENTS, 2_000):
        store.append([_event(number) for number in range(start, start + 2_000)])
    store.seal()
    return store


def _event(number: int) -> Event:
    return make(number) | {
        "destination.ip": "192.0.2.1",
        "process.command_line": f"cmd /c {'a' * 200} {number}",
    }


@pytest.fixture
def store(full: Store) -> Iterator[Store]:
    """Return the store with questions bounded in time, by a clock that stands still."""
    full.bound_questions(SECONDS)
    _set_clock(full, lambda: 0.0)
    yield full
    full.bound_questions(budget.UNBOUNDED)


def _set_clock(store: Store, clock: Callable[[], float]) -> None:
    holder = store if isinstance(store, EmbeddedStore) else store._asker
    holder.clock = clock


def _set_ticking(store: Store, seconds: float) -> None:
    """Let each look at the clock take some seconds."""
    ticks = count()
    _set_clock(store, lambda: next(ticks) * seconds)


def test_a_question_that_is_judged_in_python_ends_and_goes_on(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "MOST_EXAMINED", 3_000)
    asked = question(query=NOBODY, limit=10)
    pages = 0
    while True:
        page = store.search(asked)
        pages += 1
        assert page.events == []
        if not page.cursor:
            break
        assert page.partial.startswith("only ")
        asked = replace(asked, cursor=page.cursor)
    assert page.partial == ""
    assert 2 <= pages <= EVENTS // 3_000 + 1
    with pytest.raises(StoreError, match="too long"):
        store.count(asked)
    found = store.aggregate(asked, Aggregation("terms", "source.ip"))
    assert (found.buckets, found.exact) == ([], False)
    assert found.partial.startswith("only ")


def test_what_was_found_before_time_was_up_is_shown(store: Store) -> None:
    rare = Not(
        Regex("message", r"(?=record \d*[1-9]).|\b(?=x)")
    )  # look-around: Python's engine alone knows it
    whole = store.search(question(query=rare, limit=3_000))
    _set_ticking(store, 6.0)
    found: list[Event] = []
    asked = question(query=rare, limit=3_000)
    while True:
        page = store.search(asked)
        found += page.events
        asked = replace(asked, cursor=page.cursor)
        if not page.cursor:
            break
    assert found == whole.events


def test_a_question_without_any_time_is_given_up(store: Store) -> None:
    _set_ticking(store, 2 * SECONDS)
    try:
        page = store.search(question(query=NOBODY))
    except StoreError as error:
        assert "too long" in error.what  # noqa: PT017 both answers are right
    else:
        assert page.partial
        assert page.cursor


YEAR: Final = Search(question().scope, datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 12, 31, tzinfo=UTC))


@pytest.mark.parametrize(
    "asked",
    [
        Aggregation("histogram", interval_seconds=1),
        Aggregation("terms", "source.ip", size=10**6),
        Aggregation("terms", "no.such"),
    ],
)
def test_answers_without_bounds_are_refused(store: Store, asked: Aggregation) -> None:
    with pytest.raises(UsageError):
        store.aggregate(YEAR, asked)


def test_values_held_while_counting_are_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "MOST_KEYS", 100)
    asked = question(query=Not(NOBODY))
    with pytest.raises(StoreError, match="memory"):
        store.aggregate(asked, Aggregation("distinct", "process.command_line"))


HOSTILE: Final = (
    *(
        "*a*",
        "*:*a*",
        "process.command_line:*a*a*a*a*a*a*a*a*b",
        "process.command_line:a??????????????????????????b",
    ),
    *(
        "process.command_line:/(a|aa)+$/",
        "process.command_line:/(.*)(.*)(.*)(.*)x/",
        "message:/(((a{30}){30}))/",
    ),
    *("process.command_line:/a.{90}.{90}b/", "process.command_line:/^(([a-z])+.)+[A-Z]([a-z])+$/"),
    " ".join(f"x{n}" for n in range(20)),
    "process.command_line:(" + " OR ".join(f"*x{n}*" for n in range(290)) + ")",
    "(" * 49 + "message:x" + ")" * 49,
    "NOT (" * 49 + "message:x" + ")" * 49,
    "".join(f"(user.name:a{n} OR NOT (message:b{n} AND " for n in range(24)) + "host.name:x" + "))" * 24,
    "source.ip:[0.0.0.1 TO 255.255.255.254] OR source.ip:[::1 TO ffff::1]",
)


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:40])
def test_hostile_questions_are_answered_or_refused(store: Store, text: str) -> None:
    _set_clock(store, time.monotonic)
    query = parse_query(text)
    for asked in (query, Not(query)):
        page = store.search(question(query=asked, limit=5))
        assert len(page.events) <= 5
        found = store.aggregate(question(query=asked), Aggregation("distinct", "process.command_line"))
        assert 0 <= int(found.buckets[0].count) <= EVENTS


@pytest.mark.parametrize(
    "text",
    [
        "a" * 10_000,
        "user.name:/(?=a)b/",
        "a " * 21,
        "(" * 60 + "a" + ")" * 60,
        "user.name:" + "*a" * 40,
        "*.ip:1 " * 40,
    ],
    ids=lambda text: text[:20],
)
def test_what_a_person_can_not_mean_is_refused_before_it_is_asked(text: str) -> None:
    assert len(text) <= MAX_LENGTH or text == "a" * 10_000
    with pytest.raises(UsageError):
        parse_query(text)


@pytest.mark.parametrize(
    "query", [Everything(), TimePart("@timestamp", "hour", 0, 0), Text("", "contains", "zzz")]
)
def test_ordinary_questions_are_whole(store: Store, query: Query) -> None:
    page = store.search(question(query=query, limit=2))
    assert page.partial == ""
    assert store.count(question(query=Everything())) == EVENTS
    shape = Aggregation("histogram", interval_seconds=int(timedelta(days=1).total_seconds()))
    assert store.aggregate(question(query=query), shape).partial == ""
