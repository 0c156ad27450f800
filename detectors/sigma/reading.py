"""Read the YAML documents of rule files; what can't be read is named with its place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml
from sigma.exceptions import SigmaError
from sigma.rule.base import SigmaYAMLLoader, check_alias_expansion

from detectors.sigma.files import MAX_BYTES
from detectors.sigma.model import Problem
from detectors.sigma.words import problem
from soc_core.model.detection import Reason

MAX_DOCUMENTS: Final = 2_000
MAX_NESTED: Final = 100
MAX_DETAIL: Final = 300
_INDENTED: Final = re.compile(rf"^[ \-?:\t]{{{MAX_NESTED},}}", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Document:
    """Hold one YAML document of a rule file as it was read; ``line`` is where it begins, counted from 1."""

    file: str
    line: int
    tree: dict[str, object]

    def complaint(self, reason: Reason, *, fatal: bool = True) -> Problem:
        """Return a problem of this document."""
        identity = self.tree.get("id")
        return Problem(self.file, self.line, reason, identity if isinstance(identity, str) else "", fatal)


def check_nesting(text: str) -> None:
    """Raise ``ValueError`` for YAML so deep that the C library's recursion would end the process.

    Few files are suspect, by brackets or by what their lines begin with; those are gone through event by event.
    """
    if text.count("[") + text.count("{") <= MAX_NESTED and _INDENTED.search(text) is None:
        return
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_NESTED:
                raise ValueError(f"more than {MAX_NESTED} levels")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def read_documents(file: Path, problems: list[Problem]) -> list[Document]:
    """Return the YAML documents of a file; what can't be read becomes a problem with its line."""
    name, found = str(file), list[Document]()
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            problems.append(Problem(name, 0, problem("too_big", size=MAX_BYTES)))
            return []
        text = data.decode("utf-8-sig")
        check_nesting(text)
        found.extend(_documents(name, text, problems))
    except UnicodeDecodeError:
        problems.append(Problem(name, 0, problem("encoding")))
    except OSError as fault:
        problems.append(Problem(name, 0, problem("unreadable", detail=fault.strerror or str(fault))))
    except (yaml.YAMLError, ValueError, RecursionError) as fault:
        problems.append(_fault(name, 0, fault))
    return found


def _documents(name: str, text: str, problems: list[Problem]) -> Iterator[Document]:
    """Yield the documents; one whose values make no sense is left out, wrong syntax ends the file."""
    reader = SigmaYAMLLoader(text)
    number = 0
    while reader.check_node():
        number += 1
        node = reader.get_node()
        line = node.start_mark.line + 1 if node is not None else 0
        if number > MAX_DOCUMENTS:
            problems.append(Problem(name, line, problem("documents", most=MAX_DOCUMENTS)))
            return
        try:
            tree = reader.construct_document(node)
            if isinstance(tree, dict):
                check_alias_expansion(tree)
                yield Document(name, line, tree)
            elif tree is not None:
                problems.append(Problem(name, line, problem("no_rule")))
        except (yaml.YAMLError, SigmaError, ValueError, TypeError, RecursionError) as fault:
            problems.append(_fault(name, line, fault))


def _fault(name: str, line: int, fault: Exception) -> Problem:
    mark = getattr(fault, "problem_mark", None)
    detail = str(getattr(fault, "problem", None) or fault) or type(fault).__name__
    where = mark.line + 1 if mark is not None else line
    return Problem(name, where, problem("yaml", detail=" ".join(detail.split())[:MAX_DETAIL]))
