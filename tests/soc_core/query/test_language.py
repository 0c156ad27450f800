from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soc_core.errors import UsageError
from soc_core.query.language import parse_query
from soc_core.query.tree import And, Cidr, Everything, Exists, Not, OneOf, Or, Query, Range, Regex, Text

NOW = datetime(2026, 11, 23, 4, 5, 6, 7, tzinfo=UTC)  # a Monday, 12:05 in Shanghai


def word(text: str) -> Text:
    return Text("", "contains", text)


def user(name: str) -> OneOf:
    return OneOf("user.name", (name,))


CASES: list[tuple[str, Query]] = [
    ("", Everything()),
    ("*", Everything()),
    ("*:*", Everything()),
    ("source.port:22", OneOf("source.port", (22,))),
    ("source.port:22.0", OneOf("source.port", (22,))),
    ("source.port : 22", OneOf("source.port", (22,))),
    ("source.port = 22", OneOf("source.port", (22,))),
    ("source.port==22", OneOf("source.port", (22,))),
    ("source.port != 22", Not(OneOf("source.port", (22,)))),
    ("source.port >= 22", Range("source.port", gte=22)),
    ("Source.Port:22", OneOf("source.port", (22,))),
    ("source.port:-1", OneOf("source.port", (-1,))),
    ("source.port:>-5", Range("source.port", gt=-5)),
    ("source.port:>1.5", Range("source.port", gt=1.5)),
    ("http.response.status_code:4*", Text("http.response.status_code", "startswith", "4")),
    ("source.ip:10.0.0.0/8", Cidr("source.ip", "10.0.0.0/8")),
    ("source.ip:10.0.0.7/8", Cidr("source.ip", "10.0.0.0/8")),
    ("source.ip:2001:db8::1", OneOf("source.ip", ("2001:db8::1",))),
    ("source.ip:2001:0DB8:0::1", OneOf("source.ip", ("2001:db8::1",))),
    ("source.ip:::ffff:10.0.0.1", OneOf("source.ip", ("10.0.0.1",))),
    ("source.ip:::ffff:10.0.0.0/104", Cidr("source.ip", "10.0.0.0/8")),
    ("source.ip:10.0.*", Text("source.ip", "startswith", "10.0.")),
    (
        "source.ip:[10.0.0.4 TO 10.0.0.8]",
        Or((Cidr("source.ip", "10.0.0.4/30"), Cidr("source.ip", "10.0.0.8/32"))),
    ),
    ("source.ip:{10.0.0.3 TO 10.0.0.8}", Cidr("source.ip", "10.0.0.4/30")),
    ("source.ip:>=128.0.0.0", Cidr("source.ip", "128.0.0.0/1")),
    ("source.ip:{10.0.0.1 TO 10.0.0.1]", Or(())),
    ("10.0.0.5", Or((word("10.0.0.5"), Cidr("", "10.0.0.5/32")))),
    ("10.0.0.0/24", Or((word("10.0.0.0/24"), Cidr("", "10.0.0.0/24")))),
    ("10.0.*", Or((Text("", "contains", "10.0."), Cidr("", "10.0.0.0/16")))),
    ("fe80::1", Or((word("fe80::1"), Cidr("", "fe80::1/128")))),
    ("00:1a:2b:3c:4d:5e", word("00:1a:2b:3c:4d:5e")),
    ("aa:bb:cc:dd:ee:ff", word("aa:bb:cc:dd:ee:ff")),
    (
        "20261120-" + "0a" * 13,
        Or((OneOf("event.id", ("20261120-" + "0a" * 13,)), word("20261120-" + "0a" * 13))),
    ),
    ('user.name:"b c"', user("b c")),
    ('user.name:""', user("")),
    ('user.name: "b c"', user("b c")),
    ("user.name:*", Exists("user.name")),
    ("_exists_:user.name", Exists("user.name")),
    ("_exists_:user.nam*", Exists("user.name")),
    ("user.name:ad*n", Text("user.name", "wildcard", "ad*n")),
    ("user.name:ad*", Text("user.name", "startswith", "ad")),
    ("user.name:*ad", Text("user.name", "endswith", "ad")),
    ("user.name:*ad*", Text("user.name", "contains", "ad")),
    ("user.name:a?c", Text("user.name", "wildcard", "a?c")),
    (r"user.name:a\*b", user("a*b")),
    (r"user.name:a\*b*", Text("user.name", "wildcard", r"a\*b*")),
    (r"user.name:a\ b", user("a b")),
    (r"user.name:a\:b", user("a:b")),
    (r"user.name:SCHOOL\admin", user(r"SCHOOL\admin")),
    (r"user.name:SCHOOL\\admin", user(r"SCHOOL\admin")),
    (r"user.name:SCHOOL\\adm*", Text("user.name", "wildcard", r"SCHOOL\\adm*")),
    (r'file.path:"C:\Windows\notepad.exe"', OneOf("file.path", (r"C:\Windows\notepad.exe",))),
    (r"file.path:C:\Windows\notepad.exe", OneOf("file.path", (r"C:\Windows\notepad.exe",))),
    (r"C:\Windows", word(r"C:\Windows")),
    (r'user.name:"a\"b"', user('a"b')),
    ("user.name:/^a.$/", Regex("user.name", "^a.$")),
    ("file.path:/etc/passwd", OneOf("file.path", ("/etc/passwd",))),
    ("file.path:/etc/init.d/", OneOf("file.path", ("/etc/init.d/",))),
    ("source.port:>1024", Range("source.port", gt=1024)),
    ("source.port:[1 TO 9}", Range("source.port", gte=1, lt=9)),
    ("source.port:[1 to 9]", Range("source.port", gte=1, lte=9)),
    ("source.port:[* TO 9]", Range("source.port", lte=9)),
    ("source.port:[* TO *]", Exists("source.port")),
    ("user.name:[a TO m}", Range("user.name", gte="a", lt="m")),
    ("process.command_line:whoami", Text("process.command_line", "contains", "whoami")),
    ("process.command_line:who*i", Text("process.command_line", "wildcard", "*who*i*")),
    ("process.command_line:*whoami", Text("process.command_line", "contains", "whoami")),
    ("event.ingested:>=2026-11-20T08:00", Range("event.ingested", gte="2026-11-20T00:00:00.000000Z")),
    (
        "event.ingested:2026-11-20",
        Range("event.ingested", gte="2026-11-19T16:00:00.000000Z", lt="2026-11-20T16:00:00.000000Z"),
    ),
    ("event.ingested:>2026-11-20", Range("event.ingested", gte="2026-11-20T16:00:00.000000Z")),
    ("event.ingested:<=2026-11-20", Range("event.ingested", lt="2026-11-20T16:00:00.000000Z")),
    (
        "event.ingested:[2026-11 TO 2026-11-20]",
        Range("event.ingested", gte="2026-10-31T16:00:00.000000Z", lt="2026-11-20T16:00:00.000000Z"),
    ),
    (
        "event.ingested:{2026-11-20T08:00:00Z TO *]",
        Range("event.ingested", gte="2026-11-20T08:00:01.000000Z"),
    ),
    ("event.ingested:2026-11-20T00:00:00.000001Z", OneOf("event.ingested", ("2026-11-20T00:00:00.000001Z",))),
    ("event.ingested:>=now-1d", Range("event.ingested", gte="2026-11-22T04:05:06.000007Z")),
    ("event.ingested:>=now-1d/d", Range("event.ingested", gte="2026-11-21T16:00:00.000000Z")),
    (
        "event.ingested:now/w",
        Range("event.ingested", gte="2026-11-22T16:00:00.000000Z", lt="2026-11-29T16:00:00.000000Z"),
    ),
    ("event.ingested:<2026-03-31||-1M", Range("event.ingested", lt="2026-02-27T16:00:00.000000Z")),
    ("url.original:http://x/y", OneOf("url.original", ("http://x/y",))),
    ("http://x/y", word("http://x/y")),
    ("12:30", word("12:30")),
    ("user=admin", word("user=admin")),
    ("a b", And((word("a"), word("b")))),
    ("a and b", And((word("a"), word("b")))),
    ("a OR b c", Or((word("a"), And((word("b"), word("c")))))),
    ("a || b && c", Or((word("a"), And((word("b"), word("c")))))),
    ("+a -b", And((word("a"), Not(word("b"))))),
    ("-user.name:a", Not(user("a"))),
    ("!user.name:a", Not(user("a"))),
    ("NOT NOT a", word("a")),
    ("user.name:(a OR NOT b)", Or((user("a"), Not(user("b"))))),
    ("user.name:(a b)", Or((user("a"), user("b")))),
    ("user.name:(a b -c)", And((Or((user("a"), user("b"))), Not(user("c"))))),
    ("user.name:(a (b AND c))", Or((user("a"), And((user("b"), user("c")))))),
    ("user.name:(a b AND c)", Or((user("a"), And((user("b"), user("c")))))),
    ("message:(a b)", And((Text("message", "contains", "a"), Text("message", "contains", "b")))),
    (
        "url.original:(http://a OR http://b)",
        Or((OneOf("url.original", ("http://a",)), OneOf("url.original", ("http://b",)))),
    ),
    ("user.name：张三", user("张三")),
    ("user.name：（张三 OR 李四）", Or((user("张三"), user("李四")))),
    ("“登录 失败”", word("登录 失败")),
    ("！user.name:a", Not(user("a"))),
    ("登录失败：张三", word("登录失败：张三")),
    ("管理员（张三）", word("管理员（张三）")),
    ("a\u3000b", And((word("a"), word("b")))),
]


