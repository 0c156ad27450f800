"""Read the settings of one input from the configuration, each with a check and a remedy in its error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

from soc_core.errors import UsageError


class Options:
    """Give the settings of one ``[[inputs]]`` table by name; ``done`` refuses what nobody asked for."""

    def __init__(self, values: Mapping[str, object], where: str, folder: Path | None = None) -> None:
        """Take the table, where it stands (file and name of the input) for errors, and the folder for ``memory``."""
        self._values = dict(values)
        self._folder = folder
        self._asked: set[str] = set()
        self.where = where

    def text(self, name: str, usual: str | None = None) -> str:
        """Return a text; without a usual one it must be there."""
        value = self._take(name, usual)
        if not isinstance(value, str):
            raise self.fault(name, "is no text", f'write {name} = "…"')
        return value

    def path(self, name: str, usual: str | None = None) -> Path:
        """Return a path."""
        return Path(self.text(name, usual)).expanduser()

    def number(self, name: str, usual: int, *, least: int = 0, most: int = 2**62) -> int:
        """Return a whole number within bounds."""
        value = self._take(name, usual)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self.fault(
                name, "is not a number that fits", f"write a whole number from {least} to {most}"
            )
        return value

    def flag(self, name: str, usual: bool) -> bool:  # a setting's usual value
        """Return true or false."""
        value = self._take(name, usual)
        if not isinstance(value, bool):
            raise self.fault(name, "is neither true nor false", f"write {name} = true or {name} = false")
        return value

    def texts(self, name: str, usual: Sequence[str] = ()) -> list[str]:
        """Return a list of texts; a single text stands for a list of one."""
        value = self._take(name, list(usual))
        found = [value] if isinstance(value, str) else value
        if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
            raise self.fault(name, "is no list of texts", f'write {name} = ["…", "…"]')
        return found

    def choice(self, name: str, known: Sequence[str], usual: str | None = None) -> str:
        """Return one of the known texts."""
        value = self.text(name, usual)
        if value not in known:
            raise self.fault(name, f"'{value}' is unknown", f"known are: {', '.join(known)}")
        return value

    def address(self, name: str, usual: str | None = None, *, port: int | None = None) -> tuple[str, int]:
        """Return host and port of ``host:port``, ``[v6]:port`` or, with a usual ``port``, a host alone."""
        return self._address(name, self.text(name, usual), port)

    def addresses(
        self, name: str, usual: Sequence[str] = (), *, port: int | None = None
    ) -> list[tuple[str, int]]:
        """Return host and port of each text of a list, written as for ``address``."""
        return [self._address(name, text, port) for text in self.texts(name, usual)]

    def networks(self, name: str) -> list[IPv4Network | IPv6Network]:
        """Return the networks of a list such as ``["10.0.0.0/8"]``; none where the setting is left out."""
        found = []
        for text in self.texts(name):
            try:
                found.append(ip_network(text, strict=False))
            except ValueError:
                raise self.fault(name, f"'{text}' is no network", f'write {name} = ["10.0.0.0/8"]') from None
        return found

    def _address(self, name: str, text: str, port: int | None) -> tuple[str, int]:
        host, colon, number = text.rpartition(":")
        if not colon or (":" in host and not host.startswith("[")):
            host, number = text, "" if port is None else str(port)
        if not (number.isascii() and number.isdigit() and 0 <= int(number) <= 65_535) or not host:
            raise self.fault(name, f"'{text}' is no address with a port", f'write {name} = "0.0.0.0:514"')
        return host.strip("[]"), int(number)

    def memory(self) -> Path:
        """Return the folder where inputs keep what they must remember; it may not exist yet, and others use it too."""
        if self._folder is None:
            raise UsageError("this kind of input needs a folder to remember in", where=self.where)
        return self._folder

    def done(self) -> None:
        """Refuse settings that nobody asked for: a typing error is not silently ignored."""
        for name in self._values:
            if name not in self._asked:
                known = ", ".join(sorted(self._asked))
                raise self.fault(name, "is unknown", f"known are: {known}")

    def fault(self, name: str, what: str, todo: str) -> UsageError:
        """Return the error about a setting, to be raised."""
        return UsageError(f"setting '{name}' {what}", where=self.where, todo=todo)

    def _take(self, name: str, usual: object) -> object:
        self._asked.add(name)
        value = self._values.get(name, usual)
        if value is None:
            raise self.fault(name, "is missing", "add it to the input's table")
        return value
