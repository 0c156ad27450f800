"""Hold that the traps where engines go wrong (GOALS, Sigma) give the same in the stream and in each store.

Each trap is a rule and events that it must and must not match. All events lie in one store of each kind, all rules are
hunted at once, asked one by one, and run over the stream: the events on which each fires are the same everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from benchmarks._sigma_paths import BEGIN, END, by_hunt, by_question, by_stream, events_of, placed
from detectors.sigma import CorrelationDetector, RuleSet, load_rules
from detectors.sigma.samples import START, judge_history
from intake.hunting.hunt import hunt
from intake.hunting.model import Asked, Hunted, Means
from soc_core.clock import format_instant
from soc_core.model.detection import Detection
from soc_core.model.event import Event, Value, make_event_id
from soc_core.organisations.repository import OrganisationTree
from soc_core.store.embedded import EmbeddedStore
from soc_core.store.interface import SYSTEM_SCOPE, EventReader, EventStore
from tests.contract.elasticsearch_places import opener
from tests.detectors.sigma.base import rule_text

LINE = "process.command_line"
LONG = "x" * 40_000
WIDE = "校" * 9_000
ASTRAL = "\U0001f600"


@dataclass(frozen=True)
class Trap:
    """Hold a selection, values of a field (or whole events) that it must match, and such that it must not."""

    selection: str
    yes: Sequence[Value | Event]
    no: Sequence[Value | Event]
    about: str = LINE
    condition: str = "base and sel"
    more: str = ""
    names: list[str] = field(default_factory=list)


def e(**fields: Value) -> Event:
    """Return an event's fields; an underscore stands for a dot, two for one underscore."""
    return {
        name.replace("__", "\0").replace("_", ".").replace("\0", "_"): value for name, value in fields.items()
    }


