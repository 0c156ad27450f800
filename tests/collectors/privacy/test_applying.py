"""Privacy on whole events: fields, original record, URLs and free text are replaced alike."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.base import Batch
from collectors.privacy import Policy, Privacy, Tokens
from collectors.privacy.applying import replace_word
from soc_core.fields import FIELDS
from soc_core.model.event import BadRecord, Event

SCHOOL, BUREAU = bytes(range(32)), bytes(range(2, 34))
TOKENS = Tokens(SCHOOL, BUREAU)


def applied(event: Event, **policy: Any) -> Event:
    batch = Batch([dict(event)])
    Privacy(Policy(**policy), TOKENS).apply(batch)
    return batch.events[0]


def test_an_account_is_replaced_everywhere() -> None:
    original = "Nov 24 10:00:00 web sshd[1]: Failed password for zhangsan from 10.1.2.3 port 5 ssh2"
    event = applied(
        {
            "user.name": "zhangsan",
            "related.user": ["zhangsan", "root"],
            "message": "Failed password for zhangsan from 10.1.2.3",
            "event.original": original,
            "url.query": "u=ZhangSan&v=zhangsanfeng",
            "source.ip": "10.1.2.3",
        }
    )
    token = TOKENS.token("user", "zhangsan")
    assert event["user.name"] == token
    assert event["related.user"] == [token, "root"]
    assert event["message"] == f"Failed password for {token} from 10.1.2.3"
    assert event["event.original"] == original.replace("zhangsan", token)
    assert event["url.query"] == f"u={token}&v=zhangsanfeng"
    assert event["source.ip"] == "10.1.2.3"
    assert event["user.hash"] == TOKENS.correlation("user", "zhangsan")
    assert event["edusoc.correlation"] == [event["user.hash"]]
    assert TOKENS.reveal(token) == "zhangsan"


@pytest.mark.parametrize(
    ("field", "value", "hidden", "kind"),
    [
        ("user.full_name", "张三(高一3班)", "张三(高一3班)", "name"),
        ("user.full_name", "Zhang, San", "Zhang, San", "name"),
        ("user.id", "202301234", "202301234", "id"),
        ("user.id", "9" * 5_000, "9" * 5_000, "id"),
        ("user.name", "zhangsan(张三)", "zhangsan(张三)", "user"),
        ("winlog.event_data.MemberName", "CN=张三,OU=教师,DC=school", "张三", "user"),
        ("winlog.event_data.MemberName", "CN=Zhang\\, San,OU=T,DC=school", "Zhang\\, San", "user"),
    ],
)
def test_names_with_signs_are_replaced_too(field: str, value: str, hidden: str, kind: str) -> None:
    assert applied({field: value})[field] == value.replace(hidden, TOKENS.token(kind, hidden))


def test_accounts_among_the_further_fields_are_replaced() -> None:
    said = [
        "suser=lisi",
        "ad.username=SCHOOL\\lisi",
        "姓名=李四",
        "userAgent=curl",
        "username=root",
        "used=lisi",
    ]
    event = applied(
        {"edusoc.extra": said, "event.reason": "password of lisi expired", "message": "李四 came"}
    )
    user, name = TOKENS.token("user", "lisi"), TOKENS.token("name", "李四")
    assert event["edusoc.extra"] == [
        f"suser={user}",
        f"ad.username=SCHOOL\\{user}",
        f"姓名={name}",
        "userAgent=curl",
        "username=root",
        f"used={user}",
    ]
    assert event["event.reason"] == f"password of {user} expired"
    assert event["message"] == f"{name} came"
    removed = applied({"edusoc.extra": said, "event.reason": "expired"}, accounts="remove", content="remove")
    assert removed["edusoc.extra"][:2] == ["userAgent=curl", "username=root"]  # type: ignore[index]
    assert removed["event.reason"] == "expired"


@pytest.mark.parametrize(
    "name",
    [
        "root",
        "Administrator",
        "NT AUTHORITY\\SYSTEM",
        "WEB01$",
        "SCHOOL\\pc-12$",
        "www-data",
        "' or 1=1 --",
        "-",
        "admin1",
    ],
)
def test_accounts_that_name_nobody_stay(name: str) -> None:
    event = applied({"user.name": name, "message": f"login of {name}"})
    assert event["user.name"] == name
    assert event["message"] == f"login of {name}"
    assert "edusoc.correlation" not in event


def test_domain_and_realm_stay() -> None:
    token = TOKENS.token("user", "lilei")
    assert applied({"user.name": "SCHOOL\\lilei"})["user.name"] == f"SCHOOL\\{token}"
    assert applied({"user.name": "lilei@school.example"})["user.name"] == f"{token}@school.example"
    assert applied({"user.name": "svc_backup"}, clear=("svc_*",))["user.name"] == "svc_backup"


def test_well_known_sids_and_low_ids_stay() -> None:
    for value in ("S-1-5-18", "S-1-5-21-1-2-3-500", "0", "33", "65534"):
        assert applied({"user.id": value})["user.id"] == value
    for value in ("S-1-5-21-1-2-3-1104", "1000"):
        assert applied({"user.id": value})["user.id"] == TOKENS.token("id", value)


def test_remove_drops_what_would_be_replaced() -> None:
    event = applied(
        {
            "user.name": "lilei",
            "related.user": ["lilei", "root"],
            "message": "by lilei",
            "event.original": "x lilei",
        },
        accounts="remove",
        content="remove",
        original="remove",
    )
    assert event.keys() == {"related.user", "edusoc.privacy", "edusoc.correlation", "user.hash"}
    assert event["related.user"] == ["root"]


def test_keep_keeps() -> None:
    event: Event = {"user.name": "lilei", "message": "tel 13812345678 of lilei", "event.original": "lilei"}
    kept = applied(event, accounts="keep", content="keep", original="keep")
    assert {name: kept[name] for name in event} == event


def test_devices_are_replaced_only_when_asked_for() -> None:
    event: Event = {
        "host.name": "pc-wang",
        "host.mac": ["00-00-5E-00-53-01"],
        "source.ip": "10.0.0.1",
        "message": "pc-wang up",
    }
    assert applied(event)["host.name"] == "pc-wang"
    hidden = applied(event, devices="token")
    assert hidden["host.name"] == TOKENS.token("device", "pc-wang")
    assert hidden["message"] == f"{hidden['host.name']} up"
    assert hidden["source.ip"] == "10.0.0.1"


def test_bad_records_are_hidden_too() -> None:
    batch = Batch([], [BadRecord("s", 0, 0, "no header", "打 13812345678".encode("gb18030"))])
    Privacy(Policy(), TOKENS).apply(batch)
    assert b"13812345678" not in batch.bad[0].raw
    Privacy(Policy(content="remove"), TOKENS).apply(batch)
    assert batch.bad[0].raw == b""


def test_half_characters_hold_up_nothing() -> None:
    batch = Batch([{"message": "\ud800 13800138000", "user.name": "\udcff李"}, {"message": "13800138000"}])
    Privacy(Policy(names=("李四",), student_number="20[0-9]{8}"), TOKENS).apply(batch)
    token = TOKENS.token("phone", "13800138000")
    assert [event["message"] for event in batch.events] == [f"\\ud800 {token}", token]
    assert not batch.bad


def test_what_can_not_be_hidden_is_kept_aside_without_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    privacy = Privacy(Policy(), TOKENS)
    really = privacy._event

    def failing(event: Event) -> int:
        if event["message"] == "broken":
            raise ValueError("a fault of ours")
        return really(event)

    monkeypatch.setattr(privacy, "_event", failing)
    batch = Batch([{"message": "broken", "event.dataset": "a.b"}, {"message": "whole"}])
    privacy.apply(batch)
    assert [event["message"] for event in batch.events] == ["whole"]
    assert batch.bad == [BadRecord("a.b", 0, 0, "privacy failed: ValueError")]


def test_applied_twice_is_applied_once() -> None:
    once = applied({"user.name": "lilei", "message": "lilei a.b@c.example 13812345678"})
    assert applied(once) == once


def test_types_of_the_dictionary_hold() -> None:
    event: Event = {
        name: (["lilei"] if field.multi else "lilei")
        for name, field in FIELDS.items()
        if field.type in {"keyword", "text"}
    }
    hidden = applied(event)
    for name, value in hidden.items():
        assert isinstance(value, list) == FIELDS[name].multi, name


@given(st.text(max_size=30), st.text(min_size=1, max_size=5))
def test_words_are_replaced_whole(text: str, word: str) -> None:
    replaced = replace_word(text, word, "\0")
    assert replaced.replace("\0", word).lower() == text.lower() or "\0" in text or not word.isascii()
    assert replace_word(word, word, "\0") == "\0"
    assert replace_word("a" + word, word, "\0") in {"a" + word, "a\0", "\0" + word, "\0\0"}


@pytest.mark.parametrize(
    "escaped", [r"\u5f20\u4e09", r"\u5F20\u4E09", r"\u5b66\u751f\uff1a\u5f20\u4e09\uff0c"]
)
def test_names_that_json_spells_in_escapes_are_replaced_too(escaped: str) -> None:
    original = '{"user": "' + escaped + r'", "half": "\ud83d", "path": "C:\\u5f20"}'
    event = applied({"user.name": "张三", "event.original": original})
    assert TOKENS.token("user", "张三") in str(event["event.original"])
    assert "5f20\\" not in str(event["event.original"]).lower()
    assert r"\ud83d" in str(event["event.original"])
    assert r"C:\\u5f20" in str(event["event.original"])


def test_escapes_that_hide_nothing_stay_as_they_are() -> None:
    original = r'{"text": "\u672a\u77e5"}'
    assert applied({"user.name": "zhangsan", "event.original": original})["event.original"] == original
