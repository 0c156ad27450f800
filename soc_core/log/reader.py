"""Read a log, also from another process while it is written."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

from soc_core.log.files import list_files, read_mark
from soc_core.log.frames import FILE_HEADER, Damage, Record, read_base, read_frame, scan
from soc_core.system import open_shared


class LogReader:
    """Read committed records in order of their offsets. Not to be shared between threads."""

    def __init__(self, directory: Path) -> None:
        """Take a log's directory; it need not exist yet."""
        self._directory = directory
        self._hint = (0, -1, 0)  # offset, file base and position where the last reading ended

    def end_offset(self) -> int:
        """Return the offset after the last committed item."""
        mark = read_mark(self._directory)
        return self._last_end() if mark is None else mark

    def _last_end(self) -> int:
        """Return where the last file's sound records end: what the writer finds too when the mark is damaged."""
        for base, path in reversed(list_files(self._directory)):
            with io.BufferedReader(open_shared(path)) as stream:
                if read_base(stream, path) is not None:
                    frames = [item[0] for item in scan(stream, path) if not isinstance(item, Damage)]
                    return frames[-1].offset + frames[-1].count if frames else base
        return 0

    def start_offset(self) -> int:
        """Return the lowest offset still kept; that of the end when there is nothing."""
        files = list_files(self._directory) if self._directory.is_dir() else []
        return files[0][0] if files else self.end_offset()

    def records(self, start: int, end: int | None = None) -> Iterator[Record]:
        """Yield committed records that hold items in [start, end), lowest first.

        The first one may begin before ``start``. Damaged parts are passed over, visible as a jump of the offsets;
        ``damage`` names them.
        """
        committed = self.end_offset()
        end = committed if end is None else min(end, committed)
        files = list_files(self._directory) if start < end else []
        for index, (base, path) in enumerate(files):
            following = files[index + 1][0] if index + 1 < len(files) else None
            if following is not None and following <= start:
                continue
            if base >= end:
                return
            yield from self._file(base, path, start, end)

    def _file(self, base: int, path: Path, start: int, end: int) -> Iterator[Record]:
        hint_offset, hint_base, hint_position = self._hint
        position = hint_position if hint_base == base and hint_offset <= start else FILE_HEADER
        try:
            stream = io.BufferedReader(open_shared(path))
        except FileNotFoundError:  # dropped since we listed: the caller sees the jump
            return
        with stream:
            read_base(
                stream, path
            )  # a newer version is refused; where only the header is hurt, frames prove themselves
            while True:  # skip by headers what lies before
                found = read_frame(stream, position, payload=False)
                if found is None or found[0].offset + found[0].count > start:
                    break
                position = found[0].end_position
            for item in scan(stream, path, position):
                if isinstance(item, Damage):
                    continue
                frame, payload = item
                if frame.offset + frame.count > end:
                    return
                self._hint = (frame.offset + frame.count, base, frame.end_position)
                yield Record(frame.offset, frame.count, payload)

    def damage(self) -> list[Damage]:
        """Check every committed record of every file; return what can't be read, and gaps between files."""
        committed, found, expected = self.end_offset(), list[Damage](), -1
        for base, path in list_files(self._directory) if self._directory.is_dir() else []:
            with io.BufferedReader(open_shared(path)) as stream:
                if read_base(stream, path) is None:
                    found.append(Damage(path, 0, FILE_HEADER))
                if 0 <= expected < base:
                    found.append(Damage(path, 0, 0))
                expected = base
                for item in scan(stream, path):
                    if not isinstance(item, Damage):
                        expected = item[0].offset + item[0].count
                    elif expected < committed:
                        found.append(item)
        return found
