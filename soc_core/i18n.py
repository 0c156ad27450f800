"""Hold every user-facing sentence in Chinese and English, side by side.

Catalogues are ``messages.toml`` files beside the code that uses them. Each entry is a table with ``zh`` and ``en``::

    [detectors.beacon.interval]
    zh = "每隔 {seconds} 秒连接一次 {peer}"
    en = "connects to {peer} every {seconds} seconds"

Both languages stand in one place, so neither can be forgotten; a test checks that their parameters agree.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib import resources
from typing import Final

from soc_core.errors import UsageError
from soc_core.model.event import Scalar

LANGUAGES: Final = ("zh", "en")
DEFAULT_LANGUAGE: Final = "zh"
_catalogue: dict[str, dict[str, str]] = {}
_loaded: set[str] = set()


def load(package: str) -> None:
    """Add ``<package>/messages.toml`` to the catalogue, once. Raise ``UsageError`` on a bad entry."""
    if package in _loaded:
        return
    text_ = resources.files(package).joinpath("messages.toml").read_text(encoding="utf-8")
    add(flatten(tomllib.loads(text_)), where=f"{package}/messages.toml")
    _loaded.add(package)


def flatten(tree: Mapping[str, object], prefix: str = "") -> dict[str, dict[str, str]]:
    """Return dotted key → language → text of a parsed catalogue; a table that holds ``zh`` is an entry."""
    found: dict[str, dict[str, str]] = {}
    for name, node in tree.items():
        key = f"{prefix}{name}"
        if not isinstance(node, Mapping):
            raise UsageError(f"'{key}' is not a table with zh and en")
        if "zh" in node or "en" in node:
            found[key] = {language: str(node.get(language, "")) for language in LANGUAGES}
        else:
            found.update(flatten(node, f"{key}."))
    return found


def add(entries: Mapping[str, Mapping[str, str]], *, where: str = "") -> None:
    """Add entries (key → language → text); raise ``UsageError`` when a language is missing."""
    for key, texts in entries.items():
        if any(not texts.get(language) for language in LANGUAGES):
            raise UsageError(f"message '{key}' lacks a language", where=where)
        _catalogue[key] = dict(texts)


def text(key: str, language: str, /, **values: Scalar) -> str:
    """Return the sentence of ``key`` in ``language`` (``zh`` when unknown) with ``values`` filled in.

    An unknown key is returned as it stands, so that a page never fails for a missing sentence (a test forbids that).
    """
    texts = _catalogue.get(key)
    if texts is None:
        return key
    pattern = texts[language if language in LANGUAGES else DEFAULT_LANGUAGE]
    return pattern.format(**values) if values else pattern


def known(key: str) -> bool:
    """Tell whether the catalogue holds ``key``."""
    return key in _catalogue


def entries() -> Mapping[str, Mapping[str, str]]:
    """Return the whole catalogue as loaded so far."""
    return _catalogue
