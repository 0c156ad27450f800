"""Define what the session resource takes and gives."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Credentials(BaseModel):
    """Take a name and a password."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(min_length=1, max_length=64)
    password: str = Field(min_length=1, max_length=256)


class SessionOut(BaseModel):
    """Give who is logged in, the root of what they may see, and the CSRF token for changing requests."""

    name: str
    display_name: str
    role: str
    organisation_id: str | None
    language: str
    csrf: str
    expires_at: str
