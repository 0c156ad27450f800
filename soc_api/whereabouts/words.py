"""Say certainty, evidence and hints in words."""

from __future__ import annotations

from collections.abc import Mapping

from soc_core import i18n
from soc_core.model.event import Scalar


def told(key: str, language: str, values: Mapping[str, Scalar] | None = None) -> str:
    """Return the sentence ``cases.whereabouts.<key>`` in a language."""
    i18n.load("cases")
    texts = {name: str(value) for name, value in (values or {}).items()}
    return i18n.text(f"cases.whereabouts.{key}", language, **texts)
