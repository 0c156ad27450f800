"""Know the ids under which detectors that are no Sigma rules speak, so that those can be set and suppressed too."""

from __future__ import annotations

import re
from typing import Final

from detectors.anomaly.registry import default_detectors
from detectors.health import KINDS
from detectors.indicators.detector import RULE_KIND
from detectors.indicators.model import Kind
from intake.rules.policy import BUDGET_RULE

_INDICATOR: Final = re.compile(rf"{RULE_KIND}\.({'|'.join(kind.value for kind in Kind)})\.[0-9a-v]{{16}}")


def is_detector(rule_id: str) -> bool:
    """Tell whether an id is that of an indicator, of health, of an anomaly detector or of a spent budget."""
    return (
        rule_id == BUDGET_RULE
        or rule_id in {f"health.{kind}" for kind in KINDS}
        or _INDICATOR.fullmatch(rule_id) is not None
        or rule_id in {item.id for item in default_detectors(None)}
    )
