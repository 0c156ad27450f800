"""Bring Sigma rules to the fields and data sets of edusoc, for ``sigma convert -p edusoc``.

``mappings.json`` is made from edusoc's own mappings (``python -m edusoc.reference``); nothing is known here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from sigma.pipelines.base import Pipeline
from sigma.processing.pipeline import ProcessingItem, ProcessingPipeline
from sigma.processing.transformations.base import FieldMappingTransformationBase
from sigma.rule import SigmaDetection, SigmaRule

__all__ = ["edusoc_pipeline"]
_SOURCE = "edusoc_source"
_KEYS = ("product", "category", "service")


@Pipeline
def edusoc_pipeline() -> ProcessingPipeline:
    """Return the pipeline: the events of a rule's log source, and its fields by their names here."""
    content = json.loads(resources.files(__name__).joinpath("mappings.json").read_text(encoding="utf-8"))
    route = Route(content["logsources"], frozenset(content["fields"]))
    item = ProcessingItem(identifier="edusoc_route", transformation=route)
    return ProcessingPipeline(name="edusoc", priority=20, items=[item])


@dataclass
class Route(FieldMappingTransformationBase):
    """Rename the fields of a rule and bind it to the events of its log source: the most specific entry counts."""

    entries: list[dict[str, Any]]
    known: frozenset[str]
    fitting: list[dict[str, Any]] = field(init=False, default_factory=list)

    def apply(self, rule: Any) -> None:
        """Change a rule; correlations have nothing to change but names of fields."""
        if isinstance(rule, SigmaRule):
            self.fitting = self._fitting(rule)
        super().apply(rule)
        if isinstance(rule, SigmaRule):
            kinds = [kind for entry in self.fitting for kind in entry["events"]] or [_foreign(rule)]
            rule.detection.detections[_SOURCE] = SigmaDetection.from_definition(kinds)
            for condition in rule.detection.parsed_condition:
                condition.condition = f"{_SOURCE} and ({condition.condition})"

    def _fitting(self, rule: SigmaRule) -> list[dict[str, Any]]:
        named = {key: value for key in _KEYS if (value := getattr(rule.logsource, key))}
        found = [entry for entry in self.entries if entry["match"].items() <= named.items()]
        if found:
            most = max(len(entry["match"]) for entry in found)
            return [entry for entry in found if len(entry["match"]) == most]
        return [entry for entry in self.entries if named.items() <= entry["match"].items()]

    def apply_field_name(self, name: str | None) -> str | list[str] | None:
        """Return the names that stand for a field here, ``None`` for one that keeps its own."""
        if name is None:
            return None
        for entry in self.fitting:
            if name in entry["fields"]:
                return list(entry["fields"][name])
        if name in self.known:
            return None
        return next((entry["default"].format(name=name) for entry in self.fitting if entry["default"]), None)


def _foreign(rule: SigmaRule) -> dict[str, list[str]]:
    """Return the data sets named like a log source that nobody delivers."""
    parts = [str(value) for key in _KEYS if (value := getattr(rule.logsource, key))]
    return {"event.dataset": sorted({".".join(parts), f"{parts[0]}.{parts[-1]}", parts[-1]})}
