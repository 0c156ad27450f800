"""Detect by Sigma rules (Sigma specification 2.1): load, match, correlate, explain."""

from importlib import import_module
from typing import TYPE_CHECKING

from detectors.sigma.correlation import CorrelationDetector
from detectors.sigma.detector import SigmaDetector
from detectors.sigma.model import CorrelationRule, Problem, RuleSet, SigmaRule, Words, to_query

if TYPE_CHECKING:
    from detectors.sigma.loading import load_rules

__all__ = [
    "CorrelationDetector",
    "CorrelationRule",
    "Problem",
    "RuleSet",
    "SigmaDetector",
    "SigmaRule",
    "Words",
    "load_rules",
    "to_query",
]


def __getattr__(name: str) -> object:
    """Import the parser when it is asked for: where rules come from the cache (``cached``) it never is."""
    if name != "load_rules":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(".loading", __name__).load_rules
