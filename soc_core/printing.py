"""Show text of strangers without letting it command the terminal it is shown on."""

from __future__ import annotations

import re
from typing import Final

# C0 and C1 control characters, marks that turn the direction of writing (Unicode 15, UAX 9), and halves of characters
# that come from file names in no encoding.
_COMMANDING: Final = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

_COMMANDING_LINES: Final = re.compile(f"(?![\t\r\n]){_COMMANDING.pattern}")


def printable(text: str) -> str:
    r"""Return ``text`` on one line, with what commands a terminal written as an escape: ``\x1b``, ``\n``."""
    return _COMMANDING.sub(lambda match: match.group().encode("unicode_escape").decode("ascii"), text)


def printable_lines(text: str) -> str:
    """Return ``text`` like ``printable`` does, but with its lines and tabs: for pages, where they do no harm."""
    return _COMMANDING_LINES.sub(lambda match: match.group().encode("unicode_escape").decode("ascii"), text)


def is_printable(text: str) -> bool:
    """Tell whether ``text`` holds nothing that commands a terminal; the wide space of Chinese is all right."""
    return _COMMANDING.search(text) is None
