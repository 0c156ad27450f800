"""Hold that each example of ``docs/reference/query.md`` means what the page says, on both stores."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from soc_core.errors import UsageError
from soc_core.model.event import Event
from soc_core.query.evaluate import compile_query
from soc_core.query.language import parse_query
from soc_core.reasons import error_text
from soc_core.store.embedded import EmbeddedStore
from soc_core.store.interface import SYSTEM_SCOPE, EventReader, EventStore, Search
from soc_core.store.shape import shape
from tests.contract.elasticsearch_places import opener

PAGE: Final = (Path(__file__).parent.parent.parent / "docs" / "reference" / "query.md").read_text(
    encoding="utf-8"
)
ROW: Final = re.compile(r"\| `(.+?)` \| (.*) \|")
ROWS: Final = [
    (match[1].replace("\\|", "|"), match[2]) for match in map(ROW.fullmatch, PAGE.splitlines()) if match
]
ERRORS: Final = [(query, said) for query, said in ROWS if said.startswith("第 ")]
EXAMPLES: Final = [query for query, said in ROWS if not said.startswith("第 ")]
NOW: Final = datetime(2026, 11, 22, 4, tzinfo=UTC)


def _made(*others: Event) -> list[Event]:
    """Return one event for each example to find, and some that most of them do not."""
    return [
        {
            "@timestamp": f"2026-11-20T00:{number // 60:02d}:{number % 60:02d}.000000Z",
            "event.id": f"20261120-{number:026d}",
            "organization.id": "o1",
            "event.dataset": "tests.query",
            **event,
        }
        for number, event in enumerate(others)
    ]


EVENTS: Final = _made(
    {"message": "Mimikatz was here", "user.name": "root", "event.outcome": "failure"},
    {"message": "login failed", "user.name": "Admin", "destination.port": 22, "source.ip": "172.16.0.1"},
    {"message": "教务系统登录失败：张三（教师）", "user.name": "Li Si"},
    {"message": "from 192.168.1.10", "host.name": "pc-07"},
    {
        "source.ip": "192.168.1.10",
        "destination.ip": "10.1.2.3",
        "destination.port": 3389,
        "source.bytes": 2_000_000,
    },
    {
        "source.ip": "10.20.30.40",
        "destination.port": 443,
        "source.bytes": 10,
        "http.response.status_code": 404,
    },
    {"source.ip": "2001:db8::17", "dns.question.name": "www.school.example", "tls.established": True},
    {"process.command_line": "cmd /c WHOAMI /all", "edusoc.extra": ["vlan=20"]},
    {"process.command_line": "powershell Invoke-WebRequest", "user.name": "admin42"},
    {"event.created": "2026-11-19T20:00:00.000000Z", "file.path": r"C:\Windows\notepad.exe"},
    {"event.created": "2026-11-22T03:00:00.000000Z", "user.name": r"SCHOOL\admin"},
    {"user.name": "a*b", "url.original": "http://school.example/aXb"},
    {"user.name": 'a"b', "url.original": "http://school.example/a?b", "http.response.status_code": 200},
    {},
)


@pytest.fixture(scope="module")
def readers(elasticsearch_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[EventReader]]:
    embedded = EmbeddedStore(tmp_path_factory.mktemp("examples"), writer=True)
    with opener(elasticsearch_url) as opened:
        stores: list[EventStore] = [embedded, opened()]
        for store in stores:
            assert store.append(EVENTS).accepted == len(EVENTS)
        embedded.seal()
        yield list(stores)
    embedded.close()


def test_the_page_has_examples() -> None:
    assert len(EXAMPLES) > 45
    assert len(ERRORS) > 5


@pytest.mark.parametrize("text", EXAMPLES)
def test_an_example_finds_the_same_on_both_stores(readers: list[EventReader], text: str) -> None:
    query = parse_query(text, now=NOW)
    matches = compile_query(query)
    expected = [event for event in map(shape, EVENTS) if matches(event)]
    assert expected, "nothing to find"
    assert len(expected) < len(EVENTS) or text == "*", "nothing to leave out"
    for reader in readers:
        asked = Search(SYSTEM_SCOPE, NOW - timedelta(days=9), NOW, query, ascending=True)
        assert reader.search(asked).events == expected
        assert reader.count(asked) == len(expected)


@pytest.mark.parametrize(("text", "said"), ERRORS)
def test_what_is_not_understood_is_explained(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_query(text)
    assert error_text(caught.value, "zh") == said
