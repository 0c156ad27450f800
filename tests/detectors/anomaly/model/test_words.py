"""Reasons name what stands out, compared with what is usual here, once per theme."""

from __future__ import annotations

import pytest

from detectors.anomaly.model.samples import Sample, gather, private_ranges
from detectors.anomaly.model.words import MAX_REASONS, explain
from soc_core import i18n
from soc_core.model.event import Event
from tests.detectors.anomaly.base import Maker
from tests.detectors.anomaly.model.base import normal, small_model


def sample(**fields: str | int) -> Sample:
    event: Event = Maker().flow(0, "192.168.1.20", "203.0.1.9", 443)
    event.update(
        {"source.bytes": 3_000, "destination.bytes": 60_000, "source.packets": 6, "destination.packets": 51}
    )
    event.update({"event.duration": 4_000_000_000})
    event.update({name.replace("__", "."): value for name, value in fields.items()})
    (found,) = gather([event], private_ranges)
    return found


@pytest.mark.parametrize(
    ("fields", "name", "text"),
    [
        ({"source__bytes": 900_000_000, "source__packets": 700_000}, "sent", "900 MB"),
        ({"destination__bytes": 5_000_000_000, "destination__packets": 4_000_000}, "received", "5 GB"),
        ({"event__duration": 36_000_000_000_000}, "duration", "10 h"),
        ({"destination__port": 6_667}, "service", "TCP/6667"),
        ({"source__ip": "203.0.1.9", "destination__ip": "192.168.1.20"}, "inbound", "outside"),
        ({"destination__packets": 0, "destination__bytes": 0, "source__packets": 1}, "failed", "refused"),
    ],
)
def test_the_odd_thing_is_named(fields: dict[str, str | int], name: str, text: str) -> None:
    i18n.load("detectors")
    reasons = explain(small_model(), sample(**fields))
    names = {reason.key.rsplit(".", 1)[1].removesuffix("_here").replace("packets_", "") for reason in reasons}
    assert name in names
    shown = " ".join(i18n.text(reason.key, "en", **reason.values) for reason in reasons)
    assert text in shown or name in {"sent", "received"}
    assert len(reasons) <= MAX_REASONS


def test_every_flow_has_words_in_both_languages() -> None:
    i18n.load("detectors")
    for found in gather(normal(200, seed=31), private_ranges):
        reasons = explain(small_model(), found)
        assert reasons
        for reason in reasons:
            assert i18n.known(reason.key), reason.key
            for language in i18n.LANGUAGES:
                assert "{" not in i18n.text(reason.key, language, **reason.values)


def test_where_nothing_stands_out_the_combination_does() -> None:
    (only,) = explain(small_model(), sample())
    assert only.key.endswith("combination")
