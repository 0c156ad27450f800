"""Ids depend on what a detection says, and on nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from detectors.anomaly.bounded import Evidence
from detectors.anomaly.making import Verdict, in_stable_order, make_detection, overflow_reasons, reason
from detectors.base import Window
from soc_core.model.detection import Severity
from tests.detectors.anomaly.base import START

WINDOW = Window("u1", "校园网", START, START + timedelta(hours=1))
VERDICT = Verdict(
    "port_scan",
    "10.0.0.1",
    Severity.MEDIUM,
    (reason("port_scan", "answered", count=1, ports="22"),),
    ("T1046",),
)


def made(verdict: Verdict = VERDICT, window: Window = WINDOW, number: int = 3) -> str:
    evidence = Evidence()
    for index in range(number):
        evidence.add(f"e{index}", f"t{index}", early=False)
    return make_detection("port_scan", window, verdict, evidence).id


def test_more_evidence_is_the_same_detection() -> None:
    assert made() == made(number=200)
    assert made(replace(VERDICT, score=0.4, confidence=0.3)) == made()


@pytest.mark.parametrize(
    "verdict",
    [
        replace(VERDICT, address="10.0.0.2"),
        replace(VERDICT, peer="10.0.0.9"),
        replace(VERDICT, about="udp"),
        replace(VERDICT, severity=Severity.HIGH),
        replace(VERDICT, entity_kind="host"),
    ],
)
def test_another_statement_is_another_detection(verdict: Verdict) -> None:
    assert made(verdict) != made()


def test_another_place_or_time_is_another_detection() -> None:
    for window in (
        replace(WINDOW, organization_id="u2"),
        replace(WINDOW, zone="监控网"),
        replace(WINDOW, start=START + timedelta(hours=1)),
    ):
        assert made(window=window) != made()


def test_reasons_are_rounded_and_overflow_is_said() -> None:
    assert dict(reason("beacon", "score", steady=0.98765, rita=1.0).values) == {"steady": 0.988, "rita": 1.0}
    assert overflow_reasons(0) == ()
    assert dict(overflow_reasons(7)[0].values) == {"count": 7}


def test_order_is_by_time_then_id() -> None:
    evidence = Evidence()
    evidence.add("e", "t1", early=False)
    first = make_detection("a", WINDOW, VERDICT, evidence)
    second = make_detection("b", WINDOW, VERDICT, evidence)
    assert in_stable_order([first, second]) == in_stable_order([second, first])
