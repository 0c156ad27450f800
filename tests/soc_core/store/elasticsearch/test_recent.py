"""Hold that an id is remembered until a refresh that began after it was stored is done."""

from __future__ import annotations

from soc_core.store.elasticsearch.recent import MOST_RECENT, Recent


def test_forgets_only_what_a_refresh_surely_reached() -> None:
    recent = Recent()
    recent.add([("early", "a")])
    recent.refresh_begins()
    recent.add([("late", "b")])
    assert recent.index_of("early", "-") == "a"
    recent.refresh_is_done()
    assert recent.index_of("early", "-") == "-"
    assert recent.index_of("late", "-") == "b"


def test_keeps_what_a_failed_refresh_did_not_reach() -> None:
    recent = Recent()
    recent.add([("one", "a")])
    recent.refresh_begins()
    recent.refresh_begins()
    assert recent.index_of("one", "-") == "a"


def test_says_when_it_is_full() -> None:
    recent = Recent()
    recent.add((str(n), "a") for n in range(MOST_RECENT + 1))
    assert recent.is_full
    recent.refresh_begins()
    assert not recent.is_full
