"""Make and bring the Kibana pack: ``edusoc kibana export``, ``check``, ``push``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from edusoc.cli_language import language_of
from edusoc.options import add_settings, said, say, settings_of
from edusoc.parser import add_actions, add_command
from soc_core.i18n import LANGUAGES
from soc_core.printing import printable

if TYPE_CHECKING:
    from soc_core.config import Settings
    from soc_core.errors import InputError
    from soc_core.store.elasticsearch.kibana.options import PackOptions


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    actions = add_actions(add_command(subparsers, "kibana", "edusoc.kibana"))
    export = add_command(actions, "export", "edusoc.kibana.export")
    export.add_argument("--output", type=Path, metavar="FILE", help=say("edusoc.kibana.output"))
    export.add_argument("--roles", action="store_true", help=say("edusoc.kibana.roles"))
    export.add_argument("--space", default="", metavar="SPACE", help=say("edusoc.kibana.role_space"))
    _add_pack(export)
    export.set_defaults(run=export_)
    check = add_command(actions, "check", "edusoc.kibana.check")
    check.add_argument("files", nargs="*", type=Path, metavar="FILE", help=say("edusoc.kibana.files"))
    check.add_argument("--json", action="store_true", help=say("edusoc.cli.json"))
    _add_pack(check)
    check.set_defaults(run=check_)
    push = add_command(actions, "push", "edusoc.kibana.push")
    push.add_argument("url", metavar="URL", help=say("edusoc.kibana.url"))
    push.add_argument("files", nargs="*", type=Path, metavar="FILE", help=say("edusoc.kibana.files"))
    push.add_argument("--space", default="", metavar="SPACE", help=say("edusoc.kibana.space"))
    push.add_argument("--json", action="store_true", help=say("edusoc.cli.json"))
    _add_pack(push)
    push.set_defaults(run=push_)


def _add_pack(parser: argparse.ArgumentParser) -> None:
    """Add what the pack depends on."""
    parser.add_argument("--prefix", metavar="PREFIX", help=say("edusoc.kibana.prefix"))
    parser.add_argument("--console", metavar="URL", help=say("edusoc.kibana.console"))
    parser.add_argument(
        "--language", choices=LANGUAGES, default=language_of(), help=say("edusoc.kibana.language")
    )
    parser.add_argument("--no-names", action="store_true", help=say("edusoc.kibana.no_names"))
    add_settings(parser)


def export_(arguments: argparse.Namespace) -> int:
    """Write the pack, or the role, to a file or to the standard output."""
    from soc_core.store.elasticsearch.kibana.pack import export
    from soc_core.store.elasticsearch.kibana.roles import role_body, role_name

    options = _options(arguments, settings_of(arguments))
    if arguments.roles:
        named = {role_name(options): role_body(options, arguments.space)}
        data = orjson.dumps(named, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n"
    else:
        data = export(options)
    if arguments.output is None:
        sys.stdout.buffer.write(data)
    else:
        arguments.output.write_bytes(data)
    return 0


def check_(arguments: argparse.Namespace) -> int:
    """Print what is wrong with exports, ours by default; return 1 when something is."""
    found = _faults(_contents(arguments, settings_of(arguments)))
    for fault in found:
        if arguments.json:
            body = {"where": fault.where, "what": fault.what, "todo": fault.todo}
            print(orjson.dumps(body).decode())
        else:
            print(_in_words(fault))
    if not found and not arguments.json:
        print(say("edusoc.kibana.sound"))
    return 1 if found else 0


def push_(arguments: argparse.Namespace) -> int:
    """Bring the pack to a live Kibana; return 1 when an object was refused."""
    from soc_core.store.elasticsearch.kibana.pushing import Kibana

    settings = settings_of(arguments)
    kibana = Kibana(arguments.url, settings, arguments.space)
    contents = _contents(arguments, settings)
    found = _faults(contents)
    if found:
        for fault in found:
            print(_in_words(fault), file=sys.stderr)
        print(say("edusoc.kibana.not_pushed"), file=sys.stderr)
        return 1
    kibana.need_version()
    data = b"".join(body if body.endswith(b"\n") else body + b"\n" for _, body in contents)
    outcomes = kibana.push(data)
    for one in outcomes:
        if arguments.json:
            row = {"type": one.type, "id": one.id, "title": one.title, "problem": one.problem}
            print(orjson.dumps(row).decode())
        else:
            state = said(one.problem) if one.problem else say("edusoc.kibana.there")
            print(printable(f"{one.type}  {one.title or one.id}  {state}"))
    failed = sum(bool(one.problem) for one in outcomes)
    if not arguments.json:
        print(say("edusoc.kibana.pushed", done=len(outcomes) - failed, failed=failed))
    return 1 if failed else 0


def _options(arguments: argparse.Namespace, settings: Settings) -> PackOptions:
    """Return what the pack is made for, with the names of the units of this installation if there is one."""
    from soc_core.store.elasticsearch.kibana.options import PackOptions

    shown = "127.0.0.1" if settings.host in {"", "0.0.0.0", "::"} else settings.host  # noqa: S104 - not listened on
    return PackOptions(
        prefix=arguments.prefix or settings.elasticsearch_prefix,
        language=arguments.language,
        console=arguments.console or f"http://{shown}:{settings.port}",
        unit_names={} if arguments.no_names else _unit_names(settings, arguments.language),
    )


def _unit_names(settings: Settings, language: str) -> dict[str, str]:
    """Return what the units are called; none where nothing is set up yet."""
    from edusoc.composition import open_database
    from soc_core.clock import utc_now
    from soc_core.organisations.repository import load_tree, today

    if not settings.database_url and not (settings.state_directory / "state.sqlite").exists():
        return {}
    database = open_database(settings)
    try:
        with database.read() as connection:
            tree = load_tree(connection, today(utc_now()))
    finally:
        database.close()
    return {id_: unit.name_en if language == "en" else unit.name for id_, unit in tree.units.items()}


def _contents(arguments: argparse.Namespace, settings: Settings) -> list[tuple[str, bytes]]:
    """Return name and content of the files that were given, else of our own pack."""
    from soc_core.store.elasticsearch.kibana.pack import export

    if arguments.files:
        return [(str(path), path.read_bytes()) for path in arguments.files]
    return [("edusoc.ndjson", export(_options(arguments, settings)))]


def _faults(contents: Sequence[tuple[str, bytes]]) -> list[InputError]:
    from soc_core.store.elasticsearch.kibana.checking import check_exports

    return list(check_exports(contents))


def _in_words(fault: InputError) -> str:
    from soc_core.reasons import error_text

    return printable(error_text(fault, language_of()))
