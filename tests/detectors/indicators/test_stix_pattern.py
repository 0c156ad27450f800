"""Take values out of STIX patterns only where one of them suffices."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.indicators.model import Kind
from detectors.indicators.reading.stix_pattern import PatternError, values_of_pattern

TAKEN = [
    ("[ipv6-addr:value = '2400::1']", [(Kind.IP, "2400::1")]),
    ("[file:hashes.'SHA-256' = 'aa' AND file:name = 'x.exe' AND file:size = 25]", [(Kind.HASH, "aa")]),
    ("[file:hashes.MD5 = 'a' OR file:hashes.'SHA-1' = 'b']", [(Kind.HASH, "a"), (Kind.HASH, "b")]),
    (
        "[network-traffic:dst_ref.type = 'ipv4-addr' AND network-traffic:dst_ref.value = '45.9.1.2']",
        [(Kind.IP, "45.9.1.2")],
    ),
    ("[x509-certificate:hashes.'SHA-1' = 'aa']", [(Kind.CERTIFICATE, "aa")]),
    ("[x509-certificate:serial_number = '36:f7']", [(Kind.SERIAL, "36:f7")]),
    (
        "([domain-name:value = 'a.cn'] OR [domain-name:value = 'b.cn'])",
        [(Kind.HOSTNAME, "a.cn"), (Kind.HOSTNAME, "b.cn")],
    ),
    (r"[url:value = 'http://a.cn/it\'s']", [(Kind.URL, "http://a.cn/it's")]),
]  # fmt: skip


@pytest.mark.parametrize(("pattern", "values"), TAKEN)
def test_values(pattern: str, values: list[tuple[Kind, str]]) -> None:
    assert values_of_pattern(pattern) == values


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("[ipv4-addr:value = '45.9.1.2'] AND [domain-name:value = 'a.cn']", "seen together"),
        ("[ipv4-addr:value = '45.9.1.2' AND domain-name:value = 'a.cn']", "seen together"),
        ("[network-traffic:dst_ref.value = '45.9.1.2' AND network-traffic:dst_port = 443]", "narrows"),
        ("[domain-name:value = 'a'] FOLLOWEDBY [domain-name:value = 'b']", "FOLLOWEDBY"),
        ("[domain-name:value = 'a'] WITHIN 5 SECONDS", "WITHIN"),
        ("[domain-name:value LIKE '%a']", "LIKE"),
        ("[domain-name:value MATCHES 'a']", "MATCHES"),
        ("[NOT domain-name:value = 'a']", "NOT"),
        ("[domain-name:value != 'a']", "can't be matched by value"),
        ("[file:name = 'x']", "can't be matched by value"),
        ("[file:name = 'x' OR file:hashes.MD5 = 'a']", "can't be matched by value"),
        ("[x509-certificate:issuer = 'CN=x' AND x509-certificate:serial_number = '36:f7']", "narrows"),
        ("[", "can't be read"),
        ("[[[[[[", "can't be read"),
        ("((((((", "can't be read"),
        ("", "can't be read"),
        ("[domain-name:value = 'a'", "can't be read"),
        ("([domain-name:value = 'a']", "can't be read"),
        ("[domain-name:value = 'a'] nonsense", "can't be read"),
        ("x" * 200_000, "too long"),
        ("[domain-name:value IN (" + ",".join(["'a'"] * 20_000) + ")]", "too long"),
    ],
)
def test_what_asks_for_more_is_refused(pattern: str, why: str) -> None:
    with pytest.raises(PatternError, match=why):
        values_of_pattern(pattern)


@given(st.text(alphabet="[]()'= ANDORINfile:hashes.MD5ipv4-addr:value\\,1", max_size=80))
def test_no_pattern_fails_otherwise(pattern: str) -> None:
    with contextlib.suppress(PatternError):
        values_of_pattern(pattern)
