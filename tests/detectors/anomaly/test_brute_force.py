"""Guessing is found in log-in records and in flows; people who mistype and programs that poll are not."""

from __future__ import annotations

import pytest

from detectors.anomaly import brute_force
from detectors.anomaly.brute_force import BruteForce
from soc_core.model.detection import Severity
from soc_core.model.event import Event
from tests.detectors.anomaly.base import Maker, judge, names

GUESSER, SERVER, INSIDE = "203.0.113.7", "192.168.1.10", "192.168.1.66"


def flows(
    count: int, port: int = 22, *, source: str = GUESSER, step: float = 3, sent: int = 2_600
) -> list[Event]:
    maker = Maker()
    return [
        maker.flow(
            60 + step * n, source, SERVER, port, source__bytes=sent + n % 7 * 10, destination__bytes=3_000
        )
        for n in range(count)
    ]


def logins(
    count: int, *, step: float = 5, users: int = 1, start: float = 60, maker: Maker | None = None
) -> list[Event]:
    maker = maker or Maker()
    return [maker.login(start + step * n, GUESSER, "failure", f"user{n % users}") for n in range(count)]


def test_flows_alone_show_ssh_guessing() -> None:
    (found,) = judge(BruteForce(), flows(30))
    assert (found.kind, found.entity.value, found.peer) == ("ssh_bruteforce", SERVER, GUESSER)
    assert found.severity is Severity.MEDIUM
    assert found.techniques == ("T1110.001",)


def test_an_inside_guesser_is_the_device_and_soon_high() -> None:
    (found,) = judge(BruteForce(), flows(80, source=INSIDE))
    assert (found.entity.value, found.peer, found.severity) == (INSIDE, SERVER, Severity.HIGH)


@pytest.mark.parametrize(
    ("port", "kind", "severity"),
    [
        (3389, "rdp_bruteforce", Severity.HIGH),
        (21, "brute_force", Severity.HIGH),
        (3306, "brute_force", Severity.MEDIUM),
    ],
)
def test_kinds_and_levels_follow_the_service(port: int, kind: str, severity: Severity) -> None:
    events = flows(250, port, step=2, sent=1_500)
    for event in events:
        event["destination.bytes"] = 2_000
    (found,) = judge(BruteForce(), events)
    assert (found.kind, found.severity) == (kind, severity)


def test_a_long_session_after_the_guessing_is_high() -> None:
    events = flows(30)
    events.append(
        Maker().flow(
            200, GUESSER, SERVER, 22, source__bytes=90_000, destination__bytes=400_000, event__duration=300_000_000_000,
            event__id="20261120-long",
        )
    )  # fmt: skip
    (found,) = judge(BruteForce(), events)
    assert found.severity is Severity.HIGH
    assert "long_session" in names([found])


def test_nineteen_or_varied_or_unanswered_or_slow_connections_are_no_guessing() -> None:
    maker = Maker()
    varied = [
        maker.flow(60 + 3 * n, INSIDE, SERVER, 22, source__bytes=200 * (n + 1), destination__bytes=3_000)
        for n in range(39)
    ]
    silent = [maker.flow(60 + 3 * n, INSIDE, SERVER, 22, answered=False) for n in range(60)]
    slow = flows(30, step=90)
    for events in (flows(19), varied, silent, slow):
        assert judge(BruteForce(), events) == []


def test_slow_guessing_over_an_hour_is_found() -> None:
    (found,) = judge(BruteForce(), flows(60, step=58))
    assert found.count >= 40


def test_refused_logins_and_then_a_success_are_critical() -> None:
    maker = Maker()
    events = logins(40, users=3, maker=maker)
    events.append(maker.login(400, GUESSER, "success", "user1"))
    (found,) = judge(BruteForce(), events)
    assert (found.kind, found.severity) == ("ssh_bruteforce", Severity.CRITICAL)
    assert (found.entity.kind, found.entity.value) == ("host", "web1")
    assert dict(found.reasons[-1].values) == {"user": "user1"}


def test_one_forgetful_person_is_not_critical() -> None:
    maker = Maker()
    events = [*logins(12, maker=maker), maker.login(400, GUESSER, "success", "user0")]
    (found,) = judge(BruteForce(), events)
    assert found.severity is Severity.HIGH


def test_a_success_in_the_next_window_is_news() -> None:
    maker = Maker()
    events = [*logins(30, users=3, start=1_600, maker=maker), maker.login(1_801, GUESSER, "success", "user2")]
    found = judge(BruteForce(), events)
    assert [item.severity for item in found] == [Severity.MEDIUM, Severity.CRITICAL]


def test_spraying_has_its_own_technique() -> None:
    (found,) = judge(BruteForce(), logins(40, users=20))
    assert found.techniques == ("T1110.003",)
    assert "spraying" in names([found])


@pytest.mark.parametrize(
    ("fields", "kind", "name"),
    [
        ({"winlog__event_data__LogonType": "10", "process__name": "-"}, "rdp_bruteforce", "logins"),
        ({"process__name": ""}, "brute_force", "logins_unnamed"),
        ({"process__name": "vsftpd"}, "brute_force", "logins"),
        ({"destination__ip": SERVER}, "ssh_bruteforce", "logins"),
    ],
)
def test_the_service_comes_from_the_record(fields: dict[str, str], kind: str, name: str) -> None:
    maker = Maker()
    events = [maker.login(60 + n, GUESSER, "failure", "root", **fields) for n in range(12)]
    (found,) = judge(BruteForce(), events)
    assert found.kind == kind
    assert name in names([found])


def test_nine_failures_or_successes_only_are_nothing() -> None:
    maker = Maker()
    assert judge(BruteForce(), logins(9)) == []
    assert judge(BruteForce(), [maker.login(n, GUESSER, "success") for n in range(60)]) == []
    assert (
        judge(BruteForce(), [maker.event(n, {"event.category": "authentication"}) for n in range(60)]) == []
    )


def test_tries_are_bounded_and_the_rest_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brute_force, "MAX_TRIES", 100)
    (found,) = judge(BruteForce(), logins(500, step=1, users=400))
    assert "overflow" in names([found])
    assert (
        dict(next(r for r in found.reasons if r.key.endswith("spraying")).values)["users"]
        <= brute_force.MAX_USERS
    )
    assert found.count == 500
