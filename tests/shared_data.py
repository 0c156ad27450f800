"""Mark tests that need the test data of other projects: they skip and say so where it is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks._shared import SHARED

__all__ = ["SHARED", "needs"]


def needs(folder: Path) -> list[pytest.MarkDecorator]:
    """Return the marks of a module whose tests read ``folder`` of the shared data."""
    missing = f"no shared test data at {folder} (set EDUSOC_SHARED_DATA)"
    return [pytest.mark.conformance, pytest.mark.skipif(not folder.is_dir(), reason=missing)]
