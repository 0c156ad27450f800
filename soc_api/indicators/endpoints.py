"""Serve ``/api/v1/indicators``: which lists there are, what they say of a value, what was hit in one's units.

Lists for named people only (TLP:RED) are told to those who see the whole installation, and not to a school's contact.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Final

from fastapi import APIRouter, Query

from detectors.indicators.checking import Checked, check
from detectors.indicators.model import Head, Indicator, Tlp
from detectors.indicators.table import Table
from intake.indicators import repository
from intake.indicators.shelf import OWN, Shelf
from soc_api.indicators.schemas import CheckOut, EntryOut, HitOut, HitsOut, ListOut, ListsOut
from soc_api.problems import answers
from soc_api.security import Caller, CallerDependency
from soc_api.services import Services, ServicesDependency
from soc_core.access.accounts import Role

router = APIRouter(prefix="/api/v1/indicators", tags=["indicators"], responses=answers(401, 422))
MOST_ASKED: Final = 2_048


def sees_red(caller: Caller) -> bool:
    """Tell whether a caller may know of TLP:RED lists."""
    return _sees_all(caller) and caller.user.role is not Role.CONTACT


def _sees_all(caller: Caller) -> bool:
    ids = caller.scope.ids
    return ids is None or ids >= caller.tree.units.keys()


@router.get("/lists")
def lists(caller: CallerDependency, services: ServicesDependency) -> ListsOut:
    """List the lists by name."""
    with services.database.read() as connection:
        found = repository.list_lists(connection)
    shown = [item for item in found if item.tlp is not Tlp.RED or sees_red(caller)]
    names = tuple(name for name in ListOut.model_fields if name != "tlp")
    return ListsOut(
        items=[ListOut(**{name: getattr(item, name) for name in names}, tlp=item.tlp.value) for item in shown]
    )


@router.get("/check")
def check_(
    caller: CallerDependency,
    services: ServicesDependency,
    value: Annotated[str, Query(min_length=1, max_length=MOST_ASKED)],
) -> CheckOut:
    """Say which lists hold a value, and what allows it."""
    table = _table_of(services)
    if table is None:
        return CheckOut(text=value, kind="", value="", matches=False, listed=[], allowed=[])
    result = check(table, value)
    red = sees_red(caller)
    listed = [_entry(*item) for item in result.listed if item[1].tlp is not Tlp.RED or red]
    allowed = [_entry(*item) for item in result.allowed if item[1].tlp is not Tlp.RED or red]
    if not _sees_all(caller):
        allowed = [_unsaid(entry, result.value) for entry in allowed]
    return _checked(result, listed, allowed)


@router.get("/hits")
def hits(
    caller: CallerDependency,
    services: ServicesDependency,
    organisation: Annotated[str, Query(max_length=32, description="id of a unit; all yours by default")] = "",
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
) -> HitsOut:
    """List which indicators were seen in one's units, those seen last first."""
    with services.database.read() as connection:
        rows = repository.list_hits(
            connection, caller.narrowed(organisation), limit=limit, red=sees_red(caller)
        )
    plain = ("list_id", "indicator", "value", "organization_id", "hits", "first_at", "last_at")
    return HitsOut(items=[HitOut(**{name: row[name] for name in plain}, list=row["name"]) for row in rows])


def _unsaid(entry: EntryOut, asked: str) -> EntryOut:
    """Return an entry without saying how far the network of a unit reaches that may not be the caller's."""
    return entry.model_copy(update={"value": asked}) if entry.list_id == OWN.id else entry


def _checked(result: Checked, listed: list[EntryOut], allowed: list[EntryOut]) -> CheckOut:
    return CheckOut(
        text=result.text,
        kind=result.kind.value if result.kind else "",
        value=result.value,
        matches=result.matches and bool(listed),
        listed=listed,
        allowed=allowed,
    )


def _entry(head: Head, entry: Indicator) -> EntryOut:
    return EntryOut(
        list=head.name,
        list_id=head.id,
        source=head.source,
        kind=entry.kind.value,
        value=entry.value,
        confidence=entry.confidence,
        tlp=entry.tlp.value,
        since=entry.since,
        expires=entry.expires,
        reason=entry.reason,
        reference=entry.reference,
    )


def _table_of(services: Services) -> Table | None:
    """Return the file of all lists, ``None`` where there are none; opened anew when it was replaced."""
    path = Shelf(services.settings.state_directory).whole
    try:
        found = path.stat()
    except OSError:
        return None
    return _opened(path, found.st_ino, found.st_mtime_ns)


@lru_cache(maxsize=1)
def _opened(path: Path, _inode: int, _changed: int) -> Table:
    return Table(path)
