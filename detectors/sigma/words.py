"""Read a rule's texts: English from the standard fields, Chinese and what to do from the ``edusoc`` block."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, cast

from detectors.sigma.model import DEFAULT_ENTITY, Words
from soc_core.model.detection import Reason

BLOCK: Final = "edusoc"
KNOWN: Final = frozenset(
    {
        "title", "description", "falsepositives", "triage", "steps", "graded_protection", "kind", "entity", "peer",
        "state",
    }
)  # fmt: skip
Complain = Callable[[Reason], None]


@dataclass(frozen=True, slots=True)
class Extension:
    """Hold what the ``edusoc`` block of a rule says besides texts."""

    words: Mapping[str, Words]
    kind: str = ""
    entity: tuple[str, ...] = DEFAULT_ENTITY
    peer: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class English:
    """Hold the standard fields that people read."""

    title: str
    description: str = ""
    falsepositives: tuple[str, ...] = ()


def read_extension(block: object, english: English, complain: Complain) -> Extension:
    """Return texts in both languages and the settings of a rule; what has the wrong form is complained about.

    Without a block the Chinese texts are the English ones: a foreign rule still says what it is.
    """
    reader = _Block(block, complain)
    graded = reader.lines("graded_protection")
    triage, steps = reader.languages("triage"), reader.languages("steps")
    chinese = Words(
        title=reader.text("title") or english.title,
        description=reader.text("description") or english.description,
        falsepositives=reader.lines("falsepositives") or english.falsepositives,
        triage=_text(triage.get("zh")),
        steps=_lines(steps.get("zh")),
        graded_protection=graded,
    )
    foreign = Words(
        english.title,
        english.description,
        english.falsepositives,
        _text(triage.get("en")),
        _lines(steps.get("en")),
        graded,
    )
    return Extension(
        words={"zh": chinese, "en": foreign},
        kind=reader.text("kind"),
        entity=reader.lines("entity") or DEFAULT_ENTITY,
        peer=reader.lines("peer"),
    )


class _Block:
    """Take values out of the block and complain of what has the wrong form."""

    def __init__(self, block: object, complain: Complain) -> None:
        self._complain = complain
        if block is None:
            block = {}
        elif not isinstance(block, dict):
            complain(problem("block_form", name=BLOCK))
            block = {}
        self._values = cast("dict[object, object]", block)
        for name in self._values:
            if name not in KNOWN:
                complain(problem("block_unknown", name=str(name)))

    def text(self, name: str) -> str:
        value = self._values.get(name)
        if value is not None and not isinstance(value, str):
            self._complain(problem("block_form", name=f"{BLOCK}.{name}"))
            return ""
        return _text(value)

    def lines(self, name: str) -> tuple[str, ...]:
        value = self._values.get(name)
        if value is not None and not _is_texts(value):
            self._complain(problem("block_form", name=f"{BLOCK}.{name}"))
            return ()
        return _lines(value)

    def languages(self, name: str) -> dict[object, object]:
        value = self._values.get(name)
        if value is None:
            return {}
        if not isinstance(value, dict) or not all(part is None or _is_texts(part) for part in value.values()):
            self._complain(problem("block_form", name=f"{BLOCK}.{name}"))
            return {}
        return value


def problem(name: str, /, **values: str | int) -> Reason:
    """Return the reason ``detectors.sigma.problem.<name>``."""
    return Reason(f"detectors.sigma.problem.{name}", values)


def _is_texts(value: object) -> bool:
    """Tell whether ``value`` is a text or a list of texts (numbers such as 8.1 count: YAML reads clause ids so)."""
    items = value if isinstance(value, list) else [value]
    return all(isinstance(item, str | int | float) and not isinstance(item, bool) for item in items)


def _text(value: object) -> str:
    if isinstance(value, list):
        return "\n".join(str(item).strip() for item in value)
    return "" if value is None else str(value).strip()


def _lines(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    items = value if isinstance(value, list) else [value]
    return tuple(str(item).strip() for item in items)
