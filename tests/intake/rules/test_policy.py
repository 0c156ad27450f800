"""States, suppressions and budgets decide by unit what becomes an alert; everything is counted, and once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from intake.pipeline import Detectors, set_cursor
from intake.rules import counting
from intake.rules.model import ALL_RULES, STREAM, Defaults, Outcome, RuleState, Ruling
from intake.rules.policy import BUDGET_KIND, BUDGET_RULE
from intake.rules.repository import (
    Ending,
    NewSuppression,
    SettingChange,
    add_suppression,
    change_setting,
    end_suppression,
    list_suppressions,
)
from intake.rules.tables import held
from soc_core.audit import verify_links
from soc_core.audit.journal import latest_links, read_links
from soc_core.errors import ConflictError, NotAllowedError, UsageError
from soc_core.model.detection import Severity
from soc_core.model.event import make_event_id
from soc_core.store.interface import SYSTEM_SCOPE, Scope
from tests.conftest import NOW
from tests.intake.rules.conftest import Place, Root


def suppress(place: Place, unit: str = "", rule: str = "root", **narrow: str) -> str:
    wanted = NewSuppression(
        rule, place.units.get(unit, ""), "tester", "a reason", NOW + timedelta(days=1), **narrow
    )
    with place.database.write() as connection:
        return add_suppression(connection, SYSTEM_SCOPE, wanted, now=NOW).id


def hits(place: Place) -> list[int]:
    with place.database.read() as connection:
        return [item.hits for item in list_suppressions(connection, SYSTEM_SCOPE)]


def test_on_alerts_and_counts(place: Place) -> None:
    place.happen(2)
    assert place.alerts() == [("root", 2), ("root", 2)]
    assert place.counted() == {"fired": 2, "opened": 2}


def test_silent_counts_only_and_keeps_the_detection(place: Place) -> None:
    place.set(state=RuleState.SILENT)
    place.happen(3)
    assert place.alerts() == []
    assert place.counted() == {"silent": 3}
    with place.database.read() as connection:
        rows = connection.execute(select(held)).all()
    assert {(row.outcome, row.rule_id, row.entity_kind) for row in rows} == {("silent", "root", "ip")}
    assert all(len(row.evidence) > 20 for row in rows)


def test_off_does_nothing(place: Place) -> None:
    place.set(state=RuleState.OFF)
    place.happen()
    assert (place.alerts(), place.counted()) == ([], {})


def test_the_nearest_setting_wins_and_a_new_one_holds_at_once(place: Place) -> None:
    place.set("C", state=RuleState.SILENT)
    place.set("S2", state=RuleState.ON)
    for unit in ("S1", "S2", "S3"):
        place.happen(unit=unit)
    assert (len(place.alerts("S1")), len(place.alerts("S2")), len(place.alerts("S3"))) == (0, 1, 1)
    place.set("S2", state=None)  # inherited again
    place.set("C", state=RuleState.OFF)
    place.happen(unit="S2")
    assert place.counted("S2") == {"fired": 1, "opened": 1}
    standing = place.policy.standings().standing("root", place.units["S2"])
    assert (standing.state, standing.state_from) == (RuleState.OFF, place.units["C"])


def test_severity_is_overridden_below_a_unit_and_the_id_stays(place: Place) -> None:
    place.set("C", severity=Severity.CRITICAL)
    place.happen(unit="S1")
    place.happen(unit="S3")
    assert place.alerts("S1") == [("root", 4)]
    assert place.alerts("S3") == [("root", 2)]


def test_rules_start_as_the_defaults_say(place: Place) -> None:
    place.policy.defaults = Defaults({"root": RuleState.SILENT})
    place.happen()
    place.set("S1", state=RuleState.ON)
    place.happen()
    assert place.counted() == {"fired": 1, "silent": 1, "opened": 1}


def test_beyond_the_budget_detections_are_kept_and_said_once(place: Place) -> None:
    place.set("C", budget=2)
    place.happen(5)
    place.happen(4)
    assert [kind for kind, _severity in place.alerts()] == ["root", "root", BUDGET_KIND]
    assert place.counted() == {"fired": 2, "over_budget": 7, "opened": 2}
    place.happen(2, unit="S2")  # each unit has its own
    assert place.counted("S2") == {"fired": 2, "opened": 2}
    with place.database.read() as connection:
        assert connection.scalar(select(func.count()).select_from(held)) == 7


def test_what_attaches_to_an_open_alert_costs_no_budget(place: Place) -> None:
    place.set(budget=1)
    place.happen(6, address="10.1.1.1")
    assert place.counted() == {"fired": 6, "opened": 1}
    assert len(place.alerts()) == 1


def test_all_rules_of_a_unit_together_have_a_budget_too(place: Place) -> None:
    place.set("S1", rule=ALL_RULES, budget=3)
    place.happen(5)
    assert place.counted() == {"fired": 3, "over_budget": 2, "opened": 3}
    assert ("rule_over_budget", 2) in place.alerts()


def test_noise_does_not_use_up_what_serious_alerts_need(place: Place) -> None:
    place.set("S1", rule=ALL_RULES, budget=3)
    place.happen(9)
    place.set("S1", severity=Severity.CRITICAL)
    place.happen(5)
    kinds = [severity for kind, severity in place.alerts() if kind == "root"]
    assert kinds == [2, 2, 2, 4, 4, 4]
    assert place.counted() == {"fired": 6, "over_budget": 8, "opened": 6}


def test_a_spent_budget_is_as_serious_as_what_it_holds_back(place: Place) -> None:
    place.set(budget=0, severity=Severity.CRITICAL)
    place.happen(3)
    assert place.alerts() == [(BUDGET_KIND, 4)]
    place.set(severity=Severity.INFORMATIONAL)
    place.happen(3, unit="S2")
    assert place.alerts("S2") == [(BUDGET_KIND, 1)]


@pytest.mark.parametrize("state", [RuleState.OFF, RuleState.SILENT])
def test_who_does_not_want_to_hear_of_spent_budgets_sets_that(place: Place, state: RuleState) -> None:
    place.set(budget=0)
    place.set("S1", rule=BUDGET_RULE, state=state)
    for unit in ("S1", "S2"):
        place.happen(3, unit=unit)
    assert (place.alerts("S1"), place.alerts("S2")) == ([], [(BUDGET_KIND, 2)])
    assert place.counted()["over_budget"] == 3


def test_suppressed_by_entity_below_a_unit(place: Place) -> None:
    suppress(place, "C", entity_kind="ip", entity_value="10.1.1.1")
    place.happen(2, address="10.1.1.1")
    place.happen(1, address="10.1.1.2")
    place.happen(1, address="10.1.1.1", unit="S3")
    assert place.counted() == {"fired": 1, "suppressed": 2, "opened": 1}
    assert place.counted("S3") == {"fired": 1, "opened": 1}
    assert hits(place) == [2]


def test_suppressed_by_query(place: Place) -> None:
    suppress(place, rule=ALL_RULES, query='source.ip:"10.1.1.0/24" AND event.dataset:test')
    place.happen(2, address="10.1.1.9")
    place.happen(1, address="10.2.1.9")
    assert place.counted() == {"fired": 1, "suppressed": 2, "opened": 1}


def test_a_query_is_asked_of_the_stored_events_of_windows(place: Place) -> None:
    suppress(place, query="source.ip:10.1.1.9")
    place.pipeline.replace(Detectors())
    place.happen(2, address="10.1.1.9")
    with place.database.read():
        events, _following = place.pipeline._store.read_from(0)
    found = Root().detect(events)
    assert [ruling.outcome for ruling in place.policy.decide(found)] == [Outcome.SUPPRESSED] * 2


def test_a_suppression_ends_by_itself_or_by_hand(place: Place) -> None:
    id_ = suppress(place)
    place.happen()
    place.policy._clock = lambda: NOW + timedelta(days=1)
    place.happen()
    assert place.counted() == {"fired": 1, "suppressed": 1, "opened": 1}
    place.policy._clock = lambda: NOW
    with place.database.write() as connection:
        end_suppression(connection, SYSTEM_SCOPE, Ending(id_, "tester", "over"), now=NOW)
    place.happen()
    assert place.counted()["fired"] == 2


def test_replays_count_nothing_twice(place: Place) -> None:
    place.set("S1", state=RuleState.SILENT)
    place.set("S2", budget=1)
    suppress(place, "S3")
    for unit in ("S1", "S2", "S3"):
        place.happen(3, unit=unit)
    before = [place.counted(unit) for unit in ("S1", "S2", "S3")], hits(place)
    with place.database.write() as connection:
        set_cursor(connection, place.pipeline.cursor, 0)
    assert place.pipeline.advance() == 9
    assert ([place.counted(unit) for unit in ("S1", "S2", "S3")], hits(place)) == before
    place.set("S1", state=RuleState.ON)  # what was counted silent does not fire later
    with place.database.write() as connection:
        set_cursor(connection, place.pipeline.cursor, 0)
    place.pipeline.advance()
    assert place.counted() == {"silent": 3}


def test_a_failed_transaction_counts_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.set("S1", state=RuleState.SILENT)

    def refuse(*_: object) -> None:
        raise RuntimeError("the power is gone")

    with monkeypatch.context() as patch:
        patch.setattr("intake.pipeline.set_cursor", refuse)
        with pytest.raises(RuntimeError):
            place.happen(2)
    assert place.counted() == {}
    place.pipeline.advance()
    assert place.counted() == {"silent": 2}


def test_held_detections_are_bounded_and_counting_goes_on(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "MOST_HELD", 3)
    place.set(state=RuleState.SILENT)
    place.happen(5)
    place.happen(5)
    assert place.counted() == {"silent": 10}
    with place.database.read() as connection:
        assert connection.scalar(select(func.count()).select_from(held)) == 3


def test_windows_judged_again_beyond_the_bound_are_not_counted(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "MOST_HELD", 2)
    place.pipeline.replace(Detectors())
    place.happen(5)
    events, _following = place.pipeline._store.read_from(0)
    place.set(state=RuleState.SILENT)
    for _ in range(2):
        rulings = place.policy.decide(Root().detect(events))
        with place.database.write() as connection:
            place.policy.take(connection, rulings, place.pipeline._sink, once=False)
    assert place.counted() == {"silent": 2}


def test_old_counts_and_held_detections_go(place: Place) -> None:
    place.set(state=RuleState.SILENT)
    place.happen(2)
    with place.database.write() as connection:
        counting.prune(connection, NOW + timedelta(days=counting.HELD_DAYS + 1))
        assert connection.scalar(select(func.count()).select_from(held)) == 0
    assert place.counted() == {"silent": 2}
    with place.database.write() as connection:
        counting.prune(connection, NOW + timedelta(days=counting.COUNT_DAYS + 2))
    assert place.counted() == {}


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z"])
def test_an_event_at_an_end_of_the_calendar_does_not_stop_detecting(place: Place, at: str) -> None:
    event = {
        "@timestamp": at,
        "event.id": make_event_id(at, b"test", 1, b""),
        "event.dataset": "test",
        "user.name": "root",
        "source.ip": "10.9.9.9",
    }
    place.pipeline.take([event], organization_id=place.units["S1"], zone="default")
    assert place.pipeline.advance() == 1
    assert place.alerts() == [("root", 2)]
    assert place.counted() == {"fired": 1, "opened": 1}


def test_days_are_bounded() -> None:
    assert counting.day_of("2026-11-22T16:30:00.000000Z", NOW) == "2026-11-23"  # in Beijing
    assert counting.day_of("1999-01-01T00:00:00.000000Z", NOW) == "2025-10-19"
    assert counting.day_of("2099-01-01T00:00:00.000000Z", NOW) == "2026-11-24"


def test_each_change_is_in_the_journal_with_who_and_why(place: Place) -> None:
    place.set("C", state=RuleState.SILENT)
    id_ = suppress(place, "S1")
    with place.database.write() as connection:
        end_suppression(connection, SYSTEM_SCOPE, Ending(id_, "wang", "not needed"), now=NOW)
        links = latest_links(connection, STREAM)
        assert [link.kind for link in links] == ["rule.unsuppress", "rule.suppress", "rule.set"]
        assert '"actor":"wang"' in links[0].body
        assert '"after":{"state":"silent"},"before":{"state":null}' in links[2].body
        assert verify_links(STREAM, read_links(connection, STREAM)).judgement == "unanchored"


def test_who_may_not_see_a_unit_sets_nothing_there(place: Place) -> None:
    scope = Scope(place.tree.subtree(place.units["C"]))
    for unit in ("S3", "D", ""):
        change = SettingChange(
            "root", place.units.get(unit, ""), "x", "why", frozenset({"state"}), RuleState.OFF
        )
        wanted = NewSuppression("root", place.units.get(unit, ""), "x", "why", NOW + timedelta(days=1))
        with place.database.write() as connection:
            with pytest.raises(NotAllowedError):
                change_setting(connection, scope, change, now=NOW)
            with pytest.raises(NotAllowedError):
                add_suppression(connection, scope, wanted, now=NOW)
    foreign = suppress(place, "S3")
    with place.database.write() as connection:
        assert list_suppressions(connection, scope) == []
        with pytest.raises(NotAllowedError):
            end_suppression(connection, scope, Ending(foreign, "x", "why"), now=NOW)


def test_an_old_version_changes_nothing(place: Place) -> None:
    place.set("C", budget=5)
    change = SettingChange("root", place.units["C"], "x", "why", frozenset({"budget"}), budget=6, version=0)
    with place.database.write() as connection, pytest.raises(ConflictError):
        change_setting(connection, SYSTEM_SCOPE, change, now=NOW)


@pytest.mark.parametrize(
    "wrong",
    [
        {"reason": " "},
        {"expires": NOW},
        {"expires": NOW + timedelta(days=400)},
        {"rule_id": ALL_RULES},
        {"query": "source.ip:("},
        {"entity_kind": "ip"},
        {"rule_id": "a b"},
    ],
)
def test_suppressions_that_make_no_sense_are_refused(place: Place, wrong: dict[str, object]) -> None:
    given: dict[str, object] = {
        "rule_id": "root",
        "organization_id": "",
        "owner": "x",
        "reason": "why",
        "expires": NOW + timedelta(days=1),
    }
    wanted = NewSuppression(**{**given, **wrong})  # type: ignore[arg-type]
    with place.database.write() as connection, pytest.raises(UsageError):
        add_suppression(connection, SYSTEM_SCOPE, wanted, now=NOW)


def test_the_spent_budget_is_one_detection_a_day_whichever_came_first(place: Place) -> None:
    place.set(budget=0)
    place.happen(3)
    assert place.alerts() == [(BUDGET_KIND, 2)]
    assert place.counted(rule=BUDGET_RULE) == {}
    ruling = Ruling(Root().detect(place.pipeline._store.read_from(0)[0])[0], Outcome.FIRED)
    assert ruling.detection.evidence


def test_replaced_detectors_run_from_the_next_chunk_on(place: Place) -> None:
    place.pipeline.replace(Detectors())
    place.happen(2)
    assert place.alerts() == []
    place.pipeline.replace(Detectors([Root()]))
    place.happen(1)
    assert place.counted() == {"fired": 1, "opened": 1}
    with pytest.raises(ValueError, match="cursor"):
        place.pipeline.replace(Detectors(cursor="other"))
