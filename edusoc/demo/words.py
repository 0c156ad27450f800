"""Say the demo's sentences: ``messages.toml`` beside this file."""

from __future__ import annotations

from soc_core import i18n
from soc_core.model.event import Scalar


def say(key: str, language: str, /, **values: Scalar) -> str:
    """Return the demo's sentence ``key`` in ``language``."""
    i18n.load("edusoc.demo")
    return i18n.text(f"edusoc.demo.{key}", language, **values)