TRAPS = {
    "? in endswith": Trap(f"{LINE}|endswith: '.e?e'", ["a.exe", "A.EXE", ".eje"], ["a.ee", "a.exe ", "exe"]),
    "? in contains": Trap(f"{LINE}|contains: 'a?c'", ["xabcx", f"a{ASTRAL}c", "a\nc"], ["ac", "abbc"]),
    "windash both ways": Trap(
        f"{LINE}|contains|windash: ' /enc '",
        ["p -enc x", "p /enc x", "p \u2013enc x"],
        ["p enc x", "p -encx"],
    ),
    "windash from -": Trap(f"{LINE}|contains|windash: ' -enc '", ["p -enc x", "p /ENC x"], ["p +enc x"]),
    "not on absent": Trap(
        "user.name: admin", [e(user_name="bob"), e()], [e(user_name="ADMIN")], condition="base and not sel"
    ),
    "not on a list": Trap(
        "process.args: bad",
        [e(process_args=["a", "b"]), e()],
        [e(process_args=["a", "BAD"])],
        condition="base and not sel",
    ),
    "re unanchored": Trap(f"{LINE}|re: 'o.m'", ["whoami", "xo\tmx"], ["wham", "o\nm", "wHOAMi"]),
    "re anchored": Trap(f"{LINE}|re: '^a.*z$'", ["abz", "az", "az\n"], ["xaz", "azx", "a\nz", "az\n\n"]),
    "re alternatives": Trap(f"{LINE}|re: '^ab|cd$'", ["abx", "xcd", "xcd\n"], ["xab", "cdx"]),
    "re i": Trap(rf"{LINE}|re|i: '\bmimi\w+z\b'", ["x MIMIkatz y", "中mimikatz中"], ["mimikatzy", "mimi z"]),
    "re s": Trap(f"{LINE}|re|s: 'a.b'", ["a\nb", "a\u2028b"], ["ab"]),
    "re m": Trap(f"{LINE}|re|m: '^b$'", ["a\nb", "b\nc"], ["ab", "a\nbc"]),
    "re not": Trap(f"{LINE}|re: '^safe'", ["unsafe", e()], ["safe x"], condition="base and not sel"),
    "hour": Trap(
        "'@timestamp|hour': 3",
        [{"@timestamp": "2026-11-20T03:59:59.999999Z"}],
        [{"@timestamp": "2026-11-20T04:00:00.000000Z"}, {"@timestamp": "2026-11-20T02:59:59.999999Z"}],
    ),
    "fieldref": Trap(
        "user.name|fieldref: user.target.name",
        [e(user_name="Bob", user_target_name="BOB")],
        [e(user_name="bob", user_target_name="bobby"), e(user_name="bob"), e()],
    ),
    "fieldref contains": Trap(
        f"{LINE}|fieldref|contains: user.name",
        [{LINE: "net user BOB /add", "user.name": "bob"}],
        [{LINE: "net user", "user.name": "bob"}],
    ),
    "placeholder": Trap(
        "user.name|expand: '%traps%'", ["ADMIN", "rat"], ["rats", "%traps%"], about="user.name"
    ),
    "case of a command": Trap(f"{LINE}|contains: 'WhoAmI'", ["cmd /c WHOAMI", "whoami"], ["who ami"]),
    "cased": Trap(f"{LINE}|contains|cased: 'WhoAmI'", ["x WhoAmI"], ["whoami", "WHOAMI"]),
    "long values end": Trap(
        f"{LINE}|endswith: 'needle'", [LONG + "NEEDLE", WIDE + "needle"], [LONG, WIDE + "needl"]
    ),
    "long values contain": Trap(
        "file.path|contains: 'needle'", [LONG + "needle" + LONG], [LONG], about="file.path"
    ),
    "long values not": Trap(
        "file.path|contains: 'needle'",
        [LONG, e()],
        [LONG + "needle"],
        about="file.path",
        condition="base and not sel",
    ),
    "long values equal": Trap(f"{LINE}: '{'y' * 9_500}'", ["Y" * 9_500], ["y" * 9_501, "y" * 9_499]),
    "long list items": Trap(
        "process.args: 'needle'", [e(process_args=[LONG, "needle"])], [e(process_args=[LONG])]
    ),
    "long extra": Trap("Odd|contains: 'needle'", [{"Odd": LONG + "needle"}], [{"Odd": LONG}]),
    "exists of long": Trap("file.path|exists: true", [LONG, "x"], [e()], about="file.path"),
    "lists": Trap(
        "process.args|contains|all: [a, b]", [e(process_args=["xa", "xb"])], [e(process_args=["xa"]), e()]
    ),
    "number as text": Trap("source.port: '22'", [22], [220, 2], about="source.port"),
    "text as number": Trap("event.code: 22", ["22"], ["022", "22.0"], about="event.code"),
    "float": Trap("event.risk_score: 1", [1.0], [1.5, 10.0], about="event.risk_score"),
    "number startswith": Trap("source.port|startswith: '44'", [443, 44], [4, 544], about="source.port"),
    "gt of text": Trap("Size|gt: 100", [{"Size": "101"}, {"Size": "100.5"}], [{"Size": "99"}, {"Size": "x"}]),
    "bool": Trap("tls.resumed: 'true'", [True], [False], about="tls.resumed"),
    "not in the dictionary": Trap(
        "My.Odd.Field: Value", [{"My.Odd.Field": "VALUE"}], [{"My.Odd": "Value"}, {"my.odd.field": "value"}]
    ),
    "spaces in names": Trap(
        "'My Field|contains': '=a'", [{"My Field": "x=Ab"}], [{"My Field": "a"}, {"My": "Field=a"}]
    ),
    "extra absent": Trap(
        "My.Gone: x", [{"My.Gone": "y"}, e()], [{"My.Gone": "X"}], condition="base and not sel"
    ),
    "extra null": Trap("My.Null: null", [e(), {"Other": "1"}], [{"My.Null": "1"}]),
    "extra re": Trap("My.Re|re: '^a.c$'", [{"My.Re": "abc"}], [{"My.Re": "xabc"}, {"My.Re": "abcd"}]),
    "Turkish i": Trap(f"{LINE}|contains: 'KIRMIZI'", ["kirmizi", "K\u0130RMIZI"], ["k\u0131rm\u0131z\u0131"]),
    "sharp s": Trap(f"{LINE}: 'straße'", ["STRAßE", "stra\u1e9ee"], ["STRASSE"]),
    "Kelvin": Trap(f"{LINE}|endswith: 'k'", ["\u212a", "K"], ["\u03ba"]),
    "final sigma": Trap(f"{LINE}|contains: 'ΟΔΟΣ'", ["οδοσ", "ΟΔΟΣ"], ["οδος"]),
    "full width": Trap(f"{LINE}|contains: 'ＡＢＣ'", ["ａｂｃ"], ["abc", "ABC"]),
    "astral": Trap(f"{LINE}: 'a?b'", [f"a{ASTRAL}b"], ["ab", f"a{ASTRAL}{ASTRAL}b"]),
    "astral case": Trap(f"{LINE}|contains: '\U00010400'", ["x\U00010428"], ["\U00010429"]),
    "re astral": Trap(f"{LINE}|re: '^a.b$'", [f"a{ASTRAL}b"], ["a\ud7ff\ud7ffb", "ab"]),
    "line feeds": Trap(f"{LINE}: 'a*b'", ["a\n\r\nb", "ab"], ["a\nb\n"]),
    "NUL": Trap(f"{LINE}|contains: 'evil'", ["x\0evil", "\0EVIL\0"], ["ev\0il"]),
    "backslashes": Trap(
        rf"{LINE}|endswith: '\cmd.exe'", [r"C:\X\CMD.exe", r"\\h\cmd.exe"], ["cmd.exe", "/cmd.exe"]
    ),
    "two backslashes": Trap(rf"{LINE}|startswith: '\\\\host'", [r"\\HOST\c$"], [r"\host", "host"]),
    "escaped *": Trap(rf"{LINE}|contains: 'a\*b'", ["xa*B"], ["aab", r"a\*b"]),
    "escaped ?": Trap(rf"{LINE}: 'a\?b'", ["a?b"], ["axb"]),
    "backslash before *": Trap(rf"{LINE}: 'c:\\*\x'", [r"C:\y\x"], [r"C:*\x"]),
    "quotes and slashes": Trap(f"{LINE}|contains: 'a\"/b#~@&<>'", ['xA"/b#~@&<>'], ['a"/b']),
    "empty text": Trap(f"{LINE}: ''", [e()], ["x", " "]),
    "not empty": Trap(f"{LINE}: ''", ["x"], [e()], condition="base and not sel"),
    "null": Trap("user.name: null", [e()], ["x"], about="user.name"),
    "keyword": Trap(
        "- 'kéy[word'", [e(message="a KÉY[WORD b"), e(process_args=["kéy[word"])], [e(message="key word")]
    ),
    "cidr IPv4": Trap(
        "source.ip|cidr: 10.0.0.0/9",
        ["10.127.255.255", "::ffff:10.0.0.1"],
        ["10.128.0.0", "::a00:1"],
        about="source.ip",
    ),
    "cidr IPv6": Trap(
        "source.ip|cidr: '2001:DB8::/33'",
        ["2001:db8::1", "2001:0DB8:0000:0000:0000:0000:0000:0001", "2001:db8:7fff::"],
        ["2001:db8:8000::", "2001:db9::"],
        about="source.ip",
    ),
    "cidr of zeros": Trap(
        "source.ip|cidr: '::/8'", ["::1", "0:0::5"], ["100::", "1.2.3.4", "::ffff:1.2.3.4"], about="source.ip"
    ),
    "cidr of a list": Trap(
        "host.ip|cidr: 192.168.0.0/16", [e(host_ip=["1.1.1.1", "192.168.9.9"])], [e(host_ip=["1.1.1.1"]), e()]
    ),
    "cidr in text": Trap(
        "Peer|cidr: 'fe80::/10'", [{"Peer": "FE80::1"}], [{"Peer": "fec0::1"}, {"Peer": "no"}]
    ),
    "address in another spelling": Trap(
        "source.ip: '2001:db8::1'", ["2001:db8:0::0001"], ["2001:db8::2"], about="source.ip"
    ),
}


