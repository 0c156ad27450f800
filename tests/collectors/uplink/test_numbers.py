"""Hold that numbers of requests rise for ever and none is given twice, whatever happens."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.uplink.numbers import STEP, RequestNumbers
from soc_core.errors import StoreError


def test_none_is_given_twice_across_crashes(tmp_path: Path) -> None:
    given_out: list[int] = []
    for _ in range(3):
        numbers = RequestNumbers(tmp_path / "number")  # never closed: as after kill -9
        given_out += [numbers.following() for _ in range(STEP + 5)]
    assert given_out == sorted(set(given_out))
    assert given_out[0] == 1


def test_goes_on_above_what_the_centre_knows(tmp_path: Path) -> None:
    numbers = RequestNumbers(tmp_path / "number")
    assert numbers.following() == 1
    assert not numbers.raise_to(500)  # within the step: a crash passed over them
    assert numbers.following() == 501
    assert numbers.raise_to(10**6)
    assert numbers.following() == 10**6 + 1
    assert RequestNumbers(tmp_path / "number").following() > 10**6 + 1


def test_a_full_disk_does_not_end_the_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "number"
    numbers = RequestNumbers(path)
    given_out = [numbers.following() for _ in range(STEP)]
    really = Path.open

    def full(self: Path, mode: str = "r", **named: str) -> object:
        if mode == "w":
            raise OSError(errno.ENOSPC, "No space left on device")
        return really(self, mode, **named)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", full)
    given_out += [numbers.following() for _ in range(STEP)]
    given_out.append(RequestNumbers(path).following())  # killed meanwhile
    assert given_out == sorted(set(given_out))
    with pytest.raises(StoreError):
        RequestNumbers(tmp_path / "none").following()


@given(content=st.binary(max_size=40))
def test_a_damaged_file_begins_anew(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("numbers") / "number"
    path.write_bytes(content)
    assert RequestNumbers(path).following() >= 1
