"""Run inputs, each in a thread of its own: start, restart after failures with growing pauses, stop, reload."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from collectors.agent.configuration import InputSettings
from collectors.live.base import LiveInput, Outlet
from collectors.uplink.pacing import Outside, Pauses
from soc_core.clock import format_instant
from soc_core.errors import EdusocError

STOP_SECONDS: Final = 8.0
STEADY_SECONDS: Final = 60.0
"""An input that ran so long was well: its next pause is short again."""
RUNNING_SECONDS: Final = 1.0
LONGEST_PAUSE: Final = 60.0
_LOGGER: Final = logging.getLogger("edusoc.agent")
Tell = Callable[[str, str], None]
"""Say something of an input: its name, and the fault (empty: it runs again)."""


@dataclass(slots=True)
class Condition:
    """Hold how an input is: ``running``, ``waiting`` for its next start after ``fault``, or ``stopped``."""

    state: str = "stopped"
    fault: str = ""
    since: str = ""
    failures: int = 0
    running_from: float = 0.0


class Runner:
    """Run one input until told to stop."""

    def __init__(
        self,
        settings: InputSettings,
        make: Callable[[InputSettings], LiveInput],
        outside: Outside,
        tell: Tell,
    ) -> None:
        """Take what makes the input: it is made anew for each start."""
        self.settings = settings
        self.condition = Condition()
        self.input: LiveInput | None = None
        self.kept_counters: dict[str, int] = {}
        self._make, self._outside, self._tell = make, outside, tell
        self._pauses = Pauses(outside.chance, longest=LONGEST_PAUSE)
        self.stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, outlet: Outlet, after: Runner | None = None) -> None:
        """Begin to run in a thread, once an earlier runner of this name has ended: both would read the same."""
        self._thread = threading.Thread(
            target=self._run, args=(outlet, after), name=f"input-{self.settings.name}", daemon=True
        )
        self._thread.start()

    def join(self, seconds: float) -> bool:
        """Wait for the thread's end; tell whether it ended."""
        if self._thread is not None:
            self._thread.join(seconds)
        return self._thread is None or not self._thread.is_alive()

    def counters(self) -> dict[str, int]:
        """Return the input's counters, those of its earlier lives included."""
        found, running = dict(self.kept_counters), self.input
        if running is not None:
            for name, value in running.counters.snapshot().items():
                found[name] = found.get(name, 0) + value
        return found

    def _run(self, outlet: Outlet, after: Runner | None) -> None:
        self._wait_for(after)
        while not self.stop.is_set():
            began = self._outside.monotonic()
            fault = self._once(outlet)
            if self.stop.is_set():
                break
            if self._outside.monotonic() - began > STEADY_SECONDS:
                self._pauses.worked()
            pause = self._pauses.failed()
            self._enter("waiting", fault or "the input ended by itself")
            self.stop.wait(pause)
        self._keep_counters()
        self._enter("stopped", "")

    def _wait_for(self, after: Runner | None) -> None:
        if after is None or after.join(0):
            return
        self._enter("waiting", "the input's earlier run has not ended yet")
        while not self.stop.is_set() and not after.join(RUNNING_SECONDS):
            continue

    def _once(self, outlet: Outlet) -> str:
        """Run the input once; return why it ended, empty when it was told to."""
        try:
            self._keep_counters()
            self.input = self._make(self.settings)
            self._enter("running", "")
            self.input.run(outlet, self.stop)
        except EdusocError as error:
            return str(error)
        except Exception as error:  # plugin edge: an input that fails must not end the others
            _LOGGER.debug("input %s failed", self.settings.name, exc_info=True)
            return f"the input failed: {type(error).__name__}: {error}"
        return ""

    def _keep_counters(self) -> None:
        self.kept_counters = self.counters()
        self.kept_counters.pop("connections", None)
        self.input = None

    def _enter(self, state: str, fault: str) -> None:
        condition = self.condition
        condition.state, condition.since = state, format_instant(self._outside.clock())
        condition.running_from = self._outside.monotonic()
        fault = fault.encode(
            "utf-8", "backslashreplace"
        ).decode()  # names of files may be no text: JSON refuses them
        if fault:
            condition.failures += 1
            if fault != condition.fault:
                condition.fault = fault
                self._tell(self.settings.name, fault)

    def look(self) -> None:
        """Say that the input runs again, once it did for a moment: one that fails at once would say it each time."""
        condition = self.condition
        steady = self._outside.monotonic() - condition.running_from >= RUNNING_SECONDS
        if condition.fault and condition.state == "running" and steady:
            condition.fault = ""
            self._tell(self.settings.name, "")


class Supervisor:
    """Hold the runners of all inputs."""

    def __init__(
        self, outlet: Outlet, make: Callable[[InputSettings], LiveInput], outside: Outside, tell: Tell
    ) -> None:
        """Take where inputs deliver, what makes them, and who hears of faults."""
        self._outlet, self._make, self._outside, self._tell = outlet, make, outside, tell
        self._runners: dict[str, Runner] = {}
        self._late: dict[str, Runner] = {}
        self._lock = threading.Lock()

    @property
    def runners(self) -> list[Runner]:
        """Return the runners in the order of the configuration."""
        with self._lock:
            return list(self._runners.values())

    def apply(self, wanted: Iterable[InputSettings]) -> list[str]:
        """Start what is new, stop what is gone, restart what changed; return the names of those that were touched."""
        with self._lock:
            by_name = {item.name: item for item in wanted}
            gone = [runner for name, runner in self._runners.items() if by_name.get(name) != runner.settings]
            late = stop_all(gone)
            self._late = {name: runner for name, runner in self._late.items() if not runner.join(0)}
            self._late |= {runner.settings.name: runner for runner in gone if runner.settings.name in late}
            kept = {name: runner for name, runner in self._runners.items() if runner not in gone}
            fresh = {
                name: Runner(item, self._make, self._outside, self._tell)
                for name, item in by_name.items()
                if name not in kept
            }
            self._runners = {name: kept.get(name) or fresh[name] for name in by_name}
            for runner in fresh.values():
                runner.start(self._outlet, self._late.get(runner.settings.name))
            return sorted({runner.settings.name for runner in gone} | set(fresh))

    def stop(self) -> list[str]:
        """Stop all inputs; return the names of those that did not end in time."""
        with self._lock:
            return stop_all(self._runners.values())


def stop_all(runners: Iterable[Runner]) -> list[str]:
    """Tell runners to stop, all at once, and wait; return the names of those still running."""
    listed = list(runners)
    for runner in listed:
        runner.stop.set()
    left = STOP_SECONDS
    late: list[str] = []
    for runner in listed:
        if not runner.join(max(left / max(len(listed), 1), 0.5) if late else left):
            late.append(runner.settings.name)
    return late
