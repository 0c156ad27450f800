"""Take names of certificates apart: country, place, organisation, common name, as ECS keeps them beside the whole name.

Suricata writes ``C=CN, O=School, CN=www.school.example``, Zeek the order of RFC 4514 (``CN=…,O=…,C=CN``); both escape
commas by a backslash.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from collectors.coerce import put
from soc_core.model.event import Event

_PART: Final = re.compile(
    r"(?:^|[,/;+] ?)\s{0,4}([A-Za-z]{1,16})=((?:\\.|[^\\,+;/]|[/;+,](?! ?[A-Za-z]{1,16}=)){0,512})"
)
_FIELDS: Final[Mapping[str, str]] = {
    "C": "country",
    "CN": "common_name",
    "L": "locality",
    "O": "organization",
    "OU": "organizational_unit",
    "ST": "state_or_province",
    "S": "state_or_province",
}
_ESCAPED: Final = re.compile(r"\\(.)")
_LONGEST: Final = 4_096


@lru_cache(maxsize=1 << 12)
def name_parts(text: str) -> tuple[tuple[str, str], ...]:
    """Return (ECS name, value) of the parts of a name that ECS has a place for, in order."""
    return tuple(
        (field, _ESCAPED.sub(r"\1", value).strip())
        for name, value in _PART.findall(text[:_LONGEST])
        if (field := _FIELDS.get(name.upper())) is not None and value.strip()
    )


def put_names(event: Event) -> None:
    """Add the parts of the server certificate's subject and issuer to an event that has them whole."""
    for side in ("subject", "issuer"):
        text = event.get(f"tls.server.{side}")
        if isinstance(text, str):
            for field, value in name_parts(text):
                put(event, f"tls.server.x509.{side}.{field}", value)
