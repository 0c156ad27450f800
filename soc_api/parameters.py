"""Define query parameters that several resources share."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from fastapi import Query
from pydantic import AwareDatetime, BeforeValidator

Language = Literal["zh", "en"]
LanguageParameter = Annotated[
    Language | None, Query(description="language of texts; the account's by default")
]
_RFC_3339: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)


def _only_rfc_3339(value: object) -> object:
    """Return the value when it is an instant as RFC 3339 writes it: bare numbers would be guessed to be Unix times."""
    if isinstance(value, str) and _RFC_3339.fullmatch(value) is None:
        raise ValueError("write an instant like 2026-11-20T08:00:00+08:00")
    if isinstance(value, str) and not "1971" <= value[:4] <= "9998":
        raise ValueError("write an instant of the years 1971 to 9998")  # beyond, sums of times overflow
    return value


Instant = Annotated[AwareDatetime, BeforeValidator(_only_rfc_3339)]
