"""The mappings that come with the program name our events and fields rightly."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from collectors.windows_mapping import dataset_of
from collectors.zeek_tables import COMMON, TABLES
from detectors.sigma.mapping import bundled_mappings, bundled_rules, load_mappings
from detectors.sigma.model import LogSource
from soc_core.errors import UsageError
from soc_core.fields import FIELDS
from soc_core.query.evaluate import compile_query

FOLDER = bundled_rules() / "mappings"


def means(source: LogSource, **event: str) -> bool:
    query = bundled_mappings().route(source).events
    return compile_query(query)({name.replace("__", "."): value for name, value in event.items()})


def test_every_field_is_in_the_dictionary_or_a_named_extra() -> None:
    for entry in bundled_mappings().entries:
        for table in entry.tables:
            for name, fields in table.fields.items():
                for field in fields:
                    assert field in FIELDS or field.startswith(("winlog.event_data.", "auditd.log.")), (
                        name,
                        field,
                    )


def test_zeek_columns_are_those_of_the_collector() -> None:
    for log, columns in TABLES.items():
        route = bundled_mappings().route(LogSource("zeek", service=log))
        for column, field in {**COMMON, **columns}.items():
            if column in columns or column not in COMMON:
                assert route.field(column).fields == (field,), (log, column)
        assert route.field("nonsense").fields == (f"zeek.{log}.nonsense",)


def test_services_of_windows_are_the_channels_named_beside_them() -> None:
    text = (FOLDER / "windows.yml").read_text(encoding="utf-8")
    rows = re.findall(r"\{product: windows, service: ([\w-]+)\}\s+# (.+)", text)
    assert len(rows) > 30
    for service, channels in rows:
        for channel in channels.split(", "):
            dataset = f"windows.{dataset_of(channel, '')}"
            assert means(LogSource("windows", service=service), event__dataset=dataset), (service, channel)


@pytest.mark.parametrize(
    ("source", "event", "expected"),
    [
        (LogSource("windows", "process_creation"), ("windows.sysmon", "1"), True),
        (LogSource("windows", "process_creation"), ("windows.security", "4688"), True),
        (LogSource("windows", "process_creation"), ("windows.sysmon", "2"), False),
        (LogSource("", "process_creation"), ("windows.sysmon", "1"), True),
        (LogSource("windows", "ps_script"), ("windows.powershell", "4104"), True),
        (LogSource("windows", service="security"), ("windows.security", "4625"), True),
        (LogSource("windows", service="security"), ("windows.system", "4625"), False),
        (LogSource("windows", "process_creation", "sysmon"), ("windows.sysmon", "1"), True),
        (LogSource("", "dns"), ("packets.dns", ""), True),
        (LogSource("", "dns"), ("zeek.dns", ""), True),
        (LogSource("zeek", service="dns"), ("packets.dns", ""), False),
        (LogSource("", "webserver"), ("web.access", ""), True),
        (LogSource("suricata"), ("suricata.anything", ""), True),
        (LogSource("linux", service="auth"), ("syslog.auth", ""), True),
        (LogSource("linux"), ("syslog.log", ""), True),
        (LogSource("aws", service="cloudtrail"), ("aws.cloudtrail", ""), True),
        (LogSource("aws", service="cloudtrail"), ("web.access", ""), False),
    ],
)
def test_log_source_means_these_events(source: LogSource, event: tuple[str, str], expected: bool) -> None:
    assert means(source, event__dataset=event[0], event__code=event[1]) is expected


@pytest.mark.parametrize(
    ("source", "name", "fields", "delivered"),
    [
        (LogSource("windows", "process_creation"), "CommandLine", ("process.command_line",), True),
        (
            LogSource("windows", "process_creation"),
            "IntegrityLevel",
            ("winlog.event_data.IntegrityLevel",),
            True,
        ),
        (
            LogSource("windows", service="security"),
            "TargetUserName",
            ("winlog.event_data.TargetUserName",),
            True,
        ),
        (LogSource("windows", service="security"), "Some Name", ("winlog.event_data.Some Name",), True),
        (LogSource("windows", service="security"), "user.name", ("user.name",), True),
        (LogSource("", "dns"), "query", ("dns.question.name",), True),
        (LogSource("", "dns"), "nonsense", ("nonsense",), False),
        (LogSource("", "webserver"), "cs-uri-query", ("url.original",), True),
    ],
)
def test_field_stands_here(source: LogSource, name: str, fields: tuple[str, ...], delivered: bool) -> None:
    use = bundled_mappings().route(source).field(name)
    assert (use.fields, use.delivered) == (fields, delivered)


def test_delivered_tells_who_is_blind() -> None:
    route = bundled_mappings().route
    assert route(LogSource("windows", "process_creation")).delivered
    assert route(LogSource("linux", "process_creation")).delivered
    assert route(LogSource("linux", service="auditd")).field("type").fields == ("edusoc.auditd.types",)
    assert not route(LogSource("aws", service="cloudtrail")).delivered


@pytest.mark.parametrize(
    "text",
    [
        "logsources: [{match: {colour: red}, events: [{event.code: '1'}]}]",
        "logsources: [{match: {}, events: [{event.code: '1'}]}]",
        "logsources: [{match: {product: x}, events: [{no.such: '1'}]}]",
        "logsources: [{match: {product: x}, events: [{event.code: '1'}], tables: [none]}]",
        "logsources: 5",
        "a: [",
        "",
    ],
)
def test_wrong_mapping_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.yml").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=r"bad\.yml"):
        load_mappings(tmp_path)
