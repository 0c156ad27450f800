"""Find and mend damage of the embedded store: ``edusoc store repair``."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

import orjson

from edusoc.options import add_settings, said, say, settings_of
from edusoc.parser import add_command
from soc_core.printing import printable

if TYPE_CHECKING:
    from soc_core.store.embedded.repair import Fault


def add(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the action to ``edusoc store``."""
    action = add_command(actions, "repair", "edusoc.repair")
    action.add_argument("--apply", action="store_true", help=say("edusoc.repair.apply"))
    action.add_argument("--accept", action="store_true", help=say("edusoc.repair.accept"))
    action.add_argument("--json", action="store_true", help=say("edusoc.cli.json"))
    add_settings(action)
    action.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Name what is damaged, and mend it if asked; return 1 while anything is damaged or was lost."""
    from edusoc.composition import open_events
    from soc_core.clock import utc_now
    from soc_core.errors import UsageError
    from soc_core.store.embedded import EmbeddedStore
    from soc_core.store.embedded.repair import repair

    settings = settings_of(arguments)
    directory = settings.state_directory / "events"
    if arguments.accept and not arguments.apply:
        raise UsageError("losses are accepted by a repair that is applied", todo="add --apply")
    if settings.elasticsearch_url or not directory.is_dir():
        raise UsageError("there is no embedded store to repair", where=str(directory))
    faults = repair(directory, utc_now, apply=arguments.apply)
    if arguments.apply:
        store = open_events(settings, writer=True)  # mends the end of the log
        if arguments.accept and isinstance(store, EmbeddedStore):
            store.catalogue.accept_losses(utc_now().timestamp())
        store.close()
    names = _unit_names(arguments) if any(fault.units for fault in faults) else {}
    for fault in faults:
        if arguments.json:
            print(orjson.dumps({**asdict(fault), "applied": arguments.apply}).decode())
        else:
            print(printable(_in_words(fault, names)))
    if not arguments.json:
        print(say(_summary(faults, applied=arguments.apply)))
    return 1 if any(fault.events for fault in faults) or (faults and not arguments.apply) else 0


def _in_words(fault: Fault, names: dict[str, str]) -> str:
    text = f"{fault.where}: {said(fault.what)} — {said(fault.remedy)}"
    if fault.events > 0:
        text += say("edusoc.repair.lost", events=fault.events)
    elif fault.events < 0:
        text += say("edusoc.repair.unknown")
    if fault.day:
        units = "、".join(names.get(unit, unit) for unit in fault.units)
        text += say("edusoc.repair.place", day=fault.day, units=units) if units else ""
    return text


def _summary(faults: list[Fault], *, applied: bool) -> str:
    if not faults:
        return "edusoc.store.sound"
    return "edusoc.repair.applied" if applied else "edusoc.repair.not_applied"


def _unit_names(arguments: argparse.Namespace) -> dict[str, str]:
    from edusoc.composition import open_database
    from soc_core.clock import utc_now
    from soc_core.errors import EdusocError
    from soc_core.organisations.repository import load_tree, today

    try:
        database = open_database(settings_of(arguments))
    except EdusocError:
        return {}  # it may be damaged too
    try:
        with database.read() as connection:
            return {unit.id: unit.name for unit in load_tree(connection, today(utc_now())).units.values()}
    finally:
        database.close()
