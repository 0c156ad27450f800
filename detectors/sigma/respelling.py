r"""Respell rules as the parser knows them, where the specification allows more than it takes.

Modifiers get its names, encodings of letters beyond ASCII are done here, numbers become text where text is asked for,
operators are written small, and ``\%`` is a percent sign that begins no placeholder.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from typing import Final

from sigma.exceptions import SigmaError

from detectors.sigma.translate import PERCENT

MAX_CONDITION: Final = 20_000
MAX_NESTED: Final = 50
_MODIFIERS: Final = {"utf16le": "wide"}
_ENCODINGS: Final = {"wide": "utf-16-le", "utf16be": "utf-16-be", "utf16": "utf-16-le"}
_TEXTUAL: Final = frozenset(
    {"contains", "startswith", "endswith", "cased", "windash", "base64", "base64offset"}
)
_OPERATOR: Final = re.compile(r"(?<![\w*-])(AND|OR|NOT)(?![\w*-])")
_STARTS, _ENDS = (0, 2, 3), (None, -3, -2)
_MARK: Final = b"\xff\xfe"


def respelled(tree: Mapping[str, object], block: str = "detection") -> dict[str, object]:
    """Return a rule (or, by its ``block``, a filter) as the parser knows it."""
    detection = tree.get(block)
    if not isinstance(detection, dict):
        return dict(tree)
    return {**tree, block: {name: _named(name, part, detection) for name, part in detection.items()}}


def _named(name: object, part: object, detection: Mapping[object, object]) -> object:
    if name == "condition":
        listed = [condition(one, detection) for one in part] if isinstance(part, list) else part
        return condition(listed, detection)
    return part if name == "rules" else _selection(part)


def condition(text: object, names: Mapping[object, object]) -> object:
    """Return a condition with its operators written small; raise ``SigmaError`` for one that is too long or deep."""
    if not isinstance(text, str):
        return text
    if len(text) > MAX_CONDITION:
        raise SigmaError(f"the condition is longer than {MAX_CONDITION} characters")
    depth = 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if depth > MAX_NESTED:
            raise SigmaError(f"the condition has brackets more than {MAX_NESTED} deep")
    if names.keys() & {"AND", "OR", "NOT"}:
        return text
    return _OPERATOR.sub(lambda found: found[0].lower(), text)


def _selection(node: object) -> object:
    if isinstance(node, list):
        return [_selection(item) for item in node]
    if not isinstance(node, dict):
        return node
    found: dict[object, object] = {}
    for key, value in node.items():
        name, changed = _item(key, value)
        if name in found:
            raise SigmaError("two modifiers of one field mean the same")
        found[name] = changed
    return found


def _item(key: object, value: object) -> tuple[object, object]:
    """Return a field with its modifiers, and its value or values."""
    if not isinstance(key, str) or "|" not in key:
        return key, value
    field, *given = key.split("|")
    modifiers = [_MODIFIERS.get(name, name) for name in given]
    values = value if isinstance(value, list) else [value]
    if _TEXTUAL & set(modifiers) and not {"re", "fieldref"} & set(modifiers):
        values = [
            str(one) if isinstance(one, int | float) and not isinstance(one, bool) else one for one in values
        ]
    if "expand" in modifiers:
        values = [one.replace("\\%", PERCENT) if isinstance(one, str) else one for one in values]
    modifiers, values = _encoded(modifiers, values)
    whole = values if isinstance(value, list) or len(values) != 1 else values[0]
    return "|".join([field, *modifiers]), whole


def _encoded(modifiers: list[str], values: list[object]) -> tuple[list[str], list[object]]:
    """Return values in Base64 of UTF-16 encoded, where the parser can't: it keeps bytes as text."""
    if not any(isinstance(one, str) and not one.isascii() for one in values):
        return modifiers, values
    if len(modifiers) < 2 or modifiers[0] not in _ENCODINGS or modifiers[1] not in {"base64", "base64offset"}:
        return modifiers, values
    if any(not isinstance(one, str) or re.search(r"[*?\\]", one) for one in values):
        return modifiers, values
    shifted = modifiers[1] == "base64offset"
    if shifted and "all" in modifiers and len(values) > 1:
        return modifiers, values
    found: list[object] = []
    for one in values:
        mark = _MARK if modifiers[0] == "utf16" else b""
        data = mark + str(one).encode(_ENCODINGS[modifiers[0]])
        found.extend(_shifted(data) if shifted else [b64encode(data).decode()])
    return [name for name in modifiers[2:] if not (shifted and name == "all")], found


def _shifted(data: bytes) -> list[str]:
    """Return what stands in Base64 for ``data`` wherever it begins, without the letters that its neighbours share."""
    return [
        b64encode(b" " * by + data)[_STARTS[by] : _ENDS[(len(data) + by) % 3]].decode() for by in range(3)
    ]
