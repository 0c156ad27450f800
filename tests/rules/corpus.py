"""Load the bundled rules once for the tests about them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import cast

import yaml

from detectors.sigma import RuleSet, load_rules

RULES = Path(__file__).parents[2] / "rules"


@dataclass(frozen=True, slots=True)
class RuleFile:
    """Hold one rule file: its documents as they are written; the last one with texts is what people see."""

    path: Path
    documents: tuple[dict[str, object], ...]

    @property
    def area(self) -> str:
        """Return the folder."""
        return self.path.parent.name

    @property
    def shown(self) -> dict[str, object]:
        """Return the document that raises alerts."""
        return next(document for document in reversed(self.documents) if "edusoc" in document)

    @property
    def block(self) -> dict[str, object]:
        """Return the ``edusoc`` block."""
        return cast("dict[str, object]", self.shown["edusoc"])

    def texts(self) -> Iterator[tuple[str, str, str]]:
        """Yield (where, Chinese, English) of all texts that people read."""
        block, shown = self.block, self.shown
        yield "title", str(block["title"]), str(shown["title"])
        yield "description", str(block["description"]), str(shown["description"])
        triage = cast("dict[str, str]", block["triage"])
        yield "triage", triage["zh"], triage["en"]
        for name, chinese, english in (
            ("falsepositives", block["falsepositives"], shown["falsepositives"]),
            ("steps", *(cast("dict[str, list[str]]", block["steps"])[language] for language in ("zh", "en"))),
        ):
            one, other = cast("list[str]", chinese), cast("list[str]", english)
            assert len(one) == len(other), f"{self.path.name}: {name} differ in number"
            for index, (left, right) in enumerate(zip(one, other, strict=True)):
                yield f"{name}[{index}]", left, right


@cache
def rule_files() -> tuple[RuleFile, ...]:
    """Return all rule files in order of their paths."""
    found = []
    for path in sorted(RULES.glob("*/*.yml")):
        if path.parent.name in ("mappings", "_deprecated") or path.name.endswith(".samples.yml"):
            continue
        documents = tuple(yaml.safe_load_all(path.read_text(encoding="utf-8")))
        found.append(RuleFile(path, documents))
    return tuple(found)


@cache
def rule_set() -> RuleSet:
    """Return the rules as the program loads them."""
    return load_rules([RULES])
