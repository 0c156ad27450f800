"""Rows of the operational database as released versions wrote them, by the revision of its tables. Never changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

AT = "2026-11-20T08:00:00.000000Z"
LATER = "2026-11-20T09:30:00.000000Z"
PASSWORD = "correct horse battery"
PASSWORD_HASH = (
    "$argon2id$v=19$m=65536,t=3,p=4$OWC9r0A/5n235E7vywadvw$ggVylKQeLMq90/mh9WPhq+xq/KiIa6Au2p5DYzoFok8"
)
ALERT = {
    "id": "aalert1",
    "organization_id": "u1",
    "kind": "beacon",
    "entity_kind": "ip",
    "entity_zone": "校园网",
    "entity_value": "192.168.20.45",
    "peer": "198.51.100.77",
    "rule_id": "beacon",
    "rule_kind": "anomaly",
    "severity": 3,
    "priority": 56,
    "status": "in_progress",
    "close_reason": "",
    "assigned_to": "wang",
    "first_seen": AT,
    "last_seen": LATER,
    "detection_count": 1,
    "event_count": 101,
    "version": 3,
    "created_at": AT,
    "updated_at": LATER,
}
DETECTION = {
    "id": "alert1",
    "alert_id": "aalert1",
    "rule_id": "beacon",
    "rule_kind": "anomaly",
    "kind": "beacon",
    "organization_id": "u1",
    "entity_kind": "ip",
    "entity_zone": "校园网",
    "entity_value": "192.168.20.45",
    "peer": "198.51.100.77",
    "severity": 3,
    "score": 0.93,
    "confidence": 0.875,
    "first_seen": AT,
    "last_seen": LATER,
    "count": 101,
    "reasons": '[{"key":"detectors.beacon.interval","values":{"seconds":309}}]',
    "evidence": '["20261120-abcdefghijklmnopqrstuvwxyz"]',
    "techniques": '["T1071"]',
    "model_version": "",
    "created_at": AT,
}
FIRST: Mapping[str, Sequence[Mapping[str, object]]] = {
    "organisations": [{"id": "u0", "created_at": AT}, {"id": "u1", "created_at": AT}],
    "organisation_attributes": [
        {"organisation_id": "u0", "name": "code", "value": "C", "valid_from": None, "valid_to": None},
        {"organisation_id": "u1", "name": "code", "value": "S1", "valid_from": None, "valid_to": None},
        {
            "organisation_id": "u1",
            "name": "name",
            "value": "演示旧校名",
            "valid_from": date(2020, 9, 1),
            "valid_to": date(2026, 9, 1),
        },
        {
            "organisation_id": "u1",
            "name": "name",
            "value": "演示学校",
            "valid_from": date(2026, 9, 1),
            "valid_to": None,
        },
        {"organisation_id": "u1", "name": "parent_id", "value": "u0", "valid_from": None, "valid_to": None},
    ],
    "organisation_zones": [{"organisation_id": "u1", "zone": "校园网", "network": "192.168.20.0/24"}],
    "assets": [
        {
            "organisation_id": "u1",
            "zone": "校园网",
            "address": "192.168.20.45",
            "name": "实验室电脑",
            "name_en": "Lab PC",
            "kind": "pc",
            "mac": "",
            "location": "实验楼 302",
            "supervisor": "程主任",
            "operator": "崔老师",
            "user": "学生",
            "protection_level": 2,
            "importance": 3,
        }
    ],
    "users": [
        {
            "name": "wang",
            "display_name": "王老师",
            "password_hash": PASSWORD_HASH,
            "role": "contact",
            "organisation_id": "u1",
            "language": "zh",
            "disabled": False,
            "demo": False,
            "created_at": AT,
        }
    ],
    "sessions": [
        {
            "token_hash": "0" * 64,
            "user_name": "wang",
            "csrf": "c",
            "created_at": AT,
            "expires_at": "2026-11-20T18:00:00.000000Z",
        }
    ],
    "login_failures": [{"user_name": "wang", "at": AT}],
    "alerts": [ALERT],
    "detections": [DETECTION],
    "alert_history": [
        {"alert_id": "aalert1", "at": AT, "actor": "system", "action": "created", "detail": "{}"},
        {
            "alert_id": "aalert1",
            "at": LATER,
            "actor": "wang",
            "action": "status.in_progress",
            "detail": '{"status":"in_progress","comment":"在查"}',
        },
    ],
    "outbox": [
        {
            "topic": "alert.created",
            "organization_id": "u1",
            "payload": '{"alert_id":"aalert1"}',
            "created_at": AT,
        },
        {
            "topic": "alert.updated",
            "organization_id": "u1",
            "payload": '{"alert_id":"aalert1"}',
            "created_at": LATER,
        },
    ],
    "jobs": [
        {
            "kind": "detect.window",
            "key": "u1\t校园网\t00000001763625600000\tbeacon",
            "due_at": AT,
            "leased_until": "",
            "attempts": 0,
            "generation": 1,
        }
    ],
    "intake_cursors": [{"name": "detect", "log_offset": 2_000_000_000}],
    "imported_sources": [
        {
            "identity": "f" * 32,
            "path": "/data/核心交换机.pcap",
            "collector": "",
            "organization_id": "u1",
            "zone": "校园网",
            "reference": AT,
            "first_at": AT,
            "last_at": LATER,
        }
    ],
    "quarantine": [
        {
            "source": "/data/auth.log",
            "position": 4_096,
            "reason": "no header",
            "line": 12,
            "raw": b"\x00\xff bad",
            "organization_id": "u1",
            "at": AT,
        }
    ],
}
SECOND = {
    **FIRST,
    "alerts": [{**ALERT, "help_wanted": True}],
    "remembered_answers": [
        {"user_name": "wang", "key": "k1", "request": "0" * 64, "answer": "{}", "created_at": AT}
    ],
}
FOURTH = {
    **SECOND,
    "agents": [
        {
            "id": "g1",
            "name": "机房",
            "organization_id": "u1",
            "zone": "校园网",
            "below": False,
            "public_key": "0" * 64,
            "state": "enrolled",
            "created_at": AT,
            "revoked_at": "",
            "version": "1",
            "platform": "linux",
            "events_per_second": 0,
            "bytes_per_day": 0,
            "last_number": 7,
            "last_order": 0,
            "last_seen_at": LATER,
            "last_address": "10.0.0.1",
            "clock_offset_ms": 0,
            "accepted": 5,
            "duplicates": 0,
            "bad": 0,
            "refused": 0,
            "day": "20261120",
            "day_bytes": 0,
            "heartbeat_at": "",
            "heartbeat": "{}",
        }
    ],
}
FIFTH = {
    **FOURTH,
    "rule_settings": [
        {
            "rule_id": "beacon",
            "organization_id": "u1",
            "state": "silent",
            "severity": "",
            "budget": None,
            "version": 1,
            "actor": "wang",
            "reason": "误报多",
            "updated_at": AT,
        }
    ],
    "rule_counts": [
        {
            "rule_id": "beacon",
            "organization_id": "u1",
            "day": "2026-11-20",
            "fired": 1,
            "silent": 2,
            "suppressed": 0,
            "over_budget": 0,
            "opened": 1,
            "last_at": AT,
        }
    ],
}
RELEASED = {"0001": FIRST, "0002": SECOND, "0003": SECOND, "0004": FOURTH, "0005": FIFTH}
"""What each released version's tables held."""
