from __future__ import annotations

import gc
import weakref

import pytest

from edusoc.bulk import LOOK_EVERY, BulkMemory


class _Ring:
    def __init__(self) -> None:
        self.me = self


def test_cycles_go_at_times_and_searching_is_as_before_afterwards() -> None:
    assert gc.isenabled()
    with BulkMemory() as memory:
        assert not gc.isenabled()
        ring = weakref.ref(_Ring())
        for _ in range(LOOK_EVERY - 1):
            memory.count()
        assert ring() is not None
        memory.count()
        assert ring() is None
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def test_a_search_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with BulkMemory():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_c_library_without_mallopt_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edusoc.bulk.ctypes.CDLL", lambda _name: object())
    with BulkMemory():
        assert not gc.isenabled()
    assert gc.isenabled()
