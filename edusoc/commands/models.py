"""Look after the model of usual flows: ``edusoc models train``, ``evaluate``, ``list``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING

import orjson

from edusoc.options import add_settings, say, settings_of, shown_time
from edusoc.parser import add_actions, add_command
from soc_core.printing import printable

if TYPE_CHECKING:
    from detectors.anomaly.model.card import ModelCard
    from detectors.anomaly.model.evaluation import Evaluation
    from detectors.anomaly.model.samples import Plans
    from soc_core.config import Settings
    from soc_core.model.event import BadRecord, Event

MAX_SHOWN = 10
MAX_DAYS = 3_650


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    actions = add_actions(add_command(subparsers, "models", "edusoc.models"))
    _add_train(actions)
    evaluate_action = add_command(actions, "evaluate", "edusoc.models.evaluate")
    evaluate_action.add_argument(
        "--normal", nargs="+", required=True, metavar="FILE", help=say("edusoc.models.normal")
    )
    evaluate_action.add_argument(
        "--attack", nargs="+", default=[], metavar="FILE", help=say("edusoc.models.attack")
    )
    evaluate_action.add_argument(
        "--inside", action="append", default=[], metavar="CIDR", help=say("edusoc.models.inside")
    )
    _add_common(evaluate_action)
    evaluate_action.set_defaults(run=evaluate)
    list_action = add_command(actions, "list", "edusoc.models.list")
    _add_common(list_action)
    list_action.set_defaults(run=list_models)


def _add_train(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    action = add_command(actions, "train", "edusoc.models.train")
    source = action.add_mutually_exclusive_group(required=True)
    source.add_argument("--from", dest="files", nargs="+", metavar="FILE", help=say("edusoc.models.from"))
    source.add_argument("--organisation", metavar="CODE", help=say("edusoc.models.organisation"))
    action.add_argument("--days", type=float, default=14.0, help=say("edusoc.models.days"))
    action.add_argument("--budget", type=float, default=3.0, help=say("edusoc.models.budget"))
    action.add_argument("--seed", type=int, default=7, help=say("edusoc.models.seed"))
    action.add_argument(
        "--inside", action="append", default=[], metavar="CIDR", help=say("edusoc.models.inside")
    )
    _add_common(action)
    action.set_defaults(run=train)


def _add_common(action: argparse.ArgumentParser) -> None:
    action.add_argument("--json", action="store_true", help=say("edusoc.cli.json"))
    add_settings(action)


def train(arguments: argparse.Namespace) -> int:
    """Train on files or on a unit's stored flows, and make the result the current model."""
    from detectors.anomaly.model.files import read_card, save
    from detectors.anomaly.model.training import TrainingOptions, train_from_events
    from soc_core.errors import UsageError

    if not 0 < arguments.days <= MAX_DAYS or not 0 < arguments.budget <= 1_000:
        raise UsageError(say("edusoc.models.positive", days=MAX_DAYS))
    settings = settings_of(arguments)
    if arguments.files:
        options = TrainingOptions(arguments.seed, arguments.budget)
        reading = Reading(hidden=arguments.json)
        try:
            model = train_from_events(reading.events(arguments.files), _plans(arguments.inside), options)
        finally:
            code = reading.report()
    else:
        code = 0
        events, plans, units = _stored(settings, arguments.organisation, arguments.days)
        model = train_from_events(events, plans, TrainingOptions(arguments.seed, arguments.budget, units))
    card = read_card(save(model, settings.state_directory / "models"))
    if arguments.json:
        print(orjson.dumps(asdict(card), option=orjson.OPT_INDENT_2).decode())
        return code
    print(_described(card))
    if card.held_out_days * card.budget < 1:
        print(say("edusoc.models.rough"))
    return code


def evaluate(arguments: argparse.Namespace) -> int:
    """Measure the current model on files it was not trained on."""
    from detectors.anomaly.model.evaluation import evaluate_events
    from detectors.anomaly.model.files import current_folder, load
    from soc_core.errors import UsageError

    folder = current_folder(settings_of(arguments).state_directory / "models")
    if folder is None:
        raise UsageError(say("edusoc.models.none"), todo="edusoc models train --from FILE…")
    reading = Reading(hidden=arguments.json)
    found = evaluate_events(
        load(folder),
        reading.events(arguments.normal),
        reading.events(arguments.attack),
        _plans(arguments.inside),
    )
    code = reading.report()
    if not found.normal_flows:
        raise UsageError(say("edusoc.models.no_flows"))
    if arguments.json:
        body = {**asdict(found), "alerts_per_unit_day": found.alerts_per_unit_day}
        print(orjson.dumps(body, option=orjson.OPT_INDENT_2).decode())
    else:
        print("\n".join(_outcome(found)))
    return code


