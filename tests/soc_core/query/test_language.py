import pytest
from hypothesis import given
from hypothesis import strategies as st

from soc_core.errors import UsageError
from soc_core.query.language import parse_query
from soc_core.query.tree import And, Cidr, Exists, Not, OneOf, Or, Query, Range, Regex, Text

CASES: list[tuple[str, Query]] = [
    ("source.port:22", OneOf("source.port", (22,))),
    ("source.ip:10.0.0.0/8", Cidr("source.ip", "10.0.0.0/8")),
    ("source.ip:2001:db8::1", OneOf("source.ip", ("2001:db8::1",))),
    ('user.name:"b c"', OneOf("user.name", ("b c",))),
    ("user.name:*", Exists("user.name")),
    ("_exists_:user.name", Exists("user.name")),
    ("user.name:ad*n", Text("user.name", "wildcard", "ad*n")),
    (r"user.name:a\*b", OneOf("user.name", ("a*b",))),
    ("user.name:/^a.$/", Regex("user.name", "^a.$")),
    ("file.path:/etc/passwd", OneOf("file.path", ("/etc/passwd",))),
    ("source.port:>1024", Range("source.port", gt=1024)),
    ("source.port:[1 TO 9}", Range("source.port", gte=1, lt=9)),
    ("source.port:[* TO 9]", Range("source.port", lte=9)),
    ("process.command_line:whoami", Text("process.command_line", "contains", "whoami")),
    ("event.ingested:>=2026-11-20T08:00", Range("event.ingested", gte="2026-11-20T00:00:00.000000Z")),
    ("url.original:http://x/y", OneOf("url.original", ("http://x/y",))),
    ("a b", And((Text("", "contains", "a"), Text("", "contains", "b")))),
    (
        "a OR b c",
        Or((Text("", "contains", "a"), And((Text("", "contains", "b"), Text("", "contains", "c"))))),
    ),
    ("-user.name:a", Not(OneOf("user.name", ("a",)))),
    ("NOT NOT a", Text("", "contains", "a")),
    ("user.name:(a OR NOT b)", Or((OneOf("user.name", ("a",)), Not(OneOf("user.name", ("b",)))))),
]


@pytest.mark.parametrize(("text", "query"), CASES, ids=[text for text, _ in CASES])
def test_text_becomes_the_tree(text: str, query: Query) -> None:
    assert parse_query(text) == query


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
