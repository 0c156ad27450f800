"""Make events and questions that differ in every way stores could disagree about."""

from __future__ import annotations

import random
from typing import Final

from hypothesis import strategies as st

from soc_core.model.event import Event, Scalar, Value
from soc_core.query.tree import (
    And,
    Cidr,
    Everything,
    Exists,
    Not,
    OneOf,
    Or,
    Query,
    Range,
    Regex,
    SameAs,
    Text,
    TimePart,
)

WORDS: Final = (
    *(
        "",
        "a",
        "A",
        "ab",
        "aB",
        "b",
        "kilo",
        "KILO",
        "\u212ailo",
        "İstanbul",
        "istanbul",
        "ıx",
        "ß",
        "ẞ",
        "ﬀ",
        "ff",
    ),
    *(
        "Σ",
        "σ",
        "ς",
        "ΑΣ",
        "ας",
        "Ä",
        "ä",
        "Å",
        "Å",
        "å",
        "ſ",
        "s",
        "S",
        "学校",
        "小学生",
        "学 校",
        "😀",
        "a😀b",
    ),
    *("a*b", "a?b", "a\\b", "a.b", "a[b]", "a(b", '"q"', "a/b", "#@&<>~", "a-b", "{a}", "^a$", "a|b", "a+b"),
    *("a\nb", "a\n", "\x00", "a\tb", "\u2028", "é", "e\u0301", "22", "0", "-1", "0.5", "true", "10.0.0.1"),
    *("2026-11-20", "who am i", "whoami", "nc -l", "用nc连接", "a" * 300, "b" * 1_200, "k" * 260),
)
LONG: Final = ("L" * 8_192, "x" * 40_000, "学" * 11_000, "kilo" + "y" * 9_000)
ADDRESSES: Final = (
    *(
        "10.0.0.1",
        "10.0.0.10",
        "10.255.3.4",
        "10.1.2.3",
        "110.0.0.1",
        "192.168.1.1",
        "0.0.0.0",
        "255.255.255.255",
    ),
    *("::ffff:a00:1", "::ffff:10.0.0.9", "2001:db8::1", "2001:db8::a00:1", "::", "::1", "fe80::1", "10::1"),
)
NUMBERS: Final = (
    0,
    1,
    -1,
    2,
    22,
    220,
    404,
    443,
    -22,
    2**53,
    2**53 + 1,
    2**63 - 1,
    -(2**63),
    10**18,
    4_040_000,
)
FLOATS: Final = (0.0, -0.0, 0.5, 1.0, 22.0, 1e300, -2.25, 2.0**53, 2.0**53 + 2, 5e-324, 0.1)
INSTANTS: Final = (
    *("2026-11-20T00:00:00.000000Z", "2026-11-20T00:00:00.000001Z", "2026-11-20T23:59:59.999999Z"),
    *("2026-11-21T08:30:00.123456Z", "1970-01-01T00:00:00.000000Z", "1969-12-31T23:59:59.999999Z"),
    *("2262-04-11T23:47:16.854775Z", "2262-04-11T23:47:15.000000Z", "2300-01-01T00:00:00.000000Z"),
    *("0001-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z"),
)
POOLS: Final[dict[str, tuple[Scalar, ...]]] = {
    "message": WORDS,
    "user.name": WORDS,
    "process.command_line": WORDS,
    "tags": WORDS,
    "source.ip": ADDRESSES,
    "related.ip": ADDRESSES,
    "source.port": NUMBERS,
    "dns.answers.ttl": NUMBERS,
    "network.bytes": (0, 1, 64, 1_500, 10**9),
    "event.risk_score": FLOATS,
    "tls.resumed": (True, False),
    "event.start": INSTANTS,
    "edusoc.extra": (*(f"no.such={word}" for word in WORDS), "no.such.more=a", "nosuch=a"),
}
LISTS: Final = frozenset({"tags", "related.ip", "dns.answers.ttl", "edusoc.extra"})


def make_corpus(count: int, seed: int) -> list[Event]:
    """Return events of the same seed always alike; one in fifty holds a text too long to be indexed."""
    chance = random.Random(seed)
    return [_make(number, chance) for number in range(count)]


def _make(number: int, chance: random.Random) -> Event:
    event: Event = {
        "@timestamp": f"2026-11-{chance.randrange(18, 23)}T{chance.randrange(24):02d}:00:00.{chance.randrange(3):06d}Z",
        "event.id": f"20261120-{number:026d}",
        "organization.id": f"o{chance.randrange(3)}",
        "event.dataset": chance.choice(("packets.flow", "packets.dns")),
    }
    for name, pool in POOLS.items():
        if chance.random() < 0.45:
            event[name] = _value(name, pool, chance)
    return event


def _value(name: str, pool: tuple[Scalar, ...], chance: random.Random) -> Value:
    def one() -> Scalar:
        if pool is WORDS and chance.random() < 0.02:
            return chance.choice(LONG)
        return chance.choice(pool)

    if name not in LISTS:
        return one()
    return [one() for _ in range(chance.choice((0, 1, 1, 2, 3)))]  # type: ignore[return-value] # of one type by pool


