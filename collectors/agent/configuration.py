"""Read the agent's configuration: one TOML with ``[agent] [centre] [spool] [privacy] [orders] [[inputs]]``.

A wrong setting is refused with file, line and remedy. What the centre may set by an order lies in a file of its own
(``managed.toml`` in the state directory): inputs, which stand beside the local ones.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from collectors.agent.spool import Limits
from collectors.agent.toml_places import Places, syntax_place
from collectors.live.base import LiveInput
from collectors.live.options import Options
from collectors.live.registry import build
from collectors.uplink.connection import Centre
from collectors.uplink.pacing import Plan, Window
from soc_core.errors import UsageError
from soc_core.system import STATE

MANAGED: Final = "managed.toml"
SECTIONS: Final = ("agent", "centre", "spool", "privacy", "orders", "inputs")
NAME: Final = re.compile(r"[\w.\-]{1,64}")
_FINGERPRINT: Final = re.compile(r"(?:sha256:)?(?:[0-9A-Fa-f]{2}:?){32}")
_MB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Place:
    """Say whose events these are where no centre says it, and how times without a zone are read."""

    organisation: str = ""
    zone: str = "default"
    time_zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("Asia/Shanghai"))
    keep_original: bool = True


@dataclass(frozen=True, slots=True)
class OrderPolicy:
    """Say which kinds of orders this site consents to, and which addresses no action may touch."""

    configuration: bool = True
    rules: bool = True
    packets: bool = False
    action: bool = False
    never_block: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class InputSettings:
    """Hold one ``[[inputs]]`` table. Equal tables make equal inputs: that decides what a reload restarts."""

    name: str
    kind: str
    values: Mapping[str, object]
    where: str = field(default="", compare=False)
    managed: bool = False


@dataclass(frozen=True, slots=True)
class Configuration:
    """Hold the whole configuration of an agent. ``centre`` is ``None`` where events only stay here."""

    path: Path
    name: str
    state: Path
    place: Place
    centre: Centre | None
    plan: Plan
    spool: Limits
    privacy: Mapping[str, object] | None
    orders: OrderPolicy
    inputs: tuple[InputSettings, ...]


def load_configuration(path: Path) -> Configuration:
    """Return the configuration of a file; raise ``UsageError`` naming what is wrong, where, and what to do."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            "the configuration is not UTF-8", where=str(path), todo="save the file as UTF-8"
        ) from error
    except OSError as error:
        todo = "edusoc enrol writes one; or name another with --config"
        raise UsageError(error.strerror or "can't be read", where=str(path), todo=todo) from error
    return _Reader(path, text).configuration()


def parse_toml(name: str, text: str) -> Mapping[str, object]:
    """Return the tables of a text; raise ``UsageError`` with line and remedy when it is no TOML."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        where, todo = syntax_place(name, text, str(error))
        raise UsageError(f"no valid TOML: {error}", where=where, todo=todo) from error


def read_inputs(
    tables: Mapping[str, object], places: Places, state: Path, *, managed: bool = False
) -> tuple[InputSettings, ...]:
    """Return the ``[[inputs]]``; raise ``UsageError`` for one that can't be made."""
    listed = tables.get("inputs", [])
    if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
        raise UsageError(
            "'inputs' must be a list of tables", where=places.of("inputs"), todo="head each with [[inputs]]"
        )
    found: list[InputSettings] = []
    for number, values in enumerate(listed):
        with places.errors("inputs", number):
            options = Options(values, "inputs")
            kind = options.text("kind")
            name = options.text("name", kind)
            if not NAME.fullmatch(name):
                raise options.fault("name", f"'{name}' has other signs", "use letters, digits, - _ .")
            if any(item.name == name for item in found):
                raise options.fault("name", f"'{name}' is used twice", "give each input a name of its own")
            rest = {key: value for key, value in values.items() if key not in {"kind", "name"}}
            item = InputSettings(name, kind, rest, places.of("inputs", "", number), managed)
            make_input(item, state)
            found.append(item)
    return tuple(found)


def make_input(settings: InputSettings, state: Path) -> LiveInput:
    """Return the input of its settings; raise ``UsageError`` where they are wrong."""
    options = Options(settings.values, settings.where, state / "inputs")
    made = build(settings.kind, settings.name, options)
    options.done()
    return made


def refuse_unknown(tables: Mapping[str, object], known: Sequence[str], places: Places) -> None:
    """Raise ``UsageError`` for a table nobody asked for."""
    for name, value in tables.items():
        if name not in known:
            where = places.of(name) if isinstance(value, dict | list) else places.of("", name)
            raise UsageError(
                f"the table or setting '{name}' is unknown",
                where=where,
                todo=f"known are: {', '.join(known)}",
            )


