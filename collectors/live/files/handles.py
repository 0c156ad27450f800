"""Keep files open between readings, as many as allowed, so that what is rotated away can be read to its end."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress

from collectors.live.files.content import Content, open_content


class Handles:
    """Keep the files used last open, by device and inode."""

    def __init__(self, most: int) -> None:
        """``most``: how many stay open; files without a name any more are let go of last."""
        self._most = most
        self._open: OrderedDict[tuple[int, int], Content] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def get(self, identity: tuple[int, int], path: str) -> Content | None:
        """Return the file, opened if need be; ``None`` when ``path`` is another file now.

        Raises ``OSError``, and ``InputError`` where a packed file can't be unpacked.
        """
        content = self._open.get(identity)
        if content is None:
            content = open_content(path)
            status = content.status()
            if (status.st_dev, status.st_ino) != identity:
                content.close()
                return None
            self._open[identity] = content
            self._trim()
        self._open.move_to_end(identity)
        return content

    def opened(self, identity: tuple[int, int]) -> Content | None:
        """Return the file if it is open."""
        return self._open.get(identity)

    def drop(self, identity: tuple[int, int]) -> None:
        """Close a file."""
        content = self._open.pop(identity, None)
        if content is not None:
            with suppress(OSError):
                content.close()

    def _trim(self) -> None:
        """Close the file that was not used for the longest time, if there are too many."""
        if len(self._open) <= self._most:
            return
        oldest = list(self._open)[:-1]
        with_name = (
            one for one in oldest if self._open[one].status().st_nlink or len(self._open) > 2 * self._most
        )
        self.drop(next(with_name, oldest[0]) if oldest else next(iter(self._open)))

    def close(self) -> None:
        """Close all files."""
        for identity in list(self._open):
            self.drop(identity)
