"""Give the files of an office: endings and how such files begin."""

from __future__ import annotations

from typing import Final

DOCUMENTS: Final = (".docx", ".xlsx", ".pptx", ".pdf", ".jpg", ".wps")
_BEGINNINGS: Final = {
    ".pdf": b"%PDF-1.7\n%\xb5\xb5\xb5\xb5\n1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n",
    ".jpg": b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0",
    ".wps": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + b">\0\x03\0\xfe\xff\t\0",
    "": b"PK\x03\x04\x14\0\x06\0\x08\0\0\0!\0[Content_Types].xml",
}


def content_of(name: str) -> bytes:
    """Return the first 4096 bytes of a file that is named so; what follows the magic number is filler."""
    ending = name[name.rfind(".") :]
    head = _BEGINNINGS.get(ending, _BEGINNINGS[""])
    return (head + b"office document filler " * 200)[:4096]
