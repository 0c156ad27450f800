"""Define what the organisation resource gives."""

from __future__ import annotations

from pydantic import BaseModel


class OrganisationOut(BaseModel):
    """Give a unit as of today, with counts of open alerts of itself and all below it by severity."""

    id: str
    code: str
    name: str
    name_en: str
    level: str
    kind: str
    parent_id: str | None
    codes: dict[str, str]
    open_alerts: dict[str, int]


class OrganisationList(BaseModel):
    """Give the units a caller may see, parents before children."""

    items: list[OrganisationOut]
