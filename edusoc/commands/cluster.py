"""Look after where events lie: ``edusoc store health``, ``edusoc store setup``, ``edusoc store migrate``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final

import orjson

from edusoc.options import add_settings, said, say, settings_of
from edusoc.parser import add_command
from soc_core.errors import UsageError
from soc_core.printing import printable

if TYPE_CHECKING:
    from edusoc.moving import Moved

KINDS: Final = ("embedded", "elasticsearch")
STAGES: Final = ("copy", "compare")
SHOWN: Final = 20


def add(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the actions to ``edusoc store``."""
    add_command(actions, "health", "edusoc.health").set_defaults(run=health)
    setup_ = add_command(actions, "setup", "edusoc.setup")
    setup_.add_argument(
        "--snapshot-repository", default="", metavar="NAME", help=say("edusoc.setup.repository")
    )
    setup_.set_defaults(run=setup)
    migrate_ = add_command(actions, "migrate", "edusoc.migrate")
    migrate_.add_argument("--to", required=True, choices=KINDS, help=say("edusoc.migrate.to"))
    migrate_.add_argument("--from", dest="source", choices=KINDS, help=say("edusoc.migrate.from"))
    migrate_.set_defaults(run=migrate)
    for name in ("health", "setup", "migrate"):
        action = actions.choices[name]
        action.add_argument("--json", action="store_true", help=say("edusoc.cli.json"))
        add_settings(action)


def health(arguments: argparse.Namespace) -> int:
    """Print how the store is; return 1 unless all is well."""
    from edusoc.condition import in_words, read_health

    found = read_health(settings_of(arguments))
    if arguments.json:
        reasons = [said(reason) for reason in found.reasons]
        print(orjson.dumps({"state": found.state, "reasons": reasons}).decode())
    else:
        print("\n".join(in_words(found)))
    return 0 if found.state == "ok" else 1


def setup(arguments: argparse.Namespace) -> int:
    """Set Elasticsearch up for our indices and keep them in order; say what was done."""
    from dataclasses import asdict

    from edusoc.moving import administration_of

    settings = settings_of(arguments)
    if not settings.elasticsearch_url:
        raise UsageError(
            "the events lie in the state directory, there is nothing to set up",
            todo="set elasticsearch_url first",
        )
    done = administration_of(settings).set_up(repository=arguments.snapshot_repository)
    if arguments.json:
        print(orjson.dumps(asdict(done)).decode())
        return 0
    for key, count in (("copies", len(done.copies)), ("merging", len(done.merging))):
        print(say(f"edusoc.setup.{key}", count=count))
    for key, offered in (("lifecycle", done.lifecycle), ("snapshots", done.snapshots)):
        print(say(f"edusoc.setup.{key if offered else f'no_{key}'}"))
    return 0


def migrate(arguments: argparse.Namespace) -> int:
    """Copy all events to the other store and compare; return 1 when something differs or was not taken."""
    from edusoc.moving import move
    from edusoc.progress import StagesBar

    source = arguments.source or KINDS[1 - KINDS.index(arguments.to)]
    if source == arguments.to:
        raise UsageError("a store can't be migrated to itself", todo="choose another --to or --from")
    names = {stage: say(f"edusoc.migrate.stage.{stage}") for stage in STAGES}
    with StagesBar(names, hidden=arguments.json, unit=say("edusoc.migrate.unit")) as bar:
        moved = move(settings_of(arguments), to_elasticsearch=arguments.to == KINDS[1], meter=bar)
    if arguments.json:
        print(orjson.dumps(_as_json(moved)).decode())
    else:
        _print(moved, arguments.to)
    return 1 if moved.findings or moved.progress.rejected else 0


def _as_json(moved: Moved) -> dict[str, object]:
    progress = moved.progress
    return {
        "accepted": progress.accepted,
        "duplicates": progress.duplicates,
        "rejected": progress.rejected,
        "cursor": moved.cursor,
        "findings": [{"what": said(item.what), "where": item.where} for item in moved.findings],
        "rejected_samples": [
            {"what": said(bad.reason), "where": str(bad.position)} for bad in moved.rejected
        ],
    }


def _print(moved: Moved, to: str) -> None:
    progress = moved.progress
    for bad in moved.rejected[:SHOWN]:
        print(printable(f"{say('edusoc.migrate.not_taken')} {said(bad.reason)}"))
    for item in moved.findings[:SHOWN]:
        print(printable(f"{item.where}: {said(item.what)}"))
    if len(moved.findings) > SHOWN:
        print(say("edusoc.migrate.more", count=len(moved.findings) - SHOWN))
    counts = {"accepted": progress.accepted, "duplicates": progress.duplicates, "rejected": progress.rejected}
    print(say("edusoc.migrate.summary", **counts))
    if not moved.findings and not progress.rejected:
        print(say(f"edusoc.migrate.next_{to}"))
