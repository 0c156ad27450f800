"""Look at the machine for ``edusoc doctor``: who holds a port, which files can't be read, what the kernel allows."""

from __future__ import annotations

import errno
import glob
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from collectors.agent.configuration import InputSettings
from collectors.agent.finding import BAD, OK, WARNING, Check
from collectors.live.options import Options
from soc_core import system
from soc_core.errors import UsageError
from soc_core.model.event import Scalar

_LISTENING: Final = {"udp": ("udp",), "tcp": ("tcp", "tls", "listen")}
"""Settings of inputs that name an address to listen on, by protocol."""
_USUAL_PORTS: Final = {"udp": 514, "tcp": 514, "tls": 6514}
"""Of syslog, where an address has none (RFC 5426, 6587, 5425)."""
_DEFAULT_RMEM: Final = 212_992
_MOST_FILES: Final = 1_000


class Machine:
    """Look at this machine through its system and its files."""

    def ports(self, inputs: Sequence[InputSettings], agent: int) -> Iterator[Check]:
        """Yield what keeps inputs from their ports; that a running agent (its process id, else 0) has them is right."""
        for settings in inputs:
            for protocol, host, port in addresses_of(settings):
                shown = f"{host}:{port}/{protocol}"
                fault = try_port(protocol, host, port)
                if not fault:
                    level = BAD if agent else OK
                    yield Check(level, "port_unused" if agent else "port_free", {"port": shown})
                elif fault == errno.EADDRINUSE:
                    pid, name = system.port_holder(protocol, port)
                    values: dict[str, Scalar] = {
                        "port": shown,
                        "program": name or "?",
                        "pid": pid,
                        "input": settings.name,
                    }
                    if not agent or pid != agent:
                        yield Check(BAD, "port_taken", values)
                elif fault in {errno.EACCES, errno.EPERM}:
                    yield Check(BAD, "port_denied", {"port": shown, "input": settings.name})
                else:
                    reason = os.strerror(fault)
                    yield Check(BAD, "port_broken", {"port": shown, "input": settings.name, "reason": reason})

    def files(self, inputs: Sequence[InputSettings], state: Path) -> Iterator[Check]:
        """Yield which files of inputs aren't there or can't be read by the agent, who owns the state directory."""
        for settings in inputs:
            for pattern in patterns_of(settings):
                found = sorted(glob.glob(pattern, recursive=True))[:_MOST_FILES]  # noqa: PTH207 - absolute patterns
                if not found:
                    yield Check(WARNING, "no_files", {"pattern": pattern, "input": settings.name})
                with system.acting_as_owner(state):
                    denied = [path for path in found if system.is_denied(path)]
                for path in denied:
                    yield Check(BAD, "file_denied", {"path": path, "input": settings.name})

    @staticmethod
    def free_bytes(directory: Path) -> int:
        """Return the bytes of the disk that are free for us."""
        return system.free_bytes(directory)

    @staticmethod
    def rmem_max() -> int:
        """Return the most bytes of a receive buffer that the kernel allows everybody."""
        try:
            return int(Path("/proc/sys/net/core/rmem_max").read_text(encoding="ascii"))
        except (OSError, ValueError):
            return _DEFAULT_RMEM


def addresses_of(settings: InputSettings) -> list[tuple[str, str, int]]:
    """Return (protocol, host, port) of what an input listens on."""
    options, found = Options(settings.values, settings.where), []
    for protocol, names in _LISTENING.items():
        for name in names:
            if name not in settings.values:
                continue
            try:
                found += [
                    (protocol, *address)
                    for address in options.addresses(name, port=_USUAL_PORTS.get(name, 0))
                ]
            except UsageError:
                continue  # another kind of setting of that name
    return [item for item in found if item[2]]


def patterns_of(settings: InputSettings) -> list[str]:
    """Return the paths of an input that reads files."""
    values = settings.values.get("paths", [])
    listed = values if isinstance(values, list) else [values]
    return [text for text in listed if isinstance(text, str) and os.path.isabs(text)]  # noqa: PTH117 - text


def try_port(protocol: str, host: str, port: int) -> int:
    """Return 0 when we could listen there, else the number of the error."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
    with socket.socket(family, kind) as tried:
        if protocol == "tcp" and sys.platform != "win32":  # there it would let us take the port of others
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((host, port))
            if protocol == "tcp":
                tried.listen(1)
        except OSError as error:
            return error.errno or errno.EINVAL
    return 0
