"""Say in the asked language what is wrong with the parts of a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from soc_core import i18n
from soc_core.reasons import reason_text


def faults_of(errors: Sequence[Mapping[str, object]], language: str) -> list[dict[str, str]]:
    """Return where and what is wrong for each of pydantic's ``errors``."""
    return [{"where": _where(error), "what": _what(error, language)} for error in errors]


def _where(error: Mapping[str, object]) -> str:
    place = error["loc"]
    return ".".join(map(str, place)) if isinstance(place, tuple | list) else str(place)


def _what(error: Mapping[str, object], language: str) -> str:
    """Return the sentence of the error's type; one that has none stays as pydantic says it."""
    given = error.get("ctx")
    context = given if isinstance(given, Mapping) else {}
    kind, key = str(error["type"]), f"soc_api.fault.{error['type']}"
    if kind == "value_error" and "error" in context:
        return reason_text(str(context["error"]), language)  # what a check of ours raised
    if not i18n.known(key):
        return str(error["msg"])
    values = {str(name): str(value) for name, value in context.items()}
    if language == "zh" and "expected" in values:
        values["expected"] = values["expected"].replace(" or ", "、").replace(", ", "、")
    return i18n.text(key, language, **values)
