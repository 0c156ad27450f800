"""Hold what Sigma values and modifiers mean (specification 2.1), mostly by what SigmaHQ's rules never use."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from detectors.sigma import load_rules
from soc_core.model.event import Event
from tests.detectors.sigma.base import fires, load_text, rule_of, rule_text, say

COMMAND = "process.command_line"


def selects(tmp_path: Path, selection: str, event: Event) -> bool:
    return fires(rule_of(tmp_path, f"sel:\n  {selection}\ncondition: sel"), event)


@pytest.mark.parametrize(
    ("selection", "value", "expected"),
    [
        # plain values: whole, any case
        ("process.command_line: Whoami", "WHOAMI", True),
        ("process.command_line: whoami", "whoami /all", False),
        ("process.command_line: 'straße'", "STRAßE", True),
        # wildcards
        ("process.command_line: 'who*'", "whoami", True),
        ("process.command_line: 'who?mi'", "whoami", True),
        ("process.command_line: 'who?mi'", "whomi", False),
        (r"process.command_line: 'a\*b'", "a*b", True),
        (r"process.command_line: 'a\*b'", "axb", False),
        (r"process.command_line: 'a\?b'", "a?b", True),
        (r"process.command_line: 'a\\*b'", r"a\xxb", True),
        (r"process.command_line: 'a\\\*b'", r"a\*b", True),
        (r"process.command_line: 'c:\temp\x'", r"C:\Temp\X", True),
        ("process.command_line: 'a*b'", "a\nb", True),
        # contains, startswith, endswith; ? keeps its meaning inside
        ("process.command_line|contains: ' /al'", "whoami /all", True),
        ("process.command_line|endswith: '.e?e'", "a.exe", True),
        ("process.command_line|endswith: '.e?e'", "a.ee", False),
        ("process.command_line|endswith: '.e?e'", "a.exe.", False),
        ("process.command_line|startswith: '?ho'", "who", True),
        ("process.command_line|startswith: '?ho'", "ho", False),
        ("process.command_line|contains: 'a*b'", "xaYYbx", True),
        ("process.command_line|contains: 'a*b'", "xbYYax", False),
        (r"process.command_line|endswith: '\a.exe'", r"c:\A.EXE", True),
        ("process.command_line|contains: ''", "anything", True),
        # all
        ("process.command_line|contains|all: [a, b]", "b a", True),
        ("process.command_line|contains|all: [a, b]", "b", False),
        ("process.command_line|contains: [a, b]", "b", True),
        # cased
        ("process.command_line|cased: Whoami", "Whoami", True),
        ("process.command_line|cased: Whoami", "whoami", False),
        ("process.command_line|contains|cased: 'oA'", "whoAmi", True),
        ("process.command_line|contains|cased: 'oA'", "whoami", False),
        ("process.command_line|endswith|cased: 'o?i'", "xoAi", True),
        # re: anywhere, with case, as it is
        ("process.command_line|re: 'o.m'", "whoami", True),
        ("process.command_line|re: '^o.m'", "whoami", False),
        ("process.command_line|re: 'AMI'", "whoami", False),
        ("process.command_line|re|i: 'AMI'", "whoami", True),
        ("process.command_line|re: '(?i)AMI'", "whoami", True),
        ("process.command_line|re|m: '^b$'", "a\nb", True),
        ("process.command_line|re: '^b$'", "a\nb", False),
        ("process.command_line|re|s: 'a.b'", "a\nb", True),
        ("process.command_line|re: 'a.b'", "a\nb", False),
        (r"process.command_line|re: '\bb\b'", "a b", True),
        # windash: both ways, and the dashes people paste
        ("process.command_line|contains|windash: ' -enc '", "p /enc x", True),
        ("process.command_line|contains|windash: ' -enc '", "p -enc x", True),
        ("process.command_line|contains|windash: ' /enc '", "p -enc x", True),
        ("process.command_line|contains|windash: ' -enc '", "p \u2013enc x", True),
        ("process.command_line|contains|windash: ' -enc '", "p \u2014enc x", True),
        ("process.command_line|contains|windash: ' -enc '", "p \u2015enc x", True),
        ("process.command_line|contains|windash: ' -a-b '", "p /a-b x", True),
        ("process.command_line|contains|windash: ' -a-b '", "p /a/b x", False),
        ("process.command_line|windash|contains|all: [' -x ', ' -y ']", "p /x -y ", True),
        # exists
        ("process.command_line|exists: true", "x", True),
        ("process.command_line|exists: false", "x", False),
        ("process.executable|exists: false", "x", True),
        # comparison by a negated value
        ("process.command_line|neq: a", "b", True),
        ("process.command_line|neq: a", "A", False),
    ],
)
def test_text(tmp_path: Path, selection: str, value: str, expected: bool) -> None:
    assert selects(tmp_path, selection, {COMMAND: value}) is expected


ENCODED = base64.b64encode
WIDE = "secret word".encode("utf-16-le")


@pytest.mark.parametrize(
    ("selection", "value", "expected"),
    [
        ("process.command_line|base64: 'secret word'", ENCODED(b"secret word").decode(), True),
        *[
            (
                "process.command_line|base64offset|contains: 'secret word'",
                f"x {ENCODED(data).decode()} y",
                True,
            )
            for data in (b"secret word!!", b".secret word?", b"..secret word", b"...secret word")
        ],
        (
            "process.command_line|base64offset|contains: 'secret word'",
            ENCODED(b"secret words").decode().lower() + "!",
            True,
        ),
        ("process.command_line|base64offset|contains: 'secret word'", ENCODED(b"other word").decode(), False),
        (
            "process.command_line|wide|base64offset|contains: 'secret word'",
            ENCODED(b"." + WIDE).decode(),
            True,
        ),
        ("process.command_line|utf16le|base64offset|contains: 'secret word'", ENCODED(WIDE).decode(), True),
        (
            "process.command_line|utf16be|base64offset|contains: 'secret word'",
            ENCODED("secret word".encode("utf-16-be")).decode(),
            True,
        ),
        (
            "process.command_line|utf16|base64: 'secret'",
            ENCODED(b"\xff\xfe" + "secret".encode("utf-16-le")).decode(),
            True,
        ),
        (
            "process.command_line|wide|base64offset|contains: 'secret word'",
            ENCODED(b"secret word").decode(),
            False,
        ),
    ],
)
def test_encodings(tmp_path: Path, selection: str, value: str, expected: bool) -> None:
    assert selects(tmp_path, selection, {COMMAND: value}) is expected


@pytest.mark.parametrize(
    ("selection", "event", "expected"),
    [
        # numbers and their texts are equal, however either was written
        ("source.port: 22", {"source.port": 22}, True),
        ("source.port: '22'", {"source.port": 22}, True),
        ("event.code: 22", {"event.code": "22"}, True),
        ("event.risk_score: 1", {"event.risk_score": 1.0}, True),
        ("source.port: '2*'", {"source.port": 22}, True),
        ("source.port|startswith: 2", {"source.port": 23}, True),
        ("source.port|contains: [1, 3]", {"source.port": 23}, True),
        ("source.port: 22", {"source.port": 220}, False),
        ("tls.resumed: true", {"tls.resumed": True}, True),
        ("tls.resumed: 'true'", {"tls.resumed": True}, True),
        ("tls.resumed: 1", {"tls.resumed": True}, False),
        ("event.code: true", {"event.code": "true"}, True),
        # comparisons are numeric, on numbers and on text that is one
        ("source.port|gt: 22", {"source.port": 23}, True),
        ("source.port|gt: 22", {"source.port": 22}, False),
        ("source.port|gte: 22", {"source.port": 22}, True),
        ("source.port|lt: 100", {"source.port": 23}, True),
        ("source.port|lte: 22.5", {"source.port": 22}, True),
        ("event.code|gt: 22", {"event.code": "100"}, True),
        ("event.code|gt: 22", {"event.code": "x"}, False),
        ("event.code|gt: 22", {}, False),
        ("event.code|lt: 22", {"event.code": "-3"}, True),
        # networks
        ("source.ip|cidr: 10.0.0.0/8", {"source.ip": "10.1.2.3"}, True),
        ("source.ip|cidr: 10.0.0.0/8", {"source.ip": "11.1.2.3"}, False),
        ("source.ip|cidr: 2001:db8::/32", {"source.ip": "2001:db8:1::5"}, True),
        ("source.ip|cidr: 0.0.0.0/0", {"source.ip": "2001:db8:1::5"}, False),
        ("host.ip|cidr: [10.0.0.0/8, 192.168.0.0/16]", {"host.ip": ["8.8.8.8", "192.168.3.4"]}, True),
        ("host.name|cidr: 10.0.0.0/8", {"host.name": "ten"}, False),
        # a field with several values matches when one does
        ("tags: b", {"tags": ["a", "B"]}, True),
        ("tags|contains|all: [a, b]", {"tags": ["xa", "xb"]}, True),
        ("tags: b", {"tags": []}, False),
        # parts of times, in UTC
        ("'@timestamp|hour': 22", {"@timestamp": "2026-11-20T22:05:00.000000Z"}, True),
        ("'@timestamp|hour': 22", {"@timestamp": "2026-11-20T14:05:00.000000Z"}, False),
        ("'@timestamp|minute': [4, 5]", {"@timestamp": "2026-11-20T14:05:00.000000Z"}, True),
        ("'@timestamp|day': 20", {"@timestamp": "2026-11-20T14:05:00.000000Z"}, True),
        ("'@timestamp|week': 47", {"@timestamp": "2026-11-20T14:05:00.000000Z"}, True),
        ("'@timestamp|month': 11", {"@timestamp": "2026-11-20T14:05:00.000000Z"}, True),
        ("'@timestamp|year': 2026", {"@timestamp": "2026-11-20T14:05:00.000000Z"}, True),
        ("'@timestamp|hour|gte': 22", {"@timestamp": "2026-11-20T23:05:00.000000Z"}, True),
        ("'@timestamp|hour|lt': 6", {"@timestamp": "2026-11-20T06:05:00.000000Z"}, False),
        # other fields
        ("user.name|fieldref: user.target.name", {"user.name": "Ann", "user.target.name": "ann"}, True),
        ("user.name|fieldref: user.target.name", {"user.name": "Ann", "user.target.name": "Bob"}, False),
        ("user.name|fieldref: user.target.name", {}, False),
        (
            "user.name|fieldref|endswith: user.target.name",
            {"user.name": "xAnn", "user.target.name": "ann"},
            True,
        ),
        (
            "user.name|fieldref|startswith: user.target.name",
            {"user.name": "xAnn", "user.target.name": "ann"},
            False,
        ),
        (
            "user.name|fieldref|contains: user.target.name",
            {"user.name": "xAnny", "user.target.name": "ann"},
            True,
        ),
        # no value: null, and an empty text, which no event of ours holds
        ("user.name: null", {}, True),
        ("user.name: null", {"user.name": "Ann"}, False),
        ("user.name: ''", {}, True),
        ("user.name: ''", {"user.name": "Ann"}, False),
        ("user.name: [null, Ann]", {"user.name": "Ann"}, True),
        ("user.name: [null, Ann]", {}, True),
        # names that the dictionary lacks, with spaces and all
        ("'Threat Name': EICAR", {"edusoc.extra": ["Threat Name=eicar"]}, True),
        ("'Threat Name|contains': '='", {"edusoc.extra": ["Threat Name=a=b"]}, True),
        ("'Threat Name|re': '^eicar$'", {"edusoc.extra": ["Threat Name=eicar"]}, True),
        ("'Threat Name|re': '^Threat'", {"edusoc.extra": ["Threat Name=eicar"]}, False),
        ("'Threat Name|gt': 4", {"edusoc.extra": ["Threat Name=5"]}, True),
        ("'Threat Name|exists': true", {"edusoc.extra": ["Threat=5"]}, False),
        ("Threat: x", {"edusoc.extra": ["Threat=a", "Threat=x"]}, True),
        ("Threat: x", {"Threat": "x"}, True),
    ],
)
def test_other_values(tmp_path: Path, selection: str, event: Event, expected: bool) -> None:
    assert selects(tmp_path, selection, event) is expected


@pytest.mark.parametrize(
    ("detection", "event", "expected"),
    [
        ("keywords: [mimikatz, 'a b']\ncondition: keywords", {"message": "it has A B inside"}, True),
        ("keywords: [mimikatz]\ncondition: keywords", {"tags": ["x", "MimiKatz.exe"]}, True),
        ("keywords: [mimikatz]\ncondition: keywords", {"source.port": 5}, False),
        ("keywords: ['mimi*z']\ncondition: keywords", {"message": "x mimi kat z y"}, True),
        ("keywords: [4625]\ncondition: keywords", {"message": "code 4625 seen"}, True),
        ("keywords:\n  '|all': [red, blue]\ncondition: keywords", {"message": "red", "tags": ["blue"]}, True),
        ("keywords:\n  '|all': [red, blue]\ncondition: keywords", {"message": "red"}, False),
        ("keywords:\n  '|re': 'b.ue'\ncondition: keywords", {"message": "it is blue"}, True),
        ("one: {user.name: a}\ntwo: {host.name: b}\ncondition: one and two", {"user.name": "a"}, False),
        ("one: {user.name: a}\ntwo: {host.name: b}\ncondition: one or two", {"host.name": "b"}, True),
        ("s1: {user.name: a}\ns2: {host.name: b}\ncondition: 1 of s*", {"host.name": "b"}, True),
        ("s1: {user.name: a}\ns2: {host.name: b}\ncondition: all of s*", {"host.name": "b"}, False),
        ("s1: {user.name: a}\ns2: {host.name: b}\ncondition: 1 of them", {"host.name": "b"}, True),
        ("s1: {user.name: a}\n_s2: {host.name: b}\ncondition: 1 of them", {"host.name": "b"}, False),
        ("one: [{user.name: a}, {host.name: b}]\ncondition: one", {"host.name": "b"}, True),
        ("one: {user.name: a}\ncondition: [one, one]", {"user.name": "a"}, True),
        # a filter's absent field doesn't stop a rule
        ("one: {user.name: a}\nf: {host.name: b}\ncondition: one and not f", {"user.name": "a"}, True),
        (
            "one: {user.name: a}\nf: {host.name: b}\ncondition: one and not f",
            {"user.name": "a", "host.name": "b"},
            False,
        ),
        ("one: {user.name: a}\nf: {host.name: null}\ncondition: one and not f", {"user.name": "a"}, False),
        (
            "one: {user.name: a}\nf: {host.name: null}\ncondition: one and not f",
            {"user.name": "a", "host.name": "b"},
            True,
        ),
        ("one: {user.name: a}\nf: {host.name: ''}\ncondition: one and not f", {"user.name": "a"}, False),
        (
            "one: {user.name: a}\nf: {host.name: ''}\ncondition: one and not f",
            {"user.name": "a", "host.name": "b"},
            True,
        ),
        # a rule that only excludes must see something of what it excludes
        ("f: {host.name: b}\ncondition: not f", {}, False),
        ("f: {host.name: b}\ncondition: not f", {"user.name": "x"}, False),
        ("f: {host.name: b}\ncondition: not f", {"host.name": "c"}, True),
        ("f: {host.name: b}\ncondition: not f", {"host.name": "b"}, False),
        ("f: {host.name: b}\ng: {user.name: a}\ncondition: not 1 of them", {"user.name": "x"}, True),
        ("f: {host.name: b}\ng: {user.name: a}\ncondition: g or not f", {}, False),
        ("f: {host.name|neq: b}\ncondition: f", {}, False),
        ("f: {host.name|neq: b}\ncondition: f", {"host.name": "c"}, True),
        # asking for absence is a question like any other
        ("f: {host.name|exists: false, user.name: x}\ncondition: f", {"user.name": "x"}, True),
        ("f: {host.name: null}\ncondition: f", {}, True),
        ("f: {host.name: null}\ncondition: not f", {}, False),
    ],
)
def test_conditions(tmp_path: Path, detection: str, event: Event, expected: bool) -> None:
    assert fires(rule_of(tmp_path, detection), event) is expected


@pytest.mark.parametrize(
    ("detection", "word"),
    [
        ("s: {user.name|expand: '%admins%'}\ncondition: s", "admins"),
        ("s: {user.name|sounds: a}\ncondition: s", "sounds"),
        ("s: {user.name: a}\ncondition: t", "t"),
        ("s: {user.name: a}\ncondition: 1 of t*", "t*"),
        ("s: {user.name: a}\ncondition: s |", "pipe"),
        ("s: {user.name: a}\ncondition: s | count() > 5", "pipe"),
        ("s: {user.name|re: '('}\ncondition: s", "("),
        ("s: {source.ip|cidr: 10.0.0.0/77}\ncondition: s", "CIDR"),
        ("s: {user.name|contains|windash: ' -a -b -c -d'}\ncondition: s", "three"),
        ("s: {user.name|base64: 'a*'}\ncondition: s", "wildcards"),
        ("s: []\ncondition: s", "field"),
        ("s: {user.name: a}", "condition"),
        ("s: ['*']\ncondition: s", "keyword"),
    ],
)
def test_what_cannot_be_judged_is_a_problem_with_its_place(tmp_path: Path, detection: str, word: str) -> None:
    rules = load_text(tmp_path, rule_text(detection))
    assert rules.rules == ()
    (found,) = [item for item in rules.problems if item.fatal]
    assert word in say(found.reason.key, **found.reason.values)
    assert found.where == f"{tmp_path / 'rule0.yml'}:1"


def test_filters_apply_to_the_rules_they_name(tmp_path: Path) -> None:
    text = rule_text("s: {user.name: a}\ncondition: s")
    (tmp_path / "a.yml").write_text(
        text
        + "---\ntitle: No lab\nid: 11111111-2222-4333-8444-666666666666\nlogsource: {product: test}\n"
        + "filter:\n  rules: [11111111-2222-4333-8444-555555555555]\n  lab: {host.name: lab}\n  condition: not lab\n",
        encoding="utf-8",
    )
    rules = load_rules([tmp_path])
    assert rules.problems == ()
    (rule,) = rules.rules
    assert fires(rule, {"user.name": "a", "host.name": "x"})
    assert not fires(rule, {"user.name": "a", "host.name": "lab"})
