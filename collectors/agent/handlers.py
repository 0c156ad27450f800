"""Do what orders say: set the managed part of the configuration, keep rules, run actions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from ipaddress import ip_network
from pathlib import Path
from typing import Final

from collectors.agent.configuration import InputSettings, managed_path, read_managed
from soc_core.errors import EdusocError, UsageError
from soc_core.log.files import write_whole
from soc_core.uplink.orders import Order

MOST_CONFIGURATION: Final = 256 * 1024
MOST_RULES: Final = 4 << 20
RULES_FOLDER: Final = "rules"
_PREVIOUS: Final = ".previous"
_NAME: Final = re.compile(r"[\w\-]{1,64}\.(?:yml|yaml)")

Action = Callable[[Mapping[str, object]], str]
"""Do something an order asks for and return a few words about it. Raises ``EdusocError`` when it was not done."""


def text_in(order: Order, name: str, most: int) -> str:
    """Return a text of an order's body; raise ``UsageError`` when it isn't there or too long."""
    value = order.body.get(name)
    if not isinstance(value, str) or len(value.encode("utf-8", "surrogatepass")) > most:
        raise UsageError(f"the order has no '{name}' of at most {most} bytes")
    return value


class ConfigurationHandler:
    """Replace the managed part of the configuration (body: ``toml``); where its inputs don't start, put it back."""

    def __init__(self, state: Path, check: Callable[[tuple[InputSettings, ...]], str]) -> None:
        """``check`` loads the configuration anew and returns why a managed input doesn't run, empty when all do."""
        self._path, self._state, self._check = managed_path(state), state, check

    def run(self, order: Order) -> str:
        """Set the managed part."""
        text = text_in(order, "toml", MOST_CONFIGURATION)
        inputs = read_managed(text, managed_path(Path()).name, self._state)
        before = self._before()
        write_whole(self._previous, before)
        write_whole(self._path, text.encode())
        fault = self._check(inputs)
        if fault:
            self._restore(before)
            raise UsageError(f"an input did not start, the configuration is as before: {fault}")
        self._previous.unlink()
        return f"inputs: {', '.join(item.name for item in inputs) or '-'}"

    def interrupted(self, _order: Order) -> str:
        """Put the configuration back."""
        if not self._previous.exists():
            return "the configuration is as the order says, or as before it"
        self._restore(self._previous.read_bytes())
        return "the configuration is as before"

    @property
    def _previous(self) -> Path:
        return self._path.with_name(self._path.name + _PREVIOUS)

    def _before(self) -> bytes:
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return b""

    def _restore(self, before: bytes) -> None:
        write_whole(self._path, before)
        with suppress(EdusocError):
            self._check(())
        self._previous.unlink(missing_ok=True)


class RulesHandler:
    """Keep rules (body: ``name``, ``text``; an empty text removes) for whoever judges events here."""

    def __init__(self, state: Path) -> None:
        """Take the state directory."""
        self._folder = state / RULES_FOLDER

    def run(self, order: Order) -> str:
        """Keep or remove a file of rules."""
        name, text = text_in(order, "name", 100), text_in(order, "text", MOST_RULES)
        if not _NAME.fullmatch(name):
            raise UsageError(
                f"'{name}' is no name of a file of rules", todo="use letters, digits, - _ and .yml"
            )
        self._folder.mkdir(exist_ok=True, mode=0o700)
        if not text:
            (self._folder / name).unlink(missing_ok=True)
            return f"removed {name}"
        write_whole(self._folder / name, text.encode())
        return f"kept {name}"

    def interrupted(self, _order: Order) -> str:
        """Files are replaced whole: nothing to mend."""
        return "the rules are as the order says, or as before it"


class ActionHandler:
    """Run actions by name (body: ``action`` and what it needs), never against an address that is protected here."""

    def __init__(self, actions: Mapping[str, Action], never_block: tuple[str, ...]) -> None:
        """Take the actions there are and the addresses and networks that none may touch."""
        self._actions = actions
        self._protected = [ip_network(text, strict=False) for text in never_block]

    def run(self, order: Order) -> str:
        """Run the action."""
        name = text_in(order, "action", 100)
        if name not in self._actions:
            raise UsageError(
                f"there is no action '{name}' here", todo=f"known are: {', '.join(self._actions)}"
            )
        for key, value in order.body.items():
            for text in value if isinstance(value, list) else [value]:
                self._guard(key, str(text))
        return self._actions[name](order.body)

    def _guard(self, key: str, text: str) -> None:
        """Raise ``UsageError`` when a value of an order is, or covers, an address that is protected."""
        try:
            wanted = ip_network(text, strict=False)
        except ValueError:
            return
        for network in self._protected:
            if network.version == wanted.version and network.overlaps(wanted):
                raise UsageError(f"'{key}' is {text}, which this site protects ({network})")

    def interrupted(self, order: Order) -> str:
        """Say that nobody knows: an action is not run twice."""
        return f"whether '{order.body.get('action', '')}' was done is not known; it is not done again"


def ping(body: Mapping[str, object]) -> str:
    """Return what was sent: the harmless action that shows that orders arrive and are answered."""
    return f"pong {str(body.get('text', ''))[:200]}".rstrip()


ACTIONS: Final[Mapping[str, Action]] = {"ping": ping}
"""Actions by name. Those that block and isolate come with the playbooks."""
