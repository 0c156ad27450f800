"""Report and apply retention, and export events: ``edusoc store retention``, ``edusoc store export``."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import orjson

from edusoc.options import add_settings, instant_of, said, say, settings_of, shown_time
from edusoc.parser import add_command
from soc_core.printing import printable

if TYPE_CHECKING:
    from soc_core.config import Settings
    from soc_core.state.database import Database
    from soc_core.store.coverage import SourceCoverage
    from soc_core.store.interface import Search
    from soc_core.store.keeping import Kept
    from soc_core.store.retention import DatasetPlan


def add(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add both actions to ``edusoc store``."""
    retention = add_command(actions, "retention", "edusoc.retention")
    retention.add_argument("--apply", action="store_true", help=say("edusoc.retention.apply"))
    export = add_command(actions, "export", "edusoc.export")
    export.add_argument("directory", type=Path, metavar="DIRECTORY", help=say("edusoc.export.directory"))
    export.add_argument("--query", default="", metavar="QUERY", help=say("edusoc.search.query"))
    export.add_argument("--dataset", metavar="NAME", help=say("edusoc.export.dataset"))
    export.add_argument("--from", dest="start", metavar="TIME", help=say("edusoc.export.from"))
    export.add_argument("--to", dest="end", metavar="TIME", help=say("edusoc.export.to"))
    export.add_argument("--organisation", metavar="CODE", help=say("edusoc.search.organisation"))
    for action, job in ((retention, run_retention), (export, run_export)):
        action.add_argument("--json", action="store_true", help=say("edusoc.cli.json"))
        add_settings(action)
        action.set_defaults(run=job)


def run_retention(arguments: argparse.Namespace) -> int:
    """Report what is kept; return 1 when a guaranteed source has gaps or is too short."""
    from edusoc.composition import open_database, open_events
    from soc_core.clock import utc_now
    from soc_core.organisations.repository import known_since, load_tree, today
    from soc_core.store.coverage import retention_report
    from soc_core.store.interface import SYSTEM_SCOPE, Removal
    from soc_core.store.keeping import Kept, apply_retention, plan_now
    from soc_core.store.retention import Policy

    settings, now = settings_of(arguments), utc_now()
    policy = Policy.of(settings)
    database = open_database(settings)
    try:
        with database.read() as connection:
            tree = load_tree(connection, today(now))
            since = {unit: at.astimezone(policy.zone).date() for unit, at in known_since(connection).items()}
        store = open_events(settings, writer=arguments.apply)
        try:
            report = retention_report(store, settings, now, SYSTEM_SCOPE, since)
            done = (
                apply_retention(store, policy, now)
                if arguments.apply
                else Kept(plan_now(store, policy, now), 0, Removal(0, 0))
            )
        finally:
            store.close()
    finally:
        database.close()
    names = {unit.id: unit.name for unit in tree.units.values()}
    if arguments.json:
        print(
            orjson.dumps(
                _as_json(report, done, settings, arguments.apply), option=orjson.OPT_INDENT_2
            ).decode()
        )
    else:
        for line in _lines(report, done, names, settings, arguments.apply):
            print(printable(line))
    return 0 if all(source.sound for source in report) else 1


def _lines(
    report: list[SourceCoverage], done: Kept, names: dict[str, str], settings: Settings, applied: bool
) -> Iterable[str]:
    """Yield the report in words."""
    from soc_core.store.coverage import by_unit
    from soc_core.store.retention import LEAST_MONTHS, Policy

    policy, zone = Policy.of(settings), ZoneInfo(settings.time_zone)
    yield say("edusoc.retention.policy", months=policy.months, days=policy.detail_days)
    if settings.retention_months < LEAST_MONTHS:
        yield say("edusoc.retention.least", given=settings.retention_months, months=LEAST_MONTHS)
    for unit, sources in by_unit(report):
        yield names.get(unit, unit)
        for source in sources:
            yield from _source_lines(source, zone)
    for item in done.plan.datasets:
        yield from _plan_lines(item, applied)
    if applied:
        yield say(
            "edusoc.retention.applied",
            events=done.removal.events,
            rollups=done.rollups,
            mb=done.removal.bytes // 2**20,
        )
        yield from (say("edusoc.retention.kept", what=said(what)) for what in done.removal.kept)
    elif done.plan.cuts:
        yield say("edusoc.retention.not_applied")
    wrong = sum(not source.sound for source in report)
    yield say("edusoc.retention.wrong", number=wrong) if wrong else say("edusoc.retention.sound")


