"""Large one-sided uploads are found; downloads, calls and backups of everybody are not, or are low."""

from __future__ import annotations

import pytest

from detectors.anomaly.exfiltration import Exfiltration
from soc_core.model.detection import Severity
from soc_core.model.event import Event
from tests.detectors.anomaly.base import Maker, judge, names

DEVICE, PEER = "192.168.1.66", "203.0.113.9"
MB = 1_000_000


def upload(
    megabytes: float,
    port: int = 443,
    *,
    received: float = 1,
    start: float = 600,
    flows: int = 10,
    source: str = DEVICE,
    maker: Maker | None = None,
) -> list[Event]:
    maker = maker or Maker()
    return [
        maker.flow(
            start + 30 * n,
            source,
            PEER,
            port,
            source__bytes=round(megabytes * MB / flows),
            destination__bytes=round(received * MB / flows),
        )
        for n in range(flows)
    ]


@pytest.mark.parametrize(
    ("events", "severity", "reason"),
    [
        (upload(300), Severity.MEDIUM, "ordinary_port"),
        (upload(5_000), Severity.MEDIUM, "ordinary_port"),
        (upload(30, 4444), Severity.MEDIUM, "unusual_port"),
        (upload(2_000, 4444), Severity.HIGH, "unusual_port"),
    ],
)
def test_uploads(events: list[Event], severity: Severity, reason: str) -> None:
    (found,) = judge(Exfiltration(), events)
    assert (found.kind, found.entity.value, found.peer) == ("exfiltration", DEVICE, PEER)
    assert found.severity is severity
    assert names([found]) == {"volume", reason}


@pytest.mark.parametrize(
    "events",
    [
        upload(150),
        upload(300, received=100),
        upload(15, 4444),
        upload(3, received=900),
        upload(900, source="203.0.113.77"),
    ],
    ids=["little", "call", "little elsewhere", "download", "not ours"],
)
def test_ordinary_traffic(events: list[Event]) -> None:
    assert judge(Exfiltration(), events) == []


def test_a_backup_of_several_devices_is_low() -> None:
    maker = Maker()
    events = [e for n in range(4) for e in upload(400, source=f"192.168.1.{n + 10}", maker=maker)]
    found = judge(Exfiltration(), events)
    assert len(found) == 4
    assert {item.severity for item in found} == {Severity.LOW}
    assert "shared" in names(found)


def test_an_upload_across_noon_is_told_once() -> None:
    (found,) = judge(Exfiltration(), upload(300, start=12 * 3_600 - 150))
    assert found.count == 10


def test_all_records_of_a_long_connection_add_up() -> None:
    events = upload(300)
    for part, event in enumerate(events, start=1):
        event["edusoc.flow.part"] = part
    assert len(judge(Exfiltration(), events)) == 1
