"""Serve ``/api/v1/alerts``."""

from __future__ import annotations

from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Header, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from cases.alerts.model import HistoryEntry, Status
from cases.alerts.repository import AlertChange, change_alert, note_alert
from soc_api.alerts.packets import cut_packets
from soc_api.alerts.queries import AlertQuestion, card_of, page_of_alerts
from soc_api.alerts.schemas import (
    AlertDetail,
    AlertPage,
    AlertPatch,
    HistoryOut,
    NoteIn,
    alert_detail,
    alert_out,
)
from soc_api.parameters import Instant, Language, LanguageParameter
from soc_api.people import people_for
from soc_api.problems import PreconditionFailedError, PreconditionMissingError, answers
from soc_api.security import CallerDependency, HandlerDependency
from soc_api.services import ServicesDependency
from soc_core.access.answers import Asked, keep, recall
from soc_core.clock import format_instant
from soc_core.errors import ConflictError, NotAllowedError, UsageError
from soc_core.model.detection import Severity

router = APIRouter(prefix="/api/v1/alerts", tags=["alerts"], responses=answers(401, 422))
AlertId = Annotated[str, Path(max_length=64, pattern=r"^[a-z0-9]+$")]
NOT_FOUND = "no such alert that you may see"


class AlertQuery(BaseModel):
    """Take the filters of a list; absent ones do not narrow."""

    model_config = ConfigDict(extra="forbid")
    status: list[Status] = Field(default_factory=list, max_length=4)
    severity: Severity | None = Field(None, description="this level and above")
    kind: str = Field("", max_length=64)
    organisation: str = Field("", max_length=32, description="id of a unit; units below it are included")
    entity: str = Field("", max_length=255, description="address, host or account the alert is about")
    address: str = Field("", max_length=64, description="beginning of the entity or of the other side")
    assigned_to: str = Field("", max_length=64)
    help_wanted: bool = Field(False, description="only those where a school asks for help")
    start: Instant | None = Field(None, description="last seen at or after")
    end: Instant | None = Field(None, description="last seen before")
    limit: int = Field(50, ge=1, le=200)
    cursor: str = Field("", max_length=512)
    language: Language | None = None

    def question(self) -> AlertQuestion:
        """Return the question; raise ``UsageError`` when the bounds are not in order."""
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise UsageError("'start' must lie before 'end'")
        return AlertQuestion(
            status=tuple(status.value for status in self.status),
            severity=self.severity.value if self.severity else "",
            kind=self.kind,
            organisation=self.organisation,
            entity=self.entity,
            address=self.address,
            assigned_to=self.assigned_to,
            help_wanted=self.help_wanted,
            start=self.start,
            end=self.end,
            limit=self.limit,
            cursor=self.cursor,
        )


@router.get("")
def list_(
    caller: CallerDependency, services: ServicesDependency, narrow: Annotated[AlertQuery, Query()]
) -> AlertPage:
    """List alerts by falling priority, then newest."""
    page = page_of_alerts(services, caller, narrow.question(), narrow.language or "")
    items = [
        alert_out(row.alert, title=row.title, organisation=row.unit, device=row.device) for row in page.rows
    ]
    return AlertPage(items=items, total=page.total, total_exact=page.exact, cursor=page.cursor)


@router.get("/{alert_id}", responses=answers(404, s404=NOT_FOUND))
def show(
    alert_id: AlertId,
    response: Response,
    caller: CallerDependency,
    services: ServicesDependency,
    language: LanguageParameter = None,
) -> AlertDetail:
    """Show an alert with reasons, evidence and what to do; the ``ETag`` is its version."""
    card, history = card_of(services, caller, alert_id, language or "")
    response.headers["ETag"] = f'"{card.alert.version}"'
    return alert_detail(card, history)


def seen_version(
    if_match: Annotated[str, Header(max_length=64, description="the ETag you saw; needed")] = "",
) -> int | None:
    """Return the version a change was made for, ``None`` when it is not said; what is none of ours matches none."""
    if not if_match:
        return None
    version = if_match.strip().removeprefix('"').removesuffix('"')
    return int(version) if version.isascii() and version.isdigit() else -1


@router.patch("/{alert_id}", responses=answers(400, 403, 404, 412, 428, s404=NOT_FOUND))
def change(
    alert_id: AlertId,
    patch: AlertPatch,
    caller: HandlerDependency,
    services: ServicesDependency,
    version: Annotated[int | None, Depends(seen_version)],
) -> AlertDetail:
    """Change an alert's state, owner or reason; ``If-Match`` carries the version you saw."""
    card, _history = card_of(services, caller, alert_id)
    if version is None:
        raise PreconditionMissingError("a change needs If-Match", todo="send the ETag of the alert")
    people = people_for(services, caller, card.alert.organization_id) if patch.assigned_to else []
    if patch.assigned_to and patch.assigned_to not in {user.name for user in people}:
        raise UsageError(f"'{patch.assigned_to}' can't handle this alert")
    wanted = AlertChange(
        actor=caller.user.name,
        version=version,
        status=patch.status,
        close_reason=patch.close_reason,
        assigned_to=patch.assigned_to,
        help_wanted=patch.help_wanted,
        comment=patch.comment,
    )
    try:
        with services.database.write() as connection:
            change_alert(connection, caller.scope, alert_id, wanted, now=services.clock())
    except ConflictError as error:
        raise PreconditionFailedError(error.what, where=error.where, todo=error.todo) from error
    return alert_detail(*card_of(services, caller, alert_id))


@router.post("/{alert_id}/notes", status_code=201, responses=answers(400, 403, 404, s404=NOT_FOUND))
def add_note(
    alert_id: AlertId,
    note: NoteIn,
    caller: HandlerDependency,
    services: ServicesDependency,
    idempotency_key: Annotated[str, Header(max_length=64, pattern=r"^[\x21-\x7e]*$")] = "",
) -> HistoryOut:
    """Add a note to an alert's history; the same ``Idempotency-Key`` within a day adds it once."""
    now = services.clock()
    asked = Asked(caller.user.name, idempotency_key, f"{alert_id}\0{note.comment}".encode())
    entry = HistoryEntry(format_instant(now), caller.user.name, "noted", {"comment": note.comment})
    with services.database.write() as connection:
        known = recall(connection, asked, now=now) if idempotency_key else None
        if known is not None:
            return HistoryOut.model_validate_json(known)
        note_alert(connection, caller.scope, alert_id, entry)
        made = HistoryOut(at=entry.at, actor=entry.actor, action=entry.action, detail=dict(entry.detail))
        if idempotency_key:
            keep(connection, asked, orjson.dumps(made.model_dump()).decode(), now=now)
    return made


@router.get(
    "/{alert_id}/packets",
    responses={
        **answers(403, 404, s404="no such alert that you may see, or no imported capture holds its packets"),
        200: {
            "content": {"application/vnd.tcpdump.pcap": {"schema": {"type": "string", "format": "binary"}}}
        },
    },
    response_class=Response,
)
def packets(alert_id: AlertId, caller: HandlerDependency, services: ServicesDependency) -> Response:
    """Give the packets of the alert's session as a capture file; who took them is kept in the alert's history."""
    found = cut_packets(services, caller, alert_id, "packets.downloaded")
    if found is None:
        raise NotAllowedError("no imported capture holds packets of this alert")
    name = f'attachment; filename="{alert_id}.pcap"'
    return Response(
        found.data, media_type="application/vnd.tcpdump.pcap", headers={"Content-Disposition": name}
    )
