"""Read lists of every format: what is good comes out, what is bad is counted with place and reason."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import detectors.indicators
from detectors.indicators.model import Indicator, Kind, Tlp
from detectors.indicators.reading import FORMATS, Defaults, Notes, read_list, recognise
from detectors.indicators.reading.base import clean, moment, refanged
from detectors.indicators.values import normalise, objection
from soc_core import i18n
from soc_core.errors import InputError
from soc_core.reasons import reason_text

NOW = 1_780_000_000


def read(data: bytes, kind: str = "", defaults: Defaults | None = None) -> tuple[list[Indicator], Notes]:
    notes = Notes()
    found = list(read_list(data, kind or recognise(data), defaults or Defaults(NOW), notes))
    assert len(found) == notes.read
    return found, notes


def values(found: list[Indicator]) -> list[tuple[Kind, str]]:
    return [(item.kind, item.value) for item in found]


def test_plain_files() -> None:
    text = (
        "# comment\n; another\n45.9.1.2 # a bot\n\n hxxps://evil[.]cn/a \n*.bad.cn\nplain.bad.cn\r\n"
        "0.0.0.0 ads.bad.cn\n45.9.2.0/24\n45.9.1.3:4444\n坏.中国\n10.1.1.1\nno value\n"
    )
    found, notes = read(text.encode())
    assert values(found) == [
        (Kind.IP, "45.9.1.2"),
        (Kind.URL, "evil.cn/a"),
        (Kind.DOMAIN, "bad.cn"),
        (Kind.DOMAIN, "plain.bad.cn"),
        (Kind.DOMAIN, "ads.bad.cn"),
        (Kind.NETWORK, "45.9.2.0/24"),
        (Kind.IP, "45.9.1.3"),
        (Kind.DOMAIN, "xn--7es.xn--fiqs8s"),
    ]
    assert found[0].reason == "a bot"
    assert found[6].reason == "port 4444"
    assert [(item.place, item.value) for item in notes.kept] == [("line 12", "10.1.1.1"), ("line 13", "no")]


def test_defaults_hold_where_entries_say_nothing() -> None:
    given_ = Defaults(NOW, confidence=80, tlp=Tlp.RED, expires=NOW + 60, subdomains=False)
    found, _ = read(b"evil.cn\n", "text", given_)
    assert found == [Indicator(Kind.HOSTNAME, "evil.cn", 80, Tlp.RED, 0, NOW + 60)]


def test_allow_lists_may_hold_what_must_not_be_accused() -> None:
    found, notes = read(b"10.0.0.0/8\nedu.cn\n", "text", Defaults(NOW, accuse=False))
    assert len(found) == 2
    assert notes.bad == 0


def test_csv_by_header_in_chinese_and_gb18030() -> None:
    text = "类型,值,可信度,TLP,过期时间,说明\n域名,坏.中国,90,TLP:GREEN,2099-01-01,木马\nIP,45.9.1.2,,,,\n域名,x,,,,\n"
    found, notes = read(text.encode("gb18030"))
    assert values(found) == [(Kind.DOMAIN, "xn--7es.xn--fiqs8s"), (Kind.IP, "45.9.1.2")]
    assert (found[0].confidence, found[0].tlp, found[0].reason) == (90, Tlp.GREEN, "木马")
    assert found[0].expires == 4_070_908_800
    assert notes.kept[0].place == "line 4"


def test_csv_with_the_header_in_a_comment_and_several_columns_of_values() -> None:
    head = b'# by somebody\n# "first_seen_utc","dst_ip","dst_port","malware"\n'
    feed = head + b'"2021-01-17 07:30:05","45.9.1.2","443","Dridex"\n'
    found, _ = read(feed)
    assert (found[0].value, found[0].reason, found[0].since) == ("45.9.1.2", "Dridex", 1_610_868_605)
    several, _ = read(b"md5;sha256\n" + b"a" * 32 + b";" + b"b" * 64 + b"\n")
    assert values(several) == [(Kind.HASH, "a" * 32), (Kind.HASH, "b" * 64)]


def test_csv_by_configured_columns() -> None:
    by_number, _ = read(b"x,45.9.1.2,bot\n", "csv", Defaults(NOW, columns={"value": "2", "reason": "3"}))
    assert (by_number[0].value, by_number[0].reason) == ("45.9.1.2", "bot")
    by_name, _ = read("目标,注\nevil.cn,坏\n".encode(), "csv", Defaults(NOW, columns={"value": "目标"}))
    assert by_name[0].value == "evil.cn"
    with pytest.raises(InputError):
        read(b"a,b\n1,2\n", "csv")


def event(**more: object) -> dict[str, object]:
    return {"uuid": "e-1", "info": "campaign", "Attribute": [], **more}


def attribute(kind: str, value: object, **more: object) -> dict[str, object]:
    return {"type": kind, "value": value, "to_ids": True, **more}


def test_misp_events() -> None:
    inner = event(
        Tag=[{"name": "tlp:green"}],
        Attribute=[
            attribute("ip-dst", "45.9.1.2", comment="c2", timestamp="1700000000"),
            attribute("domain|ip", "evil.cn|45.9.1.3", Tag=[{"name": "tlp:red"}]),
            attribute("filename|sha256", "a|b.exe|" + "c" * 64),
            attribute("hostname", "h.evil.cn"),
            attribute("ip-dst|port", "45.9.1.4|8080"),
            attribute("ja3-fingerprint-md5", "d" * 32),
            attribute("x509-fingerprint-sha1", "e" * 40),
            attribute("md5", "f" * 32, to_ids=False),
            attribute("text", "words"),
            attribute("ip-dst", 7),
            "no object",
        ],
        Object=[
            {
                "name": "x509",
                "Attribute": [attribute("text", "36F7D432F4AB", object_relation="serial-number")],
            }
        ],
    )
    for document in ({"Event": inner}, [{"Event": inner}], {"response": [{"Event": inner}]}, inner):
        found, notes = read(orjson.dumps(document))
        assert values(found) == [
            (Kind.IP, "45.9.1.2"), (Kind.DOMAIN, "evil.cn"), (Kind.IP, "45.9.1.3"), (Kind.HASH, "c" * 64),
            (Kind.HOSTNAME, "h.evil.cn"), (Kind.IP, "45.9.1.4"), (Kind.JA3, "d" * 32), (Kind.CERTIFICATE, "e" * 40),
            (Kind.SERIAL, "36F7D432F4AB"),
        ]  # fmt: skip
        assert (found[0].tlp, found[1].tlp) == (Tlp.GREEN, Tlp.RED)
        assert (found[0].reason, found[0].since) == ("campaign; c2", 1_700_000_000)
        assert (notes.bad, notes.skipped) == (3, 1)
        assert notes.kept[0].place == "event e-1, attribute 9"


def test_misp_manifests_and_warning_lists() -> None:
    manifest = {"5a-uuid": {"info": "x", "timestamp": "1", "Orgc": {}}}
    with pytest.raises(InputError, match="manifest"):
        read(orjson.dumps(manifest), "misp")
    warning = {"name": "CDN", "type": "cidr", "list": ["45.9.0.0/16", 3], "matching_attributes": ["ip-dst"]}
    found, notes = read(orjson.dumps(warning), "", Defaults(NOW, accuse=False))
    assert values(found) == [(Kind.NETWORK, "45.9.0.0/16")]
    assert notes.bad == 1


def stix(*objects: object) -> bytes:
    return orjson.dumps({"type": "bundle", "id": "bundle--1", "objects": list(objects)})


def indicator(pattern: str, **more: object) -> dict[str, object]:
    return {"type": "indicator", "id": "indicator--1", "pattern": pattern, "pattern_type": "stix", **more}


def test_stix_bundles() -> None:
    mark = {"type": "marking-definition", "id": "marking-definition--own", "name": "TLP:AMBER+STRICT"}
    data = stix(
        mark,
        indicator(
            "[ipv4-addr:value = '45.9.1.2']",
            confidence=90,
            valid_from="2026-01-01T00:00:00Z",
            valid_until="2099-01-01T00:00:00Z",
            name="c2",
            object_marking_refs=["marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed"],
            external_references=[{"source_name": "x", "url": "https://example.org/report"}],
        ),
        indicator(
            "[domain-name:value IN ('a.evil.cn', 'b.evil.cn')]",
            object_marking_refs=["marking-definition--own"],
        ),
        indicator("[ipv4-addr:value ISSUBSET '45.9.2.0/24'] OR [url:value = 'http://evil.cn/x']"),
        indicator("[ipv4-addr:value = '45.9.1.9']", valid_until="2020-01-01T00:00:00Z"),
        indicator("[ipv4-addr:value = '45.9.1.8']", revoked=True),
        indicator("alert tcp any", pattern_type="snort"),
        indicator("[file:name = 'x']"),
        {"type": "malware"},
        7,
    )
    found, notes = read(data)
    assert values(found) == [
        (Kind.IP, "45.9.1.2"), (Kind.HOSTNAME, "a.evil.cn"), (Kind.HOSTNAME, "b.evil.cn"),
        (Kind.NETWORK, "45.9.2.0/24"), (Kind.URL, "evil.cn/x"),
    ]  # fmt: skip
    first = found[0]
    assert (first.confidence, first.tlp, first.reason) == (90, Tlp.RED, "c2")
    assert first.reference == "https://example.org/report"
    assert found[1].tlp is Tlp.STRICT
    assert (notes.bad, notes.skipped, notes.expired) == (3, 1, 1)


@pytest.mark.parametrize("kind", FORMATS)
@given(data=st.binary(max_size=300))
@settings(max_examples=60)
def test_garbage_never_fails_otherwise(kind: str, data: bytes) -> None:
    with contextlib.suppress(InputError):
        read(data, kind)
    recognise(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**70) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(
            [
                "Event", "Attribute", "Object", "type", "value", "to_ids", "Tag", "name", "objects", "pattern", "list",
                "valid_until", "object_marking_refs", "confidence", "extensions", "response", "timestamp", "info",
            ]
        ),
        inner,
        max_size=6,
    ),
    max_leaves=30,
)  # fmt: skip


@given(document=JSON)
@settings(max_examples=150)
def test_any_json_is_borne(document: object) -> None:
    try:
        data = orjson.dumps(document)
    except TypeError:  # a number beyond 64 bits
        return
    for kind in ("misp", "stix"):
        with contextlib.suppress(InputError):
            read(data, kind)


@pytest.mark.parametrize("data", [b"[" * 100_000, b'{"a":' * 50_000, b"{", b"\xff\xfe", b""])
def test_deep_and_broken_json(data: bytes) -> None:
    for kind in ("misp", "stix"):
        with pytest.raises(InputError):
            read(data, kind)


def test_strangers_words_are_cut_and_on_one_line() -> None:
    assert clean("a\nb\x1b[31m\u202ec") == "a b [31m c"
    assert len(clean("x" * 10_000)) == 300
    assert clean("\ud800") == ""


def test_moments() -> None:
    assert moment("2026-01-01") == 1_767_225_600
    assert moment("2026-01-01T08:00:00+08:00") == 1_767_225_600
    assert moment("1767225600") == 1_767_225_600
    assert moment("9999-12-31T23:59:59Z") == 2**32 - 1
    odd: object
    for odd in ("", "soon", None, True, float("inf"), -5, "0001-01-01T00:00:00+14:00", [], {}):
        assert moment(odd) == 0


def test_disarmed_values() -> None:
    assert refanged("hxxp[:]//evil[.]cn(dot)x") == "http://evil.cn.x"
    assert refanged("[2400::1]") == "[2400::1]"


def test_every_reason_is_said_in_chinese() -> None:
    """``tests/soc_core/test_reasons.py`` looks at errors; these are reasons of bad entries."""
    folder = Path(detectors.indicators.__file__).parent
    found = set[str]()
    for path in folder.rglob("*.py"):
        body = path.read_text(encoding="utf-8")
        found |= set(re.findall(r'(?:ValueError|PatternError|refuse\([^,]+,)\(?\s*f?"([^"]+)"', body))
    i18n.load("detectors")
    assert len(found) > 20
    assert [text for text in found if not re.search("[\u4e00-\u9fff]", reason_text(text, "zh"))] == []
    for kind, value in ((Kind.IP, "10.0.0.1"), (Kind.NETWORK, "45.0.0.0/7"), (Kind.DOMAIN, "com.cn")):
        assert re.search("[\u4e00-\u9fff]", reason_text(objection(*normalise(kind, value)), "zh"))
