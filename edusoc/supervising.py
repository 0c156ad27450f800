"""Run the processes of a centre: start them, start again what dies, stop all in order.

Parent and child hold the two ends of a socket: the child says over it that it is ready, and ends when the parent is
gone, however it went. A child that ends with exit code 2 (wrong use or configuration) is not started again: the others
are stopped too, since only a person can mend that.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Final

USAGE: Final = 2
READY: Final = b"1"
GIVEN: Final = "EDUSOC_GIVEN_DESCRIPTORS"
"""The variable by which a child learns which descriptors it was given: listener and link."""
STOP_SECONDS: Final = 20.0
TICK_SECONDS: Final = 0.1
PAUSES: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds before a process is started again that keeps dying."""
SOUND_SECONDS: Final = 60.0
"""Who lived so long and dies is started again at once."""


@dataclass(frozen=True, slots=True)
class Role:
    """Say how a process is started: the words of its command, and the socket on which it listens."""

    name: str
    words: Sequence[str]
    listener: socket.socket


@dataclass(slots=True)
class _Child:
    """Hold one process of a role and what is known of it."""

    role: Role
    process: subprocess.Popen[bytes] | None = None
    link: socket.socket | None = None
    ready: bool = False
    started: float = 0.0
    deaths: int = 0
    due: float = 0.0


@dataclass(slots=True)
class Supervisor:
    """Keep the processes of some roles running until told to stop.

    ``on_ready`` is called with a role's name the first time it is ready, in the order of the roles; ``on_death`` with
    its name, exit code (negative: a signal) and the seconds until it is started again.
    """

    roles: Sequence[Role]
    on_ready: Callable[[str], None]
    on_death: Callable[[str, int, float], None]
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> int:
        """Run until a signal (SIGINT, SIGTERM) or a child that can't be started; return the exit code."""
        before = {name: signal.signal(name, self._signalled) for name in (signal.SIGINT, signal.SIGTERM)}
        children = [_Child(role) for role in self.roles]
        told: set[str] = set()
        try:
            while not self.stop.is_set():
                for child in children:
                    code = self._look_after(child)
                    if code == USAGE:
                        return code
                self._tell(children, told)
                self.stop.wait(TICK_SECONDS)
            return 0
        finally:
            _end(children)
            for name, handler in before.items():
                signal.signal(name, handler)

    def _signalled(self, _number: int, _frame: FrameType | None) -> None:
        self.stop.set()

    def _look_after(self, child: _Child) -> int | None:
        """Start a child that is due; return its exit code when it has just ended."""
        now = time.monotonic()
        if child.process is None:
            if now >= child.due:
                _start(child, now)
            return None
        child.ready = child.ready or _is_ready(child)
        code = child.process.poll()
        if code is None:
            return None
        if child.link is not None:
            child.link.close()
        child.process, child.link = None, None
        child.deaths = 0 if now - child.started >= SOUND_SECONDS else child.deaths + 1
        pause = PAUSES[min(child.deaths, len(PAUSES)) - 1] if child.deaths else 0.0
        child.due = now + pause
        if code != USAGE:
            self.on_death(child.role.name, code, pause)
        return code

    def _tell(self, children: Sequence[_Child], told: set[str]) -> None:
        for child in children:
            if child.role.name in told:
                continue
            if not child.ready:
                return
            told.add(child.role.name)
            self.on_ready(child.role.name)


def _start(child: _Child, now: float) -> None:
    ours, theirs = socket.socketpair()
    descriptors = [child.role.listener.fileno(), theirs.fileno()]
    words = [sys.executable, "-m", "edusoc", *child.role.words]
    environment = {**os.environ, GIVEN: ",".join(map(str, descriptors))}
    child.process = subprocess.Popen(words, pass_fds=descriptors, stdin=subprocess.DEVNULL, env=environment)
    theirs.close()
    ours.setblocking(False)
    child.link, child.started = ours, now


def _is_ready(child: _Child) -> bool:
    if child.link is None:
        return False
    try:
        return child.link.recv(1) == READY
    except BlockingIOError:
        return False


def _end(children: Sequence[_Child]) -> None:
    """Ask all to end, wait, and kill who doesn't."""
    running = [child.process for child in children if child.process is not None]
    for process in running:
        process.terminate()
    until = time.monotonic() + STOP_SECONDS
    for process in running:
        try:
            process.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for child in children:
        if child.link is not None:
            child.link.close()


def given() -> tuple[int, Link | None]:
    """Return the listening socket's descriptor and the link that a supervisor gave us; -1 and ``None`` without one."""
    text = os.environ.pop(GIVEN, "")
    if not text:
        return -1, None
    listener, link = map(int, text.split(","))
    return listener, Link(link)


class Link:
    """Be the child's end: tell the parent that we are ready, and end when it is gone."""

    def __init__(self, descriptor: int) -> None:
        """Take the inherited descriptor; begin to watch."""
        self._socket = socket.socket(fileno=descriptor)
        threading.Thread(target=self._watch, name="edusoc-link", daemon=True).start()

    def ready(self) -> None:
        """Tell the parent."""
        self._socket.sendall(READY)

    def _watch(self) -> None:
        try:
            while self._socket.recv(64):
                pass
        except OSError:
            pass
        os.kill(os.getpid(), signal.SIGTERM)
