"""Say in the user's language why a record or a file could not be read: the sentences ``collectors.reason.*``."""

from __future__ import annotations

from soc_core import i18n, reasons


def reason_text(reason: str, language: str) -> str:
    """Return a collector's ``reason`` in ``language``, as ``soc_core.reasons`` does."""
    i18n.load("collectors")
    return reasons.reason_text(reason, language)
