"""Names are measured, and those that say nothing are left out."""

from __future__ import annotations

import pytest

from detectors.anomaly.names import entropy, is_infrastructure


@pytest.mark.parametrize(("text", "bits"), [("", 0.0), ("aaaa", 0.0), ("abab", 1.0), ("abcdefgh", 3.0)])
def test_entropy(text: str, bits: float) -> None:
    assert entropy(text) == pytest.approx(bits)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("printer", True),
        ("4.3.2.1.in-addr.arpa.", True),
        ("PRINTER.local", True),
        ("www.example.cn", False),
        ("notlocal.example", False),
    ],
)
def test_infrastructure(name: str, expected: bool) -> None:
    assert is_infrastructure(name) is expected
