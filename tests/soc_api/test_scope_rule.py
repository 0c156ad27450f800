"""Hold STYLE rule 7 by the syntax tree: no query of ``soc_api`` or ``cases`` goes around the scope."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
FILES = sorted(path for package in ("soc_api", "cases") for path in (ROOT / package).rglob("*.py"))
STATEMENTS = {"select", "update", "delete", "insert"}
ASKING = {"cases/alerts/repository.py", "cases/rules/statistics.py"}
"""The modules that hold queries: each function with one takes the scope and uses it."""
WRITING = {"cases/alerts/attach.py"}
"""The pipeline's own writer: what it touches is named by the detection's unit, never by a person."""
TABLES = {"cases/alerts/tables.py"}
SCOPE_MAKERS = {"soc_api/security.py"}


def problems_of(path: str, source: str) -> list[str]:
    """Return what in a module goes around the scope."""
    tree = ast.parse(source)
    found = [*_imports(path, tree), *_names(path, tree)]
    if path in ASKING:
        found += _unscoped_functions(tree)
    return [f"{path}:{line}: {what}" for line, what in found]


def _imports(path: str, tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) and any(alias.name.startswith("sqlalchemy") for alias in node.names):
            yield node.lineno, "imports sqlalchemy as a whole"
        if not isinstance(node, ast.ImportFrom) or node.module is None:
            continue
        names = {alias.name for alias in node.names}
        if node.module.startswith("sqlalchemy") and path not in ASKING | WRITING | TABLES:
            for name in sorted(names - {"Connection", "OperationalError"}):
                yield node.lineno, f"imports {name}: queries belong into a repository"
        if node.module.endswith(".tables") and path not in ASKING | WRITING:
            yield node.lineno, "imports tables: queries belong into a repository"


def _names(path: str, tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == "SYSTEM_SCOPE":
            yield node.lineno, "uses the system's scope"
        if not isinstance(node, ast.Call):
            continue
        called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if called == "Scope" and path not in SCOPE_MAKERS:
            yield node.lineno, "makes a scope; take Caller.scope or Caller.narrowed"
        if called in {"exec_driver_sql", "text"} and path not in TABLES and _is_sql(node):
            yield node.lineno, "runs SQL text"


def _is_sql(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    return name == "exec_driver_sql" or isinstance(call.func, ast.Name)


def _unscoped_functions(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef):
            continue
        executes = any(
            isinstance(inner, ast.Attribute) and inner.attr in {"execute", "scalar", "scalars"}
            for inner in ast.walk(node)
        )
        names = {argument.arg for argument in (*node.args.args, *node.args.kwonlyargs)}
        uses = any(isinstance(inner, ast.Name) and inner.id == "scope" for inner in ast.walk(node))
        if executes and not ("scope" in names and uses):
            yield node.lineno, f"{node.name} executes a query without the caller's scope"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_query_goes_around_the_scope(path: Path) -> None:
    assert problems_of(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("soc_api/x.py", "from sqlalchemy import select"),
        ("soc_api/x.py", "import sqlalchemy"),
        ("soc_api/x.py", "from cases.alerts.tables import alerts"),
        ("soc_api/x.py", "from soc_core.store.interface import Scope\nScope(None)"),
        ("soc_api/x.py", "Search(scope=SYSTEM_SCOPE)"),
        ("cases/x.py", "connection.exec_driver_sql('SELECT 1')"),
        ("cases/alerts/repository.py", "def a(connection):\n    connection.execute(select(alerts))"),
        ("cases/alerts/repository.py", "def a(connection, scope):\n    connection.scalar(select(alerts))"),
    ],
)
def test_the_rule_finds_what_it_forbids(path: str, source: str) -> None:
    assert problems_of(path, source) != []


def test_what_is_excepted_still_exists() -> None:
    for name in ASKING | WRITING | TABLES | SCOPE_MAKERS:
        assert (ROOT / name).is_file()
