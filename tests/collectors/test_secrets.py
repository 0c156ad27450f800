"""No password that another sensor wrote down gets into an event, in whatever field."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from collectors.base import ReadContext
from collectors.opening import find_inputs
from collectors.reading import read_paths
from collectors.secrets import hide_passwords
from soc_core.model.event import Event

SECRET = "Geheim-1234"
EVE = {
    "timestamp": "2026-11-20T10:00:00.000000+0800",
    "src_ip": "10.0.0.9",
    "src_port": 40_000,
    "dest_ip": "10.0.0.1",
    "dest_port": 21,
    "proto": "TCP",
}
LINES = {
    "access.log": f'10.0.0.9 - - [20/Nov/2026:10:00:00 +0800] "GET /in?user=li&password={SECRET} HTTP/1.1" 200 5 '
    f'"http://h.example/a?pwd={SECRET}" "curl"\n',
    "ftp.json": json.dumps({**EVE, "event_type": "ftp", "ftp": {"command": "PASS", "command_data": SECRET}}),
    "http.json": json.dumps(
        {
            **EVE,
            "event_type": "http",
            "http": {
                "hostname": "h.example",
                "url": f"/a?user=li&password={SECRET}",
                "http_refer": f"http://h.example/?pwd={SECRET}",
                "authorization": f"Basic {SECRET}",
                "cookie": f"session={SECRET}",
            },
        }
    ),
    "snmp.json": json.dumps({**EVE, "event_type": "snmp", "snmp": {"version": 2, "community": SECRET}}),
    "http.log": "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\thttp\n"
    "#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tmethod\turi\tusername\tpassword\n"
    "#types\ttime\tstring\taddr\tport\taddr\tport\tstring\tstring\tstring\tstring\n"
    f"1700000000.1\tC1\t10.0.0.9\t1\t10.0.0.1\t80\tGET\t/a\tli\t{SECRET}\n",
}


@pytest.mark.parametrize("name", LINES)
def test_no_field_of_any_source_holds_it(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(LINES[name] + "\n", encoding="utf-8")
    context = ReadContext(datetime(2026, 11, 20, tzinfo=UTC))
    batches = read_paths(find_inputs([str(tmp_path)]), lambda source: context)
    [event] = [event for batch in batches for event in batch.events]
    assert SECRET not in repr(event)
    assert "***" in repr(event)
    assert "***" in str(event["event.original"])


def test_an_attack_in_a_password_field_stays() -> None:
    event: Event = {"url.query": "user=admin&password=' or 1=1 --", "event.original": "x"}
    before = dict(event)
    hide_passwords(event)
    assert event == before


@pytest.mark.parametrize(
    ("original", "kept"),
    [("user=li&pwd=a-long-one", "user=li&pwd=***"), ('{"url": "user=li\\u0026pwd=a-long-one"}', None)],
)
def test_what_can_not_be_hidden_in_the_original_takes_it_away(original: str, kept: str | None) -> None:
    event: Event = {"url.query": "user=li&pwd=a-long-one", "event.original": original}
    hide_passwords(event)
    assert event["url.query"] == "user=li&pwd=***"
    assert event.get("event.original") == kept


def test_a_short_secret_takes_the_original_away() -> None:
    event: Event = {"edusoc.extra": ["zeek.http.password=1", "zeek.http.x=1"], "event.original": "1 1 1"}
    hide_passwords(event)
    assert event == {"edusoc.extra": ["zeek.http.password=***", "zeek.http.x=1"]}


@pytest.mark.parametrize(
    "entry", ["snmp.community=public", "rdp.cookie=li", "zeek.ftp.password=<hidden>", "a=b"]
)
def test_what_is_no_secret_stays(entry: str) -> None:
    event: Event = {"edusoc.extra": [entry], "event.original": "x"}
    hide_passwords(event)
    assert event == {"edusoc.extra": [entry], "event.original": "x"}
