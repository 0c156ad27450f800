"""Hold the settings of a ``files`` input."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from collectors.live.options import Options
from collectors.registry import collector
from soc_core.errors import InputError

FROM: Final = ("start", "end")
_DAY: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Settings:
    """Say which files are followed and how; times are seconds.

    ``paths``, ``exclude`` and ``rotated`` are patterns (``finding``). ``wanted`` names the collector, empty for by
    content. ``from_end``: files that are there at the very first start are not read from their beginning;
    ``ignore_older``: nor are files unchanged for so long when they are first met (0 for never). ``settle``: without
    change for so long a file that is read as a whole is complete. ``finish``: without change for so long a rotated file
    is. ``search``: how long the rest of a lost content is looked for.
    """

    paths: tuple[str, ...]
    memory: Path
    exclude: tuple[str, ...] = ()
    rotated: tuple[str, ...] = ()
    wanted: str = ""
    from_end: bool = False
    ignore_older: float = 0.0
    poll: float = 1.0
    settle: float = 10.0
    finish: float = 60.0
    idle: float = 3_600.0
    search: float = 600.0
    max_open: int = 256
    max_files: int = 10_000


def read_settings(options: Options) -> Settings:
    """Return the settings of an input's table. Raises ``UsageError`` naming a wrong one."""
    paths = options.texts("paths")
    if not paths:
        raise options.fault("paths", "names no files", 'write paths = ["/var/log/nginx/access.log"]')
    wanted = options.text("format", "")
    if wanted:
        try:
            collector(wanted)
        except InputError as fault:
            raise options.fault("format", f"'{wanted}' is no known format", fault.todo) from fault
    found = Settings(
        paths=tuple(paths),
        memory=options.memory(),
        exclude=tuple(options.texts("exclude")),
        rotated=tuple(options.texts("rotated")),
        wanted=wanted,
        from_end=options.choice("from", FROM, "start") == "end",
        ignore_older=options.number("ignore_older_days", 0, most=36_500) * _DAY,
        poll=float(options.number("poll_seconds", 1, least=1, most=3_600)),
        settle=float(options.number("settle_seconds", 10, least=1, most=86_400)),
        max_open=options.number("max_open", 256, least=1, most=100_000),
        max_files=options.number("max_files", 10_000, least=1, most=1_000_000),
    )
    options.done()
    return found
