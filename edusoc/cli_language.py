"""Choose the language of the command line."""

from __future__ import annotations

import os
from collections.abc import Mapping

from soc_core.i18n import LANGUAGES


def language_of(environment: Mapping[str, str] | None = None) -> str:
    """Return the language of messages: ``EDUSOC_LANGUAGE``, else English where the locale says so, else Chinese."""
    values = os.environ if environment is None else environment
    wanted = values.get("EDUSOC_LANGUAGE", "")
    if wanted in LANGUAGES:
        return wanted
    locale = values.get("LC_ALL") or values.get("LC_MESSAGES") or values.get("LANG") or ""
    return "en" if locale.startswith("en") else "zh"
