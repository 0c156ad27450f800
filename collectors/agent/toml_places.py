"""Find the line of a setting in the text of a TOML file, for errors that people can act on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from soc_core.errors import UsageError

_HEADER: Final = re.compile(r"\s*\[(\[?)\s*([^\[\]]+?)\s*\]")
_KEY: Final = re.compile(r"""\s*(?:"([^"]+)"|'([^']+)'|([A-Za-z0-9_\-]+))\s*[=.]""")
_SETTING: Final = re.compile(r"setting '([^']+)'")
_AT: Final = re.compile(r"\(at (?:line (\d+), column \d+|end of document)\)")


class Places:
    """Hold where tables and their keys stand. Of arrays of tables each has its number, from 0."""

    def __init__(self, name: str, text: str) -> None:
        """Take the file's name and text."""
        self.name = name
        self._lines: dict[tuple[str, int, str], int] = {}
        table, number, counts = "", 0, dict[str, int]()
        for line_number, line in enumerate(text.splitlines(), start=1):
            if header := _HEADER.match(line):
                table, number = header[2], 0
                if header[1]:
                    number = counts.get(table, 0)
                    counts[table] = number + 1
                self._lines.setdefault((table, number, ""), line_number)
            elif key := _KEY.match(line):
                found = key[1] or key[2] or key[3]
                self._lines.setdefault((table, number, found), line_number)

    def of(self, table: str, key: str = "", number: int = 0) -> str:
        """Return ``file:line`` of a key, of its table where the key isn't there, of the file where neither is."""
        for wanted in ((table, number, key), (table, number, "")):
            if wanted in self._lines:
                return f"{self.name}:{self._lines[wanted]}"
        return self.name

    @contextmanager
    def errors(self, table: str, number: int = 0) -> Iterator[None]:
        """Put the line of a setting into the ``UsageError`` about it that is raised inside."""
        try:
            yield
        except UsageError as error:
            match = _SETTING.search(error.what)
            where = self.of(table, match[1] if match else "", number)
            raise UsageError(error.what, where=where, todo=error.todo) from error


def syntax_place(name: str, text: str, complaint: str) -> tuple[str, str]:
    """Return ``file:line`` and the remedy for what the TOML reader complains of."""
    match = _AT.search(complaint)
    lines = text.splitlines()
    number = int(match[1]) if match and match[1] else len(lines)
    line = lines[number - 1] if 0 < number <= len(lines) else ""
    return f"{name}:{number}", _remedy(line, complaint)


def _remedy(line: str, complaint: str) -> str:
    if re.search(r"[“”‘’＝［］，]", line):
        return "use plain quotation marks, brackets and equals signs, not full-width ones"
    if "\\" in line:
        return "write paths with backslashes in single quotes: 'C:\\logs'"
    if "Cannot declare" in complaint or "overwrite" in complaint:
        return "this name was used before: remove one of the two"
    if re.match(r"\s*[\w-]+\s*=\s*[^\s\"'\[{0-9tf+-]", line):
        return 'put text into quotation marks: name = "text"'
    return "look at this line and the one before: quotation marks and brackets must be closed"
