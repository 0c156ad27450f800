"""Judge events the way Zircolite does: each rule becomes a query by pySigma's SQLite backend, all are run over a table.

``python sigma_sqlite.py KIND RULES EVENTS VERDICTS`` where pysigma-backend-sqlite, pysigma-pipeline-sysmon and
pysigma-pipeline-windows are installed; ``benchmarks/sigma.py`` calls it. RULES is a folder, EVENTS a file of flat JSON
objects, a line each; VERDICTS gets a line for each match: number of the event, tab, id of the rule. One JSON object
with processor seconds is printed. The table is in memory, its columns compare without regard to case. KIND is
``plain``, or ``indexed``: then channel and code are indexed, which makes it faster.
"""

from __future__ import annotations

import json
import re
import resource
import sqlite3
import sys
import time
from importlib import import_module
from pathlib import Path

Flat = dict[str, object]


def regexp(pattern: str, value: object) -> bool:
    """Tell whether a regular expression is found in a value."""
    return value is not None and re.search(pattern, str(value)) is not None


def quoted(name: str) -> str:
    """Return the name of a column as SQLite reads it."""
    return '"' + name.replace('"', '""') + '"'


def fill(database: sqlite3.Connection, events: list[Flat]) -> None:
    """Make the table of all events; columns are told apart without regard to case, what is no scalar becomes JSON."""
    names = {name.lower(): name for event in events for name in event if not name.startswith("_")}
    columns = ", ".join(f"{quoted(name)} TEXT COLLATE NOCASE" for name in names.values())
    database.execute(f"CREATE TABLE logs ({columns})")
    places = ", ".join("?" * len(names))
    folded = ({name.lower(): value for name, value in event.items()} for event in events)
    rows = ([_cell(event.get(name)) for name in names] for event in folded)
    database.executemany(f"INSERT INTO logs VALUES ({places})", rows)


def ask(database: sqlite3.Connection, query: str) -> list[int]:
    """Return the numbers of the events a query finds; columns that no event has are added when they are asked for."""
    while True:
        try:
            return [row[0] - 1 for row in database.execute(query.replace("SELECT *", "SELECT rowid", 1))]
        except sqlite3.OperationalError as error:
            missing = re.fullmatch(r"no such column: (?:logs\.)?(.+)", str(error))
            if missing is None:
                raise
            database.execute(f"ALTER TABLE logs ADD COLUMN {quoted(missing[1])} TEXT COLLATE NOCASE")


def _cell(value: object) -> object:
    return json.dumps(value) if isinstance(value, list | dict | bool) else value


def convert(folder: Path) -> tuple[list[tuple[str, str]], int]:
    """Return each rule's id and condition, and how many rules became none."""
    collection = import_module("sigma.collection").SigmaCollection
    pipeline = import_module("sigma.pipelines.sysmon").sysmon_pipeline()
    pipeline += import_module("sigma.pipelines.windows").windows_logsource_pipeline()
    backend = import_module("sigma.backends.sqlite").sqliteBackend(pipeline)
    found, refused = [], 0
    for file in sorted(folder.rglob("*.yml")):
        try:
            rules = collection.from_yaml(file.read_text(encoding="utf-8"))
            for rule in rules.rules:
                found += [(str(rule.id), query) for query in backend.convert_rule(rule)]
        except Exception:  # noqa: BLE001 # whatever a rule makes the backend do, the others go on
            refused += 1
    return found, refused


def main() -> None:
    """Load, convert, fill the table, ask."""
    kind, (folder, events_file, verdicts) = sys.argv[1], map(Path, sys.argv[2:])
    began = time.process_time()
    queries, refused = convert(folder)
    converted = time.process_time()
    events: list[Flat] = [json.loads(line) for line in events_file.read_text(encoding="utf-8").splitlines()]
    parsed = time.process_time()
    database = sqlite3.connect(":memory:")
    database.create_function("REGEXP", 2, regexp, deterministic=True)
    fill(database, events)
    if kind == "indexed":
        database.execute('CREATE INDEX kinds ON logs ("Channel", "EventID")')
    failed, found = 0, list[str]()
    for rule_id, query in queries:
        try:
            found += [f"{number}\t{rule_id}\n" for number in ask(database, query)]
        except sqlite3.Error:
            failed += 1
    judged = time.process_time()
    verdicts.write_text("".join(found), encoding="utf-8")
    told = {
        "rules": len(queries),
        "refused": refused + failed,
        "events": len(events),
        "loading": converted - began,
        "parsing": parsed - converted,
        "judging": judged - parsed,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
