"""Make Sigma rules as YAML trees and plain events that often, but not always, fit them.

Values of rules and events are put together from the same few words, so that they meet; whatever the specification
(2.1) allows is drawn: every modifier and value type, lists, nested searches, conditions of every form.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Final, cast

import yaml
from hypothesis import strategies as st

from detectors.sigma import SigmaRule
from soc_core.model.event import Event
from tests.detectors.sigma.reference import Rule
from tests.detectors.sigma.reference_values import Fields, Plain, PlainEvent, text_of

Tree = dict[str, object]

WORDS: Final = (
    "a", "A", "b", "B1", "ab", "-", "-a", "/b", "\u2013b", "\u2014a", " -ab ", " /b", ".", "?", "*", "\\", "\\\\", " ",
    "\n", "who", "WHO", "ami", ".exe", "\\a.EXE", "c:\\", "学", "学校", "ß", "Ä", "ä", "Σ", "ς", "İ", "ı", "_", "%",
    "=", "'", "22", "1", "a-b", "😀", "$", "^", "(", "[a]", "|", "\u212a", "k",
)  # fmt: skip
"""What texts are made of. In rules ``*`` and ``?`` are wildcards as often as not, in events they are letters."""
SECRETS: Final = ("secret", "a", "ab", "abc", "whoami /all", "学校", "Ä", "-a")
WIDE_SECRETS: Final = ("secret", "a", "ab", "whoami /all")
TEXT_FIELDS: Final = (
    "message",
    "user.name",
    "process.command_line",
    "Threat Name",
    "no.such",
    "tags",
    "event.code",
)
NUMBER_FIELDS: Final = ("source.port", "event.risk_score", "Count", "event.code")
ADDRESS_FIELDS: Final = ("source.ip", "related.ip", "Peer")
TIME_FIELDS: Final = ("@timestamp", "event.start", "LogonTime")
OTHER_FIELDS: Final = ("tls.resumed", "host.name")
EXTRA_FIELDS: Final = frozenset({"Threat Name", "no.such", "Count", "Peer", "LogonTime"})
"""Names the field dictionary lacks: collectors keep them as ``name=value`` in ``edusoc.extra``."""
ALL_FIELDS: Final = (*TEXT_FIELDS, *NUMBER_FIELDS[:3], *ADDRESS_FIELDS, *TIME_FIELDS, *OTHER_FIELDS)
NO_TEXT: Final = frozenset({*ADDRESS_FIELDS[:2], *TIME_FIELDS[:2]})
"""Fields of addresses and times, in which no keyword is looked for."""

PIECES = st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map("".join)
RULE_TEXTS = st.one_of(PIECES, st.sampled_from(WORDS), st.just(""))
CODES = st.sampled_from(["1", "22", "4625", 1, 22])
NUMBERS = st.one_of(st.integers(-3, 3), st.sampled_from([22, 443, 4625, 2**40, 0.5, 1.0, -2.25, 22.0]))
NUMBER_TEXTS = st.sampled_from(["22", "0", "-1", "+1", "0.5", "1.0", "1.", ".5", "1e3", "x", " 1", "1_0"])
ADDRESSES = st.sampled_from(
    [
        "10.0.0.1",
        "10.255.3.4",
        "192.168.1.1",
        "::ffff:10.0.0.1",
        "2001:db8::1",
        "2001:DB8:0:1::5",
        "::",
        "fe80::1",
    ]
)
NETWORKS = st.sampled_from(
    [
        "10.0.0.0/8",
        "10.0.0.1",
        "10.0.0.0/31",
        "0.0.0.0/0",
        "192.168.0.0/16",
        "::/0",
        "2001:db8::/32",
        "2001:db8::/64",
    ]
)
TIMES = st.sampled_from(
    [
        "2026-11-20T22:05:00.000000Z",
        "2026-01-01T00:00:00.000001Z",
        "2025-12-31T23:59:59.999999Z",
        "2024-02-29T06:30:00Z",
    ]
)
LOCAL_TIMES = st.sampled_from(
    ["2026-11-20T22:05:00+08:00", "2025-12-31 23:59:59-05:00", "2026-01-01T03:00:00", "22:05"]
)
ATOMS = st.sampled_from(
    ["a", "b", ".", "[a-c]", "[^a]", "who", "(a|b)", "\\.", "学", "\\\\", " ", "-", "ami", "1", "x"]
)
REPEATS = st.sampled_from(["", "", "", "*", "+", "?", "{1,2}"])
EXPRESSIONS = st.tuples(
    st.sampled_from(["", "", "^"]),
    st.lists(st.tuples(ATOMS, REPEATS).map("".join), min_size=1, max_size=3).map("".join),
    st.sampled_from(["", "", "$", "|b$", "|^a"]),
).map("".join)


def plainly(text: str) -> str:
    """Return a text as a rule writes it when nothing in it is a wildcard."""
    return text.replace("\\", "\\\\").replace("*", "\\*").replace("?", "\\?")


def listed(values: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    """Draw one value, or a list of some."""
    return st.one_of(values, st.lists(values, min_size=1, max_size=3))


def encoded(draw: st.DrawFn) -> str:
    """Draw what an attacker might have encoded, in one of the ways rules know, at any offset."""
    data = draw(st.sampled_from(SECRETS)).encode(draw(st.sampled_from(["utf-8", "utf-16-le", "utf-16-be"])))
    before = draw(st.sampled_from([b"", b"\xff\xfe", b"x", b"xy", b"xyz"]))
    return base64.b64encode(before + data + draw(st.sampled_from([b"", b"!", b"!!"]))).decode()


# --- rules ------------------------------------------------------------------------------------------------------------


def dashes(text: str) -> int:
    """Count what ``windash`` may have to replace: the parser takes three at most."""
    return sum(text.count(dash) for dash in "-/\u2013\u2014\u2015")


@st.composite
def text_items(draw: st.DrawFn) -> tuple[str, object]:
    """Draw a field with texts."""
    modifiers = [
        name for name in (draw(st.sampled_from(["", "contains", "startswith", "endswith"])),) if name
    ]
    texts: st.SearchStrategy[object] = st.one_of(RULE_TEXTS, PIECES.map(plainly))
    if draw(st.integers(0, 3)) == 0:
        modifiers.insert(draw(st.integers(0, len(modifiers))), "cased")
    elif draw(st.integers(0, 3)) == 0:
        modifiers.insert(draw(st.integers(0, len(modifiers))), "windash")
        texts = texts.filter(lambda text: dashes(str(text)) <= 3)
    elif not modifiers:
        texts = st.one_of(texts, NUMBERS, st.booleans(), st.none())
    return _finish(draw, draw(st.sampled_from(ALL_FIELDS)), modifiers, draw(listed(texts)))


@st.composite
def encoded_items(draw: st.DrawFn) -> tuple[str, object]:
    """Draw a field with something encoded."""
    wide = draw(st.sampled_from(["", "", "wide", "utf16le", "utf16be", "utf16"]))
    how = draw(st.sampled_from(["base64", "base64offset"]))
    where = draw(st.sampled_from(["contains", "contains", "startswith", "endswith", ""]))
    secrets = st.sampled_from(WIDE_SECRETS if wide else SECRETS)
    modifiers = [name for name in (wide, how, where) if name]
    return _finish(draw, draw(st.sampled_from(TEXT_FIELDS)), modifiers, draw(listed(secrets)))


@st.composite
def other_items(draw: st.DrawFn) -> tuple[str, object]:
    """Draw a field with anything but texts."""
    kind = draw(st.sampled_from(["re", "cidr", "compare", "part", "exists", "fieldref", "null", "code"]))
    field, modifiers = draw(st.sampled_from(ALL_FIELDS)), [kind]
    values: st.SearchStrategy[object] = EXPRESSIONS
    match kind:
        case "re":
            modifiers += draw(st.lists(st.sampled_from(["i", "m", "s"]), unique=True, max_size=2))
        case "cidr":
            field, values = draw(st.sampled_from(ADDRESS_FIELDS + OTHER_FIELDS)), NETWORKS
        case "compare":
            field = draw(st.sampled_from(NUMBER_FIELDS + TEXT_FIELDS))
            modifiers, values = [draw(st.sampled_from(["gt", "gte", "lt", "lte"]))], NUMBERS
        case "part":
            field = draw(st.sampled_from((*TIME_FIELDS, "message")))
            modifiers = [draw(st.sampled_from(["minute", "hour", "day", "week", "month", "year"]))]
            modifiers += draw(st.sampled_from([[], [], ["gt"], ["gte"], ["lt"], ["lte"]]))
            values = st.sampled_from([0, 1, 5, 6, 11, 20, 22, 23, 30, 47, 53, 2025, 2026])
        case "exists":
            return f"{field}|exists", draw(st.booleans())
        case "fieldref":
            modifiers += draw(st.sampled_from([[], ["startswith"], ["endswith"], ["contains"]]))
            values = st.sampled_from(ALL_FIELDS)
        case "null":
            return _finish(
                draw, field, [], draw(st.sampled_from([None, "", [None], ["", "a"], [None, "who"], []]))
            )
        case "code":
            return _finish(draw, "event.code", [], draw(listed(CODES)))
    return _finish(draw, field, modifiers, draw(listed(values)))


def _finish(draw: st.DrawFn, field: str, modifiers: list[str], value: object) -> tuple[str, object]:
    """Add what goes with everything: ``all`` for several values, and ``neq``."""
    modifiers = list(modifiers)
    if isinstance(value, list) and len(value) > 1 and draw(st.booleans()):
        modifiers.append("all")
    if draw(st.integers(0, 7)) == 0:
        modifiers.append("neq")
    return "|".join([field, *modifiers]), value


@st.composite
def keywords(draw: st.DrawFn) -> object:
    """Draw a search for keywords."""
    texts = st.one_of(RULE_TEXTS, PIECES.map(plainly), st.sampled_from([22, 4625])).filter(
        lambda text: str(text).strip("*") != ""
    )
    kind = draw(st.sampled_from(["", "", "", "all", "re", "cased", "neq"]))
    if kind == "re":
        return {"|re": draw(listed(EXPRESSIONS))}
    if kind == "cased":
        return {"|cased": draw(listed(texts.filter(lambda text: isinstance(text, str))))}
    if kind:
        return {f"|{kind}": draw(st.lists(texts, min_size=2, max_size=3))}
    return draw(st.lists(texts, min_size=1, max_size=3))


ITEMS: Final = st.one_of(text_items(), text_items(), encoded_items(), other_items(), other_items())
MAPS: Final = st.lists(ITEMS, min_size=1, max_size=3).map(dict)
SEARCHES: Final[st.SearchStrategy[object]] = st.one_of(
    MAPS,
    MAPS,
    MAPS,
    st.lists(MAPS, min_size=1, max_size=3),
    keywords(),
    st.tuples(MAPS, st.just("who")).map(list),
)
NAMES: Final = ("sel", "sel_a", "selection", "filter", "filter_b", "keywords", "not_it", "_hidden")


def conditions(names: Sequence[str]) -> st.SearchStrategy[str]:
    """Draw a condition over searches; hidden ones are named by their own names only."""
    open_names = [name for name in names if not name.startswith("_")]
    quantified = [f"{many} of them" for many in ("1", "all")]
    for name in open_names:
        quantified += [f"{many} of {name[:cut]}*" for many in ("1", "all") for cut in (1, 3, len(name))]
    terms = st.one_of(st.sampled_from(list(names)), st.sampled_from(quantified))
    return st.recursive(
        terms,
        lambda inner: st.one_of(
            inner.map(lambda one: f"not {one}"),
            inner.map(lambda one: f"not ({one})"),
            st.tuples(inner, st.sampled_from(["and", "or", "and not"]), inner).map(" ".join),
            st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda row: f"({' '.join(row)})"),
        ),
        max_leaves=4,
    )


@st.composite
def detections(draw: st.DrawFn) -> Tree:
    """Draw what stands below ``detection``."""
    names = ["sel", *draw(st.lists(st.sampled_from(NAMES[1:]), unique=True, max_size=3))]
    tree: Tree = {name: draw(SEARCHES) for name in names}
    one = conditions(names)
    tree["condition"] = draw(st.one_of(one, one, one, st.lists(one, min_size=1, max_size=2)))
    return tree


# --- events -----------------------------------------------------------------------------------------------------------


@st.composite
def event_texts(draw: st.DrawFn) -> str:
    """Draw a text of an event, never empty."""
    if draw(st.integers(0, 5)) == 0:
        return draw(st.sampled_from(["", "x "])) + encoded(draw) + draw(st.sampled_from(["", " y"]))
    return draw(PIECES)


TEXTS: Final = event_texts()
EVENTS: Final[st.SearchStrategy[PlainEvent]] = st.fixed_dictionaries(
    {"event.dataset": st.just("test")},
    optional={
        "message": TEXTS,
        "user.name": TEXTS,
        "process.command_line": TEXTS,
        "tags": st.lists(TEXTS, max_size=3),
        "event.code": st.sampled_from(["1", "22", "4625", "who"]),
        "Threat Name": st.one_of(TEXTS, st.lists(TEXTS, max_size=2)),
        "no.such": TEXTS,
        "source.port": st.sampled_from([0, 1, 22, 443, 4625]),
        "event.risk_score": st.sampled_from([0.5, 1.0, -2.25, 22.0]),
        "Count": st.one_of(NUMBERS, NUMBER_TEXTS),
        "source.ip": ADDRESSES,
        "related.ip": st.lists(ADDRESSES, max_size=2),
        "Peer": st.one_of(ADDRESSES, TEXTS),
        "@timestamp": TIMES,
        "event.start": TIMES,
        "LogonTime": st.one_of(TIMES, LOCAL_TIMES, TEXTS),
        "tls.resumed": st.booleans(),
    },
)  # fmt: skip


# --- both together ----------------------------------------------------------------------------------------------------


def rule_documents(trees: Sequence[Tree]) -> str:
    """Return rules as one YAML text; the number of a rule ends its id."""
    documents = [
        {
            "title": f"Rule {number}",
            "id": f"11111111-2222-4333-8444-{number:012d}",
            "status": "test",
            "level": "high",
            "logsource": {"product": "test"},
            "detection": tree,
        }
        for number, tree in enumerate(trees)
    ]
    return yaml.safe_dump_all(documents, allow_unicode=True, sort_keys=False)


def references(text: str, fields: Fields = lambda name: (name,)) -> list[Rule]:
    """Return the reference's rules of YAML documents."""
    return [Rule(document["detection"], fields) for document in yaml.safe_load_all(text)]


