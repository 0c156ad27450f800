"""Keep what strangers wrote from commanding the terminal on which a command shows it."""

from __future__ import annotations

import io
import re
from typing import BinaryIO, Final, TextIO

# As in ``soc_core.printing``, in the bytes of UTF-8; line feeds, carriage returns and tabs are our own.
_CONTROLS: Final = rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
_WIDE: Final = rb"\xc2[\x80-\x9f]|\xe2\x80[\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xa9]"
_ANY: Final = re.compile(_CONTROLS + b"|" + _WIDE)
_NARROW: Final = re.compile(_CONTROLS)


class Terminal(io.BufferedIOBase):
    r"""Write to a terminal; what commands it is written as ``\u001b``, which JSON reads as the same character."""

    def __init__(self, target: BinaryIO, *, utf_8: bool) -> None:
        """Take where to write; only where it shows UTF-8 can its wide control characters be told from text."""
        self._target = target
        self._pattern = _ANY if utf_8 else _NARROW

    def write(self, data: bytes, /) -> int:  # type: ignore[override]  # what text and our own commands write
        """Write whole characters."""
        self._target.write(self._pattern.sub(_number, data))
        return len(data)

    def writable(self) -> bool:
        """Tell that it can be written to."""
        return True

    def flush(self) -> None:
        """Show what was written."""
        self._target.flush()

    def fileno(self) -> int:
        """Return the terminal's descriptor."""
        return self._target.fileno()

    def isatty(self) -> bool:
        """Tell that it is a terminal."""
        return True


def _number(match: re.Match[bytes]) -> bytes:
    return b"\\u%04x" % ord(match.group().decode("utf-8"))


def guarded(stream: TextIO) -> TextIO:
    """Return what to write to instead of ``stream``: the stream itself unless it is a terminal."""
    if not stream.isatty():
        return stream
    utf_8 = (stream.encoding or "").lower().replace("-", "") == "utf8"
    target = Terminal(stream.buffer, utf_8=utf_8)
    return io.TextIOWrapper(  # type: ignore[type-var]  # it asks for the name of a file
        target, encoding=stream.encoding, errors="backslashreplace", line_buffering=True
    )
