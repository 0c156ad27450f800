"""Find the test data of other projects, which need not be there: ``EDUSOC_SHARED_DATA``, else ``../shared/data``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

SHARED: Final = Path(os.environ.get("EDUSOC_SHARED_DATA") or Path(__file__).parents[2] / "shared" / "data")
