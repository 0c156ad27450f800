"""Skip a test for want of a program it needs; fail it where ``EDUSOC_REQUIRE`` names the program."""

from __future__ import annotations

import os
import shutil
from typing import TypeVar

import pytest

Found = TypeVar("Found")


def need(name: str, found: Found | None, missing: str) -> Found:
    """Return what was found; without it skip the test, or fail it where the program must be there."""
    if found is not None:
        return found
    if name in os.environ.get("EDUSOC_REQUIRE", "").split():
        pytest.fail(f"EDUSOC_REQUIRE names {name}, but: {missing}")
    pytest.skip(missing)


def need_tshark() -> str:
    """Return the path of tshark."""
    return need("tshark", shutil.which("tshark"), "no tshark: apt-get install tshark")
