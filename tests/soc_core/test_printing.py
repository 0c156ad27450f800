import pytest
from hypothesis import given
from hypothesis import strategies as st

from soc_core.printing import is_printable, printable, printable_lines


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("一小　南校区 naïve 🏫", "一小　南校区 naïve 🏫"),
        ("a\x1b[2Jb\n\x9bc\x7f", "a\\x1b[2Jb\\n\\x9bc\\x7f"),
        ("invoice\u202efdp.exe", "invoice\\u202efdp.exe"),
        ("caf\udcff.pcap", "caf\\udcff.pcap"),
    ],
)
def test_only_what_commands_a_terminal_is_written_as_a_number(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert is_printable(text) == (text == shown)


@given(st.text(st.characters()))
def test_the_result_can_always_be_shown(text: str) -> None:
    shown = printable(text)
    assert is_printable(shown)
    assert shown.encode("utf-8").decode() == shown
    assert len(shown.splitlines()) <= 1


def test_on_pages_lines_stay_lines() -> None:
    assert printable_lines("a\tb\r\nc\x1b\u202ed\u2028") == "a\tb\r\nc\\x1b\\u202ed\\u2028"
