"""Hold what the agent does with orders: checks each, runs each at most once, answers each once."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from collectors.agent.handlers import ACTIONS, ActionHandler, RulesHandler
from collectors.agent.orders import NUMBER, Addressee, Handler, OrderDesk
from collectors.agent.requested import Requested
from soc_core.clock import format_instant
from soc_core.errors import UsageError
from soc_core.keys.signing import SigningKey
from soc_core.model.event import EVENT_ID, Event
from soc_core.uplink.orders import ACTION, PACKETS, RULES, Order, sign_order
from tests.collectors.agent.helpers import NOW

KEY = SigningKey(b"k" * 32)
CONSENT = {ACTION: True, RULES: True, PACKETS: True}


class Killed(BaseException):
    """End like kill -9: nothing after it runs."""


class Recorder:
    """Count what was run; it may be killed before or after the deed."""

    def __init__(self) -> None:
        self.deeds: list[int] = []
        self.kill = ""

    def run(self, order: Order) -> str:
        if self.kill == "before":
            raise Killed
        self.deeds.append(order.number)
        if self.kill == "after":
            raise Killed
        return "done"

    def interrupted(self, _order: Order) -> str:
        return "nobody knows"


class Office:
    """A desk that can be opened again over the same journal."""

    def __init__(
        self, folder: Path, handlers: dict[str, Handler], consent: dict[str, bool] | None = None
    ) -> None:
        self.folder, self.handlers = folder, handlers
        self.consent = CONSENT if consent is None else consent
        self.answers: list[Event] = []
        self.can_answer = True
        self.now = NOW
        self.open()

    def open(self) -> None:
        who = Addressee("agent-1", KEY.public, self.consent, "unit-1", "zone")
        self.desk = OrderDesk(self.folder / "orders", who, self.handlers, lambda: self.now, self._answer)

    def reopen(self) -> None:
        self.desk.close()
        self.open()
        self.desk.recover()

    def _answer(self, event: Event) -> bool:
        if self.can_answer:
            self.answers.append(event)
        return self.can_answer

    def outcomes(self) -> list[tuple[object, object, object]]:
        return [(item[NUMBER], item["event.outcome"], item["event.reason"]) for item in self.answers]


def order(
    number: int,
    kind: str = ACTION,
    key: SigningKey = KEY,
    agent: str = "agent-1",
    now: datetime = NOW,
    **body: str,
) -> str:
    later = format_instant(now + timedelta(hours=1))
    return sign_order(Order(agent, number, kind, format_instant(now), later, body), key)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def office(tmp_path: Path, recorder: Recorder) -> Office:
    return Office(tmp_path, {ACTION: recorder})


def test_an_order_is_run_once_and_answered_once(office: Office, recorder: Recorder) -> None:
    for _ in range(3):
        office.desk.handle(order(1))
    office.reopen()
    office.desk.handle(order(1))
    assert recorder.deeds == [1]
    assert office.outcomes() == [(1, "success", "done")]


def test_what_may_not_be_run_is_refused_and_told_once(office: Office, recorder: Recorder) -> None:
    foreign = SigningKey(b"x" * 32)
    texts = [
        "nonsense",
        order(1, key=foreign),
        order(1, agent="agent-2"),
        order(1).replace("agent-1", "agent-3"),
        order(5, now=NOW - timedelta(hours=2)),
        order(4),
        order(6, RULES),
    ]
    office.consent = {ACTION: True}
    office.reopen()
    for _ in range(2):
        for text in texts:
            office.desk.handle(text)
    assert recorder.deeds == []
    assert [reason for _, _, reason in office.outcomes()] == [
        "refused: an order is malformed",
        "refused: an order is not signed by our centre",
        "refused: an order for another agent",
        "refused: an order is not signed by our centre",
        "refused: it expired at 2026-11-24T03:00:00.000000Z",
        "refused: its number does not rise",
        "refused: this site does not consent to orders of the kind 'rules'",
    ]
    assert len({item[EVENT_ID] for item in office.answers}) == len(texts)
    assert office.desk.refused == len(texts)


def test_expiry_goes_by_the_centres_clock(office: Office, recorder: Recorder) -> None:
    text = order(1)
    office.now = NOW + timedelta(days=1)
    office.desk.handle(text)
    assert recorder.deeds == []


@pytest.mark.parametrize("kill", ["before", "after"])
def test_a_killed_order_is_never_run_again(office: Office, recorder: Recorder, kill: str) -> None:
    recorder.kill = kill
    with pytest.raises(Killed):
        office.desk.handle(order(1))
    recorder.kill = ""
    office.reopen()
    office.desk.handle(order(1))
    assert recorder.deeds == ([1] if kill == "after" else [])
    assert office.outcomes() == [(1, "failure", "interrupted: nobody knows")]
    office.desk.handle(order(2))
    assert office.outcomes()[-1] == (2, "success", "done")


def test_an_answer_that_found_no_room_is_told_later_as_the_same_event(
    office: Office, recorder: Recorder
) -> None:
    office.can_answer = False
    office.desk.handle(order(1))
    assert office.answers == []
    office.can_answer = True
    office.now += timedelta(hours=5)
    office.reopen()
    assert office.outcomes() == [(1, "success", "done")]
    assert office.answers[0]["@timestamp"] == format_instant(NOW)
    office.reopen()
    assert len(office.answers) == 1


def test_a_full_disk_runs_nothing(office: Office, recorder: Recorder) -> None:
    office.desk._journal._log.reserve = 1 << 62
    office.desk.handle(order(1))
    assert recorder.deeds == []
    office.desk._journal._log.reserve = 0
    office.desk.handle(order(1))
    assert recorder.deeds == [1]


def test_whatever_a_handler_raises_is_answered(tmp_path: Path) -> None:
    class Bad:
        def run(self, order: Order) -> str:
            raise ZeroDivisionError("oops")

        def interrupted(self, order: Order) -> str:
            return ""

    office = Office(tmp_path, {ACTION: Bad(), PACKETS: Requested(tmp_path, list)})
    office.desk.handle(order(1))
    office.desk.handle(order(2, PACKETS))
    assert office.outcomes() == [
        (1, "failure", "the order failed: ZeroDivisionError: oops"),
        (2, "failure", "order 2: the order can't be read: Invalid isoformat string: ''"),
    ]


def test_actions_are_known_and_protected_addresses_are_left_alone() -> None:
    handler = ActionHandler(ACTIONS, ("10.0.0.1", "10.1.0.0/16", "fd00::/8"))

    def run(**body: str | list[str]) -> str:
        return handler.run(Order("a", 1, ACTION, "", "", body))

    assert run(action="ping", text="hello", address="10.0.0.2") == "pong hello"
    with pytest.raises(UsageError, match="no action 'format'"):
        run(action="format")
    for value in ("10.0.0.1", "10.1.2.3", "10.0.0.0/24", "0.0.0.0/0", "fd00::5", ["10.9.9.9", "10.0.0.1"]):
        with pytest.raises(UsageError, match="protects"):
            run(action="ping", target=value)


def test_rules_are_kept_and_removed(tmp_path: Path) -> None:
    handler = RulesHandler(tmp_path)

    def run(**body: str) -> str:
        return handler.run(Order("a", 1, RULES, "", "", body))

    assert run(name="one.yml", text="title: x") == "kept one.yml"
    assert (tmp_path / "rules" / "one.yml").read_text() == "title: x"
    assert run(name="one.yml", text="") == "removed one.yml"
    assert list((tmp_path / "rules").iterdir()) == []
    for name in ("../one.yml", "one", "/etc/x.yml", "a b.yml"):
        with pytest.raises(UsageError):
            run(name=name, text="x")
    with pytest.raises(UsageError):
        run(name="one.yml")
