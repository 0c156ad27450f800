"""Open the parts of an installation and put them together: the only place that knows all of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from cases.alerts.attach import AlertSink
from detectors.anomaly.registry import default_detectors
from detectors.base import EventDetector
from detectors.health import HealthDetector
from detectors.sigma import CorrelationDetector, RuleSet, SigmaDetector
from detectors.sigma.mapping import bundled_rules
from edusoc.migrating import upgrade
from edusoc.packets import CaptureCutter
from edusoc.rule_watching import RuleWatch
from intake.importing import Importer
from intake.indicators.counting import CountingPolicy
from intake.indicators.hunting import Hunter, Parts
from intake.indicators.shelf import Shelf
from intake.indicators.watching import IndicatorWatch, open_detector
from intake.pipeline import CURSOR, Detectors, Pipeline
from intake.rules.library import RuleLibrary
from intake.rules.policy import RulePolicy
from intake.units import UnitBook
from soc_api.services import Services
from soc_core.clock import Clock, utc_now
from soc_core.config import Settings
from soc_core.keys.store import KeyStore
from soc_core.state.database import Database
from soc_core.store.embedded import EmbeddedStore, Limits
from soc_core.store.embedded.catalogue import Catalogue
from soc_core.store.embedded.disk import reserve_of
from soc_core.store.interface import EventReader, EventStore

QUESTION_SECONDS: Final = 60.0
"""For pages: one that takes longer helps nobody, and its processors are missing for the others."""
UNBOUNDED: Final = threading.TIMEOUT_MAX
"""For the command line: nobody else waits."""


def open_database(settings: Settings) -> Database:
    """Open the operational database and bring its tables up to date."""
    settings.state_directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    database = Database.of(settings)
    try:
        upgrade(database)
    except BaseException:
        database.close()
        raise
    return database


def open_chains(settings: Settings) -> list[Catalogue]:
    """Return what keeps a hash chain in this installation: the segments' catalogue, where there is one."""
    path = settings.state_directory / "events" / "catalogue.sqlite"
    return [Catalogue(path)] if path.exists() else []


def open_events(settings: Settings, *, writer: bool) -> EventStore:
    """Open the event store: that of Elasticsearch where its address is set, else the one in the state directory.

    Raises ``StoreBusyError`` when another process writes, ``UsageError`` or ``StoreError`` when it can't be used.
    """
    if settings.elasticsearch_url:
        from soc_core.store.elasticsearch.store import ElasticsearchStore  # takes 0.3 s, which few need

        return ElasticsearchStore.at(settings, writer=writer)
    directory = settings.state_directory / "events"
    return EmbeddedStore(
        directory,
        writer=writer,
        memory_limit_mb=settings.store_memory_mb,
        limits=Limits(reserve=reserve_of(directory, settings.disk_reserve_percent)),
    )


def cursor_name(settings: Settings) -> str:
    """Return the name of how far the detectors are: each store counts its offsets by itself."""
    if not settings.elasticsearch_url:
        return CURSOR
    return f"{CURSOR}@{settings.elasticsearch_prefix}"


def rules_directory(settings: Settings) -> Path:
    """Return where the rules are: as configured, else those that come with the program."""
    return Path(settings.rules) if settings.rules else bundled_rules()


def open_rules(settings: Settings) -> RuleSet:
    """Load the rules; rules with problems are left out and named by ``edusoc rules list``."""
    return RuleLibrary(settings).load().rules


def build_detectors(settings: Settings, rules: RuleSet, indicators: EventDetector | None = None) -> Detectors:
    """Return all detectors: Sigma rules, correlations, anomaly detectors, and indicators where lists are kept."""
    correlations = [CorrelationDetector(rule) for rule in rules.correlations if rule.alone]
    models = settings.state_directory / "models"
    return Detectors(
        events=[SigmaDetector(rules), HealthDetector(), *([indicators] if indicators else [])],
        windows=[*correlations, *default_detectors(models)],
        cursor=cursor_name(settings),
    )


@dataclass(frozen=True, slots=True)
class Writer:
    """Hold the opened parts of the process that writes events."""

    database: Database
    store: EventStore
    rules: RuleSet
    pipeline: Pipeline
    importer: Importer
    watch: RuleWatch
    indicators: IndicatorWatch


@contextmanager
def open_writer(settings: Settings, clock: Clock = utc_now) -> Iterator[Writer]:
    """Open everything for writing; raise ``StoreBusyError`` when another process writes already."""
    from intake.enrich.registry import default_enrichers  # takes 0.2 s, which readers need not spend

    database = open_database(settings)
    try:
        store = open_events(settings, writer=True)
    except BaseException:
        database.close()
        raise
    try:
        nothing = Detectors(cursor=cursor_name(settings))
        pipeline = Pipeline(store, database, nothing, AlertSink(clock), clock)
        policy = RulePolicy(database, store, clock)
        pipeline.policy = CountingPolicy(policy)
        indicators = IndicatorWatch(Shelf(settings.state_directory), database, clock)
        indicators.look()
        build = partial(build_detectors, settings, indicators=indicators)
        library = RuleLibrary(settings, UnitBook(database, clock))
        watch = RuleWatch(library, pipeline, policy, build, clock)
        rules = watch.begin().rules
        pipeline.enrichers = default_enrichers(settings, database, clock)
        pipeline.release_leases()
        importer = Importer(pipeline, database, clock)
        yield Writer(database, store, rules, pipeline, importer, watch, indicators)
    finally:
        store.close()
        database.close()


def open_hunter(
    settings: Settings, database: Database, reader: EventReader, clock: Clock = utc_now
) -> Hunter:
    """Return what searches history for the new entries of lists of indicators."""
    shelf = Shelf(settings.state_directory)
    policy = CountingPolicy(RulePolicy(database, reader, clock))
    parts = Parts(shelf, database, reader, policy, AlertSink(clock))
    return Hunter(parts, partial(open_detector, shelf, database, clock, hunting=True), clock)


@contextmanager
def open_services(
    settings: Settings,
    clock: Clock = utc_now,
    *,
    demo: bool = False,
    question_seconds: float = UNBOUNDED,
) -> Iterator[Services]:
    """Open everything the web process needs: it reads events and writes operational state only."""
    database = open_database(settings)
    try:
        reader = open_events(settings, writer=False)
    except BaseException:
        database.close()
        raise
    try:
        reader.bound_questions(question_seconds)
        library = RuleLibrary(settings, UnitBook(database, clock))
        yield Services(
            database=database,
            reader=reader,
            rules=library,
            library=library,
            keys=KeyStore(settings.state_directory / "keys"),
            clock=clock,
            packets=CaptureCutter(database, reader, settings.state_directory / "cut"),
            settings=settings,
            demo=demo,
        )
    finally:
        reader.close()
        database.close()
