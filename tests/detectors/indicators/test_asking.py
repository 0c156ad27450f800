"""Hold that what history is asked for holds everything the detector would find."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.indicators import seen
from detectors.indicators.asking import MOST_QUESTIONS, questions
from detectors.indicators.detector import IndicatorDetector
from detectors.indicators.model import Indicator, Kind
from soc_core.fields import FIELDS
from soc_core.model.event import Event
from soc_core.query.evaluate import compile_query
from tests.detectors.indicators.making import bad_and_good, item

HASH, JA4 = "a" * 32, "t13d1516h2_8daaf6152771_02713d6af862"
INDICATORS = [
    item(Kind.IP, "45.9.1.2"), item(Kind.IP, "2400:da00::7"), item(Kind.NETWORK, "46.1.0.0/16"),
    item(Kind.DOMAIN, "evil.cn"), item(Kind.DOMAIN, "坏.中国"), item(Kind.HOSTNAME, "h.bad.cn"),
    item(Kind.URL, "http://evil2.cn/a?b"), item(Kind.URL, "http://45.9.1.3/x"), item(Kind.URL, "http://坏2.中国/x"),
    item(Kind.HASH, HASH), item(Kind.JA3, HASH), item(Kind.JA4, JA4), item(Kind.CERTIFICATE, "c" * 40),
    item(Kind.SERIAL, "36F7D432F4AB1"),
]  # fmt: skip
TEXTS = [
    "45.9.1.2", "2400:da00::7", "46.1.2.3", "evil.cn", "x.EVIL.cn", "*.evil.cn", "evil.cn.", "www.坏.中国",
    "www.xn--7es.xn--fiqs8s", "h.bad.cn", "H.bad.cn.", "x.h.bad.cn", "evil2.cn", "http://evil2.cn/a?b",
    "https://EVIL2.cn:443/%61?b#f", "/a?b", "45.9.1.3", "http://45.9.1.3/x", "http://坏2.中国/x", HASH, HASH.upper(),
    JA4, "c" * 40, "36F7D432F4AB1", "036f7d432f4ab1", "03:6F:7D:43:2F:4A:B1", "fine.cn", "8.8.8.8",
]  # fmt: skip
FIELDS_OF_TEXT = [name for name in seen.FIELDS_ASKED if FIELDS[name].type in {"ip", "keyword"}]


@st.composite
def events(draw: st.DrawFn) -> Event:
    made: Event = {
        "@timestamp": "2026-11-20T00:00:00.000000Z",
        "event.id": "20261120-1",
        "organization.id": "u",
    }
    for name in draw(st.lists(st.sampled_from(FIELDS_OF_TEXT), min_size=1, max_size=4, unique=True)):
        text = draw(st.sampled_from(TEXTS))
        made[name] = [text] if FIELDS[name].multi else text
    return made


@given(some=st.lists(st.sampled_from(INDICATORS), min_size=1, max_size=5), event=events())
@settings(max_examples=400)
def test_every_hit_is_asked_for(
    some: list[Indicator], event: Event, tmp_path_factory: pytest.TempPathFactory
) -> None:
    detector = IndicatorDetector(bad_and_good(tmp_path_factory.mktemp("t") / "t", some))
    if detector.detect([event]):
        assert any(compile_query(query)(event) for query in questions(some))


@pytest.mark.parametrize("kind", list(Kind))
def test_where_too_many_are_asked_for_everything_is_read(kind: Kind) -> None:
    one = next(entry for entry in INDICATORS if entry.kind is kind)
    assert len(questions([one])) == 1
    many = questions(one for _ in range(256 * MOST_QUESTIONS))
    assert len(many) == 1
    assert len(questions(one for _ in range(33))) <= 2
