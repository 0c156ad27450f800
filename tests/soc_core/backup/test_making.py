"""Hold what the names of backups promise."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from soc_core.backup.making import Order, Source, latest, make_backup, remove_old
from soc_core.backup.meter import SilentMeter
from soc_core.state.database import Database
from tests.soc_core.backup.scenes import make_state, settings_in

BEGIN = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)


def test_names_within_one_second_sort_in_the_order_of_making(tmp_path: Path) -> None:
    """Else the newest of them is taken for an older one, and removed."""
    settings = settings_in(make_state(tmp_path / "state"))
    database = Database.of(settings)
    order = Order(tmp_path / "usb", verify=False)
    made = []
    for microseconds in (0, 1, 9, 10, 15, 16, 4_096, 99_999, 100_000, 999_999):
        instant = BEGIN + timedelta(microseconds=microseconds)
        made.append(make_backup(Source(settings, database), order, lambda at=instant: at, SilentMeter()).path)
        assert latest(tmp_path / "usb") == made[-1]
    database.close()
    assert sorted(made, key=lambda path: path.name) == made
    assert remove_old(tmp_path / "usb", keep=1) == made[:-1]
    assert list((tmp_path / "usb").glob("edusoc-*")) == made[-1:]
