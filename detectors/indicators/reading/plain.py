"""Read plain text files: a value a line, comments after ``#``, ``;`` or ``//``, values as people disarm them (``[.]``).

Lines of hosts files (``0.0.0.0 name``), and an address with a port (``1.2.3.4:443``), are understood; the port is kept
in words only, since not every event has one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from detectors.indicators.model import Indicator, Kind
from detectors.indicators.reading.base import Reader, Said, refanged
from detectors.indicators.reading.guessing import guess
from detectors.indicators.reading.text_lines import decoded, numbered

_COMMENT: Final = re.compile(r"(?:^|\s)(?:#|;|//)(.*)")
_HOSTS: Final = frozenset({"0.0.0.0", "127.0.0.1", "::", "::1"})  # noqa: S104 - how hosts files block names
_PORT: Final = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,3}){3}|\[[0-9a-fA-F:.]+\])[:|]([0-9]{1,5})")


def read_plain(data: bytes, reader: Reader) -> Iterator[Indicator]:
    """Yield the indicators of a plain file; a remark behind a value is its reason."""
    for number, line in numbered(decoded(data)):
        remark = _COMMENT.search(line)
        words = (line[: remark.start()] if remark else line).split()
        if not words:
            continue
        text = words[1] if len(words) > 1 and words[0] in _HOSTS else words[0]
        kind, value, port = kind_and_value(text, reader.defaults.subdomains)
        said = Said(reason=" ".join(part for part in (port, remark[1].strip() if remark else "") if part))
        found = reader.entry(kind, value, f"line {number}", said)
        if found is not None:
            yield found


def kind_and_value(text: str, subdomains: bool) -> tuple[Kind, str, str]:
    """Return kind and value of a bare text, and ``port N`` where an address had one."""
    value = refanged(text.strip("\"',"))
    ported = _PORT.fullmatch(value)
    if ported is not None:
        return Kind.IP, ported[1], f"port {ported[2]}"
    return guess(value, subdomains=subdomains), value, ""
