"""Count what one SMB conversation does to files, and put it into periodic events.

A copy of a folder or a ransomware run makes thousands of messages; a person needs to know how many files were
created, written, renamed and deleted in which minute, and some of their names.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from collectors.packets.dissectors.base import Fields

PERIOD_US: Final = 60_000_000
MAX_OPERATIONS: Final = 10_000
MAX_NAMES: Final = 32
MAX_OF_A_KIND: Final = 4
MAX_OPENED: Final = 16
MAX_EXTENSIONS: Final = 16
MAX_SHARES: Final = 16
MAX_STATES: Final = 16
MAX_RESULTS: Final = 64
CREATED: Final = "edusoc.smb.files_created"
WRITTEN: Final = "edusoc.smb.files_written"
RENAMED: Final = "edusoc.smb.files_renamed"
DELETED: Final = "edusoc.smb.files_deleted"
READ: Final = "edusoc.smb.files_read"
_PIPES: Final = frozenset(
    {
        "srvsvc", "svcctl", "lsarpc", "samr", "netlogon", "wkssvc", "winreg", "atsvc", "spoolss", "epmapper",
        "browser", "ntsvcs", "eventlog", "lsass", "netdfs", "protected_storage", "router", "trkwks",
    }
)  # fmt: skip


@dataclass(slots=True)
class OpenFile:
    """Hold one open file; ``done`` are the kinds of doing already counted for it."""

    name: str
    share: str = ""
    done: set[str] = field(default_factory=set)

    @property
    def is_pipe(self) -> bool:
        """Tell whether this is a named pipe of a service, not a file ([MS-RPCE] §2.1.1.2 names the well-known ones)."""
        if self.share:
            return self.share[-4:].upper() == "IPC$"
        return self.name.rpartition("\\")[2].lower() in _PIPES


class Sample:
    """Keep some names, of as many kinds as come: half the room is for the first, the rest for rare extensions.

    So a ransom note is among the names although hundreds of encrypted files came before it.
    """

    __slots__ = ("_extensions", "names")

    def __init__(self) -> None:
        self.names: dict[str, None] = {}
        self._extensions: Counter[str] = Counter()

    def add(self, name: str) -> None:
        """Keep ``name`` if there is room for one like it."""
        if not name or name in self.names or len(self.names) >= MAX_NAMES:
            return
        extension = extension_of(name)
        if len(self.names) < MAX_NAMES // 2 or self._extensions[extension] < MAX_OF_A_KIND:
            self.names[name] = None
            self._extensions[extension] += 1

    def drop(self, name: str) -> None:
        """Let a name go."""
        if name in self.names:
            del self.names[name]
            self._extensions[extension_of(name)] -= 1


class Activity:
    """Collect the doings of one period."""

    def __init__(self) -> None:
        self.began_us = -1
        self.offset = 0
        self._now_us = self._latest_offset = 0
        self._operations = 0
        self._commands: Counter[str] = Counter()
        self._files: Counter[str] = Counter()
        self._changed = Sample()
        self._opened: dict[str, None] = {}
        self._extensions: dict[str, None] = {}
        self._shares: dict[str, None] = {}
        self._states: dict[str, None] = {}
        self._results: Counter[str] = Counter()

    def at(self, time_us: int) -> None:
        """Note when the message came that the next calls are about."""
        self._now_us = time_us

    def command(self, name: str, offset: int) -> None:
        """Count one request, at ``offset`` of its stream."""
        self._latest_offset = offset
        if self.began_us < 0:
            self.began_us, self.offset = self._now_us, offset
        self._operations += 1
        self._commands[name] += 1

    def is_over(self, time_us: int) -> bool:
        """Tell whether the period ends before something at ``time_us``. An idle one goes on until files are touched."""
        if self._operations >= MAX_OPERATIONS:
            return True
        return bool(self._files) and time_us - self.began_us >= PERIOD_US

    def result(self, name: str, *, is_error: bool) -> None:
        """Count how a command ended."""
        if name in self._results or len(self._results) < MAX_RESULTS:
            self._results[name] += 1
        if is_error:
            _note(self._states, name, MAX_STATES)

    def share(self, name: str) -> None:
        """Note a share that was used."""
        _note(self._shares, name, MAX_SHARES)

    def opened(self, file: OpenFile) -> None:
        """Note the name of an opened file, directory or pipe."""
        _note(self._opened, file.name, MAX_OPENED)
        self.share(file.share)

    def did(self, what: str, file: OpenFile) -> None:
        """Count ``what`` was done to a file, once a file. Pipes are named, not counted."""
        if file.is_pipe:
            self.opened(file)
            return
        if what in file.done:
            return
        file.done.add(what)
        self._count(what)
        self.share(file.share)
        if what == READ:
            _note(self._opened, file.name, MAX_OPENED)
        else:
            self._changed.add(file.name)

    def _count(self, what: str) -> None:
        if not self._files:  # what a person wants to know is in which minute files were touched
            self.began_us, self.offset = self._now_us, self._latest_offset
        self._files[what] += 1

    def renamed(self, file: OpenFile, name: str) -> None:
        """Count a renaming; the new extension counts where it differs."""
        self._count(RENAMED)
        self.share(file.share)
        self._changed.drop(file.name)  # the new name tells more than both
        self._changed.add(name)
        extension = extension_of(name)
        if extension and extension != extension_of(file.name):
            _note(self._extensions, extension, MAX_EXTENSIONS)
        file.name = name

    def fields(self) -> Fields:
        """Return the counts and samples; names of changed files come first."""
        fields: Fields = {"event.action": "file_activity"}
        for counted, counts in (
            ("edusoc.smb.commands", self._commands),
            ("edusoc.smb.results", self._results),
        ):
            if counts:
                fields[counted] = [f"{name}={count}" for name, count in sorted(counts.items())]
        fields.update({name: count for name, count in self._files.items() if count})
        names = list(dict.fromkeys([*self._changed.names, *self._opened]))[:MAX_NAMES]
        for name, values in (
            ("edusoc.smb.names", names),
            ("edusoc.smb.new_extensions", list(self._extensions)),
            ("edusoc.smb.shares", list(self._shares)),
            ("edusoc.smb.status", list(self._states)),
        ):
            if values:
                fields[name] = values
        return fields


def _note(names: dict[str, None], name: str, limit: int) -> None:
    if name and len(names) < limit:
        names[name] = None


def extension_of(name: str) -> str:
    """Return the last extension of a path in lower case, without its dot; empty without one."""
    base = name.rpartition("\\")[2].rpartition("/")[2]
    stem, dot, extension = base.rpartition(".")
    return extension.lower()[:64] if dot and stem else ""
