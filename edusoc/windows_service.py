r"""Be a service of Windows, and install, start, stop and remove it (advapi32, by ctypes: no library needed).

The service runs under an account of its own, ``NT SERVICE\edusoc-agent``, with no privilege but the one everybody has;
the system restarts it five seconds after it ended by itself. Facts: Microsoft Learn, "Service Programs" and the pages
of the functions. It ran under Wine's service manager, never on a Windows of its own: 未经实机验证.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import wintypes
from dataclasses import dataclass
from typing import Final

from soc_core.errors import StoreError, UsageError
from soc_core.system import SERVICE

assert sys.platform == "win32"  # noqa: S101 - tells the type checker whose module this is

ACCOUNT: Final = rf"NT SERVICE\{SERVICE}"
_ALL_SERVICES, _ALL_SERVICE = 0xF003F, 0xF01FF
_OWN_PROCESS, _AUTOMATIC, _SAY_ERRORS = 0x10, 2, 1
_STOP, _CHANGED, _SHUTDOWN = 1, 6, 5
_ACCEPTED: Final = 1 | 4 | 8  # stop, shutdown, changed parameters
STATES: Final = {
    1: "stopped",
    2: "starting",
    3: "stopping",
    4: "running",
    5: "resuming",
    6: "pausing",
    7: "paused",
}
_STOPPED, _STARTING, _STOPPING, _RUNNING = 1, 2, 3, 4
_OWN_CODE: Final = 1066  # ERROR_SERVICE_SPECIFIC_ERROR
_GONE: Final = 1060  # ERROR_SERVICE_DOES_NOT_EXIST
_THERE: Final = frozenset({1073, 1078})  # ERROR_SERVICE_EXISTS, ERROR_DUPLICATE_SERVICE_NAME
_NOT_RUNNING, _RUNS_ALREADY, _DENIED, _NO_MANAGER = 1062, 1056, 5, 1063
_UNKNOWN_LEVEL: Final = frozenset({87, 120, 124})
_DESCRIPTION, _FAILURE, _FAILURE_FLAG, _SID_KIND, _PRIVILEGES = 1, 2, 4, 5, 6
_RESTART, _RESTART_MS = 1, 5_000
_PATIENCE: Final = 45.0
_ERROR_EVENT, _INFORMATION_EVENT = 1, 4
_EVENT_NUMBER: Final = 1


class _Status(ctypes.Structure):
    """SERVICE_STATUS_PROCESS, whose beginning is SERVICE_STATUS."""

    _fields_ = tuple(
        (name, wintypes.DWORD)
        for name in ("kind", "state", "accepted", "code", "own_code", "step", "patience", "pid", "flags")
    )


class _Action(ctypes.Structure):
    """SC_ACTION."""

    _fields_ = (("kind", ctypes.c_int), ("delay", wintypes.DWORD))


class _Failure(ctypes.Structure):
    """SERVICE_FAILURE_ACTIONSW."""

    _fields_ = (
        ("reset", wintypes.DWORD),
        ("message", wintypes.LPCWSTR),
        ("command", wintypes.LPCWSTR),
        ("count", wintypes.DWORD),
        ("actions", ctypes.POINTER(_Action)),
    )


_MAIN: Final = ctypes.WINFUNCTYPE(None, wintypes.DWORD, ctypes.c_void_p)
_HANDLER: Final = ctypes.WINFUNCTYPE(
    wintypes.DWORD, wintypes.DWORD, wintypes.DWORD, ctypes.c_void_p, ctypes.c_void_p
)


class _Entry(ctypes.Structure):
    """SERVICE_TABLE_ENTRYW."""

    _fields_ = (("name", wintypes.LPCWSTR), ("main", _MAIN))


def _library() -> ctypes.WinDLL:
    library = ctypes.WinDLL("advapi32", use_last_error=True)
    text, handle, number = wintypes.LPCWSTR, wintypes.HANDLE, wintypes.DWORD
    for name, result, given in (
        ("OpenSCManagerW", handle, (text, text, number)),
        ("OpenServiceW", handle, (handle, text, number)),
        ("CreateServiceW", handle, (handle, text, text, *(number,) * 4, text, text, ctypes.c_void_p, *(text,) * 3)),
        ("ChangeServiceConfigW", wintypes.BOOL, (handle, *(number,) * 3, text, text, ctypes.c_void_p, *(text,) * 4)),
        ("ChangeServiceConfig2W", wintypes.BOOL, (handle, number, ctypes.c_void_p)),
        ("StartServiceW", wintypes.BOOL, (handle, number, ctypes.c_void_p)),
        ("ControlService", wintypes.BOOL, (handle, number, ctypes.c_void_p)),
        ("DeleteService", wintypes.BOOL, (handle,)),
        ("CloseServiceHandle", wintypes.BOOL, (handle,)),
        ("QueryServiceStatusEx", wintypes.BOOL, (handle, ctypes.c_int, ctypes.c_void_p, number, ctypes.c_void_p)),
        ("RegisterServiceCtrlHandlerExW", handle, (text, _HANDLER, ctypes.c_void_p)),
        ("SetServiceStatus", wintypes.BOOL, (handle, ctypes.c_void_p)),
        ("StartServiceCtrlDispatcherW", wintypes.BOOL, (ctypes.c_void_p,)),
        ("RegisterEventSourceW", handle, (text, text)),
        ("DeregisterEventSource", wintypes.BOOL, (handle,)),
        ("ReportEventW", wintypes.BOOL, (
            handle, wintypes.WORD, wintypes.WORD, number, ctypes.c_void_p, wintypes.WORD, number, ctypes.c_void_p,
            ctypes.c_void_p,
        )),
    ):  # fmt: skip
        function = getattr(library, name)
        function.restype, function.argtypes = result, given
    return library


_ADVAPI: Final = _library()


def _fault() -> Exception:
    """Return the error to raise for what just failed."""
    number = ctypes.get_last_error()
    if number == _DENIED:
        return UsageError(
            "services are for administrators", todo="run it in a window opened as administrator"
        )
    if number == _GONE:
        return UsageError("the service is not installed", todo="edusoc service install")
    return StoreError(ctypes.FormatError(number).strip(), where=SERVICE)


@contextmanager
def _manager() -> Iterator[int]:
    handle = _ADVAPI.OpenSCManagerW(None, None, _ALL_SERVICES)
    if not handle:
        raise _fault()
    try:
        yield handle
    finally:
        _ADVAPI.CloseServiceHandle(handle)


@contextmanager
def _service() -> Iterator[int]:
    with _manager() as manager:
        handle = _ADVAPI.OpenServiceW(manager, SERVICE, _ALL_SERVICE)
        if not handle:
            raise _fault()
        try:
            yield handle
        finally:
            _ADVAPI.CloseServiceHandle(handle)


@dataclass(frozen=True, slots=True)
class State:
    """Say how the service is: a word of ``STATES`` and its process id (0: none)."""

    word: str
    pid: int


def install(command: str, title: str, description: str, account: str = ACCOUNT) -> None:
    """Install the service, or give one that is there the new command; it starts with the system."""
    with _manager() as manager:
        handle = _ADVAPI.CreateServiceW(
            manager, SERVICE, title, _ALL_SERVICE, _OWN_PROCESS, _AUTOMATIC, _SAY_ERRORS, command,
            None, None, None, account, None,
        )  # fmt: skip
        if not handle and ctypes.get_last_error() not in _THERE:
            raise _fault()
        if handle:
            _ADVAPI.CloseServiceHandle(handle)
    with _service() as handle:
        if not _ADVAPI.ChangeServiceConfigW(
            handle, _OWN_PROCESS, _AUTOMATIC, _SAY_ERRORS, command, None, None, None, account, None, title
        ):
            raise _fault()
        _harden(handle, description)


def _harden(handle: int, description: str) -> None:
    """Have the service restarted whenever it ends, and take every privilege away that it doesn't need."""
    text = wintypes.LPCWSTR(description)
    actions = (_Action * 1)(_Action(_RESTART, _RESTART_MS))
    failure = _Failure(0, None, None, 1, actions)
    flag, sid_kind = wintypes.BOOL(True), wintypes.DWORD(1)
    privileges = wintypes.LPCWSTR("SeChangeNotifyPrivilege\0\0")
    for level, value in (
        (_DESCRIPTION, text),
        (_FAILURE, failure),
        (_FAILURE_FLAG, flag),
        (_SID_KIND, sid_kind),
        (_PRIVILEGES, privileges),
    ):
        done = _ADVAPI.ChangeServiceConfig2W(handle, level, ctypes.byref(value))
        if not done and ctypes.get_last_error() not in _UNKNOWN_LEVEL:
            raise _fault()