def _source_lines(source: SourceCoverage, zone: ZoneInfo) -> Iterable[str]:
    yield say(
        "edusoc.retention.source",
        dataset=source.dataset or "-",
        kind=say(f"edusoc.retention.{source.how.kind}"),
        events=source.events,
        first=shown_time(source.first, zone),
        last=shown_time(source.last, zone),
        required=source.required_from.isoformat(),
        days=source.days,
    )
    for gap in source.gaps:
        yield say(
            "edusoc.retention.gap",
            start=shown_time(gap.start, zone),
            end=shown_time(gap.end, zone),
            days=gap.days,
        )
    if source.short:
        yield say("edusoc.retention.short", required=source.required_from.isoformat())


def _plan_lines(item: DatasetPlan, applied: bool) -> Iterable[str]:
    if item.events:
        key = (
            f"edusoc.retention.{'removed' if applied else 'goes'}_{'rolled' if item.how.rollup else 'plain'}"
        )
        yield say(key, dataset=item.dataset or "-", first=item.first_kept.isoformat(), events=item.events)
    if item.held:
        yield say("edusoc.retention.held", dataset=item.dataset or "-", day=item.held)


def _as_json(
    report: list[SourceCoverage], done: Kept, settings: Settings, applied: bool
) -> dict[str, object]:
    from soc_core.store.retention import Policy

    policy = Policy.of(settings)
    return {
        "retention_months": policy.months,
        "retention_detail_days": policy.detail_days,
        "sources": [
            {
                "organisation_id": source.organization_id,
                "dataset": source.dataset,
                "class": source.how.kind,
                "reason": {"zh": source.how.zh, "en": source.how.en},
                "events": source.events,
                "first": source.first,
                "last": source.last,
                "required_from": source.required_from.isoformat(),
                "days": source.days,
                "gaps": [{"start": gap.start, "end": gap.end, "days": gap.days} for gap in source.gaps],
                "short": source.short,
                "sound": source.sound,
            }
            for source in report
        ],
        "plan": [
            {
                "dataset": item.dataset,
                "class": item.how.kind,
                "first_kept": item.first_kept.isoformat(),
                "cut": item.cut,
                "events": item.events,
                "held": item.held or None,
            }
            for item in done.plan.datasets
        ],
        "applied": applied,
        "removed": {
            "events": done.removal.events,
            "bytes": done.removal.bytes,
            "rollups": done.rollups,
            "kept": list(done.removal.kept),
        },
    }


def run_export(arguments: argparse.Namespace) -> int:
    """Write matching events as a Parquet folder."""
    from edusoc.composition import open_chains, open_services
    from edusoc.progress import StagesBar
    from soc_core.clock import utc_now
    from soc_core.store.exporting import about_export, export_events

    settings, now = settings_of(arguments), utc_now()
    chains = [] if settings.elasticsearch_url else open_chains(settings)
    head = chains[0].head() if chains else None
    named = (
        {"stream": head.stream, "number": head.number, "hash": head.hash} if head and head.number else None
    )
    bar = StagesBar({"export": say("edusoc.export.stage")}, hidden=arguments.json, unit="")
    with open_services(settings) as services, bar:
        request = _search(arguments, settings, services.database, now)
        bar.begin("export", services.reader.count(request))
        about = about_export(request, arguments.query, now, named)
        done = export_events(services.reader, request, arguments.directory, about, bar.advance)
    if arguments.json:
        print(
            orjson.dumps(
                {"files": len(done.files), "rows": done.rows, "directory": str(arguments.directory)}
            ).decode()
        )
    else:
        print(
            say(
                "edusoc.export.done",
                rows=done.rows,
                files=len(done.files),
                directory=str(arguments.directory),
            )
        )
    return 0


def _search(arguments: argparse.Namespace, settings: Settings, database: Database, now: datetime) -> Search:
    """Return the question the arguments ask."""
    from soc_core.model.event import DATASET
    from soc_core.organisations.repository import load_tree, today
    from soc_core.query.language import parse_query
    from soc_core.query.tree import And, Everything, Query, equal
    from soc_core.store.interface import SYSTEM_SCOPE, Scope, Search

    start = instant_of(arguments.start, settings) if arguments.start else datetime(1, 1, 1, tzinfo=UTC)
    end = instant_of(arguments.end, settings) if arguments.end else now + timedelta(days=1)
    scope = SYSTEM_SCOPE
    if arguments.organisation:
        with database.read() as connection:
            tree = load_tree(connection, today(now))
        scope = Scope(tree.subtree(tree.find(arguments.organisation).id))
    query: Query = parse_query(arguments.query) if arguments.query.strip() else Everything()
    if arguments.dataset:
        query = And((equal(DATASET, arguments.dataset), query))
    return Search(scope=scope, start=start, end=end, query=query)
