"""Hold what other Sigma engines get wrong: each trap where they fell in, and what must not follow from avoiding it.

What was seen of them: ``?`` lost inside ``endswith``; ``windash`` that knows one direction; ``not`` that loses events
without the field; regular expressions taken for whole values; ``hour`` dropped; ``fieldref`` and placeholders not done;
``CommandLine`` told apart by case; distinct values counted the wrong way round.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from soc_core.model.event import Event
from tests.detectors.sigma.base import WINDOWS, fires, load_text, rule_of, rule_text, say
from tests.detectors.sigma.reference import Rule
from tests.detectors.sigma.test_correlation import detector_of, event, judge

SYSMON: Event = {"event.dataset": "windows.sysmon", "event.code": "1"}
COMMAND = "process.command_line"


def command(text: str, **more: str) -> Event:
    return {**SYSMON, COMMAND: text, **more}


@pytest.mark.parametrize(
    ("detection", "fields", "expected"),
    [
        # ? is one letter wherever it stands
        (r"s: {Image|endswith: '\a?.exe'}", {"process.executable": r"C:\x\ab.exe"}, True),
        (r"s: {Image|endswith: '\a?.exe'}", {"process.executable": r"C:\x\a.exe"}, False),
        (r"s: {Image|endswith: '\a?.exe'}", {"process.executable": r"C:\x\abc.exe"}, False),
        (r"s: {Image|endswith: '\a\?.exe'}", {"process.executable": r"C:\x\ab.exe"}, False),
        # windash works from either side
        ("s: {CommandLine|contains|windash: ' -enc'}", {COMMAND: "p /enc"}, True),
        ("s: {CommandLine|contains|windash: ' /enc'}", {COMMAND: "p -enc"}, True),
        ("s: {CommandLine|contains|windash: ' /enc'}", {COMMAND: "p \u2015enc"}, True),
        ("s: {CommandLine|contains|windash: 'a/b'}", {COMMAND: "a-b"}, False),
        # a filter on a field that an event lacks doesn't stop the rule
        ("s: {CommandLine|contains: x}\nf: {ParentImage|endswith: y}", {COMMAND: "x"}, True),
        (
            "s: {CommandLine|contains: x}\nf: {ParentImage|endswith: y}",
            {COMMAND: "x", "process.parent.executable": "xy"},
            False,
        ),
        # expressions are looked for anywhere, unless they say where
        ("s: {CommandLine|re: 'b[0-9]'}", {COMMAND: "a b1 c"}, True),
        ("s: {CommandLine|re: '^b[0-9]$'}", {COMMAND: "a b1 c"}, False),
        ("s: {CommandLine|re: '^b[0-9]$'}", {COMMAND: "b1"}, True),
        ("s: {CommandLine|re: 'B[0-9]'}", {COMMAND: "a b1 c"}, False),
        # a part of a time is not forgotten
        ("s: {'@timestamp|hour': 3}", {"@timestamp": "2026-11-24T03:59:59.000000Z"}, True),
        ("s: {'@timestamp|hour': 3}", {"@timestamp": "2026-11-24T04:00:00.000000Z"}, False),
        # one field against another, case aside
        (
            "s: {Image|fieldref: ParentImage}",
            {"process.executable": r"C:\A.exe", "process.parent.executable": r"c:\a.EXE"},
            True,
        ),
        (
            "s: {Image|fieldref: ParentImage}",
            {"process.executable": r"C:\A.exe", "process.parent.executable": r"c:\b.EXE"},
            False,
        ),
        ("s: {Image|fieldref: ParentImage}", {"process.executable": r"C:\A.exe"}, False),
        # no case in command lines, unless asked for
        ("s: {CommandLine|contains: Invoke-Mimikatz}", {COMMAND: "INVOKE-mimikatz"}, True),
        ("s: {CommandLine|contains|cased: Invoke-Mimikatz}", {COMMAND: "INVOKE-mimikatz"}, False),
        # long command lines are not cut
        ("s: {CommandLine|endswith: needle}", {COMMAND: "x" * 40_000 + "needle"}, True),
    ],
)
def test_traps(tmp_path: Path, detection: str, fields: Event, expected: bool) -> None:
    filtered = " and not f" if "\nf:" in detection else ""
    rule = rule_of(tmp_path, f"{detection}\ncondition: s{filtered}", WINDOWS)
    assert fires(rule, {**SYSMON, **fields}) is expected


def test_a_rule_that_only_excludes_does_not_fire_on_what_it_cannot_see(tmp_path: Path) -> None:
    rule = rule_of(tmp_path, "f: {ParentImage|endswith: y}\ncondition: not f", WINDOWS)
    assert not fires(rule, command("x"))
    assert fires(rule, {**SYSMON, "process.parent.executable": "z"})


@pytest.mark.parametrize("condition", ["not a and not b", "not (a or b)", "not 1 of them"])
def test_to_deny_presence_is_a_question_for_absence_however_it_is_written(
    tmp_path: Path, condition: str
) -> None:
    detection = f"a: {{ParentImage: '*'}}\nb: {{CommandLine|exists: true}}\ncondition: {condition}"
    rule = rule_of(tmp_path, detection, WINDOWS)
    reference = Rule(yaml.safe_load(detection))
    assert fires(rule, SYSMON)
    assert reference.matches({})
    assert not fires(rule, command("x"))
    assert not reference.matches({"CommandLine": "x"})


@pytest.mark.parametrize("value", ["null", "''"])
def test_a_name_that_means_several_fields_is_absent_where_none_has_a_value(
    tmp_path: Path, value: str
) -> None:
    source = "{product: windows, service: windefend}"
    bare: Event = {"event.dataset": "windows.windows_defender"}
    rule = rule_of(tmp_path, f"s: {{ProcessName: {value}}}\ncondition: s", source)
    assert fires(rule, bare)
    assert not fires(rule, {**bare, "winlog.event_data.ProcessName": "x"})
    assert not fires(rule, {**bare, "edusoc.extra": ["winlog.event_data.Process Name=x"]})


def test_placeholders_without_values_are_named_and_never_texts(tmp_path: Path) -> None:
    loaded = load_text(tmp_path, rule_text("s: {user.name|expand: '%admins%'}\ncondition: s"))
    assert loaded.rules == ()
    (found,) = loaded.problems
    assert "admins" in say(found.reason.key, **found.reason.values)
    (tmp_path / "plain").mkdir()
    plain = rule_of(tmp_path / "plain", "s: {user.name: '%admins%'}\ncondition: s")
    assert fires(plain, {"user.name": "%admins%"})
    assert not fires(plain, {"user.name": "root"})


DISTINCT = (
    "type: value_count, rules: [base0], group-by: [source.ip], timespan: 1m, "
    "condition: {gte: 3, field: user.name}"
)


def test_different_values_are_counted_not_repetitions(tmp_path: Path) -> None:
    detector = detector_of(tmp_path, DISTINCT)
    assert judge(detector, [event(second, user__name="ann") for second in range(9)]) == []
    assert judge(detector, [event(second, user__name=name) for second, name in enumerate("abab")]) == []
    assert len(judge(detector, [event(second, user__name=name) for second, name in enumerate("abc")])) == 1
