"""List the kinds of live inputs: kind → module. Modules are imported only when an input of their kind is configured."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Final, Protocol, cast

from collectors.live.base import LiveInput
from collectors.live.options import Options
from soc_core.errors import UsageError

KINDS: Final[dict[str, str]] = {
    # kind → module with ``build(name, options)``; one line each, in alphabetical order
    "beats": "collectors.live.beats",
    "bulk": "collectors.live.bulk",
    "files": "collectors.live.files",
    "eve_socket": "collectors.live.eve_socket",
    "http_push": "collectors.live.http_push",
    "neighbours": "collectors.live.neighbours",
    "packets": "collectors.live.capture",
    "syslog": "collectors.live.syslog",
}

LINUX_ONLY: Final = frozenset({"eve_socket", "packets"})
"""Kinds whose way in Windows lacks: Unix sockets, packet rings."""


class Build(Protocol):
    """Make an input from its settings; raises ``UsageError`` naming a wrong one. Opens nothing yet."""

    def __call__(self, name: str, options: Options, /) -> LiveInput:
        """Return the input called ``name``."""
        ...


def build(kind: str, name: str, options: Options) -> LiveInput:
    """Return the input of a kind. Raises ``UsageError`` for an unknown kind or a wrong setting."""
    if kind not in KINDS:
        known = ", ".join(sorted(KINDS))
        raise UsageError(
            f"there is no kind of input '{kind}'", where=options.where, todo=f"known are: {known}"
        )
    if kind in LINUX_ONLY and sys.platform == "win32":
        raise UsageError(
            f"inputs of kind '{kind}' are only on Linux",
            where=options.where,
            todo="let an agent on a Linux machine do that",
        )
    try:
        module = import_module(KINDS[kind])
    except ImportError as error:
        raise UsageError(f"inputs of kind '{kind}' can't be loaded: {error}", where=options.where) from error
    return cast("Build", module.build)(name, options)