def number_of(rule: SigmaRule) -> int:
    """Return the number of a rule of ``rule_documents``."""
    return int(rule.id[-12:])


def stored(plain: PlainEvent) -> Event:
    """Return the event as a collector would make it: what the dictionary lacks goes to ``edusoc.extra``."""
    event = {name: value for name, value in plain.items() if name not in EXTRA_FIELDS}
    extra = [
        f"{name}={text_of(value)}" for name in plain if name in EXTRA_FIELDS for value in _listed(plain[name])
    ]
    return cast("Event", event | {"edusoc.extra": extra} if extra else event)


def texts_of(plain: PlainEvent) -> list[str]:
    """Return where keywords are looked for: all texts but times and addresses, a name and its value together where
    the dictionary lacks the name.
    """
    found: list[str] = []
    for name, value in plain.items():
        if name in EXTRA_FIELDS:
            found += [f"{name}={text_of(one)}" for one in _listed(value)]
        elif name not in NO_TEXT:
            found += [one for one in _listed(value) if isinstance(one, str)]
    return found


def _listed(value: Plain | Sequence[Plain]) -> Sequence[Plain]:
    return [value] if isinstance(value, str | int | float) else value


def differences(
    rules: Sequence[Rule], plain: Mapping[str, Plain | Sequence[Plain]], fired: set[int]
) -> list[tuple[int, bool]]:
    """Return the numbers of the rules about which the reference says something else, and what it says."""
    texts = texts_of(plain)
    said = [(number, rule.matches(plain, texts)) for number, rule in enumerate(rules)]
    return [(number, verdict) for number, verdict in said if verdict is not (number in fired)]