def rules_of(folder: Path) -> RuleSet:
    for number, (name, trap) in enumerate(TRAPS.items()):
        selection = trap.selection if trap.selection.startswith("-") else f"  {trap.selection}"
        text = f"base: {{event.action: 'trap {name}'}}\nsel:\n  {selection}\ncondition: {trap.condition}"
        (folder / f"{number:03d}.yml").write_text(
            rule_text(text, identity=identity(number)), encoding="utf-8"
        )
    (folder / "placeholders").mkdir()
    values = "placeholders:\n  traps: [admin, 'r*t']\n"
    (folder / "placeholders" / "traps.yml").write_text(values, encoding="utf-8")
    rules = load_rules([folder])
    assert [str(problem) for problem in rules.problems if problem.fatal] == []
    assert len(rules.rules) == len(TRAPS)
    return rules


def identity(number: int) -> str:
    return f"{number:08d}-2222-4333-8444-555555555555"


def make_events() -> tuple[list[Event], dict[str, frozenset[str]]]:
    """Return all events, and for each rule id those it must match."""
    events: list[Event] = []
    wanted: dict[str, frozenset[str]] = {}
    for number, (name, trap) in enumerate(TRAPS.items()):
        must: set[str] = set()
        for place, given in enumerate([*trap.yes, *trap.no]):
            fields = given if isinstance(given, dict) else {trap.about: given}
            at = str(fields.get("@timestamp", format_instant(START + timedelta(seconds=len(events)))))
            event_id = make_event_id(at, b"trap", len(events), b"")
            event: Event = {"event.dataset": "test", "event.action": f"trap {name}", "@timestamp": at}
            events.append(event | fields | {"event.id": event_id})
            if place < len(trap.yes):
                must.add(event_id)
        wanted[identity(number)] = frozenset(must)
    return placed(events), wanted


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> RuleSet:
    return rules_of(tmp_path_factory.mktemp("traps"))