LETTERS: Final = st.text(alphabet="abAB1 .*?\\/\nÄäßΣσςİı学kKſs\u212a😀%_'\"-", max_size=6)
NAMES: Final = st.sampled_from([*POOLS, "host.name", "no.such", "@timestamp", "event.id"])
SCALARS: Final = st.one_of(
    st.sampled_from(WORDS),
    LETTERS,
    st.sampled_from(NUMBERS),
    st.sampled_from(FLOATS),
    st.sampled_from([2**63, -(2**63) - 1, 10**400, float("inf"), float("-inf"), float("nan"), 1.5, 22.5]),
    st.booleans(),
    st.sampled_from(ADDRESSES),
    st.sampled_from(INSTANTS),
    st.sampled_from(
        ["2026", "2026-11-20t", "2026-11-20t00:00:00.000001z", "10.", "10.0.0.1/8", "::FFFF:10.0.0.1"]
    ),
)
PATTERNS: Final = st.sampled_from(
    [
        *(
            "a",
            "^a",
            "a$",
            "[^ab]",
            r"\d",
            r"\w+",
            r"\s",
            "a|B",
            "(?:a|b){2}",
            r"\bA",
            "(?=a)",
            ".",
            r"a\.",
            "[a-b]$",
        ),
        *(
            r"\W",
            "ä",
            "^$",
            "a|",
            "(|a)b",
            "^(a|b)+$",
            "a.b",
            "(?s)a.b",
            "(?i)KILO",
            "(?i)[a-k]ilo",
            "(?i)[^k]",
            "s",
        ),
        *(
            r"\AA",
            r"b\Z",
            "x^a",
            "a$b",
            "(?:^a|b$)",
            r"[\w-]b",
            r"[^\w]",
            r"[\d.]+",
            r"\S{2,}",
            "a+?b",
            "a*",
            "学+",
        ),
        *(
            "k{250}",
            "a.{30}b",
            r"\.0\.",
            r"\\",
            r"[\]\\^-]",
            "[a-]",
            "[]a]",
            '"',
            "#@&<>~",
            r"\/",
            "^22?$",
            r"nc\b",
        ),
        *("(?i)s", "(?i)ß", "(?m)^b", r"(a)\1", "who ?am", "^.$", r"\x61", "a{2,3}?b", "^a|^b", "(?i)straße"),
    ]
)
NETWORKS: Final = st.sampled_from(
    [
        *(
            "10.0.0.0/8",
            "10.0.0.0/15",
            "10.128.0.0/9",
            "10.0.0.1/32",
            "0.0.0.0/0",
            "192.168.0.0/22",
            "10.0.0.1/30",
        ),
        *("2001:db8::/32", "::/0", "::ffff:0:0/96", "::ffff:a00:0/104", "::/90", "fe80::/10", "::1/128"),
    ]
)
HOWS: Final = st.sampled_from(["contains", "startswith", "endswith", "wildcard"])
TEXTS: Final = st.one_of(
    LETTERS,
    st.sampled_from(WORDS),
    st.sampled_from(
        ["*", "**", "a*", "*a", "a?b", "?", "*?*", "kilo*", "*KILO*", "i?t*", "22*", "-2*", "10.0.*", "4*"]
    ),
    st.sampled_from(
        ["10.0.0.1*", "10.*", "1*", "2026-11-2*", "2026-11-20t*", "*a?????????????????????b*", "t*", r"a\*b"]
    ),
    st.sampled_from(["10.1.2.", "10.0.0", "9" * 19, "0*", "-*", "true", "*" + "b" * 1_100, "a" * 299 + "*"]),
)
LEAVES: Final[st.SearchStrategy[Query]] = st.one_of(
    st.just(Everything()),
    st.builds(Exists, NAMES),
    st.builds(OneOf, NAMES, st.lists(SCALARS, max_size=4).map(tuple), st.booleans()),
    st.builds(Text, NAMES, HOWS, TEXTS, st.booleans()),
    st.builds(Text, st.one_of(NAMES, st.just("")), HOWS, TEXTS, st.booleans()),
    st.builds(Regex, NAMES, PATTERNS, st.sampled_from(["", "i", "s", "m"])),
    st.builds(Cidr, st.one_of(NAMES, st.just("")), NETWORKS),
    st.builds(Range, NAMES, *([st.one_of(st.none(), SCALARS)] * 4), st.booleans()),
    st.builds(SameAs, NAMES, NAMES, st.sampled_from(["equals", "contains", "startswith", "endswith"])),
    st.builds(
        TimePart,
        NAMES,
        st.sampled_from(["minute", "hour", "day", "week", "month", "year"]),
        st.sampled_from((0, 8, 20, 47, 2026)),
        st.sampled_from((0, 8, 20, 47, 2026)),
    ),
)


def trees(leaves: st.SearchStrategy[Query]) -> st.SearchStrategy[Query]:
    """Return queries of up to six leaves."""
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.builds(Not, inner),
            st.builds(And, st.lists(inner, max_size=3).map(tuple)),
            st.builds(Or, st.lists(inner, max_size=3).map(tuple)),
        ),
        max_leaves=6,
    )


QUERIES: Final[st.SearchStrategy[Query]] = trees(LEAVES)
