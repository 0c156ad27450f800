"""Define query parameters that several resources share."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query

Language = Literal["zh", "en"]
LanguageParameter = Annotated[
    Language | None, Query(description="language of texts; the account's by default")
]
