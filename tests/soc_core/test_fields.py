import pytest

from soc_core.errors import StoreError
from soc_core.fields import FIELDS, parse_fields


def test_names_are_dotted_lower_case_or_of_windows() -> None:
    for name, field in FIELDS.items():
        assert name == field.name
        assert name == "@timestamp" or name.isascii()
        if not name.startswith("winlog.event_data."):
            assert name == name.lower()


def test_a_field_never_hides_below_another() -> None:
    """Elasticsearch can't hold both ``a`` and ``a.b``: an object is no scalar."""
    for name in FIELDS:
        parent = name.rpartition(".")[0]
        while parent:
            assert parent not in FIELDS, (parent, name)
            parent = parent.rpartition(".")[0]


@pytest.mark.parametrize(
    "line", ["a\tkeyword\tecs\tnone\tzh", "a\tblob\tecs\tnone\tz\te", "a\tkeyword\tecs\tnone\t\te"]
)
def test_a_bad_line_is_named(line: str) -> None:
    with pytest.raises(StoreError, match=r"fields\.tsv:1"):
        parse_fields(line)


def test_a_doubled_field_is_refused() -> None:
    line = "a\tkeyword\tecs\tnone\tz\te"
    with pytest.raises(StoreError, match="doubled"):
        parse_fields(f"{line}\n{line}")
