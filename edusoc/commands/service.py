"""Look after the agent as a service of Windows: ``edusoc service install``, ``start``, ``stop`` and the like."""

from __future__ import annotations

import argparse
import logging
import sys
import threading
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edusoc.commands.collect import add_agent_config
from edusoc.options import say
from edusoc.parser import add_actions, add_command
from soc_core.errors import EdusocError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

STARTER: Final = "edusoc-service.py"
"""The script that the system starts, beside the program's Python."""
LOG: Final = "agent.log"
_LOG_BYTES: Final = 4 << 20
_LOGS_KEPT: Final = 3
_ACTIONS: Final = ("start", "stop", "reload", "status")


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    actions = add_actions(add_command(subparsers, "service", "edusoc.service"))
    installing = add_command(actions, "install", "edusoc.service.install")
    add_agent_config(installing)
    installing.add_argument("--account", default="", metavar="NAME", help=say("edusoc.service.account"))
    installing.set_defaults(run=install)
    for name in _ACTIONS:
        add_command(actions, name, f"edusoc.service.{name}").set_defaults(run=run, act=name)
    add_command(actions, "remove", "edusoc.service.remove").set_defaults(run=run, act="remove")


def _windows() -> ModuleType:
    """Return the module that talks to the service manager; raise ``UsageError`` elsewhere than on Windows."""
    if sys.platform == "win32":
        from edusoc import windows_service

        return windows_service
    else:  # noqa: RET505 - the type checker passes over the branch of the other system
        raise UsageError(
            "services of Windows are only on Windows",
            todo="on Linux install the agent with packaging/agent.sh",
        )


def install(arguments: argparse.Namespace) -> int:
    """Install the service for a configuration, which must be right, and give its account the agent's data."""
    service = _windows()
    from collectors.agent.configuration import load_configuration

    configuration = load_configuration(arguments.config)
    _protect(configuration.path, configuration.state)
    starter = Path(sys.prefix, STARTER)
    root = Path(__file__).resolve().parents[2]
    starter.write_text(_starter(root, configuration.path.absolute()), encoding="utf-8")
    python = Path(sys.base_prefix, "python.exe")
    command = f'"{python}" -I -X utf8 "{starter}"'
    account = {"account": arguments.account} if arguments.account else {}
    service.install(command, say("edusoc.service.title"), say("edusoc.service.description"), **account)
    print(say("edusoc.service.installed"))
    return 0


def _starter(root: Path, config: Path) -> str:
    """Return the script of the service, for the Python that an environment was made of.

    The ``python.exe`` of an environment would start that as a child, and the system would wait for the wrong process.
    """
    return "\n".join(
        (
            "import pathlib, site",
            f"site.addsitedir({str(root)!r})",
            "from edusoc.commands.service import serve",
            f"serve(pathlib.Path({str(config)!r}))",
            "",
        )
    )


def _protect(config: Path, state: Path) -> None:
    """Let the service and administrators alone use the configuration and the data."""
    if sys.platform == "win32":
        from soc_core.system.windows import private_directory, protect

        private_directory(state)
        protect(state)
        protect(config, write=False)


def run(arguments: argparse.Namespace) -> int:
    """Do what is said with the service."""
    service = _windows()
    if arguments.act == "status":
        state = service.state()
        print(say(f"edusoc.service.is.{state.word}", pid=state.pid))
        return 0 if state.word == "running" else 1
    act: Callable[[], None] = getattr(service, arguments.act)
    act()
    print(say(f"edusoc.service.done.{arguments.act}"))
    return 0


def serve(config: Path) -> None:
    """Be the service: what the system starts calls this."""
    service = _windows()
    service.Dispatcher(lambda stop, changed: _collect(service, config, stop, changed)).run()


def _collect(service: ModuleType, config: Path, stop: threading.Event, changed: threading.Event) -> int:
    """Collect until stopped; return 0, or what went wrong as an exit code."""
    from collectors.agent.agent import Agent
    from collectors.agent.configuration import load_configuration
    from edusoc.commands.collect import notice

    try:
        configuration = load_configuration(config)
        _log_to(configuration.state / LOG)
        agent = Agent(configuration, notice)
        agent.reload = changed
        service.report(say("edusoc.service.began", file=str(config)))
        agent.run(stop)
    except Exception as error:
        known = error if isinstance(error, EdusocError) else None
        service.report(say("edusoc.service.failed", reason=str(error) or type(error).__name__), bad=True)
        logging.getLogger("edusoc").exception("the service ends")
        return known.exit_code if known is not None else 3
    service.report(say("edusoc.service.ended"))
    return 0


class _Lines:
    """Write text into a log file that is turned over: a service has no screen."""

    encoding = "utf-8"

    def __init__(self, handler: RotatingFileHandler) -> None:
        self._handler, self._rest, self._lock = handler, "", threading.Lock()

    def write(self, text: str) -> int:
        """Write whole lines, keep the rest."""
        with self._lock:
            *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._handler.emit(logging.LogRecord("edusoc", logging.INFO, "", 0, line, None, None))
        return len(text)

    def flush(self) -> None:
        """Do nothing: lines are written at once."""

    def isatty(self) -> bool:
        """Tell that nobody looks on."""
        return False


def _log_to(path: Path) -> None:
    """Send what the program says to a file beside its data."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = RotatingFileHandler(path, maxBytes=_LOG_BYTES, backupCount=_LOGS_KEPT, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    sys.stdout = sys.stderr = _Lines(handler)
    from edusoc.commands.collect import log_in_words

    log_in_words()
