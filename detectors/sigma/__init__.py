"""Detect by Sigma rules (Sigma specification 2.1): load, match, correlate, explain."""

from detectors.sigma.correlation import CorrelationDetector
from detectors.sigma.detector import SigmaDetector
from detectors.sigma.loading import load_rules
from detectors.sigma.model import CorrelationRule, Problem, RuleSet, SigmaRule, Words, to_query

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