def start() -> None:
    """Start the service and wait until it runs."""
    with _service() as handle:
        if not _ADVAPI.StartServiceW(handle, 0, None) and ctypes.get_last_error() != _RUNS_ALREADY:
            raise _fault()
        _await(handle, _RUNNING)


def stop() -> None:
    """Stop the service and wait until it has ended."""
    with _service() as handle:
        status = _Status()
        if not _ADVAPI.ControlService(handle, _STOP, ctypes.byref(status)):
            if ctypes.get_last_error() == _NOT_RUNNING:
                return
            raise _fault()
        _await(handle, _STOPPED)


def reload() -> None:
    """Tell the service that its configuration changed."""
    with _service() as handle:
        status = _Status()
        if not _ADVAPI.ControlService(handle, _CHANGED, ctypes.byref(status)):
            raise _fault()


def remove() -> None:
    """Stop and remove the service; data stay."""
    stop()
    with _service() as handle:
        if not _ADVAPI.DeleteService(handle):
            raise _fault()


def state() -> State:
    """Return how the service is."""
    with _service() as handle:
        found = _query(handle)
    return State(STATES.get(int(found.state), "?"), int(found.pid))


def _query(handle: int) -> _Status:
    found, needed = _Status(), wintypes.DWORD()
    if not _ADVAPI.QueryServiceStatusEx(
        handle, 0, ctypes.byref(found), ctypes.sizeof(found), ctypes.byref(needed)
    ):
        raise _fault()
    return found


