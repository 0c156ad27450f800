"""Do by one name what Linux and Windows do in different ways: positions in files, locks, names, processes, ports.

Everything that depends on the system lies in this package: ``posix`` and ``windows`` have the same functions, and no
other module of the agent imports what only one system has. What Windows does was run under Wine with CPython for
Windows, never on a Windows of its own: 未经实机验证.
"""

import sys

if sys.platform == "win32":
    from soc_core.system.windows import (
        CONFIG,
        HOLD,
        SERVICE,
        STATE,
        acting_as_owner,
        free_bytes,
        is_denied,
        lock,
        memory_bytes,
        open_file,
        open_shared,
        port_holder,
        private_directory,
        process_runs,
        read_at,
        replace,
        sync_data,
        sync_directory,
        write_at,
    )
else:
    from soc_core.system.posix import (
        CONFIG,
        HOLD,
        SERVICE,
        STATE,
        acting_as_owner,
        free_bytes,
        is_denied,
        lock,
        memory_bytes,
        open_file,
        open_shared,
        port_holder,
        private_directory,
        process_runs,
        read_at,
        replace,
        sync_data,
        sync_directory,
        write_at,
    )

__all__ = [
    "CONFIG",
    "HOLD",
    "SERVICE",
    "STATE",
    "acting_as_owner",
    "free_bytes",
    "is_denied",
    "lock",
    "memory_bytes",
    "open_file",
    "open_shared",
    "port_holder",
    "private_directory",
    "process_runs",
    "read_at",
    "replace",
    "sync_data",
    "sync_directory",
    "write_at",
]