@pytest.mark.parametrize(("text", "query"), CASES, ids=[text for text, _ in CASES])
def test_text_becomes_the_tree(text: str, query: Query) -> None:
    assert parse_query(text, now=NOW) == query


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("usr.name:x", 1),
        ("source.port:abc", 13),
        ("(a", 1),
        ("a AND", 6),
        ("a )", 3),
        ('"a', 1),
        ("user.name:/(/", 11),
        ("user.name:“a", 11),
        ("user.name:(a OR", 16),
        ("user.name: AND b", 12),
        ("a AND OR b", 7),
        ("user.name:)", 11),
        ("user.name:", 11),
        ("roam~2", 5),
        ('"a b"~3', 6),
        ("user.name:x^2", 12),
        ("source.port:[1 TO", 13),
        ("[1 TO 2]", 1),
        ("source.ip:999", 11),
        ("source.ip:10.0.0", 11),
        ("source.ip:1.2.3.4，user.name:x", 11),
        ("source.ip:10.0.0.0/33", 11),
        ("source.ip:x*", 11),
        ("source.ip:fe80::1%eth0", 11),
        ("source.ip:[10.0.0.1 TO ::1]", 11),
        ("source.ip:[10.0.0.1 TO x]", 24),
        ("source.port:1.5", 13),
        ("source.port:99999999999999999999", 13),
        ("source.port:[1 TO x]", 19),
        ("source.port:nan", 13),
        ("source.port:２２", 13),
        ("tls.resumed:yes", 13),
        ("tls.resumed:t*", 13),
        ("tls.resumed:>true", 14),
        ("event.ingested:soon", 16),
        ("event.ingested:now-", 16),
        ("event.ingested:>=now-999999y", 18),
        ("nosuch.*:x", 1),
        ('""', 1),
        ("_exists_:nosuch", 10),
        ("/a.*/", 1),
    ],
)
def test_errors_name_the_column(text: str, column: int) -> None:
    with pytest.raises(UsageError) as caught:
        parse_query(text)
    assert caught.value.where == f"column {column}"