class _Reader:
    """Read one file, table by table."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._places = Places(str(path), text)
        self._tables = parse_toml(str(path), text)
        refuse_unknown(self._tables, SECTIONS, self._places)

    def configuration(self) -> Configuration:
        """Return the configuration."""
        with self._options("agent") as agent:
            name, state = agent.text("name", ""), agent.path("state", STATE)
            zone_info = _zone_info(agent)
            place = Place(
                agent.text("organisation", ""),
                agent.text("zone", "default"),
                zone_info,
                agent.flag("keep_original", True),
            )
        with self._options("centre") as options:
            centre, plan = _centre(options, zone_info)
        with self._options("spool") as options:
            spool = Limits(
                options.number("size_mb", 2_048, least=16, most=1 << 20) * _MB,
                options.number("reserve_mb", 256, least=0, most=1 << 20) * _MB,
            )
        with self._options("orders") as options:
            orders = _orders(options)
        return Configuration(
            path=self._path,
            name=name,
            state=state,
            place=place,
            centre=centre,
            plan=plan,
            spool=spool,
            privacy=self._table("privacy") if "privacy" in self._tables else None,
            orders=orders,
            inputs=read_inputs(self._tables, self._places, state),
        )

    @contextmanager
    def _options(self, table: str) -> Iterator[Options]:
        """Give a table's settings; refuse those that were not asked for; name the line in each error."""
        with self._places.errors(table):
            options = Options(self._table(table), table)
            yield options
            options.done()

    def _table(self, table: str) -> Mapping[str, object]:
        values = self._tables.get(table, {})
        if isinstance(values, dict):
            return values
        where = self._places.of("", table)
        raise UsageError(f"'{table}' must be a table", where=where, todo=f"head it with [{table}]")


def _zone_info(options: Options) -> ZoneInfo:
    text = options.text("time_zone", "Asia/Shanghai")
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError):
        raise options.fault(
            "time_zone", f"'{text}' is unknown", 'write time_zone = "Asia/Shanghai"'
        ) from None


def _centre(options: Options, zone: ZoneInfo) -> tuple[Centre | None, Plan]:
    url = options.text("url", "")
    centre = Centre(
        url,
        ca=options.text("ca", ""),
        fingerprint=options.text("fingerprint", ""),
        name=options.text("name", ""),
        proxy=options.text("proxy", ""),
    )
    if centre.fingerprint and not _FINGERPRINT.fullmatch(centre.fingerprint):
        raise options.fault("fingerprint", "is no SHA-256", "write 64 hexadecimal digits, colons allowed")
    window = options.text("window", "")
    try:
        hours = Window.parse(window)
    except UsageError as error:
        raise options.fault("window", f"'{window}' is no span of hours", error.todo) from error
    plan = Plan(
        zone=zone,
        window=hours,
        urgent_always=options.flag("urgent_always", True),
        bytes_per_second=options.number("rate_kb", 0, most=10_000_000) * 1_024,
    )
    return (centre if url else None), plan


def _orders(options: Options) -> OrderPolicy:
    addresses = options.texts("never_block")
    for address in addresses:
        try:
            ip_network(address, strict=False)
        except ValueError:
            raise options.fault(
                "never_block", f"'{address}' is no address", 'write never_block = ["10.0.0.1", "10.1.0.0/16"]'
            ) from None
    return OrderPolicy(
        configuration=options.flag("configuration", True),
        rules=options.flag("rules", True),
        packets=options.flag("packets", False),
        action=options.flag("action", False),
        never_block=tuple(addresses),
    )


def managed_path(state: Path) -> Path:
    """Return where the part of the configuration lies that the centre may set."""
    return state / MANAGED


def read_managed(text: str, name: str, state: Path) -> tuple[InputSettings, ...]:
    """Return the inputs of a managed part; raise ``UsageError`` when anything in it is wrong or not the centre's."""
    places, tables = Places(name, text), parse_toml(name, text)
    refuse_unknown(tables, ("inputs",), places)
    return read_inputs(tables, places, state, managed=True)


def with_managed(configuration: Configuration) -> tuple[Configuration, str]:
    """Return the configuration with the managed inputs, and what is wrong with these (empty: nothing).

    A managed part that is broken hinders nobody: the local inputs run without it. Local names come first.
    """
    path = managed_path(configuration.state)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return configuration, ""
    except (OSError, UnicodeDecodeError) as error:
        return configuration, f"{path}: {error}"
    try:
        managed = read_managed(text, str(path), configuration.state)
    except UsageError as error:
        return configuration, str(error)
    local = {item.name for item in configuration.inputs}
    clashing = [item.name for item in managed if item.name in local]
    added = tuple(item for item in managed if item.name not in local)
    trouble = f"{path}: inputs of these names are set here already: {', '.join(clashing)}" if clashing else ""
    return replace(configuration, inputs=configuration.inputs + added), trouble
