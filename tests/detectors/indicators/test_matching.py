"""Hold that judging equals a plain reference, and that allow lists beat indicators."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.indicators.checking import check
from detectors.indicators.matching import Judgement
from detectors.indicators.model import Indicator, Kind, Tlp
from tests.detectors.indicators.making import bad_and_good, item

LABEL = st.sampled_from(["a", "b", "cn", "evil"])
NAME = st.lists(LABEL, min_size=2, max_size=4).map(".".join)
OCTETS = st.tuples(st.sampled_from([44, 45]), st.integers(0, 3), st.integers(0, 3), st.integers(0, 3))
ADDRESS = OCTETS.map(lambda parts: ".".join(map(str, parts)))
ENTRY = (
    st.builds(lambda name: item(Kind.DOMAIN, name), NAME)
    | st.builds(lambda name: item(Kind.HOSTNAME, name), NAME)
    | st.builds(lambda text: item(Kind.IP, text), ADDRESS)
    | st.builds(lambda text, bits: item(Kind.NETWORK, f"{text}/{bits}"), ADDRESS, st.integers(8, 31))
)


def holds(entry: Indicator, text: str) -> bool:
    """Be the plain reference: does an entry hold a name or an address?"""
    if entry.kind is Kind.HOSTNAME:
        return text == entry.value
    if entry.kind is Kind.DOMAIN:
        return text == entry.value or text.endswith("." + entry.value)
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if entry.kind is Kind.NETWORK:
        return address in ip_network(entry.value)
    return str(address) == entry.value


def expected(text: str, bad: list[Indicator], good: list[Indicator]) -> bool:
    if any(holds(entry, text) for entry in good):
        return False
    spared = {entry.value for entry in good if entry.kind is Kind.HOSTNAME}
    return any(
        holds(entry, text) for entry in bad if not (entry.kind is Kind.DOMAIN and entry.value in spared)
    )


@given(
    bad=st.lists(ENTRY, max_size=12),
    good=st.lists(ENTRY, max_size=3),
    asked=st.lists(NAME | ADDRESS, max_size=8),
)
@settings(max_examples=300)
def test_it_equals_the_reference(
    bad: list[Indicator], good: list[Indicator], asked: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    judgement = Judgement(bad_and_good(tmp_path_factory.mktemp("t") / "t", bad, good))
    for text in asked:
        hit = (judgement.address if text[0].isdigit() else judgement.name)(text)
        assert (hit is not None) == expected(text, bad, good), text
        if hit is not None:
            assert any(entry.kind is hit.kind and entry.value == hit.value for entry in bad)
        result = check(judgement.table, text)
        assert result.matches == (hit is not None)
        assert bool(result.listed) == any(holds(entry, text) for entry in bad)


def judgement_of(path: Path, bad: list[Indicator], good: list[Indicator] | None = None) -> Judgement:
    return Judgement(bad_and_good(path / "t", bad, good or []))


def test_the_smallest_network_and_the_longest_name_are_told(tmp_path: Path) -> None:
    judgement = judgement_of(
        tmp_path,
        [
            item(Kind.NETWORK, "45.9.0.0/16"), item(Kind.NETWORK, "45.9.1.0/24"), item(Kind.NETWORK, "2400:da00::/32"),
            item(Kind.DOMAIN, "evil.cn"), item(Kind.DOMAIN, "more.evil.cn"), item(Kind.HOSTNAME, "x.more.evil.cn"),
        ],
    )  # fmt: skip
    values = [
        (judgement.address("45.9.1.7"), "45.9.1.0/24"),
        (judgement.address("45.9.2.7"), "45.9.0.0/16"),
        (judgement.address("::ffff:45.9.2.7"), "45.9.0.0/16"),
        (judgement.address("2400:da00:1::5"), "2400:da00::/32"),
        (judgement.name("x.more.evil.cn"), "x.more.evil.cn"),
        (judgement.name("Y.MORE.evil.cn."), "more.evil.cn"),
        (judgement.name("*.evil.cn"), "evil.cn"),
    ]
    assert [hit.value if hit else None for hit, _ in values] == [value for _, value in values]
    assert len(judgement.address("45.9.1.7").entries) == 2  # type: ignore[union-attr]
    for text in ("45.10.0.0", "no address", "", "45.9.1", "x" * 10_000):
        assert judgement.address(text) is None
    for text in ("notevil.cn", "cn", "", "a b.evil.cn", "x." * 2_000):
        assert judgement.name(text) is None
    assert judgement.name("a." * 60 + "evil.cn") is not None  # however deep


def test_chinese_names_match_in_either_spelling(tmp_path: Path) -> None:
    judgement = judgement_of(tmp_path, [item(Kind.DOMAIN, "坏.中国")])
    assert judgement.name("www.坏.中国") == judgement.name("www.xn--7es.xn--fiqs8s")
    assert judgement.name("www.坏.中国") is not None


def test_web_addresses(tmp_path: Path) -> None:
    bad = [item(Kind.URL, "http://evil.cn/a?b=1"), item(Kind.URL, "http://45.9.1.2/x")]
    judgement = judgement_of(tmp_path, bad)
    for text in (
        "https://EVIL.cn/a?b=1#x",
        "//evil.cn/%61?b=1",
        "http://u:p@evil.cn:80/a?b=1",
        "http://45.9.1.2/x",
    ):
        assert judgement.url(text) is not None, text
    for text in (
        "http://evil.cn/a",
        "http://evil.cn/a?b=2",
        "http://x.evil.cn/a?b=1",
        "nonsense",
        "",
        "http://[/",
    ):
        assert judgement.url(text) is None, text
    for allowed in (item(Kind.DOMAIN, "evil.cn"), bad[0]):
        beaten = Judgement(bad_and_good(tmp_path / f"u{allowed.kind}", bad, [allowed]))
        assert beaten.url("http://evil.cn/a?b=1") is None
    network = Judgement(bad_and_good(tmp_path / "n", bad, [item(Kind.NETWORK, "45.9.1.0/24")]))
    assert network.url("http://45.9.1.2/x") is None
    assert network.url("http://evil.cn/a?b=1") is not None


def test_prints_and_hashes(tmp_path: Path) -> None:
    judgement = judgement_of(
        tmp_path,
        [
            item(Kind.HASH, "a" * 64), item(Kind.JA3, "b" * 32), item(Kind.CERTIFICATE, "c" * 40),
            item(Kind.SERIAL, "36F7D432F4AB"), item(Kind.JA4, "t13d1516h2_8daaf6152771_02713d6af862"),
        ],
    )  # fmt: skip
    assert judgement.hash("A" * 64)
    assert judgement.ja3("B" * 32)
    assert judgement.certificate("c" * 40)
    assert judgement.serial("00:36:f7:d4:32:f4:ab")
    assert judgement.ja4("t13d1516h2_8daaf6152771_02713d6af862")
    assert judgement.hash("b" * 32) is None  # a JA3 is no file
    assert judgement.hash("\ud800") is None


def test_an_address_in_the_place_of_a_name(tmp_path: Path) -> None:
    judgement = judgement_of(tmp_path, [item(Kind.IP, "45.9.1.2"), item(Kind.NETWORK, "46.0.0.0/8")])
    assert judgement.name("45.9.1.2") is not None
    assert judgement.name("46.1.1.1") is None


def test_known_harmless_things_are_kinds_of_values() -> None:
    from detectors.indicators.known import known

    found = list(known())
    assert len(found) > 30
    assert all(one.tlp is Tlp.CLEAR and one.reason for one in found)
