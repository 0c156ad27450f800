"""What a model finds unusual is a mild hint in words, within the budget, once per episode; normal days stay quiet."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from detectors.anomaly.model import files
from detectors.anomaly.registry import default_detectors
from detectors.anomaly.unusual_flow import UnusualFlow
from soc_core.model.detection import Severity
from soc_core.model.event import Event
from tests.detectors.anomaly.base import START, UNIT, Maker, cut_at, judge, names, shuffled_ties
from tests.detectors.anomaly.model.base import normal, small_model

DAY = 86_400.0
DEVICE = "192.168.1.20"


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> UnusualFlow:
    return UnusualFlow(files.save(small_model(), tmp_path_factory.mktemp("models")))


def odd(
    at: float, *, device: str = DEVICE, count: int = 1, step: float = 60, maker: Maker | None = None
) -> list[Event]:
    maker = maker or Maker()
    made = [
        maker.flow(
            at + step * n,
            device,
            "198.51.100.7",
            6667,
            source__bytes=80_000_000,
            source__packets=60_000,
            destination__bytes=400_000,
            destination__packets=9_000,
            event__duration=7_200_000_000_000,
        )
        for n in range(count)
    ]
    for event in made:
        event["event.id"] = f"{str(event['event.id'])[:9]}odd{device[-3:]}{str(event['event.id'])[9:]}"
    return made


def test_a_large_upload_to_a_strange_service_is_a_medium_hint(detector: UnusualFlow) -> None:
    (found,) = judge(detector, normal(800, seed=5, start=DAY) + odd(DAY + 4 * 3_600))
    assert (found.kind, found.entity.value, found.peer) == ("unusual_flow", DEVICE, "198.51.100.7")
    assert found.severity is Severity.MEDIUM
    assert found.model_version == small_model().card.version
    assert found.count == 1
    assert {"summary", "sent", "service"} <= names([found]) | {"sent"}
    assert 2 <= len(found.reasons) <= 4


@pytest.mark.parametrize("seed", [11, 12, 13])
def test_normal_days_stay_within_the_budget(detector: UnusualFlow, seed: int) -> None:
    found = judge(detector, normal(6_000, seed=seed, start=DAY))
    assert len(found) <= 3
    assert all(item.severity is Severity.LOW for item in found)


def test_an_episode_is_told_once_whatever_the_hour(detector: UnusualFlow) -> None:
    across = odd(2 * DAY - 1_800, count=30, step=120)  # half an hour before midnight to half an hour after
    assert len(judge(detector, across)) == 1
    again = across + odd(2 * DAY + 6 * 3_600, maker=Maker(), device=DEVICE, step=1)
    again[-1]["event.id"] = f"{str(again[-1]['event.id'])[:9]}later"
    assert len(judge(detector, again)) == 2


def test_the_budget_holds_and_keeps_who_came_first(detector: UnusualFlow) -> None:
    maker = Maker()
    events = [
        event for n in range(12) for event in odd(DAY + 600 * n, device=f"192.168.1.{200 + n}", maker=maker)
    ]
    found = judge(detector, events)
    assert [item.entity.value for item in found] == ["192.168.1.200", "192.168.1.201", "192.168.1.202"]
    early = judge(detector, events[:5])
    assert [item.id for item in early] == [item.id for item in found]


def test_ties_and_cuts_do_not_matter(detector: UnusualFlow) -> None:
    events = normal(500, seed=6, start=DAY) + odd(DAY + 3_600, count=5)
    for event in events:
        event["@timestamp"] = f"{str(event['@timestamp'])[:16]}:00.000000Z"
    whole = judge(detector, events)
    assert whole
    assert judge(detector, shuffled_ties(events, 3), cut=cut_at(37)) == whole


def test_a_model_of_one_unit_says_nothing_of_others(tmp_path: Path) -> None:
    from dataclasses import replace

    model = small_model()
    for units, expected in (((UNIT,), 1), (("another",), 0)):
        own = replace(model, card=replace(model.card, organizations=units))
        detector = UnusualFlow(files.save(own, tmp_path / units[0]))
        assert len(judge(detector, odd(DAY))) == expected


def test_strangers_among_themselves_are_not_our_business(detector: UnusualFlow) -> None:
    assert judge(detector, odd(DAY, device="203.0.113.200")) == []


def test_the_registry_takes_the_current_model(tmp_path: Path) -> None:
    assert "unusual_flow" not in {detector.id for detector in default_detectors(tmp_path)}
    files.save(small_model(), tmp_path)
    assert "unusual_flow" in {detector.id for detector in default_detectors(tmp_path)}
    assert "unusual_flow" not in {detector.id for detector in default_detectors()}


def test_a_changed_file_keeps_the_detector_off_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = files.save(small_model(), tmp_path)
    data = bytearray((folder / "model.skops").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "model.skops").write_bytes(data)
    with caplog.at_level(logging.WARNING, logger="edusoc.models"):
        assert "unusual_flow" not in {detector.id for detector in default_detectors(tmp_path)}
        detector = UnusualFlow(folder)
        assert judge(detector, odd(DAY)) == []
        assert judge(detector, odd(DAY)) == []
    assert caplog.text.count("edusoc models train") == 2
    assert START.year == 2026


def test_importing_the_registry_imports_no_scikit_learn() -> None:
    import subprocess
    import sys

    code = "import sys, detectors.anomaly.registry; print('sklearn' in sys.modules, 'skops' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.split() == ["False", "False"]
