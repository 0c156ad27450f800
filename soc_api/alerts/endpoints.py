"""Serve ``/api/v1/alerts``."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from cases.alerts.model import Status
from cases.alerts.repository import AlertChange, change_alert
from soc_api.alerts.queries import AlertQuestion, card_of, page_of_alerts
from soc_api.alerts.schemas import AlertDetail, AlertPage, AlertPatch, alert_detail, alert_out
from soc_api.parameters import Language, LanguageParameter
from soc_api.security import CallerDependency, HandlerDependency
from soc_api.services import ServicesDependency
from soc_core.errors import NotAllowedError, UsageError
from soc_core.model.detection import Severity

router = APIRouter(
    prefix="/api/v1/alerts",
    tags=["alerts"],
    responses={401: {"description": "not logged in"}, 422: {"description": "not valid"}},
)
AlertId = Annotated[str, Path(max_length=64, pattern=r"^[a-z0-9]+$")]
NOT_FOUND: dict[int | str, dict[str, str]] = {404: {"description": "no such alert that you may see"}}


class AlertQuery(BaseModel):
    """Take the filters of a list; absent ones do not narrow."""

    model_config = ConfigDict(extra="forbid")
    status: list[Status] = Field(default_factory=list, max_length=4)
    severity: Severity | None = Field(None, description="this level and above")
    kind: str = Field("", max_length=64)
    organisation: str = Field("", max_length=32, description="id of a unit; units below it are included")
    entity: str = Field("", max_length=255, description="address, host or account the alert is about")
    start: AwareDatetime | None = Field(None, description="last seen at or after")
    end: AwareDatetime | None = Field(None, description="last seen before")
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
    return AlertPage(items=items, total=page.total, cursor=page.cursor)


@router.get("/{alert_id}", responses=NOT_FOUND)
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


@router.patch(
    "/{alert_id}",
    responses={
        **NOT_FOUND,
        403: {"description": "your role only looks, or no CSRF token"},
        409: {"description": "changed meanwhile"},
    },
)
def change(
    alert_id: AlertId,
    patch: AlertPatch,
    caller: HandlerDependency,
    services: ServicesDependency,
    if_match: Annotated[str, Header(pattern=r'^"[0-9]{1,9}"$')],
) -> AlertDetail:
    """Change an alert's state, owner or reason; ``If-Match`` carries the version you saw."""
    wanted = AlertChange(
        actor=caller.user.name,
        version=int(if_match.strip('"')),
        status=patch.status,
        close_reason=patch.close_reason,
        assigned_to=patch.assigned_to,
        comment=patch.comment,
    )
    with services.database.write() as connection:
        change_alert(connection, caller.scope, alert_id, wanted, now=services.clock())
    return alert_detail(*card_of(services, caller, alert_id))


@router.get(
    "/{alert_id}/packets",
    responses={
        **NOT_FOUND,
        200: {"content": {"application/vnd.tcpdump.pcap": {}}},
        403: {"description": "only looks"},
    },
    response_class=Response,
)
def packets(alert_id: AlertId, caller: HandlerDependency, services: ServicesDependency) -> Response:
    """Give the packets of the alert's session as a capture file, cut from the imported capture."""
    card, _history = card_of(services, caller, alert_id)
    found = services.packets.cut(caller.scope, card.evidence)
    if found is None:
        raise NotAllowedError("no imported capture holds packets of this alert")
    name = f'attachment; filename="{alert_id}.pcap"'
    return Response(
        found.data, media_type="application/vnd.tcpdump.pcap", headers={"Content-Disposition": name}
    )
