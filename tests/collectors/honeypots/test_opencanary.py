from __future__ import annotations

from tests.collectors.base import GOLDEN, TextCollectorTests, read_all


class TestOpenCanary(TextCollectorTests):
    name = "opencanary"
    samples = ("opencanary.json",)

    def test_passwords_are_nowhere(self) -> None:
        events, _, _ = read_all(self.collector(), (GOLDEN / "opencanary.json").read_bytes())
        for secret in ("guess-me-1", "Sommer2026", "123456", '"abc"'):
            assert secret not in str(events)

    def test_touching_a_honeypot_is_an_alert_and_its_own_messages_are_none(self) -> None:
        events, _, _ = read_all(self.collector(), (GOLDEN / "opencanary.json").read_bytes())
        kinds = {str(event["event.code"]): event["event.kind"] for event in events}
        assert kinds.pop("1001") == "event"
        assert set(kinds.values()) == {"alert"}
