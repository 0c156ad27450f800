from __future__ import annotations

import subprocess
import sys

import pytest

from collectors import registry
from collectors.opening import open_bytes
from soc_core.errors import InputError


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"PK\x03\x04rest", "ZIP archive"),
        (b"%PDF-1.7", "PDF"),
        (b"name".ljust(257, b"\0") + b"ustar\x0000", "tar archive"),
        (b"hello world, this is nothing\n", "unknown text, it starts with 'hello world"),
        (b"\x00\x01\x02\x03\x04\x05\x06\x07", "bytes 00 01 02 03 04 05 06 07"),
        (b'{"a": 1}\n', "unknown text"),
    ],
)
def test_unknown_content_says_what_was_seen(data: bytes, said: str) -> None:
    with open_bytes(data, name="x") as source, pytest.raises(InputError) as caught:
        registry.recognise(source)
    assert said in str(caught.value)
    assert caught.value.todo


def test_unknown_names_are_refused() -> None:
    with pytest.raises(InputError, match="no collector"):
        registry.collector("nothing")


def test_a_missing_library_is_an_error_of_the_file_only(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = registry.Entry("far", "collectors.no_such_module", "Far", "far things")
    monkeypatch.setattr(registry, "ENTRIES", (entry,))
    with open_bytes(b"x", name="x") as source, pytest.raises(InputError, match="far can't be loaded"):
        registry.recognise(source)


class _Broken:
    name: str = "broken"

    def recognise(self, _head: bytes, _name: str, /) -> int:
        raise RuntimeError("broken")


def test_a_plugin_that_fails_to_recognise_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_foreign_collectors", lambda: (_Broken(),))
    with open_bytes(b"Nov 20 10:00:00 gw app: text\n") as source:
        assert registry.recognise(source).name == "syslog"


def test_text_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom collectors import registry\nfrom collectors.opening import open_bytes\n"
        "registry.recognise(open_bytes(b'Nov 20 10:00:00 gw app: text\\n'))\n"
        "print([m for m in ('numba', 'numpy', 'pyarrow', 'duckdb', 'evtx', 'sqlalchemy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