def _await(handle: int, wanted: int) -> None:
    waited = 0.0
    pause = threading.Event()
    while _query(handle).state != wanted:
        if waited >= _PATIENCE:
            raise StoreError(
                "the service did not get there in time", where=SERVICE, todo="look into agent.log of its data"
            )
        pause.wait(0.2)
        waited += 0.2


class Dispatcher:
    """Run a body as the service: it gets an event to stop by, and one that is set when settings changed."""

    def __init__(self, body: Callable[[threading.Event, threading.Event], int]) -> None:
        """``body`` returns an exit code; one that is not 0 makes the system restart the service."""
        self._body = body
        self._stop, self._changed = threading.Event(), threading.Event()
        self._handle = 0
        # Kept: the system calls them as long as the process lives.
        self._main, self._handler = _MAIN(self._run), _HANDLER(self._control)

    def run(self) -> None:
        """Serve until stopped. Raises ``UsageError`` when the system did not start us as a service."""
        table = (_Entry * 2)(_Entry(SERVICE, self._main), _Entry(None, _MAIN()))
        if not _ADVAPI.StartServiceCtrlDispatcherW(table):
            if ctypes.get_last_error() == _NO_MANAGER:
                raise UsageError("only the system starts this", todo="edusoc service start")
            raise _fault()

    def _run(self, _count: int, _arguments: object) -> None:
        self._handle = _ADVAPI.RegisterServiceCtrlHandlerExW(SERVICE, self._handler, None)
        self._tell(_STARTING)
        self._tell(_RUNNING)
        code = 3
        try:
            code = self._body(self._stop, self._changed)
        finally:
            self._tell(_STOPPED, code)

    def _control(self, control: int, _kind: int, _data: object, _context: object) -> int:
        if control in {_STOP, _SHUTDOWN}:
            self._tell(_STOPPING)
            self._stop.set()
        elif control == _CHANGED:
            self._changed.set()
        return 0

    def _tell(self, now: int, code: int = 0) -> None:
        accepted = _ACCEPTED if now == _RUNNING else 0
        told = _Status(_OWN_PROCESS, now, accepted, _OWN_CODE if code else 0, code, 0, 30_000, 0, 0)
        _ADVAPI.SetServiceStatus(self._handle, ctypes.byref(told))


def report(text: str, *, bad: bool = False) -> None:
    """Write a line into the system's application log; where that fails the agent's own log has it."""
    source = _ADVAPI.RegisterEventSourceW(None, SERVICE)
    if not source:
        return
    texts = (wintypes.LPCWSTR * 1)(text)
    kind = _ERROR_EVENT if bad else _INFORMATION_EVENT
    _ADVAPI.ReportEventW(source, kind, 0, _EVENT_NUMBER, None, 1, 0, texts, None)
    _ADVAPI.DeregisterEventSource(source)
