"""Hold the one form of values, and what must not be accused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.indicators.model import Kind
from detectors.indicators.urls import canonical_url
from detectors.indicators.values import (
    canonical_name,
    normalise,
    objection,
    parse_address,
    shown_name,
    url_host,
)

FORMS = [
    (Kind.IP, "45.9.1.2", Kind.IP, "45.9.1.2"),
    (Kind.IP, "2001:DB8:0::1", Kind.IP, "2001:db8::1"),
    (Kind.IP, "[2400:3200::1]", Kind.IP, "2400:3200::1"),
    (Kind.IP, "::ffff:45.9.1.2", Kind.IP, "45.9.1.2"),
    (Kind.IP, "45.9.1.0/24", Kind.NETWORK, "45.9.1.0/24"),
    (Kind.NETWORK, "45.9.1.77/24", Kind.NETWORK, "45.9.1.0/24"),
    (Kind.NETWORK, "45.9.1.2/32", Kind.IP, "45.9.1.2"),
    (Kind.NETWORK, "2400:DA00::/32", Kind.NETWORK, "2400:da00::/32"),
    (Kind.DOMAIN, "EVIL.Example.CN.", Kind.DOMAIN, "evil.example.cn"),
    (Kind.HOSTNAME, "*.evil.cn", Kind.DOMAIN, "evil.cn"),
    (Kind.DOMAIN, "坏网站.中国", Kind.DOMAIN, "xn--7esy04fb8c.xn--fiqs8s"),
    (Kind.DOMAIN, "Bücher.example", Kind.DOMAIN, "xn--bcher-kva.example"),
    (Kind.DOMAIN, "45.9.1.2", Kind.IP, "45.9.1.2"),
    (Kind.DOMAIN, "_dmarc.evil.cn", Kind.DOMAIN, "_dmarc.evil.cn"),
    (Kind.HASH, "D41D8CD98F00B204E9800998ECF8427F", Kind.HASH, "d41d8cd98f00b204e9800998ecf8427f"),
    (Kind.CERTIFICATE, ":".join(["AB"] * 20), Kind.CERTIFICATE, "ab" * 20),
    (Kind.SERIAL, "00:36:f7:d4:32:f4:ab", Kind.SERIAL, "36F7D432F4AB"),
    (Kind.JA4, "t13d1516h2_8daaf6152771_02713d6af862", Kind.JA4, "t13d1516h2_8daaf6152771_02713d6af862"),
]


@pytest.mark.parametrize(("kind", "text", "normal", "value"), FORMS)
def test_forms(kind: Kind, text: str, normal: Kind, value: str) -> None:
    found = normalise(kind, text)
    assert found == (normal, value)
    assert normalise(*found) == found  # the form of a form is itself


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Kind.IP, "1.2.3"), (Kind.IP, "01.2.3.4"), (Kind.IP, "1.2.3.4.5"), (Kind.IP, "fe80::1%eth0"),
        (Kind.NETWORK, "45.9.1.0/33"), (Kind.DOMAIN, "evil"), (Kind.DOMAIN, "a..cn"), (Kind.DOMAIN, "x" * 64 + ".cn"),
        (Kind.DOMAIN, "a b.cn"), (Kind.DOMAIN, "evil.123"), (Kind.DOMAIN, ""), (Kind.DOMAIN, "a" * 5_000),
        (Kind.URL, "javascript:alert(1)"), (Kind.URL, "http://"), (Kind.URL, "http://a b.cn/"),
        (Kind.HASH, "zz" * 16), (Kind.HASH, "ab" * 15), (Kind.JA3, "ab" * 20), (Kind.JA4, "x13d1516h2"),
        (Kind.SERIAL, "no hex"), (Kind.SERIAL, "0"),
    ],
)  # fmt: skip
def test_what_is_no_value_is_refused(kind: Kind, text: str) -> None:
    with pytest.raises(ValueError):
        normalise(kind, text)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Kind.IP, "10.0.0.1"), (Kind.IP, "127.0.0.1"), (Kind.IP, "::1"), (Kind.IP, "224.0.0.1"), (Kind.IP, "0.0.0.0"),
        (Kind.IP, "255.255.255.255"), (Kind.IP, "fe80::1"), (Kind.NETWORK, "0.0.0.0/0"), (Kind.NETWORK, "45.0.0.0/7"),
        (Kind.NETWORK, "192.168.0.0/16"), (Kind.NETWORK, "2000::/3"), (Kind.DOMAIN, "com.cn"), (Kind.DOMAIN, "edu.cn"),
        (Kind.URL, "http://192.168.1.1/x"), (Kind.SERIAL, "01"), (Kind.HASH, "d41d8cd98f00b204e9800998ecf8427e"),
    ],
)  # fmt: skip
def test_what_accuses_the_innocent_is_objected_to(kind: Kind, text: str) -> None:
    assert objection(*normalise(kind, text))


@pytest.mark.parametrize("text", ["45.9.1.2", "2400:3200::1"])
def test_nothing_speaks_against_public_addresses(text: str) -> None:
    assert objection(*normalise(Kind.IP, text)) == ""


URLS = [
    ("http://Evil.CN", "evil.cn/"),
    ("HTTPS://evil.cn:443/a/./b/../c?X=1#frag", "evil.cn/a/c?X=1"),
    ("http://user:pass@evil.cn:8080/%7Euser/%e4%bd%a0", "evil.cn:8080/~user/%E4%BD%A0"),
    ("http://evil.cn/你", "evil.cn/%E4%BD%A0"),
    ("http://坏.中国/", "xn--7es.xn--fiqs8s/"),
    ("//evil.cn/a?", "evil.cn/a"),
    ("http://[2400:DA00::1]:80/x", "[2400:da00::1]/x"),
    ("http://45.9.1.2:0443/a", "45.9.1.2/a"),
    ("http://evil.cn/../../x", "evil.cn/x"),
    ("http://evil.cn\\a", "evil.cn/a"),
]


@pytest.mark.parametrize(("text", "form"), URLS)
def test_urls_have_one_form(text: str, form: str | None) -> None:
    found = canonical_url(text)
    assert (found.text if found else None) == form
    if found is not None:
        again = canonical_url("//" + found.text)
        assert again is not None
        assert again.text == found.text
        assert url_host(found.text) == found.host.strip("[]")


@given(st.text(max_size=80))
def test_no_text_makes_any_of_it_fail(text: str) -> None:
    canonical_name(text)
    canonical_url(text)
    parse_address(text)
    shown_name(text)
    for kind in Kind:
        try:
            found = normalise(kind, text)
        except ValueError:
            continue
        objection(*found)


@given(st.from_regex(r"https?://[a-z]{1,8}\.cn(:[0-9]{1,5})?/[ -~]{0,30}", fullmatch=True))
def test_the_form_of_a_form_is_itself(text: str) -> None:
    once = canonical_url(text)
    if once is not None:
        twice = canonical_url("//" + once.text)
        assert twice is not None
        assert twice.text == once.text


def test_names_are_shown_as_people_write_them() -> None:
    assert shown_name("xn--7es.xn--fiqs8s") == "坏.中国"
    assert shown_name("evil.cn") == "evil.cn"
    assert shown_name("xn--\x00.cn") == "xn--\x00.cn"