def test_a_near_field_is_suggested() -> None:
    with pytest.raises(UsageError, match=r"user\.name"):
        parse_query("user.nam:x")


@given(st.text(alphabet='ab:()"/\\[]{}* ?!-+<>&|TORND.', max_size=60))
def test_any_text_parses_or_is_refused_in_words(text: str) -> None:
    try:
        parse_query(text)
    except UsageError as refused:
        error = refused
    else:
        return
    assert error.what


def test_deep_brackets_are_refused() -> None:
    with pytest.raises(UsageError, match="brackets"):
        parse_query("(" * 500 + "a" + ")" * 500)


@pytest.mark.parametrize("text", ["@timestamp:[0001-01-01 TO *]", "user.name:\ud800", "\ud800"])
def test_times_and_letters_that_do_not_exist_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_query(text)


@pytest.mark.parametrize(
    "pattern",
    [
        "(?=(a+)+$)x",
        r"(a)\1",
        "(?P<n>a)",
        "a{1,500}",
        "(" * 1_900 + "a" + ")" * 1_900,
        "a{99999999999999999999}",
    ],
)
def test_a_regular_expression_that_could_take_hours_is_refused(pattern: str) -> None:
    with pytest.raises(UsageError, match="regular expression"):
        parse_query(f"user.name:/{pattern}/")


@pytest.mark.parametrize("text", ["a " * 21, "user.name:(" + "a " * 301 + ")", "NOT a " * 21])
def test_more_terms_than_a_person_types_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="more than"):
        parse_query(text)


def test_a_pasted_list_of_addresses_is_taken() -> None:
    addresses = " OR ".join(f"10.0.0.{number}" for number in range(200))
    assert isinstance(parse_query(f"source.ip:({addresses})"), Or)
