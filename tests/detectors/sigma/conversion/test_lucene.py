"""Queries of Elasticsearch's language become lines of Lucene's; tests/conformance asks a server what they find."""

from __future__ import annotations

from typing import Any

import pytest

from detectors.sigma.conversion.lucene import to_lucene

A: dict[str, Any] = {"term": {"user.name": "a"}}
B: dict[str, Any] = {"exists": {"field": "host.name"}}


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ({"match_all": {}}, "*:*"),
        ({"match_none": {}}, "(NOT *:*)"),
        (A, 'user.name:"a"'),
        ({"terms": {"event.code": ['say "hi"', "C:\\x"]}}, r'event.code:("say \"hi\"" OR "C:\\x")'),
        ({"term": {"destination.port": -1}}, 'destination.port:"-1"'),
        ({"term": {"tls.established": True}}, "tls.established:true"),
        (B, "_exists_:host.name"),
        ({"prefix": {"edusoc.extra": "Threat Name="}}, r"edusoc.extra:Threat\ Name\=*"),
        ({"regexp": {"user.name": {"value": r"a\/b.*", "flags": "NONE"}}}, r"user.name:/a\/b.*/"),
        # A backslash before the closing slash would make that a letter.
        ({"regexp": {"user.name": {"value": r".*\\", "flags": "NONE"}}}, r"user.name:/.*[\\]/"),
        ({"range": {"destination.port": {"gte": 1, "lt": 9}}}, 'destination.port:["1" TO "9"}'),
        ({"range": {"destination.port": {"gt": 1}}}, 'destination.port:{"1" TO *]'),
        ({"bool": {"filter": [A, B]}}, '(user.name:"a" AND _exists_:host.name)'),
        ({"bool": {"should": [A, B], "minimum_should_match": 1}}, '(user.name:"a" OR _exists_:host.name)'),
        ({"bool": {"must_not": [A]}}, '(*:* NOT user.name:"a")'),
    ],
)
def test_says_the_same(body: dict[str, Any], line: str) -> None:
    assert to_lucene(body) == line


@pytest.mark.parametrize("body", [{"bool": {"must": [A]}}, {"wildcard": {"user.name": "a*"}}])
def test_unknown_parts_are_refused(body: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no way to say"):
        to_lucene(body)
