"""Every reason a capture gives is said in Chinese too."""

from __future__ import annotations

import pytest

from collectors.packets import layout, reader
from collectors.reasons import reason_text


@pytest.mark.parametrize(
    "reason", [*layout.BAD_NAMES.values(), *reader.REASONS, "the packet kernel can't be compiled: no numba"]
)
def test_reasons_are_translated(reason: str) -> None:
    text = reason_text(reason, "zh")
    assert text != reason
    assert any("一" <= letter <= "鿿" for letter in text)