@pytest.fixture(scope="module")
def stores(
    elasticsearch_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, EventStore]]:
    events, _ = make_events()
    path = tmp_path_factory.mktemp("stores")
    embedded = {name: EmbeddedStore(path / name, writer=True) for name in ("log", "sealed")}
    try:
        with opener(elasticsearch_url) as opened:
            found: dict[str, EventStore] = {**embedded, "elasticsearch": opened()}
            for store in found.values():
                assert store.append([dict(event) for event in events]).accepted == len(events)
            embedded["sealed"].seal()
            yield found
    finally:
        for store in embedded.values():
            store.close()


def named(found: dict[str, frozenset[str]], wanted: dict[str, frozenset[str]]) -> list[str]:
    """Return the names of the traps whose rule fires on other events than wanted."""
    return [
        name
        for number, name in enumerate(TRAPS)
        if found.get(identity(number), frozenset()) != wanted[identity(number)]
    ]


@pytest.mark.parametrize("name", ["log", "sealed", "elasticsearch"])
def test_traps(stores: dict[str, EventStore], rules: RuleSet, name: str) -> None:
    _, wanted = make_events()
    store = stores[name]
    assert named(by_stream(store, rules.rules), wanted) == []
    assert named(events_of(by_hunt(store, rules.rules)), wanted) == []
    assert named({rule.id: by_question(store, rule) for rule in rules.rules}, wanted) == []


COUNT = """
title: Many values
id: 99999999-2222-4333-8444-555555555555
level: high
correlation:
  type: value_count
  rules: [98989898-2222-4333-8444-555555555555]
  group-by: [source.ip]
  timespan: 1m
  condition: {gte: 3, field: user.name}
"""


def counted_events() -> list[Event]:
    """Return events of one address: twice two names in two cases within a minute, later three names."""
    made: list[Event] = []
    for second, user in ((0, "a"), (10, "A"), (20, "b"), (290, "a"), (299, "b"), (301, "c"), (400, "d")):
        at = format_instant(START + timedelta(seconds=second))
        event_id = make_event_id(at, b"counted", len(made), b"")
        made.append(
            {"event.dataset": "test", "event.action": "count", "@timestamp": at, "event.id": event_id}
            | {"source.ip": "10.1.1.1", "user.name": user}
        )
    return placed(made)


def test_value_count(stores: dict[str, EventStore], tmp_path: Path) -> None:
    base = rule_text("s: {event.action: count}\ncondition: s", identity="98989898" + identity(0)[8:])
    (tmp_path / "count.yml").write_text(f"{base}---{COUNT}", encoding="utf-8")
    detector = CorrelationDetector(load_rules([tmp_path]).correlations[0])
    expected = judge_history(detector, counted_events())
    assert [found.count for found in expected] == [3]
    for name, store in stores.items():
        store.append(counted_events())
        assert windows_of(store, detector) == {one.id: one for one in expected}, name


def windows_of(reader: EventReader, detector: CorrelationDetector) -> dict[str, Detection]:
    kept: list[Detection] = []
    asked = Asked(SYSTEM_SCOPE, BEGIN, END)
    hunt(reader, Hunted((), [detector]), asked, OrganisationTree({}), Means(take=kept.extend))
    return {one.id: one for one in kept}
