"""Read who logs in from NTLM messages ([MS-NLMP] §2.2.1) in SMB, HTTP and other carriers. No secrets are kept."""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import Final

from collectors.packets.dissectors.base import Fields

_SIGNATURE: Final = b"NTLMSSP\0"
_FIELD: Final = Struct("<HHI")
_VERSION: Final = Struct("<BBH3xB")
_UNICODE: Final = 0x00000001
_HAS_VERSION: Final = 0x02000000
MAX_NAME: Final = 256


@dataclass(frozen=True, slots=True)
class Authenticate:
    """Hold the names of an AUTHENTICATE message; ``version`` is the client's Windows version where it says it."""

    user: str
    domain: str
    workstation: str
    version: str = ""


def find_authenticate(blob: bytes) -> Authenticate | None:
    """Return the AUTHENTICATE message in a security ``blob`` (bare or inside SPNEGO), ``None`` without one."""
    at = blob.find(_SIGNATURE)
    if at < 0 or len(blob) < at + 64 or blob[at + 8 : at + 12] != b"\3\0\0\0":
        return None
    message = blob[at:]
    flags = int.from_bytes(message[60:64], "little")
    wide = bool(flags & _UNICODE)
    version = ""
    if flags & _HAS_VERSION and len(message) >= 72:
        major, minor, build, revision = _VERSION.unpack_from(message, 64)
        version = f"{major}.{minor} build {build} rev {revision}"
    domain, user, workstation = (_text(message, place, wide) for place in (28, 36, 44))
    return Authenticate(user, domain, workstation, version)


def _text(message: bytes, place: int, wide: bool) -> str:
    length, _, offset = _FIELD.unpack_from(message, place)
    raw = message[offset : offset + min(length, MAX_NAME * 2)]
    text = raw.decode("utf-16-le" if wide else "gbk", "replace")
    return "".join(character for character in text if character.isprintable())[:MAX_NAME]


def authenticate_fields(found: Authenticate) -> Fields:
    """Return the fields of a log-in; an anonymous one has no user."""
    fields: Fields = {"edusoc.authentication.method": "ntlm"}
    texts = {
        "user.name": found.user,
        "user.domain": found.domain,
        "edusoc.ntlm.domain": found.domain,
        "edusoc.ntlm.workstation": found.workstation,
        "edusoc.ntlm.version": found.version,
    }
    fields.update({name: text for name, text in texts.items() if text})
    return fields