def list_models(arguments: argparse.Namespace) -> int:
    """List the models; return 1 when the current one can't be used."""
    from detectors.anomaly.model.files import kept_models

    rows = kept_models(settings_of(arguments).state_directory / "models")
    for row in rows:
        if arguments.json:
            card = asdict(row.card) if row.card else None
            body = {"version": row.version, "current": row.current, "problem": row.problem, "card": card}
            print(orjson.dumps(body).decode())
            continue
        mark = "*" if row.current else " "
        print(f"{mark} {_described(row.card) if row.card else f'{row.version}  {row.problem}'}")
    if not rows and not arguments.json:
        print(say("edusoc.models.none"))
    return 1 if any(row.current and row.problem for row in rows) else 0


def _described(card: ModelCard) -> str:
    return say(
        "edusoc.models.described",
        version=card.version,
        created=shown_time(card.created_at, seconds=True),
        flows=card.fitted,
        held_out=card.held_out,
        days=f"{card.days:.2g}",
        threshold=f"{card.threshold:.2f}",
        budget=f"{card.budget:g}",
    )


def _outcome(found: Evaluation) -> list[str]:
    lines = [
        say(
            "edusoc.models.quiet",
            flows=found.normal_flows,
            days=f"{found.normal_days:.2g}",
            alerts=found.normal_alerts,
            rate=f"{found.alerts_per_unit_day:.1f}",
        )
    ]
    if found.attack_flows:
        lines.append(say("edusoc.models.loud", flows=found.attack_flows, alerts=found.attack_alerts))
    if found.ranking is not None:
        lines.append(
            say(
                "edusoc.models.ranking",
                area=f"{found.ranking.area_under_curve:.3f}",
                average=f"{found.ranking.average_precision:.3f}",
                recall=f"{found.ranking.recall_at_1_percent:.3f}",
                precision="–" if found.precision is None else f"{found.precision:.2f}",
            )
        )
    return lines


def _plans(inside: Sequence[str]) -> Plans:
    from soc_core.errors import UsageError
    from soc_core.model.organisation import AddressPlan

    try:
        plan = AddressPlan(inside)
    except ValueError as error:
        raise UsageError(str(error)) from error
    return lambda _unit, _zone: plan


class Reading:
    """Read events of files with a bar on a terminal, and keep what could not be read."""

    def __init__(self, *, hidden: bool) -> None:
        """Take whether the bar is hidden."""
        self._hidden = hidden
        self._bad: list[BadRecord] = []
        self._count = 0

    def events(self, paths: Sequence[str]) -> Iterator[Event]:
        """Yield the events of the files, none for no paths."""
        from collectors.base import ReadContext
        from collectors.opening import find_inputs
        from collectors.reading import read_paths
        from edusoc.progress import ReadingBar

        inputs = find_inputs(list(paths)) if paths else []
        with ReadingBar([item.path for item in inputs], hidden=self._hidden) as bar:
            for batch in read_paths(inputs, lambda source: ReadContext(source.modified, keep_original=False)):
                yield from batch.events
                self._count += len(batch.bad) + (batch.failed and not batch.bad)
                self._bad.extend(batch.bad[: MAX_SHOWN - len(self._bad)])
                bar.update(batch)

    def report(self) -> int:
        """Name the first bad records on standard error; return 1 if there were any, else 0."""
        from collectors.reasons import reason_text
        from edusoc.cli_language import language_of

        for bad in self._bad:
            place = f"{bad.source}:{bad.line or bad.position}"
            print(printable(f"{place}: {reason_text(bad.reason, language_of())}"), file=sys.stderr)
        return 1 if self._count else 0


def _stored(settings: Settings, code: str, days: float) -> tuple[Iterator[Event], Plans, tuple[str, ...]]:
    """Return the flows of a unit and those below it of the last ``days``, their address plans and unit ids."""
    from detectors.anomaly.flows import FLOW_FIELDS, FLOW_QUERY
    from edusoc.composition import open_services
    from soc_core.clock import utc_now
    from soc_core.model.event import ORGANIZATION_ID, ZONE
    from soc_core.organisations.repository import load_tree, today
    from soc_core.store.interface import Scope, Search

    now = utc_now()
    with open_services(settings) as services, services.database.read() as connection:
        tree = load_tree(connection, today(now))
    units = tuple(sorted(tree.subtree(tree.find(code).id)))

    def flows() -> Iterator[Event]:
        fields = (*FLOW_FIELDS, ORGANIZATION_ID, ZONE)
        search = Search(
            scope=Scope(frozenset(units)),
            start=now - timedelta(days=days),
            end=now,
            query=FLOW_QUERY,
            fields=fields,
        )
        with open_services(settings) as services:
            for batch in services.reader.scan(search):
                yield from batch

    return flows(), tree.plan, units
