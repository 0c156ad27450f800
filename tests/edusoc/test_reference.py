from __future__ import annotations

import pytest

from edusoc.reference import FOLDER, PAGES


@pytest.mark.parametrize("name", PAGES)
def test_reference_pages_are_up_to_date(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == PAGES[name](), "run: python -m edusoc.reference"
