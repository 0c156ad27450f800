"""Hold that tests which can't run are skipped, and fail where they must run."""

from __future__ import annotations

import pytest

from tests.needs import need


def test_what_is_there_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDUSOC_REQUIRE", "tshark chromium")
    assert need("tshark", "/usr/bin/tshark", "no tshark") == "/usr/bin/tshark"


@pytest.mark.parametrize("required", ["", "chromium", "tshark-extras"])
def test_without_it_the_test_is_skipped(required: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDUSOC_REQUIRE", required)
    with pytest.raises(pytest.skip.Exception, match="no tshark"):
        need("tshark", None, "no tshark")


def test_where_it_is_required_the_test_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDUSOC_REQUIRE", "chromium tshark")
    with pytest.raises(pytest.fail.Exception, match="EDUSOC_REQUIRE names tshark, but: no tshark"):
        need("tshark", None, "no tshark")
